//! Names that are passed over: those that are no data by a closed list, or not of the declared pattern.

use std::collections::BTreeSet;

use crate::listing::name_pattern::NamePattern;
use crate::manifest::PassedOverRecord;

const NO_DATA_ENDINGS: [&str; 4] = [".md5", ".tmp", ".crc", ".bak"];

/// The number of names that are kept to tell which of two scans passed over the same.
const MAX_KEPT: usize = 1000;

/// The number of names that a record has.
const MAX_RECORDED: usize = 10;

/// Returns true for a name that tools give to what is not data: `_SUCCESS`, `.part-0.crc`.
pub(super) fn is_hidden_name(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

/// Returns true for a name of a file that is no data: `README*`, also `readme` and `readme.*`, `*.md5`, `*.tmp`,
/// `*.crc`, `*.bak`, `_*` and `.*`. The endings are compared case-insensitively.
pub(crate) fn is_no_data(name: &str) -> bool {
    let has_ending = |ending: &&str| {
        let start = name.len().checked_sub(ending.len());
        let found = start.and_then(|start| name.get(start..));
        found.is_some_and(|found| found.eq_ignore_ascii_case(ending))
    };
    let stem = name.split('.').next().unwrap_or_default();
    is_hidden_name(name)
        || name.starts_with("README")
        || stem.eq_ignore_ascii_case("readme")
        || NO_DATA_ENDINGS.iter().any(has_ending)
}

/// The names of a source's files: the option `files`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FileNames(Vec<FilePattern>);

#[derive(Debug, Clone, PartialEq)]
struct FilePattern {
    names: NamePattern,
    /// True if the pattern itself is the name of what is no data, such as `_*.json`.
    is_no_data: bool,
}

impl FileNames {
    /// Parses patterns with commas between them.
    ///
    /// # Errors
    /// The reason why one is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let patterns = text.split(',').map(|pattern| {
            let pattern = pattern.trim();
            if pattern.is_empty() || pattern.contains('/') {
                return Err("it names files, without slashes".to_owned());
            }
            let names = NamePattern::parse(pattern)?;
            if names.placeholders().next().is_some() {
                return Err("placeholders stand in LOCATION".to_owned());
            }
            Ok(FilePattern {
                names,
                is_no_data: is_no_data(pattern),
            })
        });
        patterns.collect::<Result<_, _>>().map(Self)
    }

    /// Returns true if no names are declared.
    pub(crate) fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if the file with this name is one of the source. `is_named` is true if another
    /// pattern names what is no data.
    pub(super) fn has(&self, name: &str, is_named: bool) -> bool {
        let is_no_data = !is_named && is_no_data(name);
        let mut patterns = self.0.iter();
        let is_one = |pattern: &FilePattern| {
            (pattern.is_no_data || !is_no_data) && pattern.names.matches(name).is_some()
        };
        match self.is_any() {
            true => !is_no_data,
            false => patterns.any(is_one),
        }
    }
}

/// Folders and files that a listing passed over, by their URLs. Those of folders end with a slash; what is in
/// such a folder is not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PassedOver {
    /// The first names.
    names: BTreeSet<String>,
    count: u64,
}

impl PassedOver {
    /// Adds a folder or a file, unless it is known.
    pub(crate) fn add(&mut self, url: String) {
        if self.names.insert(url) {
            self.count += 1;
        }
        if self.names.len() > MAX_KEPT {
            self.names.pop_last();
        }
    }

    /// Adds those of another listing, each once as far as their names are kept.
    pub(crate) fn extend(&mut self, other: &Self) {
        let count = self.count.max(other.count);
        for name in &other.names {
            self.add(name.clone());
        }
        self.count = self.count.max(count);
    }

    /// Returns the first names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.names.iter()
    }

    /// Returns the record; `None` if there are none.
    pub(crate) fn record(&self) -> Option<PassedOverRecord> {
        (self.count > 0).then(|| PassedOverRecord {
            count: self.count,
            names: self.names.iter().take(MAX_RECORDED).cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_names_is_closed() {
        for name in [
            "README",
            "README.md",
            "README_first.txt",
            "Readme.md",
            "readme",
            "a.json.md5",
            "a.MD5",
            "b.json.tmp",
            ".a.crc",
            "x.crc",
            "x.bak",
            "_SUCCESS",
            "_",
            ".DS_Store",
            "_a.json",
        ] {
            assert!(is_no_data(name), "{name}");
        }
        for name in [
            "a.json",
            "readme_opened.json",
            "a.md5.json",
            "tmp",
            "bak.gz",
            "a_b",
            "a.json.part",
            "crc",
            "",
        ] {
            assert!(!is_no_data(name), "{name}");
        }
    }

    #[test]
    fn declared_names_may_name_what_is_no_data() {
        let has = |patterns: &str, name: &str| FileNames::parse(patterns).unwrap().has(name, false);
        assert!(has("*.json.gz, *.json", "a.json") && has("*.json.gz,*.json", "a.json.gz"));
        assert!(!has("*.json", "a.csv") && !has("*.json", "A.JSON"));
        assert!(!has("*.json*", "a.json.md5") && !has("*", "_SUCCESS"));
        assert!(has("_*.json", "_a.json") && has("*.tmp", "a.tmp") && !has("*.tmp", "_a.csv"));
        assert!(FileNames::default().has("a", false) && !FileNames::default().has("_a", false));
        assert!(FileNames::default().has("_a", true));
        for wrong in ["", "a/*.json", "*.json,", "{date}.json", "{"] {
            assert!(FileNames::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_of_two_listings_count_once() {
        let (mut one, mut other) = (PassedOver::default(), PassedOver::default());
        assert_eq!(one.record(), None);
        for number in 0..MAX_KEPT + 5 {
            one.add(format!("{number:06}"));
        }
        one.add("000001".to_owned());
        other.add("000000".to_owned());
        one.extend(&other);
        let record = one.record().unwrap();
        assert_eq!(
            (record.count, record.names.len()),
            (MAX_KEPT as u64 + 5, MAX_RECORDED)
        );
        other.add("x".to_owned());
        other.extend(&one);
        assert_eq!(other.record().unwrap().count, MAX_KEPT as u64 + 5);
    }
}
