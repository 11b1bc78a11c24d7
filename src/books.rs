//! The books of a table: the rows that were read against those that were exported, filtered out and
//! rejected.
//!
//! ```text
//! read (decoders) + unnested (UNNEST) = exported (encoders) + filtered (filters) + rejected (decoders)
//! ```
//! Each figure is counted by another part of the program, at the place where it happens, so that a row
//! that is lost or duplicated between a decoder and an encoder makes them differ. The module is pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::human;

/// The rows of one table and cycle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// The rows that decoders read, and malformed lines. A source that is scanned twice counts twice.
    pub read: u64,
    /// The malformed lines that were set aside.
    pub rejected: u64,
    /// The rows that filters left out.
    pub filtered: u64,
    /// The rows that UNNEST added; negative if it left out more rows with empty lists.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unnested: i64,
    /// The rows in the files, as their encoders counted them.
    pub exported: u64,
}

/// The books of a table, or the reason why there are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Balance {
    /// The books, which were balanced when the table was published.
    Counted(Books),
    /// The part of balanced books that a manifest has if the table is a selection by a parameter: the
    /// volumes of other tenants are not its business.
    Withheld {
        /// The malformed lines that were set aside.
        rejected: u64,
        /// The rows in the files.
        exported: u64,
    },
    /// There are no books.
    NotCountable {
        /// The reason, which follows the name of the table: `it aggregates`.
        not_countable: String,
    },
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Books {
    /// Returns true if every row that was read is accounted for, once.
    pub fn are_balanced(&self) -> bool {
        let sum = |numbers: &[u64]| numbers.iter().copied().map(i128::from).sum::<i128>();
        sum(&[self.read]) + i128::from(self.unnested)
            == sum(&[self.exported, self.filtered, self.rejected])
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} read", human::count(self.read))?;
        let added = human::count(self.unnested.unsigned_abs());
        match self.unnested {
            0 => {}
            1.. => write!(f, " + {added} unnested")?,
            ..0 => write!(f, " - {added} not unnested")?,
        }
        let sign = if self.are_balanced() { "=" } else { "≠" };
        write!(
            f,
            " {sign} {} exported + {} filtered + {} rejected",
            human::count(self.exported),
            human::count(self.filtered),
            human::count(self.rejected)
        )
    }
}

impl Balance {
    /// Creates the balance of a table whose rows cannot be counted through. `reason` follows the name of
    /// the table.
    pub(crate) fn not_countable(reason: impl Into<String>) -> Self {
        Self::NotCountable {
            not_countable: reason.into(),
        }
    }

    /// Checks that no row was lost or duplicated.
    ///
    /// # Errors
    /// [`Error::internal`] with all figures.
    pub(crate) fn check(&self) -> Result<()> {
        let Self::Counted(books) = self else {
            return Ok(());
        };
        if books.are_balanced() {
            return Ok(());
        }
        Err(Error::internal(format!(
            "the books do not balance, so rows were lost or duplicated on the way: {books}"
        ))
        .with_hint(
            "nothing of the cycle was published: run again; if it fails again, report it with the \
             definition and this message",
        ))
    }

    /// Returns what contradicts a manifest with this number of rows, if anything does.
    pub(crate) fn contradiction(&self, rows: u64) -> Option<String> {
        let exported = match self {
            Self::Counted(books) if !books.are_balanced() => {
                return Some(format!("the books do not balance: {books}"));
            }
            Self::Counted(Books { exported, .. }) | Self::Withheld { exported, .. } => *exported,
            Self::NotCountable { .. } => return None,
        };
        (exported != rows).then(|| format!("rows is {rows}, and the books have {exported}"))
    }

    /// Returns the balance as the manifest has it.
    pub(crate) fn published(&self, is_selection: bool) -> Self {
        match self {
            Self::Counted(books) if is_selection => Self::Withheld {
                rejected: books.rejected,
                exported: books.exported,
            },
            other => other.clone(),
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted(books) => books.fmt(f),
            Self::Withheld { rejected, exported } => write!(
                f,
                "{} exported, {} rejected; the other figures are in the report of the run",
                human::count(*exported),
                human::count(*rejected)
            ),
            Self::NotCountable { not_countable } => write!(f, "not countable: {not_countable}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALANCED: Books = Books {
        read: 2000,
        rejected: 3,
        filtered: 497,
        unnested: 0,
        exported: 1500,
    };

    #[test]
    fn a_row_that_is_lost_or_duplicated_anywhere_is_noticed() {
        assert!(Balance::Counted(BALANCED).check().is_ok());
        let off_by_one: [fn(&mut Books); 6] = [
            |books| books.read += 1,
            |books| books.rejected += 1,
            |books| books.filtered -= 1,
            |books| books.unnested -= 1,
            |books| books.unnested += 1,
            |books| books.exported -= 1,
        ];
        for change in off_by_one {
            let mut books = BALANCED;
            change(&mut books);
            assert!(!books.are_balanced(), "{books}");
        }
        let lost = Books {
            exported: 1499,
            ..BALANCED
        };
        assert_eq!(
            Balance::Counted(lost).check().unwrap_err().to_string(),
            "the books do not balance, so rows were lost or duplicated on the way: \
             2,000 read ≠ 1,499 exported + 497 filtered + 3 rejected"
        );
    }

    #[test]
    fn unnest_adds_rows_and_leaves_out_empty_lists() {
        let added = Books {
            unnested: 10,
            exported: 1510,
            ..BALANCED
        };
        let text = "2,000 read + 10 unnested = 1,510 exported + 497 filtered + 3 rejected";
        assert_eq!(added.to_string(), text);
        let fewer = Books {
            unnested: -10,
            exported: 1490,
            ..BALANCED
        };
        let text = "2,000 read - 10 not unnested = 1,490 exported + 497 filtered + 3 rejected";
        assert_eq!(fewer.to_string(), text);
        let largest = Books {
            read: u64::MAX,
            exported: u64::MAX,
            ..Books::default()
        };
        assert!(largest.are_balanced());
    }

    #[test]
    fn a_balance_is_read_as_it_was_written() {
        let balances = [
            (
                Balance::Counted(BALANCED),
                r#"{"read":2000,"rejected":3,"filtered":497,"exported":1500}"#,
            ),
            (
                Balance::Counted(BALANCED).published(true),
                r#"{"rejected":3,"exported":1500}"#,
            ),
            (
                Balance::not_countable("it aggregates"),
                r#"{"not_countable":"it aggregates"}"#,
            ),
        ];
        for (balance, text) in balances {
            assert_eq!(serde_json::to_string(&balance).unwrap(), text);
            assert_eq!(serde_json::from_str::<Balance>(text).unwrap(), balance);
        }
        let not_countable = Balance::not_countable("it joins");
        assert_eq!(not_countable.published(true), not_countable);
    }
}
