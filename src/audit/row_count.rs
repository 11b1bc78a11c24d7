//! The number of rows of a cycle, held against that of the cycles before.

use crate::audit::report::Ended;
use crate::definition::RowCountRule;
use crate::human;

/// The number of earlier cycles without which the number of rows is compared with nothing.
const MIN_EARLIER_CYCLES: usize = 3;

/// The facts about a cycle that audits are held against once all rows have passed.
#[derive(Debug, Default)]
pub(crate) struct AuditedCycle {
    /// The number of rows.
    pub rows: u64,
    /// The numbers of rows of the published cycles before, newest first.
    pub earlier_rows: Vec<u64>,
}

/// Holds the number of rows against the median of the cycles before.
pub(super) fn row_count(rule: RowCountRule, facts: &AuditedCycle) -> Ended {
    let taken = usize::try_from(rule.cycles).unwrap_or(usize::MAX);
    let mut earlier: Vec<u64> = facts.earlier_rows.iter().take(taken).copied().collect();
    let count = earlier.len();
    if count < MIN_EARLIER_CYCLES {
        return Ended::Skipped(format!(
            "{MIN_EARLIER_CYCLES} cycles have to be published before, and there are {count}"
        ));
    }
    earlier.sort_unstable();
    let median = median(&earlier);
    let rows = facts.rows as f64;
    let bound = match (rule.min_share, rule.max_multiple) {
        (Some(share), _) if rows < share * median => format!("at least {share}"),
        (_, Some(multiple)) if rows > multiple * median => format!("at most {multiple}"),
        _ => return Ended::Passed,
    };
    let shown = |number: u64, what: &str| human::counted(number, what).to_string();
    Ended::Failed(Some(format!(
        "{} {} {} times the median of the {count} cycles before, {median}, and may be {bound} times it",
        shown(facts.rows, "row"),
        if facts.rows == 1 { "is" } else { "are" },
        share_text(rows, median)
    )))
}

/// Returns the median of numbers in order, of which there are some.
fn median(sorted: &[u64]) -> f64 {
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or_default() as f64;
    match (sorted.len() % 2, middle.checked_sub(1)) {
        (0, Some(below)) => {
            let lower = sorted.get(below).copied().unwrap_or_default() as f64;
            f64::midpoint(lower, upper)
        }
        _ => upper,
    }
}

fn share_text(rows: f64, median: f64) -> String {
    match median > 0.0 {
        true => format!("{:.2}", rows / median),
        false => "infinitely many".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(rows: u64, earlier: &[u64]) -> Option<String> {
        let rule = RowCountRule {
            min_share: Some(0.5),
            max_multiple: Some(2.0),
            cycles: 4,
        };
        let facts = AuditedCycle {
            rows,
            earlier_rows: earlier.to_vec(),
        };
        match row_count(rule, &facts) {
            Ended::Passed => None,
            Ended::Failed(reason) => reason,
            Ended::Skipped(reason) => Some(format!("skipped: {reason}")),
        }
    }

    #[test]
    fn the_number_of_rows_is_held_against_the_median() {
        let earlier = [100, 120, 80, 110, 1_000_000];
        assert_eq!(verdict(53, &earlier), None);
        assert_eq!(verdict(210, &earlier), None);
        assert_eq!(
            verdict(52, &earlier).unwrap(),
            "52 rows are 0.50 times the median of the 4 cycles before, 105, and may be at least 0.5 times it"
        );
        assert_eq!(
            verdict(211, &earlier).unwrap(),
            "211 rows are 2.01 times the median of the 4 cycles before, 105, and may be at most 2 times it"
        );
        assert_eq!(
            verdict(1, &[1, 1]).unwrap(),
            "skipped: 3 cycles have to be published before, and there are 2"
        );
        assert_eq!(verdict(0, &[0, 0, 0]), None);
        assert_eq!(
            verdict(1, &[0, 0, 0]).unwrap(),
            "1 row is infinitely many times the median of the 3 cycles before, 0, and may be at most 2 times it"
        );
    }
}
