//! Finds the sources below a folder: files, and the folders above them.
//!
//! Folders are listed level by level. Of the folders of one level some are looked into, the first, the
//! last and others between them, so that a bucket of many years takes few requests.

use std::collections::{BTreeSet, VecDeque};

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use crate::error::{Error, Result};
use crate::init::dated::is_dated;
use crate::init::folders::{FolderColumn, FolderName, folder_columns};
use crate::listing::passed_over::is_no_data as is_passed_over_name;
use crate::store::{CONCURRENCY, file_name, is_marker, shown};

/// The maximum number of folders of one level that are looked into.
pub(super) const MAX_FOLDERS: usize = 100;

/// The maximum number of sources below one folder.
const MAX_SOURCES: usize = 20;

/// The maximum number of levels of folders above a source.
pub(super) const MAX_DEPTH: usize = 12;

/// Endings of files that are no data of a source. Others are judged by their content.
const NO_DATA: [&str; 26] = [
    "avro", "bak", "cfg", "checksum", "crc", "csv", "html", "ini", "md", "md5", "orc", "pdf",
    "png", "py", "sh", "sha1", "sha256", "sql", "tar", "tmp", "toml", "tsv", "xml", "yaml", "yml",
    "zip",
];

/// A folder whose files, in it or in its partitions, are a source.
#[derive(Debug)]
pub(super) struct FoundSource {
    /// The folder relative to `--from`, with a slash at its end; `./` for that folder itself.
    pub(super) location: String,
    /// The pattern of the folders below it, with a slash at its end; empty if they have columns in their
    /// names, or are none.
    pub(super) pattern: String,
    pub(super) columns: Vec<FolderColumn>,
    /// The files of the folders that were looked into, sorted by key.
    pub(super) files: Vec<FoundFile>,
}

/// A file of a source, with the values of its folders.
#[derive(Debug, Clone)]
pub(super) struct FoundFile {
    pub(super) meta: ObjectMeta,
    /// The name relative to `--from`.
    pub(super) name: String,
    pub(super) folders: Vec<(String, String)>,
}

/// A reason why a folder is no source, or why a run would not read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The folder, the file, or the file and its line.
    pub(crate) place: String,
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl Problem {
    pub(super) fn new(
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// The sources below a folder, and what is no source.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sources: Vec<FoundSource>,
    /// Some files of folders that are no source, to see what else is wrong with them.
    pub(super) refused: Vec<FoundSource>,
    pub(super) problems: Vec<Problem>,
}

/// Looks for sources below a folder of a store.
pub(super) struct Explorer<'a> {
    pub(super) store: &'a dyn ObjectStore,
    pub(super) root: &'a Path,
}

pub(super) struct Level {
    pub(super) folders: Vec<(String, Path)>,
    pub(super) files: Vec<ObjectMeta>,
}

/// A folder of the current level, with the values of the folders above it.
type Partition = (Path, Vec<(String, String)>);

impl Explorer<'_> {
    /// Finds the sources.
    ///
    /// # Errors
    /// [`Error::store`] if a listing fails.
    pub(super) async fn find(&self) -> Result<Found> {
        let mut found = Found::default();
        let mut folders = VecDeque::from([(self.root.clone(), 0)]);
        while let Some((folder, depth)) = folders.pop_front() {
            if found.sources.len() == MAX_SOURCES {
                let what = format!("there are more than {MAX_SOURCES} sources below `--from`");
                let remedy = "name a folder further down with `--from`";
                found
                    .problems
                    .push(Problem::new(self.location(&folder), what, remedy));
                break;
            }
            let below = self.find_in(&folder, &mut found).await?;
            if depth < MAX_DEPTH {
                folders.extend(below.into_iter().map(|folder| (folder, depth + 1)));
            }
        }
        Ok(found)
    }

    /// Adds the source whose files begin in a folder, if there is one, and returns the folders in which
    /// others may begin.
    async fn find_in(&self, folder: &Path, found: &mut Found) -> Result<Vec<Path>> {
        let level = self.list(folder).await?;
        let (mut partitions, mut dated, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        for (name, path) in &level.folders {
            match FolderName::of(name) {
                FolderName::Hive { .. } => partitions.push((name, path)),
                FolderName::Dated => dated.push(path),
                FolderName::Plain if is_dated(name) => dated.push(path),
                FolderName::Plain => plain.push(path.clone()),
            }
        }
        let place = self.location(folder);
        let files = self.data_files(level.files, &[], &level.folders, found);
        if let Some(first) = dated.first() {
            if partitions.is_empty()
                && let Some(source) = self.find_dated(folder, found).await?
            {
                self.warn_beside(&files, &plain, found);
                found.sources.push(source);
                return Ok(Vec::new());
            }
            found.problems.push(Problem::new(
                self.location(first),
                "the folders are dates in several forms, or have files beside folders: no pattern of LOCATION \
                 was found",
                "write the declaration with a LOCATION such as 'events/{year}/{month}/{day}/', or keep each \
                 form in a folder of its own and run init again",
            ));
            let file = self.first_file(first, found).await?;
            found.refused.extend(file.map(|file| FoundSource {
                location: place,
                pattern: String::new(),
                columns: Vec::new(),
                files: vec![file],
            }));
            return Ok(Vec::new());
        }
        if partitions.is_empty() {
            match (files.is_empty(), plain.is_empty()) {
                (true, _) => {}
                (false, true) => found.sources.push(FoundSource {
                    location: place,
                    pattern: String::new(),
                    columns: Vec::new(),
                    files,
                }),
                (false, false) => found.problems.push(Problem::new(
                    files.first().map_or(place, |file| file.name.clone()),
                    "the folder has files and folders side by side, which one source cannot read",
                    "move the files to a folder of their own, and run init again",
                )),
            }
            return Ok(plain);
        }
        if let Some(other) = plain.first() {
            found.problems.push(Problem::new(
                self.location(other),
                "it lies beside folders such as `date=2026-01-15/`, and a run refuses it",
                "move it elsewhere: a source has folders of one kind",
            ));
            return Ok(Vec::new());
        }
        self.find_partitions(folder, found).await?;
        Ok(Vec::new())
    }

    /// Returns a file in the first folders below a folder.
    async fn first_file(&self, folder: &Path, found: &mut Found) -> Result<Option<FoundFile>> {
        let mut folder = folder.clone();
        for _ in 0..MAX_DEPTH {
            let level = self.list(&folder).await?;
            let files = self.data_files(level.files, &[], &level.folders, found);
            if let Some(file) = files.into_iter().next() {
                return Ok(Some(file));
            }
            match level.folders.into_iter().next() {
                Some((_, next)) => folder = next,
                None => break,
            }
        }
        Ok(None)
    }

    /// Adds the source whose Hive folders begin in `folder`.
    async fn find_partitions(&self, folder: &Path, found: &mut Found) -> Result<()> {
        let mut columns: Vec<(String, BTreeSet<String>)> = Vec::new();
        let mut partitions: Vec<Partition> = vec![(folder.clone(), Vec::new())];
        let mut files = Vec::new();
        loop {
            let levels: Vec<(Partition, Level)> = stream::iter(spread(partitions, MAX_FOLDERS))
                .map(|partition| async move {
                    let level = self.list(&partition.0).await?;
                    Ok::<_, Error>((partition, level))
                })
                .buffered(CONCURRENCY.source_listings)
                .try_collect()
                .await?;
            let mut below: Vec<Partition> = Vec::new();
            let mut names = BTreeSet::new();
            for ((path, values), level) in levels {
                for (name, subfolder) in &level.folders {
                    let FolderName::Hive { column, value } = FolderName::of(name) else {
                        let what =
                            format!("`{name}` is not the value of a column, such as `hour=03`");
                        let remedy =
                            "move it elsewhere: the folders of a source have the same columns";
                        found
                            .problems
                            .push(Problem::new(self.location(subfolder), what, remedy));
                        return Ok(());
                    };
                    names.insert(column.clone());
                    let mut values = values.clone();
                    values.push((column, value));
                    below.push((subfolder.clone(), values));
                }
                let own = self.data_files(level.files, &values, &level.folders, found);
                if let Some(file) = own.first().filter(|_| !level.folders.is_empty()) {
                    found.problems.push(Problem::new(
                        file.name.clone(),
                        "it lies beside the folders of partitions, and a run refuses it",
                        "move it into the folder of its partition",
                    ));
                    return Ok(());
                }
                let _ = path;
                files.extend(own);
            }
            if below.is_empty() {
                break;
            }
            let mut names = names.into_iter();
            let name = names.next().unwrap_or_default();
            let uneven = files.first().map(|file: &FoundFile| file.name.clone());
            let other = names.next();
            if other.is_some()
                || uneven.is_some()
                || columns.iter().any(|(known, _)| *known == name)
            {
                let what = match other {
                    Some(other) => {
                        format!("the folders of one level are of `{name}` and of `{other}`")
                    }
                    None => format!(
                        "some files are above the folders of `{name}`, and others are in them"
                    ),
                };
                let place = uneven.unwrap_or_else(|| self.location(folder));
                let remedy = "keep each layout in a folder of its own, and run init again";
                found.problems.push(Problem::new(place, what, remedy));
                return Ok(());
            }
            let seen = below.iter().filter_map(|(_, values)| values.last());
            columns.push((name, seen.map(|(_, value)| value.clone()).collect()));
            partitions = below;
        }
        files.sort_by(|one, other| one.name.cmp(&other.name));
        if !files.is_empty() {
            found.sources.push(FoundSource {
                location: self.location(folder),
                pattern: String::new(),
                columns: folder_columns(&columns),
                files,
            });
        }
        Ok(())
    }

    /// Returns the files that may be data. Others among data are a problem, since a run reads all files of
    /// a source.
    pub(super) fn data_files(
        &self,
        objects: Vec<ObjectMeta>,
        folders: &[(String, String)],
        subfolders: &[(String, Path)],
        found: &mut Found,
    ) -> Vec<FoundFile> {
        let files = objects.into_iter().filter(|meta| meta.size > 0);
        let (data, others): (Vec<FoundFile>, Vec<FoundFile>) = files
            .map(|meta| FoundFile {
                name: self.name(&meta.location),
                folders: folders.to_vec(),
                meta,
            })
            .partition(|file| !is_no_data(&file.name));
        if subfolders.is_empty() && !data.is_empty() {
            let read = others
                .into_iter()
                .filter(|file| !is_passed_over(&file.name));
            found.problems.extend(read.map(|file| {
                let what = "it lies among the files of a source, and a run reads it as data";
                let remedy =
                    "move it elsewhere, or name the files with OPTIONS ('files' '*.json.gz')";
                Problem::new(file.name, what, remedy)
            }));
        }
        data
    }

    pub(super) async fn list(&self, folder: &Path) -> Result<Level> {
        let listing = self.store.list_with_delimiter(Some(folder)).await;
        let listing =
            listing.map_err(|error| Error::store("list", shown(folder.as_ref()), error))?;
        let is_visible = |name: &str| !name.is_empty() && !name.starts_with(['_', '.']);
        let mut folders: Vec<(String, Path)> = listing
            .common_prefixes
            .into_iter()
            .filter_map(|path| Some((file_name(&path)?.into_owned(), path)))
            .filter(|(name, _)| is_visible(name))
            .collect();
        folders.sort();
        let mut files: Vec<ObjectMeta> = listing
            .objects
            .into_iter()
            .filter(|meta| !is_marker(meta))
            .filter(|meta| file_name(&meta.location).is_none_or(|name| is_visible(&name)))
            .collect();
        files.sort_by(|one, other| one.location.cmp(&other.location));
        Ok(Level { folders, files })
    }

    /// Returns the name of a key relative to the folder.
    fn name(&self, path: &Path) -> String {
        let root = self.root.as_ref();
        let whole = path.as_ref();
        let below = whole.strip_prefix(root).unwrap_or(whole);
        shown(below.trim_start_matches('/')).into_owned()
    }

    pub(super) fn location(&self, folder: &Path) -> String {
        match self.name(folder).as_str() {
            "" => "./".to_owned(),
            name => format!("{name}/"),
        }
    }
}

/// Returns true for the name of a file that a run passes over.
fn is_passed_over(name: &str) -> bool {
    is_passed_over_name(name.rsplit('/').next().unwrap_or(name))
}

fn is_no_data(name: &str) -> bool {
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    let file = name.rsplit('/').next().unwrap_or(name);
    ending.is_some_and(|ending| NO_DATA.contains(&ending.as_str()))
        || ["README", "LICENSE", "CHANGELOG"].contains(&file)
}

/// Returns at most `count` of the items: the first, the last, and others at even distances.
pub(super) fn spread<T>(items: Vec<T>, count: usize) -> Vec<T> {
    let length = items.len();
    if length <= count {
        return items;
    }
    let last = count.saturating_sub(1).max(1);
    let wanted: BTreeSet<usize> = (0..count).map(|step| step * (length - 1) / last).collect();
    let numbered = items.into_iter().enumerate();
    numbered
        .filter(|(index, _)| wanted.contains(index))
        .map(|(_, item)| item)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_are_among_those_that_are_picked() {
        let items = || (0..100).collect::<Vec<_>>();
        assert_eq!(spread(items(), 3), [0, 49, 99]);
        assert_eq!(spread(items(), 1), [0]);
        assert_eq!(spread(items(), 200), items());
        assert_eq!(spread(vec![1, 2, 3], 2), [1, 3]);
    }

    #[test]
    fn some_endings_are_no_data() {
        for (name, expected) in [
            ("a/README.md", true),
            ("a/README", true),
            ("a.json.gz.md5", true),
            ("a.json", false),
            ("part-0000", false),
            ("x.GZ", false),
        ] {
            assert_eq!(is_no_data(name), expected, "{name}");
        }
    }
}
