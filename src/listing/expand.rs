//! The listing of Hive folders, level by level, down to the files that a query may need.

use std::ops::Range;
use std::sync::Arc;

use chrono::TimeDelta;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::{DataFusionError, ScalarValue};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::error::{Error, Result};
use crate::listing::hive::folder_value;
use crate::listing::hive_time::Nanos;
use crate::listing::location::{SourceLocation, key_url};
use crate::listing::memo::{Level, ListingMemo};
use crate::listing::partition_filter::PartitionFilters;
use crate::listing::passed_over::{FileNames, PassedOver, is_hidden_name};
use crate::listing::path_pattern::PathPattern;
use crate::listing::snapshot::SourceFile;
use crate::listing::time_bounds::TimeBounds;
use crate::listing::time_folders::TimeFolders;
use crate::store::{CONCURRENCY, file_name, is_marker, is_missing, shown};

/// One expansion of a source's folders into files.
pub(crate) struct Expansion<'a> {
    /// The source's name, for errors.
    pub(crate) source: &'a str,
    pub(crate) store: &'a dyn ObjectStore,
    pub(crate) location: &'a SourceLocation,
    /// The names of folders and files below the location, if they are not those of Hive folders alone.
    pub(crate) pattern: Option<&'a PathPattern>,
    /// The names of the files.
    pub(crate) file_names: &'a FileNames,
    pub(crate) partition_fields: &'a [FieldRef],
    pub(crate) filters: &'a PartitionFilters,
    pub(crate) time: Option<TimePruning<'a>>,
    pub(crate) nothing: NothingThere,
    /// The listings that are known already, for a look that reads no file.
    pub(crate) memo: Option<Arc<ListingMemo>>,
}

/// The rule and the bounds by which folders are pruned by their time.
pub(crate) struct TimePruning<'a> {
    pub(crate) folders: &'a TimeFolders,
    /// The maximum by which a row's time may lie outside the range of its folder.
    pub(crate) slack: TimeDelta,
    pub(crate) bounds: TimeBounds,
}

impl TimePruning<'_> {
    /// Returns true if rows of folders of this range of time may be needed.
    pub(super) fn may_need(&self, range: &Range<Nanos>) -> bool {
        self.bounds.may_overlap(&widened(range, self.slack))
    }
}

/// The meaning of an empty location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NothingThere {
    /// A mistake in the declaration or the call.
    Mistake,
    /// A mistake, unless there are other files or folders beside the location.
    MistakeWithoutSiblings,
    /// A source whose files are still to come.
    NoFiles,
}

/// The files of an expansion, and the names beside them that are no files of the source.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// The files, sorted by key.
    pub(crate) files: Vec<SourceFile>,
    pub(crate) passed_over: PassedOver,
}

/// A folder with the values of the partition columns of its path.
pub(super) struct Folder {
    pub(super) path: Path,
    pub(super) values: Vec<ScalarValue>,
}

impl Expansion<'_> {
    /// Lists the files that can contain rows of the query, sorted by key, with empty ones.
    ///
    /// ```text
    /// events/ ─list→ date=…/ ─keep→ ─list→ hour=…/ ─keep→ ─list→ files
    ///                              └─nothing below can be left out: list all below─↗
    /// ```
    /// Folders that begin with `_` or `.` are passed over at every level, and so are files that are no data.
    ///
    /// # Errors
    /// [`Error::store`] if a listing fails; [`Error::invalid`] if the location is empty, or has a
    /// folder or file that the declared partition columns do not allow; an error of DataFusion if a
    /// filter fails.
    pub(crate) async fn files(&self) -> Result<Listed, DataFusionError> {
        if let Some(pattern) = self.pattern {
            return self.pattern_files(pattern).await;
        }
        let mut passed_over = PassedOver::default();
        if !self.location.is_folder
            && let Some(meta) = self.single_file().await?
        {
            let partition = Vec::new();
            return Ok(Listed {
                files: vec![SourceFile { meta, partition }],
                passed_over,
            });
        }
        let mut folders = vec![Folder {
            path: self.location.path.clone(),
            values: Vec::new(),
        }];
        let mut files = Vec::new();
        for (depth, field) in self.partition_fields.iter().enumerate() {
            let (below, others) = self.files_below(depth, folders, &mut passed_over).await?;
            files.extend(below);
            folders = others;
            let mut subfolders = Vec::new();
            for (folder, listing) in self.list_all(folders).await? {
                self.refuse_stray_files(&listing, &mut passed_over)?;
                self.pass_over_hidden(&listing, &mut passed_over);
                subfolders.extend(self.subfolders(&folder, &listing, field)?);
            }
            folders = self.prune(depth + 1, subfolders)?;
        }
        for (folder, listing) in self.list_all(folders).await? {
            self.refuse_subfolders(&listing)?;
            self.pass_over_hidden(&listing, &mut passed_over);
            for meta in listing.objects {
                if self.is_file(&meta, &mut passed_over) {
                    let partition = folder.values.clone();
                    files.push(SourceFile { meta, partition });
                }
            }
        }
        files.sort_by(|one, other| one.meta.location.cmp(&other.meta.location));
        Ok(Listed { files, passed_over })
    }

    /// Returns true if an object is a file of the source. Otherwise it is passed over, unless it is the
    /// marker of a folder.
    pub(super) fn is_file(&self, object: &ObjectMeta, passed_over: &mut PassedOver) -> bool {
        if is_marker(object) {
            return false;
        }
        let name = object.location.filename().unwrap_or_default();
        let is_file = self.file_names.has(&shown(name), false);
        if !is_file {
            passed_over.add(self.url(&object.location));
        }
        is_file
    }

    fn pass_over_hidden(&self, listing: &Level, passed_over: &mut PassedOver) {
        for path in listing.folders.iter().filter(|path| is_hidden(path)) {
            passed_over.add(self.folder_url(path));
        }
    }

    /// Returns the object at the location itself, if there is one.
    async fn single_file(&self) -> Result<Option<ObjectMeta>> {
        let meta = match self.store.head(&self.location.path).await {
            Ok(meta) => meta,
            Err(error) if is_missing(self.store, &self.location.path, &error).await => {
                return Ok(None);
            }
            Err(error) => return Err(self.store_error("read", self.location, error)),
        };
        if let Some(field) = self.partition_fields.first() {
            return Err(Error::invalid(format!(
                "source `{}`: `{}` is a file, but the source is partitioned by `{}`",
                self.source,
                self.location,
                field.name()
            )));
        }
        Ok(Some(meta))
    }

    pub(super) async fn list_all(&self, folders: Vec<Folder>) -> Result<Vec<(Folder, Level)>> {
        stream::iter(folders)
            .map(|folder| self.list(folder))
            .buffered(CONCURRENCY.source_listings)
            .try_collect()
            .await
    }

    async fn list(&self, folder: Folder) -> Result<(Folder, Level)> {
        let mut listing = self.level(&folder.path).await?;
        let is_empty = listing.objects.is_empty() && listing.folders.is_empty();
        if is_empty && folder.path == self.location.path {
            self.refuse_nothing().await?;
        }
        for object in &listing.objects {
            if is_nameless(&object.location) && !is_marker(object) {
                return Err(self.nameless(&object.location));
            }
        }
        let (nameless, named): (Vec<Path>, Vec<Path>) =
            listing.folders.into_iter().partition(is_nameless);
        for folder in &nameless {
            self.require_markers(folder).await?;
        }
        listing.folders = named;
        Ok((folder, listing))
    }

    /// Refuses a location where nothing is, if that is a mistake.
    pub(super) async fn refuse_nothing(&self) -> Result<()> {
        if !self.is_mistake().await {
            return Ok(());
        }
        let what = format!(
            "source `{}`: there is nothing at `{}`",
            self.source, self.location
        );
        Err(Error::invalid(what).with_hint("check LOCATION and `--from`"))
    }

    async fn level(&self, folder: &Path) -> Result<Level> {
        let list = async {
            let listing = self.store.list_with_delimiter(Some(folder)).await;
            let listing =
                listing.map_err(|error| self.store_error("list", self.url(folder), error))?;
            Ok(Level {
                folders: listing.common_prefixes,
                objects: listing.objects,
            })
        };
        match &self.memo {
            None => list.await,
            Some(memo) => {
                let place = (self.location.store.clone(), folder.clone());
                memo.level(place, list)
                    .await
                    .map(|level| Level::clone(&level))
            }
        }
    }

    /// Refuses the files below a folder whose name is empty, `.` or `..`, as in the key `src//a.json`:
    /// it belongs to no partition, and other tools take it for another folder.
    async fn require_markers(&self, folder: &Path) -> Result<()> {
        let mut below = self.store.list(Some(folder));
        while let Some(object) = below.next().await {
            let object =
                object.map_err(|error| self.store_error("list", self.url(folder), error))?;
            if !is_marker(&object) {
                return Err(self.nameless(&object.location));
            }
        }
        Ok(())
    }

    pub(super) fn nameless(&self, path: &Path) -> Error {
        Error::invalid(format!(
            "source `{}`: the key `{}` has an empty part, `.` or `..` between its slashes",
            self.source,
            self.url(path)
        ))
        .with_hint("copy the object to a key without such parts and delete this one")
    }

    /// Returns true if nothing at the location is a mistake, as opposed to files that are still to come.
    async fn is_mistake(&self) -> bool {
        match self.nothing {
            NothingThere::Mistake => true,
            NothingThere::NoFiles => false,
            NothingThere::MistakeWithoutSiblings => {
                let parts: Vec<_> = self.location.path.parts().collect();
                let Some((_, above)) = parts.split_last() else {
                    return true;
                };
                let parent = Path::from_iter(above.iter().cloned());
                let listed = self.store.list_with_delimiter(Some(&parent)).await;
                // The right to list may be limited to the location.
                !listed.is_ok_and(|siblings| {
                    !siblings.objects.is_empty() || !siblings.common_prefixes.is_empty()
                })
            }
        }
    }

    fn subfolders(
        &self,
        folder: &Folder,
        listing: &Level,
        field: &FieldRef,
    ) -> Result<Vec<Folder>> {
        listing
            .folders
            .iter()
            .filter(|path| !is_hidden(path))
            .map(|path| {
                let name = file_name(path);
                let value = match &name {
                    Some(name) => folder_value(name, field),
                    None => Err("has a name that is not UTF-8".to_owned()),
                };
                let value = value.map_err(|reason| self.misplaced("folder", path, &reason))?;
                let mut values = folder.values.clone();
                values.push(value);
                Ok(Folder {
                    path: path.clone(),
                    values,
                })
            })
            .collect()
    }

    /// Drops the folders below which no row of the query can be.
    fn prune(&self, depth: usize, folders: Vec<Folder>) -> Result<Vec<Folder>, DataFusionError> {
        let values: Vec<&[ScalarValue]> = folders
            .iter()
            .map(|folder| folder.values.as_slice())
            .collect();
        let matches = self.filters.matches(depth, &values)?;
        Ok(folders
            .into_iter()
            .zip(matches)
            .filter(|(folder, is_match)| *is_match && self.may_contain_time(&folder.values))
            .map(|(folder, _)| folder)
            .collect())
    }

    fn may_contain_time(&self, values: &[ScalarValue]) -> bool {
        let Some(time) = &self.time else {
            return true;
        };
        let range = match time.folders {
            TimeFolders::Hive(folders) => folders.range(values),
            TimeFolders::Pattern(_) => None,
        };
        range.is_none_or(|range| time.may_need(&range))
    }

    /// Refuses a file above the last level, which belongs to no partition. An empty file may be the
    /// marker of a folder.
    fn refuse_stray_files(&self, listing: &Level, passed_over: &mut PassedOver) -> Result<()> {
        for object in &listing.objects {
            if self.is_file(object, passed_over) {
                if object.size > 0 {
                    return Err(self.misplaced(
                        "file",
                        &object.location,
                        "is in no partition folder",
                    ));
                }
                passed_over.add(self.url(&object.location));
            }
        }
        Ok(())
    }

    fn refuse_subfolders(&self, listing: &Level) -> Result<()> {
        match listing.folders.iter().find(|path| !is_hidden(path)) {
            Some(path) => Err(self.misplaced("folder", path, "is not a declared partition column")),
            None => Ok(()),
        }
    }

    fn misplaced(&self, what: &str, path: &Path, reason: &str) -> Error {
        let names: Vec<&str> = self
            .partition_fields
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        let (declared, names) = match names.is_empty() {
            true => (
                "the source declares no PARTITIONED BY; name the folders' columns there".to_owned(),
                "'{year}/{month}/{day}/'".to_owned(),
            ),
            false => {
                let folders: Vec<String> =
                    names.iter().map(|name| format!("{{{name}}}/")).collect();
                (
                    format!("the source is PARTITIONED BY ({})", names.join(", ")),
                    format!("'{}'", folders.concat()),
                )
            }
        };
        let is_plain = what == "folder" && path.filename().is_some_and(|name| !name.contains('='));
        let hint = match is_plain {
            false => declared,
            true => format!(
                "{declared}; for folders without `<column>=`, write their names in LOCATION, such as {names}, \
                 with '*/' for any name and '**/' for any depth"
            ),
        };
        let message = format!(
            "source `{}`: {what} `{}` {reason}",
            self.source,
            self.url(path)
        );
        Error::invalid(message).with_hint(hint)
    }

    pub(super) fn store_error(
        &self,
        doing: &str,
        what: impl std::fmt::Display,
        error: object_store::Error,
    ) -> Error {
        Error::store(doing, what, error).context(format!("source `{}`", self.source))
    }

    pub(super) fn url(&self, path: &Path) -> String {
        key_url(&self.location.store, path)
    }

    pub(super) fn folder_url(&self, path: &Path) -> String {
        format!("{}/", self.url(path))
    }
}

fn widened(range: &Range<Nanos>, slack: TimeDelta) -> Range<Nanos> {
    let slack = Nanos::from(slack.num_seconds()) * 1_000_000_000;
    range.start - slack..range.end + slack
}

/// Returns true for the name of something that is not data.
fn is_hidden(path: &Path) -> bool {
    path.filename().is_none_or(is_hidden_name)
}

/// Returns true if the last part of a key is empty, `.` or `..`.
fn is_nameless(path: &Path) -> bool {
    file_name(path).is_some_and(|name| matches!(name.as_ref(), "" | "." | ".."))
}
