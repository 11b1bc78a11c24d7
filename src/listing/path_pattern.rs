//! The pattern of a LOCATION: folders and files whose names have times and columns, below a plain folder.
//!
//! ```text
//! AWSLogs/*/CloudTrail/*/{year}/{month}/{day}/*.json.gz
//! └base─┘└────────────── levels ────────────┘└─ file ─┘
//! ```
//! Partition columns that are no placeholders are Hive folders, `column=value`, below the others.

use std::collections::BTreeSet;
use std::ops::Range;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::ScalarValue;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::cycle::Cycle;
use crate::listing::hive::{folder_value, name_value};
use crate::listing::hive_time::Nanos;
use crate::listing::name_pattern::{NamePattern, Placeholder};
use crate::listing::passed_over::{is_hidden_name, is_no_data};
use crate::listing::time_parts::{TIME_PLACEHOLDERS, TimePart, TimeParts};
use crate::store::shown;

/// The part of a LOCATION that is not plain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PathPattern {
    /// The LOCATION as it was written.
    location: String,
    levels: Vec<NameLevel>,
    /// True if the files are in folders of any depth below the levels.
    is_deep: bool,
    /// The names of the files; `None` means any.
    file: Option<NamePattern>,
    /// The number of parts of the path in front of the levels.
    depth: usize,
}

/// The names of one level of folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum NameLevel {
    Pattern(NamePattern),
    /// The Hive folders of a column.
    Hive(Placeholder),
}

/// The parts of a time and the values of the first columns, from the names on the way to a folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Captures {
    time: TimeParts,
    pub(super) values: Vec<ScalarValue>,
}

impl Captures {
    /// Returns the range of the times of the rows below, if the names bound it.
    pub(super) fn range(&self) -> Option<Range<Nanos>> {
        self.time.range()
    }
}

impl PathPattern {
    /// Parses the parts of a LOCATION from the first one that is not plain.
    pub(super) fn parse(location: &str, parts: &[&str]) -> Result<Self, String> {
        let (names, file) = match parts.split_last() {
            Some((&"", names)) => (names, None),
            Some((&"**", _)) => (parts, None),
            Some((last, names)) => (names, Some(*last)),
            None => (parts, None),
        };
        let (names, is_deep) = match names.split_last() {
            Some((&"**", names)) => (names, true),
            _ => (names, false),
        };
        let mut levels = Vec::with_capacity(names.len());
        for name in names {
            levels.push(NameLevel::Pattern(name_pattern(name)?));
        }
        let written = file;
        let file = written.map(name_pattern).transpose()?;
        if let Some(file) = written
            && file.contains('{')
            && !file.contains(['.', '*'])
        {
            return Err(format!(
                "it ends in `{file}`: end it with `{file}/` if these are folders, or write `{file}*` \
                 or `{file}.json` if they are files"
            ));
        }
        Ok(Self {
            location: location.to_owned(),
            levels,
            is_deep,
            file,
            depth: 0,
        })
    }

    /// Replaces the plain text of all names.
    pub(super) fn map_text(&mut self, map: impl Fn(&str) -> String) {
        for pattern in self.patterns_mut() {
            pattern.map_text(&map);
        }
    }

    /// Binds the placeholders to the partition columns, which are named as SQL folds them. Returns them in
    /// the order in which a path has their values.
    ///
    /// # Errors
    /// The reason why they do not fit.
    pub(crate) fn bind(&mut self, columns: &[String]) -> Result<Vec<String>, String> {
        let mut ordered: Vec<String> = Vec::with_capacity(columns.len());
        for pattern in self.folder_patterns_mut() {
            bind_columns(pattern, columns, &mut ordered)?;
        }
        let of_file: Vec<&Placeholder> = self
            .file
            .iter()
            .flat_map(NamePattern::placeholders)
            .collect();
        let is_hive = |column: &&String| {
            let is_of_file = of_file.iter().any(|file| is_named(&file.name, column));
            !ordered.contains(column) && !is_of_file
        };
        let hive: Vec<String> = columns.iter().filter(is_hive).cloned().collect();
        if self.is_deep && !hive.is_empty() {
            return Err(format!(
                "it has `**`, and no folders of `{}` can follow: write a `*` for each level instead",
                hive.join("`, `")
            ));
        }
        let has_year = columns.iter().any(|column| column == "year")
            || self
                .placeholders()
                .any(|other| other.time == Some(TimePart::Year));
        let written: Vec<TimePart> = self.placeholders().filter_map(|other| other.time).collect();
        for name in hive {
            refuse_known(&name, &written)?;
            let time = TimePart::named(&name).map(|part| match part {
                // `day=2026-01-15` and `year=2026/month=01/day=15`.
                TimePart::Day if !has_year => TimePart::Date,
                part => part,
            });
            let placeholder = Placeholder::of_column(&name, time, ordered.len());
            self.levels.push(NameLevel::Hive(placeholder));
            ordered.push(name);
        }
        if let Some(file) = &mut self.file {
            bind_columns(file, columns, &mut ordered)?;
        }
        self.refuse_lone_parts()?;
        Ok(ordered)
    }

    /// Refuses parts of a time without those that they are parts of.
    fn refuse_lone_parts(&self) -> Result<(), String> {
        let parts: Vec<TimePart> = self.placeholders().filter_map(|other| other.time).collect();
        let has = |part: TimePart| parts.contains(&part);
        let day = has(TimePart::Date) || has(TimePart::Day);
        for (part, is_bound, name, needs) in [
            (TimePart::Month, has(TimePart::Year), "{month}", "{year}"),
            (TimePart::Day, has(TimePart::Month), "{day}", "{month}"),
            (TimePart::Hour, day, "{hour}", "{day} or {date}"),
            (TimePart::Minute, has(TimePart::Hour), "{minute}", "{hour}"),
        ] {
            let patterns = self
                .levels
                .iter()
                .filter_map(NameLevel::pattern)
                .chain(&self.file);
            let mut written = patterns.flat_map(NamePattern::placeholders);
            if written.any(|other| other.time == Some(part)) && !is_bound {
                return Err(format!(
                    "it has {name} without {needs}: no time is known by it"
                ));
            }
        }
        Ok(())
    }

    /// Returns the same pattern below a folder whose path has `depth` parts.
    pub(crate) fn below(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// Returns true if names have the time of the rows.
    pub(crate) fn has_time(&self) -> bool {
        let is_year = |time| matches!(time, Some(TimePart::Year | TimePart::Date));
        self.placeholders().any(|other| is_year(other.time))
    }

    /// Returns true if the partition column with this index is a part of the time.
    pub(super) fn is_time(&self, column: usize) -> bool {
        let mut placeholders = self.placeholders();
        placeholders.any(|other| other.time.is_some() && other.column == Some(column))
    }

    /// Returns the range of the times of the rows of a file, if the names bound it.
    pub(super) fn range(&self, key: &Path) -> Option<Range<Nanos>> {
        let mut time = TimeParts::default();
        let mut names: Vec<_> = key.parts().skip(self.depth).collect();
        let file = names.pop()?;
        for (level, name) in self.levels.iter().zip(&names) {
            let name = shown(name.as_ref());
            level.add_time(&name, &mut time)?;
        }
        if let Some(pattern) = &self.file {
            add_time(pattern, &shown(file.as_ref()), &mut time)?;
        }
        time.range()
    }

    /// Returns the path of the folders and files that a cycle expects, such as `2026/01/15`, with `*` for
    /// what is not known; empty if nothing is. `value` is that of a column, if it is known.
    pub(super) fn expected(
        &self,
        cycle: Option<Cycle>,
        value: impl Fn(usize) -> Option<String>,
    ) -> Expected {
        let known = |placeholder: &Placeholder| {
            let by_time = placeholder
                .time
                .zip(cycle)
                .and_then(|(part, cycle)| part.of_day(cycle.start()));
            by_time.or_else(|| value(placeholder.column?))
        };
        let mut names: Vec<(String, bool)> = self
            .levels
            .iter()
            .map(|level| match level {
                NameLevel::Pattern(pattern) => pattern.fill(known),
                NameLevel::Hive(column) => {
                    let value = known(column);
                    let is_known = value.is_some();
                    let value = value.unwrap_or_else(|| "*".to_owned());
                    (format!("{}={value}", column.name), is_known)
                }
            })
            .collect();
        let file = self.file.as_ref().map(|file| file.fill(known));
        let is_file = !self.is_deep && file.as_ref().is_some_and(|(_, is_known)| *is_known);
        names.extend(file.filter(|_| is_file));
        while names.last().is_some_and(|(_, is_known)| !is_known) {
            names.pop();
        }
        let names: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
        Expected {
            path: names.join("/"),
            is_file,
        }
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// Returns the number of levels of folders.
    pub(super) fn level_count(&self) -> usize {
        self.levels.len()
    }

    pub(super) fn is_deep(&self) -> bool {
        self.is_deep
    }

    /// Returns the name of the folders of a level, if all have the same.
    pub(super) fn plain_name(&self, level: usize) -> Option<&str> {
        self.levels.get(level)?.pattern()?.plain()
    }

    /// Returns true if the names of files, or those of folders from a level on, have a part of the time.
    pub(super) fn has_time_from(&self, level: usize) -> bool {
        let levels = self.levels.iter().skip(level);
        let file = self.file.iter().flat_map(NamePattern::placeholders);
        let mut placeholders = levels.flat_map(NameLevel::placeholders).chain(file);
        placeholders.any(|other| other.time.is_some())
    }

    /// Returns what is known of a folder of a level below one of which `known` is known; `None` if it is
    /// none of the pattern.
    pub(super) fn folder(
        &self,
        level: usize,
        name: &str,
        known: &Captures,
        fields: &[FieldRef],
    ) -> Option<Captures> {
        match self.levels.get(level)? {
            NameLevel::Pattern(pattern) => captures(pattern, name, known, fields),
            NameLevel::Hive(column) => {
                let value = folder_value(name, fields.get(column.column?)?).ok()?;
                let mut captures = known.clone();
                self.levels.get(level)?.add_time(name, &mut captures.time)?;
                captures.values.push(value);
                Some(captures)
            }
        }
    }

    /// Returns what is known of a file; `None` if it is none of the pattern.
    pub(super) fn file(
        &self,
        name: &str,
        known: &Captures,
        fields: &[FieldRef],
    ) -> Option<Captures> {
        match &self.file {
            None => Some(known.clone()),
            Some(pattern) => captures(pattern, name, known, fields),
        }
    }

    /// Returns true if the pattern itself names hidden folders at this level, such as `_delta/`.
    pub(super) fn names_hidden(&self, level: usize) -> bool {
        let level = self.levels.get(level).and_then(NameLevel::pattern);
        level.is_some_and(|level| is_hidden_name(&level.fill(|_| None).0))
    }

    /// Returns true if the pattern itself names files that are no data else, such as `*.tmp`.
    pub(super) fn names_no_data(&self) -> bool {
        let file = self.file.as_ref();
        file.is_some_and(|file| is_no_data(&file.fill(|_| None).0))
    }

    fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        let file = self.file.iter().flat_map(NamePattern::placeholders);
        self.levels
            .iter()
            .flat_map(NameLevel::placeholders)
            .chain(file)
    }

    fn folder_patterns_mut(&mut self) -> impl Iterator<Item = &mut NamePattern> {
        self.levels.iter_mut().filter_map(|level| match level {
            NameLevel::Pattern(pattern) => Some(pattern),
            NameLevel::Hive(_) => None,
        })
    }

    fn patterns_mut(&mut self) -> impl Iterator<Item = &mut NamePattern> {
        let levels = self.levels.iter_mut().filter_map(|level| match level {
            NameLevel::Pattern(pattern) => Some(pattern),
            NameLevel::Hive(_) => None,
        });
        levels.chain(&mut self.file)
    }
}

/// The path at which a cycle expects files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Below the location; empty if none is known.
    pub(crate) path: String,
    /// True if its last part is the name of files.
    pub(crate) is_file: bool,
}

impl NameLevel {
    fn pattern(&self) -> Option<&NamePattern> {
        match self {
            Self::Pattern(pattern) => Some(pattern),
            Self::Hive(_) => None,
        }
    }

    fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        let hive = match self {
            Self::Pattern(_) => None,
            Self::Hive(column) => Some(column),
        };
        let pattern = self.pattern().into_iter();
        pattern.flat_map(NamePattern::placeholders).chain(hive)
    }

    /// Adds the parts of the time that a name of this level has. Returns `None` if it is no name of the
    /// level, or no time.
    fn add_time(&self, name: &str, time: &mut TimeParts) -> Option<()> {
        match self {
            Self::Pattern(pattern) => add_time(pattern, name, time),
            Self::Hive(column) => {
                let (_, text) = name.split_once('=')?;
                match column.time.filter(|part| is_part(*part, text)) {
                    Some(part) => time.add(part, text),
                    None => Some(()),
                }
            }
        }
    }
}

fn is_part(part: TimePart, text: &str) -> bool {
    let is_number = part != TimePart::Date && !text.is_empty() && text.len() < 5;
    (is_number || part == TimePart::Date) && part.is_written_as(text)
}

fn add_time(pattern: &NamePattern, name: &str, time: &mut TimeParts) -> Option<()> {
    for (placeholder, text) in pattern.placeholders().zip(pattern.matches(name)?) {
        if let Some(part) = placeholder.time {
            time.add(part, text)?;
        }
    }
    Some(())
}

fn captures(
    pattern: &NamePattern,
    name: &str,
    known: &Captures,
    fields: &[FieldRef],
) -> Option<Captures> {
    let mut captures = known.clone();
    for (placeholder, text) in pattern.placeholders().zip(pattern.matches(name)?) {
        if let Some(part) = placeholder.time {
            captures.time.add(part, text)?;
        }
        if let Some(column) = placeholder.column {
            let value = name_value(text, fields.get(column)?)?;
            match captures.values.get(column) {
                // The column is in the path before.
                Some(known) if *known != value => return None,
                Some(_) => {}
                None => captures.values.push(value),
            }
        }
    }
    Some(captures)
}

fn name_pattern(name: &str) -> Result<NamePattern, String> {
    match name {
        "" | "." | ".." => Err(format!("it has a part `{name}` between its slashes")),
        "**" => Err(
            "`**` stands for folders of any depth, and only the files can follow: write a `*` \
                     for each level instead"
                .to_owned(),
        ),
        name => NamePattern::parse(name),
    }
}

/// Refuses a column of Hive folders whose time the pattern has already.
fn refuse_known(name: &str, written: &[TimePart]) -> Result<(), String> {
    let is_known = |part: TimePart| match part {
        TimePart::Date => written.contains(&TimePart::Day),
        TimePart::Year | TimePart::Month | TimePart::Day => written.contains(&TimePart::Date),
        TimePart::Hour | TimePart::Minute => false,
    };
    match TimePart::named(name).filter(|part| is_known(*part) || written.contains(part)) {
        None => Ok(()),
        Some(_) => Err(format!(
            "`{name}` is a column of PARTITIONED BY and no placeholder, and the pattern has this time \
             already: name the columns as the placeholders"
        )),
    }
}

fn is_named(placeholder: &str, column: &str) -> bool {
    placeholder == column || placeholder.to_lowercase() == column
}

/// Binds the placeholders of a name to columns. The new ones are added to `ordered`.
fn bind_columns(
    pattern: &mut NamePattern,
    columns: &[String],
    ordered: &mut Vec<String>,
) -> Result<(), String> {
    let known: BTreeSet<&String> = columns.iter().collect();
    for placeholder in pattern.placeholders_mut() {
        let column = known
            .iter()
            .find(|column| is_named(&placeholder.name, column));
        let Some(column) = column else {
            if placeholder.time.is_none() {
                return Err(format!(
                    "`{{{0}}}` is no column of PARTITIONED BY, and none of {TIME_PLACEHOLDERS}: add \
                     PARTITIONED BY ({0}), or write `*`",
                    placeholder.name
                ));
            }
            continue;
        };
        let index = ordered.iter().position(|other| other == *column);
        placeholder.column = Some(index.unwrap_or(ordered.len()));
        if index.is_none() {
            ordered.push((*column).clone());
        }
    }
    Ok(())
}
