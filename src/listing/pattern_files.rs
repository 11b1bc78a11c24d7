//! The listing of folders and files by the pattern of a LOCATION, level by level.
//!
//! ```text
//! events/ ─list→ 2025/ 2026/ x.txt ─match→ 2025/ 2026/ ─keep→ 2026/ ─list→ … ─list→ files ─match→ files
//!                                    └─→ passed over: x.txt   └─nothing below can be left out: list all below─↗
//! ```

use datafusion::common::{DataFusionError, ScalarValue};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::error::{Error, Result};
use crate::listing::below::ancestor;
use crate::listing::expand::{Expansion, Folder, Listed, NothingThere};
use crate::listing::passed_over::{is_hidden_name, is_no_data};
use crate::listing::path_pattern::{Captures, PathPattern};
use crate::listing::snapshot::SourceFile;
use crate::listing::time_parts::TIME_PLACEHOLDERS;
use crate::store::{CONCURRENCY, is_marker, shown};

/// A folder, and what the names on its path have.
struct Known {
    path: Path,
    captures: Captures,
}

/// A file, and what the names on its path have.
struct KnownFile {
    meta: ObjectMeta,
    captures: Captures,
}

impl Expansion<'_> {
    /// Lists the files that can contain rows of the query. Names that are not of the pattern are passed over.
    ///
    /// # Errors
    /// [`Error::store`] if a listing fails; [`Error::invalid`] if the location is empty, or if nothing at it
    /// is of the pattern, while that is a mistake; an error of DataFusion if a filter fails.
    pub(super) async fn pattern_files(
        &self,
        pattern: &PathPattern,
    ) -> Result<Listed, DataFusionError> {
        let mut listed = Listed::default();
        let mut found: Vec<KnownFile> = Vec::new();
        let mut folders = vec![Known {
            path: self.location.path.clone(),
            captures: Captures::default(),
        }];
        for level in 0..pattern.level_count() {
            if let Some(name) = pattern.plain_name(level) {
                folders = below_plain(folders, name);
                continue;
            }
            let (below, others) = self.all_below(pattern, level, folders, &mut listed).await?;
            found.extend(below);
            folders = self
                .subfolders_of(pattern, level, others, &mut listed)
                .await?;
            if level == 0 && folders.is_empty() && found.is_empty() {
                self.refuse_no_match(pattern, &listed)?;
            }
            folders = self.prune_known(folders, |folder| &folder.captures)?;
        }
        found.extend(self.files_in(pattern, folders, &mut listed).await?);
        if pattern.level_count() == 0 && found.is_empty() {
            self.refuse_no_match(pattern, &listed)?;
        }
        let files = self.prune_known(found, |file| &file.captures)?.into_iter();
        listed.files = files
            .map(|KnownFile { meta, captures }| SourceFile {
                meta,
                partition: captures.values,
            })
            .collect();
        listed
            .files
            .sort_by(|one, other| one.meta.location.cmp(&other.meta.location));
        Ok(listed)
    }

    /// Lists the folders of a level below `folders`.
    async fn subfolders_of(
        &self,
        pattern: &PathPattern,
        level: usize,
        folders: Vec<Known>,
        listed: &mut Listed,
    ) -> Result<Vec<Known>> {
        let mut subfolders = Vec::new();
        for (captures, level_listing) in self.list_known(folders).await? {
            for object in level_listing
                .objects
                .iter()
                .filter(|object| !is_marker(object))
            {
                listed.passed_over.add(self.url(&object.location));
            }
            for path in level_listing.folders {
                match self.folder_of(pattern, level, last_name(&path), &captures) {
                    Some(captures) => subfolders.push(Known { path, captures }),
                    None => listed.passed_over.add(self.folder_url(&path)),
                }
            }
        }
        Ok(subfolders)
    }

    fn folder_of(
        &self,
        pattern: &PathPattern,
        level: usize,
        name: impl AsRef<str>,
        known: &Captures,
    ) -> Option<Captures> {
        let name = name.as_ref();
        if is_hidden_name(name) && !pattern.names_hidden(level) {
            return None;
        }
        pattern.folder(level, name, known, self.partition_fields)
    }

    /// Lists the files in the folders of the last level.
    async fn files_in(
        &self,
        pattern: &PathPattern,
        folders: Vec<Known>,
        listed: &mut Listed,
    ) -> Result<Vec<KnownFile>> {
        let levels = pattern.level_count();
        let mut files = Vec::new();
        if pattern.is_deep() {
            for (folder, objects) in self.list_deep(folders).await? {
                if objects.is_empty() && folder.path == self.location.path {
                    self.refuse_nothing().await?;
                }
                files.extend(self.matching(pattern, levels, &folder, objects, listed)?);
            }
            return Ok(files);
        }
        for (captures, listing) in self.list_known(folders).await? {
            for path in &listing.folders {
                listed.passed_over.add(self.folder_url(path));
            }
            for meta in listing.objects {
                files.extend(self.file_of(pattern, meta, &captures, listed));
            }
        }
        Ok(files)
    }

    /// Returns the file that an object is; `None` if it is passed over, or the marker of a folder.
    fn file_of(
        &self,
        pattern: &PathPattern,
        meta: ObjectMeta,
        known: &Captures,
        listed: &mut Listed,
    ) -> Option<KnownFile> {
        if is_marker(&meta) {
            return None;
        }
        let name = last_name(&meta.location);
        let is_named = self.file_names.has(&name, pattern.names_no_data());
        let captures = is_named
            .then(|| pattern.file(&name, known, self.partition_fields))
            .flatten();
        match captures {
            Some(captures) => Some(KnownFile { meta, captures }),
            None => {
                listed.passed_over.add(self.url(&meta.location));
                None
            }
        }
    }

    /// Lists folders, in their order.
    async fn list_known(
        &self,
        folders: Vec<Known>,
    ) -> Result<Vec<(Captures, crate::listing::memo::Level)>> {
        let (paths, captures): (Vec<Folder>, Vec<Captures>) = folders
            .into_iter()
            .map(|Known { path, captures }| {
                let values = Vec::new();
                (Folder { path, values }, captures)
            })
            .unzip();
        let listings = self.list_all(paths).await?;
        let levels = listings.into_iter().map(|(_, level)| level);
        Ok(captures.into_iter().zip(levels).collect())
    }

    /// Lists the files below those of `folders` below which nothing can be left out, and returns the other
    /// folders.
    async fn all_below(
        &self,
        pattern: &PathPattern,
        level: usize,
        folders: Vec<Known>,
        listed: &mut Listed,
    ) -> Result<(Vec<KnownFile>, Vec<Known>)> {
        if self.is_local() || level == 0 {
            return Ok((Vec::new(), folders));
        }
        let (whole, mut others): (Vec<Known>, Vec<Known>) = folders
            .into_iter()
            .partition(|folder| self.is_whole_below(pattern, level, &folder.captures));
        let listings: Vec<_> = stream::iter(whole)
            .map(|folder| async move {
                let below = self.below(&folder.path).await?;
                Ok::<_, Error>((folder, below))
            })
            .buffered(CONCURRENCY.source_listings)
            .try_collect()
            .await?;
        let mut files = Vec::new();
        for (folder, below) in listings {
            match below {
                Some(objects) => {
                    files.extend(self.matching(pattern, level, &folder, objects, listed)?);
                }
                None => others.push(folder),
            }
        }
        Ok((files, others))
    }

    /// Returns true if no folder from a level on, and no file, can be left out.
    fn is_whole_below(&self, pattern: &PathPattern, level: usize, known: &Captures) -> bool {
        if self.filters.need_more_than(known.values.len()) {
            return false;
        }
        let Some(time) = &self.time else {
            return true;
        };
        let is_within = || {
            let range = known.range();
            range.is_some_and(|range| time.bounds.contains(&range))
        };
        !pattern.has_time_from(level) || !time.bounds.is_limited() || is_within()
    }

    async fn list_deep(&self, folders: Vec<Known>) -> Result<Vec<(Known, Vec<ObjectMeta>)>> {
        stream::iter(folders)
            .map(|folder| async move {
                if let Some(objects) = self.below(&folder.path).await? {
                    return Ok((folder, objects));
                }
                let objects: Vec<ObjectMeta> = self
                    .store
                    .list(Some(&folder.path))
                    .map_err(|error| self.store_error("list", self.url(&folder.path), error))
                    .try_collect()
                    .await?;
                Ok((folder, objects))
            })
            .buffered(CONCURRENCY.source_listings)
            .try_collect()
            .await
    }

    /// Returns the files among all objects below a folder of the level before `level`.
    fn matching(
        &self,
        pattern: &PathPattern,
        level: usize,
        folder: &Known,
        objects: Vec<ObjectMeta>,
        listed: &mut Listed,
    ) -> Result<Vec<KnownFile>> {
        let mut files = Vec::new();
        // Files of one folder follow each other.
        let mut last: Option<(Vec<String>, Result<Captures, usize>)> = None;
        for meta in objects {
            let parts = meta
                .location
                .prefix_match(&folder.path)
                .into_iter()
                .flatten();
            let mut names: Vec<String> = parts
                .map(|part| shown(part.as_ref()).into_owned())
                .collect();
            let is_nameless = |name: &String| matches!(name.as_str(), "" | "." | "..");
            let is_marker = is_marker(&meta);
            if !is_marker && names.iter().any(is_nameless) {
                return Err(self.nameless(&meta.location));
            }
            names.pop();
            let known = match last.take().filter(|(folders, _)| *folders == names) {
                Some((_, known)) => known,
                None => self.known_of(pattern, level, &names, &folder.captures),
            };
            match &known {
                Ok(captures) => files.extend(self.file_of(pattern, meta, captures, listed)),
                // A file in a folder above, or a folder that is none of the pattern.
                Err(depth) if *depth == names.len() && is_marker => {}
                Err(depth) if *depth == names.len() => {
                    listed.passed_over.add(self.url(&meta.location));
                }
                Err(depth) => {
                    let folder = ancestor(&meta.location, names.len() - depth);
                    listed.passed_over.add(self.folder_url(&folder));
                }
            }
            last = Some((names, known));
        }
        Ok(files)
    }

    /// Returns what the names of folders from a level on have. As an error, the number of names that are
    /// those of the pattern.
    fn known_of(
        &self,
        pattern: &PathPattern,
        level: usize,
        names: &[String],
        known: &Captures,
    ) -> Result<Captures, usize> {
        let mut captures = known.clone();
        let levels = pattern.level_count() - level;
        for (depth, name) in names.iter().enumerate() {
            captures = match depth < levels {
                true => self
                    .folder_of(pattern, level + depth, name, &captures)
                    .ok_or(depth)?,
                false if !pattern.is_deep() || is_hidden_name(name) => return Err(depth),
                false => captures,
            };
        }
        match names.len() < levels {
            true => Err(names.len()),
            false => Ok(captures),
        }
    }

    /// Drops the folders or files in which no row of the query can be.
    fn prune_known<T>(
        &self,
        items: Vec<T>,
        captures: impl Fn(&T) -> &Captures,
    ) -> Result<Vec<T>, DataFusionError> {
        let known = items
            .first()
            .map_or(0, |first| captures(first).values.len());
        let mut is_kept: Vec<bool> = items
            .iter()
            .map(|item| match (&self.time, captures(item).range()) {
                (Some(time), Some(range)) => time.may_need(&range),
                _ => true,
            })
            .collect();
        for depth in 1..=known {
            let values: Vec<&[ScalarValue]> = items
                .iter()
                .map(|item| captures(item).values.get(..depth).unwrap_or_default())
                .collect();
            for (is_kept, is_match) in is_kept
                .iter_mut()
                .zip(self.filters.matches(depth, &values)?)
            {
                *is_kept &= is_match;
            }
        }
        let kept = items.into_iter().zip(is_kept);
        Ok(kept
            .filter(|(_, is_kept)| *is_kept)
            .map(|(item, _)| item)
            .collect())
    }

    /// Refuses a location at which there are names, and none of the pattern, if that is a mistake.
    fn refuse_no_match(&self, pattern: &PathPattern, listed: &Listed) -> Result<()> {
        let mut others = listed.passed_over.names().filter(|url| {
            let name = url.trim_end_matches('/').rsplit('/').next();
            !name.is_some_and(is_no_data)
        });
        let Some(first) = others.next() else {
            return Ok(());
        };
        if self.nothing == NothingThere::NoFiles {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "source `{}`: nothing at `{}` matches LOCATION `{}`; there is `{first}`",
            self.source,
            self.location,
            pattern.location()
        ))
        .with_hint(format!(
            "LOCATION has names as they are, `*`, `?`, columns of PARTITIONED BY in braces, and {TIME_PLACEHOLDERS}"
        )))
    }
}

fn below_plain(folders: Vec<Known>, name: &str) -> Vec<Known> {
    let below = folders.into_iter().map(|Known { path, captures }| {
        let text = match path.as_ref() {
            "" => name.to_owned(),
            above => format!("{above}/{name}"),
        };
        let path = Path::parse(&text).unwrap_or_else(|_| path.join(name));
        Known { path, captures }
    });
    below.collect()
}

fn last_name(path: &Path) -> std::borrow::Cow<'_, str> {
    shown(path.filename().unwrap_or_default())
}
