//! `case.toml`: the day and the parameters of a case, and the columns that are compared.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::cycle::Cycle;
use crate::error::{Error, Result};

/// The day of a case that names none.
pub(super) const DEFAULT_DATE: &str = "2026-01-15";

/// The settings of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CaseSettings {
    /// The cycle that the definition is bound to.
    pub(super) cycle: Cycle,
    /// The values of the definition's parameters.
    pub(super) parameters: BTreeMap<String, String>,
    /// The columns that are not compared, and that expectations leave out.
    pub(super) ignore: BTreeSet<String>,
    /// The audits that the rows break, all others of the table holding; `None` if no audit runs.
    pub(super) broken_audits: Option<BTreeSet<String>>,
    /// The file as it is written, for the lines of complaints.
    pub(super) text: String,
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    date: Option<Scalar>,
    #[serde(default)]
    parameters: BTreeMap<String, Scalar>,
    #[serde(default)]
    ignore: BTreeSet<String>,
    broken_audits: Option<BTreeSet<String>>,
    /// For those who read the file.
    #[serde(rename = "description")]
    _description: Option<String>,
}

/// A value that TOML may have without quotes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Integer(i64),
    Number(f64),
    Flag(bool),
    Instant(toml::value::Datetime),
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Scalar::Text(text) => text.clone(),
            Scalar::Integer(number) => number.to_string(),
            Scalar::Number(number) => number.to_string(),
            Scalar::Flag(flag) => flag.to_string(),
            Scalar::Instant(instant) => instant.to_string(),
        }
    }
}

impl CaseSettings {
    /// Parses the text of `file`; a case without the file has an empty text.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self> {
        let parsed: CaseFile = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let before = text.get(..at).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let message = error.message().trim_end().replace('\n', ", ");
            Error::invalid(format!("{file}:{line}: {message}")).with_hint(
                "a case has `date`, `[parameters]`, `ignore`, `broken_audits` and `description`",
            )
        })?;
        let date = parsed.date.as_ref().map(Scalar::text);
        let date = date.as_deref().unwrap_or(DEFAULT_DATE);
        let cycle = date.parse().map_err(|_| {
            let line = line_of(text, "date");
            Error::invalid(format!("{file}:{line}: `date` is not a day: `{date}`"))
                .with_hint(format!("write it like \"{DEFAULT_DATE}\""))
        })?;
        let parameters = parsed.parameters.iter();
        Ok(Self {
            cycle,
            parameters: parameters
                .map(|(name, value)| (name.clone(), value.text()))
                .collect(),
            ignore: parsed.ignore,
            broken_audits: parsed.broken_audits,
            text: text.to_owned(),
        })
    }
}

/// Reads settings, and drops them: a fuzz target looks only for panics and for errors without a line.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn parse_settings(file: &str, text: &str) -> Result<()> {
    CaseSettings::parse(file, text).map(|_| ())
}

/// Returns the number of the first line that begins with a key.
pub(super) fn line_of(text: &str, key: &str) -> usize {
    let is_key = |line: &str| line.trim_start().starts_with(key);
    text.lines().position(is_key).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_need_no_quotes_and_everything_may_be_left_out() {
        let empty = CaseSettings::parse("case.toml", "").unwrap();
        assert_eq!(empty.cycle.to_string(), DEFAULT_DATE);
        let text = "description = \"x\"\ndate = 2026-02-03\nignore = [\"loaded_at\"]\n\
                    [parameters]\nn = 7\nname = \"a\"\nflag = true\n";
        let settings = CaseSettings::parse("case.toml", text).unwrap();
        assert_eq!(settings.cycle.to_string(), "2026-02-03");
        let parameters: Vec<_> = settings.parameters.values().map(String::as_str).collect();
        assert_eq!(parameters, ["true", "7", "a"]);
        assert!(settings.ignore.contains("loaded_at"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, complaint) in [
            ("\ndate = \"15.1.2026\"", "case.toml:2: `date` is not a day"),
            (
                "date = \"2026-01-15\"\n\ndat = 1",
                "case.toml:3: unknown field `dat`",
            ),
            ("ignore = \"x\"", "case.toml:1: invalid type"),
            ("date = ", "case.toml:1: "),
        ] {
            let error = CaseSettings::parse("case.toml", text).unwrap_err();
            assert!(error.render().contains(complaint), "{}", error.render());
        }
    }
}
