//! Set operations that count how often a row is there.

use crate::error::Result;
use crate::sql_file::SqlFile;

/// Refuses `EXCEPT ALL` and `INTERSECT ALL`, which look only at whether a row is on the other side.
pub(super) fn refuse_counting(sql: &SqlFile) -> Result<()> {
    for (operation, hint) in [
        (
            "EXCEPT",
            "write `EXCEPT`, or number equal rows on both sides with `row_number() OVER (PARTITION BY …)` and join",
        ),
        (
            "INTERSECT",
            "write `INTERSECT`, or number equal rows on both sides with `row_number() OVER (PARTITION BY …)` and join",
        ),
    ] {
        if let Some(line) = sql.find_line_of_pair(operation, "ALL") {
            let what = format!("`{operation} ALL` does not count how often a row is on each side");
            return Err(sql.complaint(line, what).with_hint(hint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_operations_that_count_are_refused() {
        let refused = |text: &str| {
            let sql = SqlFile::new("x.sql".to_owned(), text.to_owned()).unwrap();
            refuse_counting(&sql).err().map(|error| error.to_string())
        };
        assert_eq!(refused("SELECT 1 EXCEPT SELECT 2 UNION ALL SELECT 3"), None);
        assert_eq!(
            refused("SELECT 'except all', \"except\" -- except all"),
            None
        );
        let error = refused("SELECT 1\nexcept\nALL SELECT 2").unwrap();
        assert!(error.starts_with("x.sql:2: `EXCEPT ALL`"), "{error}");
        assert!(refused("SELECT 1 INTERSECT ALL SELECT 2").is_some());
    }
}
