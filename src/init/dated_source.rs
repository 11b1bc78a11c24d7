//! Finds a source whose folders are dates without the names of columns, such as `2026/01/15/`.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;

use crate::error::{Error, Result};
use crate::init::dated;
use crate::init::explore::{
    Explorer, Found, FoundFile, FoundSource, MAX_DEPTH, MAX_FOLDERS, Problem, spread,
};
use crate::init::folders::folder_columns;
use crate::store::CONCURRENCY;

/// A folder with the parts of the time of its path.
type DatedFolder = (Path, Vec<(String, String)>);

impl Explorer<'_> {
    /// Returns the source whose dated folders begin in a folder; `None` if they are of several forms, or have
    /// files beside folders.
    ///
    /// # Errors
    /// [`Error::store`] if a listing fails.
    pub(super) async fn find_dated(
        &self,
        folder: &Path,
        found: &mut Found,
    ) -> Result<Option<FoundSource>> {
        let mut pattern = String::new();
        let mut columns: Vec<(String, BTreeSet<String>)> = Vec::new();
        let mut known: BTreeSet<&'static str> = BTreeSet::new();
        let mut folders: Vec<DatedFolder> = vec![(folder.clone(), Vec::new())];
        let mut files: Vec<FoundFile> = Vec::new();
        for depth in 0..MAX_DEPTH {
            let levels: Vec<(DatedFolder, crate::init::explore::Level)> =
                stream::iter(spread(folders, MAX_FOLDERS))
                    .map(|folder| async move {
                        let level = self.list(&folder.0).await?;
                        Ok::<_, Error>((folder, level))
                    })
                    .buffered(CONCURRENCY.source_listings)
                    .try_collect()
                    .await?;
            let mut below: Vec<(String, DatedFolder)> = Vec::new();
            for ((_, values), level) in levels {
                if depth > 0 {
                    files.extend(self.data_files(level.files, &values, &level.folders, found));
                }
                let subfolders = level.folders.into_iter().filter(|(name, _)| {
                    // Others beside the first dates are told.
                    depth > 0 || dated::level(&[name], &known).is_some()
                });
                below.extend(subfolders.map(|(name, path)| (name, (path, values.clone()))));
            }
            if below.is_empty() {
                break;
            }
            let names: Vec<&str> = below.iter().map(|(name, _)| name.as_str()).collect();
            let Some(level) = dated::level(&names, &known).filter(|_| files.is_empty()) else {
                return Ok(None);
            };
            pattern.push_str(&level.pattern);
            pattern.push('/');
            let parts: Vec<&'static str> = level
                .values
                .first()
                .into_iter()
                .flatten()
                .map(|(part, _)| *part)
                .collect();
            for (index, part) in parts.iter().enumerate() {
                let values = level.values.iter().filter_map(|values| values.get(index));
                let values = values.map(|(_, value)| value.clone());
                columns.push(((*part).to_owned(), values.collect()));
                known.insert(part);
            }
            folders = below
                .into_iter()
                .zip(level.values)
                .map(|((_, (path, mut values)), own)| {
                    let own = own
                        .into_iter()
                        .map(|(part, value)| (part.to_owned(), value));
                    values.extend(own);
                    (path, values)
                })
                .collect();
        }
        files.sort_by(|one, other| one.name.cmp(&other.name));
        Ok((!files.is_empty()).then(|| FoundSource {
            location: self.location(folder),
            pattern,
            columns: folder_columns(&columns),
            files,
        }))
    }

    /// Names what a run passes over beside folders that are dates.
    pub(super) fn warn_beside(&self, files: &[FoundFile], folders: &[Path], found: &mut Found) {
        let files = files.iter().map(|file| file.name.clone());
        let folders = folders.iter().map(|folder| self.location(folder));
        found.problems.extend(files.chain(folders).map(|place| {
            let what = "it lies beside folders that are dates, and a run passes over it";
            Problem::new(place, what, "move it to a folder of its own to read it")
        }));
    }
}
