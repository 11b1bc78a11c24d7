//! The cases below `sql/tests`, read and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::cases::settings::CaseSettings;
use crate::definition::{Definition, TESTS};
use crate::error::{Error, Result};
use crate::layout::TableName;

/// The file of the rows that are expected.
pub(super) const EXPECTED: &str = "expected.jsonl";
/// The file of the lines that are expected to be rejected.
pub(super) const EXPECTED_REJECTS: &str = "expected_rejects.jsonl";
/// The file of the settings.
pub(super) const SETTINGS: &str = "case.toml";

const EXTENSION: &str = "jsonl";

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The name of a case, `<table>/<case>`, or of all cases of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CaseName {
    pub(crate) table: TableName,
    pub(crate) case: Option<String>,
}

impl FromStr for CaseName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim_end_matches('/');
        let (table, case) = match text.split_once('/') {
            Some((table, case)) => (table, Some(case)),
            None => (text, None),
        };
        if case.is_some_and(|case| !is_case_name(case)) {
            return Err(
                Error::invalid(format!("`{text}` is not the name of a case")).with_hint(
                    "name it like pageview_events/late_video: letters, digits, `_`, `-` and `.`",
                ),
            );
        }
        Ok(Self {
            table: table.parse()?,
            case: case.map(str::to_owned),
        })
    }
}

impl fmt::Display for CaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.case {
            Some(case) => write!(f, "{}/{case}", self.table),
            None => write!(f, "{}", self.table),
        }
    }
}

fn is_case_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !text.is_empty() && !text.starts_with('.') && text.chars().all(is_plain)
}

/// A text of a case, with the name that messages call it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CaseText {
    pub(super) file: String,
    pub(super) text: String,
}

/// A case as its files say, checked as far as it can be without its definition.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) table: TableName,
    pub(crate) name: String,
    pub(super) folder: PathBuf,
    pub(super) settings: CaseSettings,
    /// The lines of each source.
    pub(super) sources: BTreeMap<String, CaseText>,
    /// The rows that are expected; `None` if the case has no such file.
    pub(super) expected: Option<CaseText>,
    /// The lines that are expected to be rejected; none if the case has no such file.
    pub(super) expected_rejects: Option<CaseText>,
}

impl Case {
    /// Returns the name, `<table>/<case>`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.table, self.name)
    }
}

/// Loads the cases of a folder of definitions, sorted by name. `selected` are names of cases or of tables; all
/// cases are loaded if there is none. `sources` are the names of the declared tables.
///
/// # Errors
/// [`Error::invalid`] with the complaints about all files, or if a name that was selected has no case.
pub(crate) fn load_cases(
    sql: &Path,
    definitions: &[Definition],
    sources: &BTreeSet<&str>,
    selected: &[CaseName],
) -> Result<Vec<Case>> {
    let folder = sql.join(TESTS);
    let (mut cases, mut complaints) = (Vec::new(), Vec::new());
    let tables: BTreeSet<&str> = definitions
        .iter()
        .map(|definition| definition.table.as_str())
        .collect();
    for path in sub_folders(&folder)? {
        let name = file_name(&path);
        let is_table = tables.contains(name.as_str());
        if is_table && let Ok(table) = name.parse::<TableName>() {
            load_table(
                &path,
                &table,
                sources,
                selected,
                &mut cases,
                &mut complaints,
            );
        } else {
            let shown = path.display();
            let what = format!("`{shown}` has cases of `{name}`, and there is no such definition");
            let known: Vec<&str> = tables.iter().copied().collect();
            complaints
                .push(Error::invalid(what).with_hint(format!("definitions: {}", known.join(", "))));
        }
    }
    for name in selected {
        let is_named = |case: &Case| {
            case.table == name.table && name.case.as_ref().is_none_or(|own| *own == case.name)
        };
        if complaints.is_empty() && !cases.iter().any(is_named) {
            let folder = folder.join(name.to_string());
            complaints.push(
                Error::invalid(format!("there is no case `{name}`"))
                    .with_hint(format!("a case is a folder in `{}`", folder.display())),
            );
        }
    }
    Error::all(complaints)?;
    Ok(cases)
}

fn load_table(
    folder: &Path,
    table: &TableName,
    sources: &BTreeSet<&str>,
    selected: &[CaseName],
    cases: &mut Vec<Case>,
    complaints: &mut Vec<Error>,
) {
    let folders = match sub_folders(folder) {
        Ok(folders) => folders,
        Err(complaint) => return complaints.push(complaint),
    };
    for path in folders {
        let name = file_name(&path);
        let is_selected = |selected: &CaseName| {
            selected.table == *table && selected.case.as_ref().is_none_or(|case| *case == name)
        };
        if !selected.is_empty() && !selected.iter().any(is_selected) {
            continue;
        }
        match load_case(&path, table, name, sources) {
            Ok(case) => cases.push(case),
            Err(complaint) => complaints.push(complaint),
        }
    }
}

fn load_case(
    folder: &Path,
    table: &TableName,
    name: String,
    sources: &BTreeSet<&str>,
) -> Result<Case> {
    if !is_case_name(&name) {
        let shown = folder.display();
        return Err(
            Error::invalid(format!("`{shown}` is not named like a case"))
                .with_hint("use letters, digits, `_`, `-` and `.`"),
        );
    }
    let mut case = Case {
        table: table.clone(),
        name,
        folder: folder.to_owned(),
        settings: CaseSettings::parse(SETTINGS, "")?,
        sources: BTreeMap::new(),
        expected: None,
        expected_rejects: None,
    };
    let mut complaints = Vec::new();
    for path in entries(folder)? {
        let file = file_name(&path);
        let added = match file.as_str() {
            SETTINGS => read(&path).and_then(|text| {
                case.settings = CaseSettings::parse(&text.file, &text.text)?;
                Ok(())
            }),
            EXPECTED => read(&path).map(|text| case.expected = Some(text)),
            EXPECTED_REJECTS => read(&path).map(|text| case.expected_rejects = Some(text)),
            _ if file.ends_with(".md") => Ok(()),
            _ => match source_of(&file).filter(|source| sources.contains(source)) {
                Some(source) => read(&path).map(|text| {
                    case.sources.insert(source.to_owned(), text);
                }),
                None => Err(unknown_file(&path, sources)),
            },
        };
        complaints.extend(added.err());
    }
    if case.sources.is_empty() && complaints.is_empty() {
        let shown = folder.display();
        complaints.push(
            Error::invalid(format!("the case `{shown}` has no lines of a source"))
                .with_hint(format!("write `<source>.jsonl`: {}", listed(sources))),
        );
    }
    Error::all(complaints)?;
    Ok(case)
}

/// Returns the source whose lines a file of this URL has.
pub(super) fn source_of_file(url: &str) -> String {
    let name = url.rsplit('/').next().unwrap_or(url);
    source_of(name).unwrap_or(name).to_owned()
}

fn source_of(file: &str) -> Option<&str> {
    file.strip_suffix(EXTENSION)?.strip_suffix('.')
}

fn unknown_file(path: &Path, sources: &BTreeSet<&str>) -> Error {
    Error::invalid(format!("`{}` is no file of a case", path.display())).with_hint(format!(
        "a case has {SETTINGS}, {EXPECTED}, {EXPECTED_REJECTS}, and `<source>.jsonl` of these sources: {}",
        listed(sources)
    ))
}

fn listed(names: &BTreeSet<&str>) -> String {
    let names: Vec<&str> = names.iter().copied().collect();
    names.join(", ")
}

fn read(path: &Path) -> Result<CaseText> {
    let file = path.display().to_string();
    let text = std::fs::read(path)
        .map_err(|error| Error::invalid(format!("cannot read `{file}`")).with_source(error))?;
    // Lines of a source may be anything: the decoder judges them. Text that is no UTF-8 cannot be kept here.
    let text = String::from_utf8(text).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::invalid(format!("{file}:{line}: the file is not UTF-8"))
            .with_hint("save the file as UTF-8")
    })?;
    let text = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    Ok(CaseText { file, text })
}

/// Returns the folders in a folder that are not hidden, sorted. A folder that does not exist has none.
fn sub_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    match folder.try_exists() {
        Ok(false) => Ok(Vec::new()),
        _ => Ok(entries(folder)?
            .into_iter()
            .filter(|path| path.is_dir())
            .collect()),
    }
}

/// Returns the entries of a folder that are not hidden, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable =
        |error| Error::invalid(format!("cannot read `{}`", folder.display())).with_source(error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if !file_name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_a_table_or_of_one_of_its_cases() {
        for text in ["t", "t/", "t/a", "t/a-b.1/"] {
            let name: CaseName = text.parse().unwrap();
            assert_eq!(name.to_string(), text.trim_end_matches('/'));
        }
        for text in ["", "T", "t/a/b", "t/..", "t/a b", "/a"] {
            assert!(text.parse::<CaseName>().is_err(), "{text}");
        }
    }
}
