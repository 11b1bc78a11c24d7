//! The `OPTIONS (…)` of a source.

use chrono::TimeDelta;
use datafusion::sql::sqlparser::ast::Value;

use crate::catalog::column_option::ColumnOption;
use crate::error::Result;
use crate::jsonl::{Compression, EpochUnit, Framing, LocalZone, TimeFormat};
use crate::listing::passed_over::FileNames;
use crate::scan::absent::{AbsentRule, AbsentRules};
use crate::scan::ready_rule::{READY_RULES, ReadyRule, duration};
use crate::sql_file::{SqlFile, column_of};

const KNOWN: &str = "`compression`, `files`, `missing`, `missing.<column>`, `ready`, `records`, `time_column`, \
                     `time_format`, `time_format.<column>`, `time_slack`, `time_unit`, `time_unit.<column>`, \
                     `time_zone`, `time_zone.<column>`";

const RECORD_PATHS: &str = "'auto', 'lines', '$' if each document is a record, or the path of a list such \
                            as '$[*]' or '$.Records[*]'";

/// The options of one source, each as it was written or its default.
#[derive(Debug, Default, PartialEq)]
pub(super) struct SourceOptions {
    /// The option `compression`: auto (the default, by the files' first bytes), gzip, zstd or none.
    pub(super) compression: Option<Compression>,
    /// The option `records`: auto (the default, by the files' first bytes), lines, or the path of the
    /// records in documents.
    pub(super) framing: Option<Framing>,
    /// The option `files`: the names of the files; any if there is none.
    pub(super) files: FileNames,
    /// The option `time_column`: the timestamp column that the date and hour folders describe.
    pub(super) time_column: Option<String>,
    /// The option `time_slack`: the maximum by which a row's time may lie outside the range of its
    /// folder.
    pub(super) time_slack: TimeDelta,
    /// The option `time_unit`: the unit of the numbers in timestamp columns.
    pub(super) time_unit: ColumnOption<EpochUnit>,
    /// The option `time_format`: the format of the texts in timestamp columns, and in date columns that it
    /// names.
    pub(super) time_format: ColumnOption<TimeFormat>,
    /// The option `time_zone`: the zone of texts in timestamp columns that have none.
    pub(super) time_zone: ColumnOption<LocalZone>,
    /// The option `ready`: the rules by which the source is ready for a cycle.
    pub(super) ready: Vec<ReadyRule>,
    /// The options `missing` and `missing.<column>`.
    pub(super) absent_rules: AbsentRules,
}

impl SourceOptions {
    /// Parses the options of a statement, with or without the prefix `format.`.
    ///
    /// # Errors
    /// [`Error::invalid`](crate::error::Error::invalid) with file and line if an option is unknown,
    /// if it does not take its value, or if there is a slack without a time column.
    pub(super) fn parse(file: &SqlFile, written: &[(String, Value)]) -> Result<Self> {
        let mut options = Self::default();
        let mut slack_key = None;
        for (key, value) in written {
            let name = key.to_ascii_lowercase();
            let text = text_of(value).ok_or_else(|| {
                let what = format!("option `{key}` takes a quoted text, not `{value}`");
                file.complaint(file.last_line_of(key), what)
            })?;
            let refused = |expected: &str| {
                let what = format!("option `{key}` is `{text}`; write {expected}");
                file.complaint(file.last_line_of(key), what)
            };
            match name.strip_prefix("format.").unwrap_or(&name) {
                "compression" => {
                    let compression = Compression::named(&text);
                    let expected = "'auto', 'gzip', 'zstd' or 'none'";
                    options.compression = Some(compression.ok_or_else(|| refused(expected))?);
                }
                "records" => {
                    let framing = Framing::parse(&text);
                    options.framing = Some(framing.ok_or_else(|| refused(RECORD_PATHS))?);
                }
                "files" => {
                    options.files = FileNames::parse(&text).map_err(|reason| {
                        let expected =
                            "patterns of names, such as '*.json.gz' or '*.json, *.ndjson'";
                        refused(&format!("{expected}: {reason}"))
                    })?;
                }
                "time_column" => options.time_column = Some(text),
                "ready" => {
                    let rules = ReadyRule::parse_all(&text);
                    options.ready = rules.ok_or_else(|| refused(READY_RULES))?;
                }
                "time_slack" => {
                    let slack = duration(&text);
                    let expected = "a number and a unit, such as '10 minutes'";
                    options.time_slack = slack.ok_or_else(|| refused(expected))?;
                    slack_key = Some(key);
                }
                name => {
                    // The name of a column keeps its case.
                    let key_name = key.get(key.len() - name.len()..).unwrap_or_default();
                    if let Some(column) = column_of("time_unit", key_name) {
                        let unit = EpochUnit::named(&text);
                        let unit = unit.ok_or_else(|| refused("'s', 'ms', 'us' or 'ns'"))?;
                        options.time_unit.set(column, unit);
                    } else if let Some(column) = column_of("time_format", key_name) {
                        let format = TimeFormat::parse(&text).map_err(|reason| {
                            refused(&format!(
                                "a format such as '%d/%b/%Y:%H:%M:%S %z': {reason}"
                            ))
                        })?;
                        options.time_format.set(column, format);
                    } else if let Some(column) = column_of("time_zone", key_name) {
                        let zone = LocalZone::named(&text);
                        let expected =
                            "a name such as 'Europe/Berlin', or an offset such as '+01:00'";
                        let zone = zone.ok_or_else(|| refused(expected))?;
                        options.time_zone.set(column, zone);
                    } else if let Some(column) = column_of("missing", key_name) {
                        let rule = AbsentRule::named(&text);
                        let rule = rule.ok_or_else(|| refused("'error', 'warn' or 'null'"))?;
                        let rules = &mut options.absent_rules;
                        match column {
                            Some(column) => rules.columns.push((column.to_owned(), rule)),
                            None => rules.source = rule,
                        }
                    } else {
                        let what = format!("unknown option `{key}`; the options are {KNOWN}");
                        return Err(file.complaint(file.last_line_of(key), what));
                    }
                }
            }
        }
        if let (Some(key), None) = (slack_key, &options.time_column) {
            let what = "`time_slack` needs `time_column`, the column whose folders it widens";
            return Err(file.complaint(file.last_line_of(key), what));
        }
        Ok(options)
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<SourceOptions> {
        let file = SqlFile::new("x.sql".to_owned(), "SELECT 1".to_owned())?;
        let written: Vec<(String, Value)> = options
            .iter()
            .map(|(key, value)| {
                (
                    (*key).to_owned(),
                    Value::SingleQuotedString((*value).to_owned()),
                )
            })
            .collect();
        SourceOptions::parse(&file, &written)
    }

    #[test]
    fn options_are_read_with_and_without_prefix() {
        let options = parse(&[
            ("format.compression", "GZIP"),
            ("Records", "$.Records[*]"),
            ("files", "*.json.gz, *.json"),
            ("time_column", "time"),
            ("Time_Slack", "10 minutes"),
            ("TIME_UNIT", "MS"),
            ("format.time_unit.User.createdAt", "s"),
            ("missing", "error"),
            ("missing.User.createdAt", "NULL"),
            ("ready", "next folder, quiet 5 minutes"),
        ])
        .unwrap();
        assert_eq!(options.compression, Some(Compression::Gzip));
        assert_eq!(options.framing, Framing::parse("$.Records[*]"));
        assert_eq!(Ok(options.files), FileNames::parse("*.json.gz,*.json"));
        assert_eq!(options.time_column.as_deref(), Some("time"));
        assert_eq!(options.time_slack, TimeDelta::minutes(10));
        assert_eq!(options.ready.len(), 2);
        let unit = |column| options.time_unit.of(column);
        assert_eq!(unit("User.createdAt"), Some(&EpochUnit::Second));
        assert_eq!(unit("time"), Some(&EpochUnit::Millisecond));
        let rules = &options.absent_rules;
        assert_eq!(rules.rule("User"), AbsentRule::Error);
        assert_eq!(rules.rule("User.createdAt"), AbsentRule::Null);
    }

    #[test]
    fn complaints_say_what_to_write() {
        fn error(options: &[(&str, &str)]) -> String {
            parse(options).unwrap_err().to_string()
        }
        assert_eq!(
            error(&[("delimiter", ";")]),
            "x.sql:1: unknown option `delimiter`; the options are `compression`, `files`, `missing`, `missing.<column>`, `ready`, `records`, `time_column`, `time_format`, `time_format.<column>`, `time_slack`, `time_unit`, `time_unit.<column>`, `time_zone`, `time_zone.<column>`"
        );
        assert_eq!(
            error(&[("compression", "lz4")]),
            "x.sql:1: option `compression` is `lz4`; write 'auto', 'gzip', 'zstd' or 'none'"
        );
        assert_eq!(
            error(&[("records", "Records")]),
            "x.sql:1: option `records` is `Records`; write 'auto', 'lines', '$' if each document is a record, or the path of a list such as '$[*]' or '$.Records[*]'"
        );
        assert_eq!(
            error(&[("files", "raw/*.json")]),
            "x.sql:1: option `files` is `raw/*.json`; write patterns of names, such as '*.json.gz' or '*.json, *.ndjson': it names files, without slashes"
        );
        assert_eq!(
            error(&[("time_unit.t", "sec")]),
            "x.sql:1: option `time_unit.t` is `sec`; write 's', 'ms', 'us' or 'ns'"
        );
        assert_eq!(
            error(&[("time_slack", "10 minutes")]),
            "x.sql:1: `time_slack` needs `time_column`, the column whose folders it widens"
        );
        let unready = error(&[("ready", "tomorrow")]);
        assert!(
            unready.contains("write 'next folder', 'quiet 30"),
            "{unready}"
        );
        for wrong in ["10", "minutes 10", "-1 day", "1 week", "1 2 days"] {
            let error = error(&[("time_column", "t"), ("time_slack", wrong)]);
            assert!(
                error.contains("write a number and a unit"),
                "{wrong}: {error}"
            );
        }
    }
}
