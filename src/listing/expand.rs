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
use crate::listing::hive_time::{Nanos, TimeFolders};
use crate::listing::location::{SourceLocation, key_url};
use crate::listing::memo::{Level, ListingMemo};
use crate::listing::partition_filter::PartitionFilters;
use crate::listing::snapshot::SourceFile;
use crate::listing::time_bounds::TimeBounds;
use crate::store::{CONCURRENCY, file_name, is_marker, is_missing};

/// One expansion of a source's folders into files.
pub(crate) struct Expansion<'a> {
    /// The source's name, for errors.
    pub(crate) source: &'a str,
    pub(crate) store: &'a dyn ObjectStore,
    pub(crate) location: &'a SourceLocation,
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
    /// Names that begin with `_` or `.` are skipped at every level.
    ///
    /// # Errors
    /// [`Error::store`] if a listing fails; [`Error::invalid`] if the location is empty, or has a
    /// folder or file that the declared partition columns do not allow; an error of DataFusion if a
    /// filter fails.
    pub(crate) async fn files(&self) -> Result<Vec<SourceFile>, DataFusionError> {
        if !self.location.is_folder
            && let Some(meta) = self.single_file().await?
        {
            return Ok(vec![SourceFile {
                meta,
                partition: Vec::new(),
            }]);
        }
        let mut folders = vec![Folder {
            path: self.location.path.clone(),
            values: Vec::new(),
        }];
        let mut files = Vec::new();
        for (depth, field) in self.partition_fields.iter().enumerate() {
            let (below, others) = self.files_below(depth, folders).await?;
            files.extend(below);
            folders = others;
            let mut subfolders = Vec::new();
            for (folder, listing) in self.list_all(folders).await? {
                self.refuse_stray_files(&listing)?;
                subfolders.extend(self.subfolders(&folder, &listing, field)?);
            }
            folders = self.prune(depth + 1, subfolders)?;
        }
        for (folder, listing) in self.list_all(folders).await? {
            self.refuse_subfolders(&listing)?;
            files.extend(visible_files(listing.objects).map(|meta| SourceFile {
                meta,
                partition: folder.values.clone(),
            }));
        }
        files.sort_by(|one, other| one.meta.location.cmp(&other.meta.location));
        Ok(files)
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

    async fn list_all(&self, folders: Vec<Folder>) -> Result<Vec<(Folder, Level)>> {
        stream::iter(folders)
            .map(|folder| self.list(folder))
            .buffered(CONCURRENCY.source_listings)
            .try_collect()
            .await
    }

    async fn list(&self, folder: Folder) -> Result<(Folder, Level)> {
        let mut listing = self.level(&folder.path).await?;
        let is_empty = listing.objects.is_empty() && listing.folders.is_empty();
        if is_empty && folder.path == self.location.path && self.is_mistake().await {
            let what = format!(
                "source `{}`: there is nothing at `{}`",
                self.source, self.location
            );
            return Err(Error::invalid(what).with_hint("check LOCATION and `--from`"));
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

    fn nameless(&self, path: &Path) -> Error {
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
        let Some(range) = time.folders.range(values) else {
            return true;
        };
        time.bounds.may_overlap(&widened(&range, time.slack))
    }

    /// Refuses a file above the last level, which belongs to no partition. An empty file may be the
    /// marker of a folder.
    fn refuse_stray_files(&self, listing: &Level) -> Result<()> {
        let objects = listing.objects.iter().cloned();
        match visible_files(objects).find(|meta| meta.size > 0) {
            Some(meta) => Err(self.misplaced("file", &meta.location, "is in no partition folder")),
            None => Ok(()),
        }
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
        let hint = if names.is_empty() {
            "the source declares no PARTITIONED BY; name the folders' columns there".to_owned()
        } else {
            format!("the source is PARTITIONED BY ({})", names.join(", "))
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
}

fn widened(range: &Range<Nanos>, slack: TimeDelta) -> Range<Nanos> {
    let slack = Nanos::from(slack.num_seconds()) * 1_000_000_000;
    range.start - slack..range.end + slack
}

fn visible_files(
    objects: impl IntoIterator<Item = ObjectMeta>,
) -> impl Iterator<Item = ObjectMeta> {
    let objects = objects.into_iter();
    objects.filter(|meta| !is_marker(meta) && !is_hidden(&meta.location))
}

/// Returns true for a name that tools give to what is not data: `_SUCCESS`, `.part-0.crc`.
pub(super) fn is_hidden_name(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

/// Returns true for the name of something that is not data.
fn is_hidden(path: &Path) -> bool {
    path.filename().is_none_or(is_hidden_name)
}

/// Returns true if the last part of a key is empty, `.` or `..`.
fn is_nameless(path: &Path) -> bool {
    file_name(path).is_some_and(|name| matches!(name.as_ref(), "" | "." | ".."))
}
