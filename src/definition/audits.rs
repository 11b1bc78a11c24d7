//! The audits of a table, `sql/audits/<table>.sql`: rules for the rows of a cycle, which are checked before
//! these are published.
//!
//! ```text
//! -- severity: warn                         ┐
//! SELECT … FROM this WHERE …;               ├ Audit: name, severity, key, and its rule
//! CALL not_null(event_id, user_id);         ┘
//! ```

use std::collections::BTreeSet;
use std::path::Path;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use sha2::{Digest, Sha256};

use crate::definition::audit_rule::{self, AuditRule};
use crate::error::{Error, Result};
use crate::layout::TableName;
use crate::manifest::AuditSeverity;
use crate::sql_file::SqlFile;

/// The audits of one table.
#[derive(Debug, Clone)]
pub struct Audits {
    /// The file, which complaints name.
    pub file: String,
    /// The SHA-256 of the file's text, in hexadecimal.
    pub sha256: String,
    /// The audits, in the order of the file. Their names differ.
    pub audits: Vec<Audit>,
}

/// One audit: a rule that holds if no row breaks it.
#[derive(Debug, Clone)]
pub struct Audit {
    /// The name, which reports have.
    pub name: String,
    /// The consequence if a row breaks the rule.
    pub severity: AuditSeverity,
    /// The comment in front of the statement, without its settings.
    pub description: String,
    /// The columns of the rows that reports show of those that break the rule; `None` if the file does not say.
    pub key: Option<Vec<String>>,
    /// The statement alone; its lines are those of the file.
    pub sql: SqlFile,
    /// The rule.
    pub rule: AuditRule,
    /// True if the rule is one of the built-in forms.
    pub is_form: bool,
}

impl Audit {
    /// Creates a complaint about the key, with the line of its setting if there is one.
    pub(crate) fn complain_of_key(&self, what: String) -> Error {
        complaint(&self.sql, "key", what)
    }

    /// Returns the position of the statement, as `file:line`.
    pub fn position(&self) -> String {
        self.sql.position(self.sql.first_line())
    }
}

impl Audits {
    /// Parses the text of `file`, whose stem is the table's name. Returns that name with the audits.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line, with what to write instead.
    pub(super) fn parse(file: &str, text: String) -> Result<(TableName, Self)> {
        let stem = Path::new(file).file_stem().unwrap_or_default();
        let table: TableName = stem
            .to_string_lossy()
            .parse()
            .map_err(|error: Error| error.context(file))?;
        let sha256 = format!("{:x}", Sha256::digest(text.as_bytes()));
        let sql = SqlFile::new(file.to_owned(), text)?;
        let (mut audits, mut complaints) = (Vec::new(), Vec::new());
        for statement in sql.statements()? {
            match audit(statement) {
                Ok(audit) => audits.push(audit),
                Err(complaint) => complaints.push(complaint),
            }
        }
        Error::all(complaints)?;
        if audits.is_empty() {
            return Err(sql
                .complaint(1, "there is no audit in this file")
                .with_hint("write a query over `this`, such as `SELECT * FROM this WHERE user_id IS NULL;`, or `CALL not_null(user_id);`"));
        }
        refuse_equal_names(&audits)?;
        let audits = Self {
            file: file.to_owned(),
            sha256,
            audits,
        };
        Ok((table, audits))
    }

    /// Returns the columns that identify a row, by the first audit that says so: `unique` over plain columns.
    pub fn row_key(&self) -> Option<&[String]> {
        self.audits.iter().find_map(|audit| match &audit.rule {
            AuditRule::Unique { columns, .. } => columns.as_deref(),
            _ => None,
        })
    }
}

fn audit(sql: SqlFile) -> Result<Audit> {
    let (rule, default_name, is_form) = match sql.statement()? {
        Statement::Statement(statement) => match *statement {
            SqlStatement::Query(query) => (
                AuditRule::Query(query),
                format!("line {}", sql.first_line()),
                false,
            ),
            SqlStatement::Call(call) => {
                let (rule, name) = audit_rule::of_call(&sql, &call)?;
                (rule, name, true)
            }
            _ => return Err(no_audit(&sql)),
        },
        _ => return Err(no_audit(&sql)),
    };
    let Settings {
        name,
        severity,
        key,
        description,
    } = Settings::of(&sql)?;
    if key.is_some() && matches!(rule, AuditRule::RowCount(_) | AuditRule::Freshness { .. }) {
        let what = "the audit is not about single rows, and has no key".to_owned();
        return Err(complaint(&sql, "key", what));
    }
    let severity = severity.unwrap_or_default();
    Ok(Audit {
        name: name.unwrap_or(default_name),
        severity,
        description,
        key,
        sql,
        rule,
        is_form,
    })
}

fn no_audit(sql: &SqlFile) -> Error {
    sql.complaint(sql.first_line(), "an audit is a query or a CALL")
        .with_hint(format!(
            "write a query over `this` that returns the wrong rows, or CALL one of {}",
            audit_rule::FORMS.join(", ")
        ))
}

fn refuse_equal_names(audits: &[Audit]) -> Result<()> {
    let mut seen = BTreeSet::new();
    let complaints = audits.iter().filter(|audit| !seen.insert(&audit.name));
    Error::all(
        complaints
            .map(|audit| {
                let (sql, name) = (&audit.sql, &audit.name);
                sql.complaint(sql.first_line(), format!("a second audit called `{name}`"))
                    .with_hint("give one of them another name with a comment: `-- name: …`")
            })
            .collect(),
    )
}

/// The settings in the comment in front of a statement: lines such as `-- severity: warn`.
#[derive(Default)]
struct Settings {
    name: Option<String>,
    severity: Option<AuditSeverity>,
    key: Option<Vec<String>>,
    description: String,
}

impl Settings {
    fn of(sql: &SqlFile) -> Result<Self> {
        let mut settings = Self::default();
        let mut description = Vec::new();
        let comment = sql.leading_comment().unwrap_or_default();
        for line in comment.lines() {
            let line = line.trim_start_matches('*').trim();
            let Some((setting, value)) = setting(line) else {
                description.push(line);
                continue;
            };
            if value.is_empty() {
                return Err(complaint(
                    sql,
                    setting,
                    format!("`{setting}:` has no value"),
                ));
            }
            let is_first = match setting {
                "name" => settings.name.replace(value.to_owned()).is_none(),
                "severity" => settings.severity.replace(severity(sql, value)?).is_none(),
                _ => {
                    let columns = value
                        .split(',')
                        .map(|column| column.trim().trim_matches('"'));
                    let columns = columns.map(str::to_owned).collect();
                    settings.key.replace(columns).is_none()
                }
            };
            if !is_first {
                return Err(complaint(
                    sql,
                    setting,
                    format!("a second `{setting}:` in front of one audit"),
                ));
            }
        }
        settings.description = description.join("\n");
        Ok(settings)
    }
}

/// The settings that a comment may have.
const SETTINGS: [&str; 3] = ["name", "severity", "key"];

/// Returns the setting of a line of a comment, and its value.
fn setting(line: &str) -> Option<(&'static str, &str)> {
    let (given, value) = line.split_once(':')?;
    let mut settings = SETTINGS.into_iter();
    let setting = settings.find(|setting| given.trim().eq_ignore_ascii_case(setting))?;
    Some((setting, value.trim()))
}

fn severity(sql: &SqlFile, text: &str) -> Result<AuditSeverity> {
    let severities = [AuditSeverity::Fail, AuditSeverity::Warn];
    let mut named = severities
        .into_iter()
        .filter(|severity| severity.name().eq_ignore_ascii_case(text));
    named.next().ok_or_else(|| {
        let what = format!("the severity of an audit is not `{text}`");
        complaint(sql, "severity", what)
            .with_hint("write `-- severity: fail`, which publishes nothing, or `-- severity: warn`")
    })
}

/// The complaint about the setting of a comment, with its line.
fn complaint(sql: &SqlFile, setting: &str, what: String) -> Error {
    let mut lines = (1..).zip(sql.text().lines());
    let named = lines.find(|(_, line)| {
        let comment = line.trim().trim_start_matches(['-', '/', '*']);
        self::setting(comment).is_some_and(|(found, _)| found == setting)
    });
    sql.complaint(
        named.map_or_else(|| sql.first_line(), |(line, _)| line),
        what,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Audits {
        Audits::parse("sql/audits/views.sql", text.to_owned())
            .unwrap()
            .1
    }

    fn complaint(text: &str) -> String {
        let parsed = Audits::parse("sql/audits/views.sql", text.to_owned());
        parsed.unwrap_err().render()
    }

    #[test]
    fn an_audit_has_its_settings_in_the_comment_before_it() {
        let audits = parsed(
            "-- Every view has a user.\n-- name: users\n-- severity: warn\n-- key: event_id, time\n\
             SELECT * FROM this WHERE user_id IS NULL; -- not of the next\n\nCALL unique(event_id);\n",
        );
        let [users, unique] = &audits.audits[..] else {
            panic!("{audits:?}");
        };
        assert_eq!(users.name, "users");
        assert_eq!(users.severity, AuditSeverity::Warn);
        assert_eq!(users.description, "Every view has a user.");
        assert_eq!(users.key, Some(vec!["event_id".into(), "time".into()]));
        assert_eq!(users.position(), "sql/audits/views.sql:5");
        assert_eq!(unique.name, "unique(event_id)");
        assert_eq!(unique.severity, AuditSeverity::Fail);
        assert_eq!(unique.description, "");
        assert_eq!(audits.row_key(), Some(&["event_id".to_owned()][..]));
    }

    #[test]
    fn settings_are_found_in_every_form_of_a_comment() {
        for comment in [
            "--severity:warn",
            "-- Severity : WARN",
            "/* severity: warn */",
            "/**\n * severity: warn\n */",
            "-- a\n--\n-- severity: warn\n-- b",
        ] {
            let audits = parsed(&format!("{comment}\r\nCALL unique(a);"));
            assert_eq!(audits.audits[0].severity, AuditSeverity::Warn, "{comment}");
        }
        let key = &parsed("-- key: \"Id\", b\nCALL unique(a);").audits[0].key;
        assert_eq!(key, &Some(vec!["Id".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn complaints_name_file_and_line() {
        let cases = [
            ("-- nothing\n", "views.sql:1: there is no audit"),
            (
                "\nDROP TABLE x",
                "views.sql:2: an audit is a query or a CALL",
            ),
            (
                "COPY (SELECT 1) TO 'x'",
                "views.sql:1: an audit is a query or a CALL",
            ),
            (
                "CALL unique(a);\n\nCALL unique(a);",
                "views.sql:3: a second audit called `unique(a)`",
            ),
            (
                "CALL unique(a);\n-- Twice.\n-- severity: loud\nCALL unique(b);",
                "views.sql:3: the severity of an audit is not `loud`",
            ),
            (
                "-- name:\nCALL unique(b);",
                "views.sql:1: `name:` has no value",
            ),
            ("CALL unique(a);\nSELEC", "views.sql:2: "),
            (
                "-- name: a\n-- name: b\nCALL unique(a)",
                "views.sql:1: a second `name:`",
            ),
            (
                "-- key: a\nCALL row_count(0.5, 2)",
                "views.sql:1: the audit is not about single rows",
            ),
        ];
        for (text, expected) in cases {
            let complaint = complaint(text);
            assert!(complaint.contains(expected), "{complaint}");
        }
    }
}
