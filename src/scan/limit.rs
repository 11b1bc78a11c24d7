//! Limits as they are written: a number, or a percentage of a whole.

use crate::error::{Error, Result};

/// A limit of a count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limit {
    /// A number.
    Number(u64),
    /// A percentage, from 0 to 100.
    Percent(f64),
}

impl Limit {
    /// Parses `0`, `25` or `0.1%`. `what` is counted: `lines`.
    ///
    /// # Errors
    /// [`Error::invalid`] on any other text.
    pub(super) fn parse(text: &str, what: &str) -> Result<Self> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(Limit::Percent),
            None => text.parse().ok().map(Limit::Number),
        };
        parsed.ok_or_else(|| {
            Error::invalid(format!("`{text}` is not a number of {what}"))
                .with_hint("write it like 0, 25 or 0.1%")
        })
    }
}
