//! The listing of all keys below a folder at once, if no folder below it can be left out: a day of 24 hour
//! folders is one request for each 1,000 files instead of one for each folder.

use datafusion::common::ScalarValue;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::error::Result;
use crate::listing::expand::{Expansion, Folder, Listed};
use crate::listing::hive::folder_value;
use crate::listing::memo::Below;
use crate::listing::passed_over::{PassedOver, is_hidden_name};
use crate::listing::snapshot::SourceFile;
use crate::listing::time_folders::TimeFolders;
use crate::store::{CONCURRENCY, is_marker, is_plain_name};

/// The maximum number of objects that are listed one after another, 32 answers of S3. The folders of more
/// are listed concurrently.
const MAX_OBJECTS: usize = 32_000;

impl Expansion<'_> {
    /// Returns the files below those of `folders` whose listing is of use as a whole, and the other folders.
    /// The folders have the values of the first `depth` partition columns.
    pub(super) async fn files_below(
        &self,
        depth: usize,
        folders: Vec<Folder>,
        passed_over: &mut PassedOver,
    ) -> Result<(Vec<SourceFile>, Vec<Folder>)> {
        if self.is_local()
            || depth == self.partition_fields.len()
            || self.filters.need_more_than(depth)
        {
            return Ok((Vec::new(), folders));
        }
        let (whole, mut others): (Vec<Folder>, Vec<Folder>) = folders
            .into_iter()
            .partition(|folder| self.is_whole(folder));
        let listed: Vec<(Folder, Option<Listed>)> = stream::iter(whole)
            .map(|folder| async move {
                let below = self.below(&folder.path).await?;
                let files = below.and_then(|objects| self.files_of(&folder, objects));
                Ok::<_, crate::error::Error>((folder, files))
            })
            .buffered(CONCURRENCY.source_listings)
            .try_collect()
            .await?;
        let mut files = Vec::new();
        for (folder, below) in listed {
            match below {
                Some(below) => {
                    files.extend(below.files);
                    passed_over.extend(&below.passed_over);
                }
                None => others.push(folder),
            }
        }
        Ok((files, others))
    }

    /// Returns true for a disk, which is read folder by folder in any case.
    pub(super) fn is_local(&self) -> bool {
        self.location.store.as_str().starts_with("file:")
    }

    /// Returns true if no folder below can be pruned by its time.
    fn is_whole(&self, folder: &Folder) -> bool {
        let Some((time, folders)) = self.time.as_ref().and_then(|time| match time.folders {
            TimeFolders::Hive(folders) => Some((time, folders)),
            TimeFolders::Pattern(_) => None,
        }) else {
            return true;
        };
        let known = folder.values.len();
        let is_known = (known..self.partition_fields.len()).all(|index| !folders.has(index));
        let is_within = || {
            let range = folders.range(&folder.values);
            range.is_some_and(|range| time.bounds.contains(&range))
        };
        is_known || !time.bounds.is_limited() || is_within()
    }

    /// Lists all objects below a folder; `None` if they are too many to be listed one after another.
    pub(super) async fn below(&self, folder: &Path) -> Result<Below> {
        let list = async {
            let mut objects = Vec::new();
            let mut listing = self.store.list(Some(folder));
            while let Some(object) = listing.next().await {
                let url = || self.url(folder);
                objects.push(object.map_err(|error| self.store_error("list", url(), error))?);
                if objects.len() > MAX_OBJECTS {
                    return Ok(None);
                }
            }
            Ok(Some(objects))
        };
        match &self.memo {
            None => list.await,
            Some(memo) => {
                let place = (self.location.store.clone(), folder.clone());
                memo.below(place, list)
                    .await
                    .map(|below| Below::clone(&below))
            }
        }
    }

    /// Returns the files among the objects below a folder. Returns `None` if there is nothing, or anything
    /// that is not a file in the folders of the partition columns: listed level by level, it is reported.
    fn files_of(&self, folder: &Folder, objects: Vec<ObjectMeta>) -> Option<Listed> {
        let fields = &self.partition_fields[folder.values.len()..];
        let mut files = Vec::with_capacity(objects.len());
        let mut passed_over = PassedOver::default();
        // Files of one folder follow each other.
        let mut last: Option<(Vec<String>, Vec<ScalarValue>)> = None;
        for meta in objects {
            let mut names: Vec<String> = meta
                .location
                .prefix_match(&folder.path)?
                .map(|part| part.as_ref().to_owned())
                .collect();
            let name = names.pop()?;
            let is_marker = is_marker(&meta);
            if names.iter().any(|name| !is_plain_name(name)) || !(is_marker || is_plain_name(&name))
            {
                return None;
            }
            if let Some(hidden) = names.iter().position(|name| is_hidden_name(name)) {
                let above = names.len() - hidden;
                passed_over.add(self.folder_url(&ancestor(&meta.location, above)));
                continue;
            }
            let is_file = self.is_file(&meta, &mut passed_over);
            let is_misplaced = match is_file {
                true => names.len() != fields.len(),
                false => names.len() > fields.len(),
            };
            if is_misplaced {
                return None;
            }
            let known = last.take().filter(|(folders, _)| *folders == names);
            let values = match known {
                Some((_, values)) => values,
                None => {
                    let values = names.iter().zip(fields);
                    let values = values.map(|(name, field)| folder_value(name, field).ok());
                    values.collect::<Option<Vec<_>>>()?
                }
            };
            if is_file {
                let partition = folder.values.iter().chain(&values).cloned().collect();
                files.push(SourceFile { meta, partition });
            }
            last = Some((names, values));
        }
        (!files.is_empty()).then_some(Listed { files, passed_over })
    }
}

/// Returns the folder that is this number of levels above an object: 1 for its own.
pub(super) fn ancestor(object: &Path, levels: usize) -> Path {
    let parts: Vec<_> = object.parts().collect();
    let count = parts.len().saturating_sub(levels);
    parts.into_iter().take(count).collect()
}
