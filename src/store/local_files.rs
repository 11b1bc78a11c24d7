//! The files of a folder of this machine as an object store, whatever their names are.
//!
//! `object_store`'s own listing fails as a whole for one name that is not UTF-8 or has a control
//! character, and for one link in a circle; it leaves out broken links and names like `a#1`, and opens
//! pipes, which blocks. Here a listing has every file, and what cannot be read fails when it is read, by
//! name. Writing is left to `object_store`.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path as FilePath, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, coalesce_ranges,
};
use walkdir::WalkDir;

use crate::store::escaped_path::{escaped, unescaped};
use crate::store::links::leads_out;

/// The size in bytes of what is no file: a reader of Parquet looks no further into less than a footer.
const UNKNOWN_BYTES: u64 = 1024;

/// The files below a folder.
#[derive(Debug, Clone)]
pub(super) struct LocalFiles {
    root: PathBuf,
    /// The store that writes.
    inner: LocalFileSystem,
}

/// One entry of a folder.
enum Entry {
    File(ObjectMeta),
    Folder(Path),
}

impl LocalFiles {
    /// Creates the store of all files of this machine.
    pub(super) fn of_machine() -> Self {
        Self {
            root: PathBuf::from("/"),
            inner: LocalFileSystem::new(),
        }
    }

    /// Creates the store of the files below a folder. Folders that become empty are removed.
    ///
    /// # Errors
    /// Fails if the folder does not exist.
    pub(super) fn of_folder(root: &FilePath) -> Result<Self> {
        let inner = LocalFileSystem::new_with_prefix(root)?.with_automatic_cleanup(true);
        let root = fs::canonicalize(root).map_err(|error| failed(root, error))?;
        Ok(Self { root, inner })
    }

    fn file_path(&self, location: &Path) -> PathBuf {
        self.root
            .join(OsStr::from_bytes(&unescaped(location.as_ref())))
    }

    /// Checks that nothing is written or removed through a link that leads out of the folder.
    fn require_inside(&self, location: &Path) -> Result<()> {
        let path = self.file_path(location);
        if !leads_out(&self.root, &path) {
            return Ok(());
        }
        let what = format!(
            "`{}` is below a link that leads out of the destination",
            path.display()
        );
        Err(failed(
            &path,
            io::Error::new(io::ErrorKind::NotADirectory, what),
        ))
    }

    fn location(&self, path: &FilePath) -> Path {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        escaped(relative.as_os_str().as_bytes())
    }

    /// Lists the entries below a folder down to `max_depth` levels, without folders but those of the
    /// last level; none if it does not exist.
    fn entries(&self, folder: &Path, max_depth: usize) -> Result<Vec<Entry>> {
        let walk = WalkDir::new(self.file_path(folder))
            .min_depth(1)
            .max_depth(max_depth)
            .follow_links(true);
        let mut entries = Vec::new();
        for found in walk {
            let entry = match found {
                Ok(found) if found.file_type().is_dir() => {
                    (found.depth() == max_depth).then(|| Entry::Folder(self.location(found.path())))
                }
                Ok(found) => self.file(found.path())?,
                Err(error) => self.unfollowed(error, max_depth)?,
            };
            entries.extend(entry);
        }
        Ok(entries)
    }

    /// Returns an entry that cannot be followed as a file, which fails when it is read.
    fn unfollowed(&self, error: walkdir::Error, max_depth: usize) -> Result<Option<Entry>> {
        let (depth, path) = (error.depth(), error.path().map(FilePath::to_owned));
        let is_circle = error.loop_ancestor().is_some();
        let cause = error
            .into_io_error()
            .unwrap_or_else(|| io::Error::other("a link to a folder above it"));
        let Some(path) = path else {
            return Err(failed(&self.root, cause));
        };
        if depth == 0 {
            return match cause.kind() {
                io::ErrorKind::NotFound => Ok(None),
                _ => Err(failed(&path, cause)),
            };
        }
        // A link to a folder above is a folder as long as nobody walks down it.
        if is_circle && depth == max_depth {
            return Ok(Some(Entry::Folder(self.location(&path))));
        }
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Ok(metadata) if metadata.is_dir() => Err(failed(&path, cause)),
            _ => self.file(&path),
        }
    }

    /// Returns a file, or what is in its place. Returns `None` if it was deleted in the meantime.
    fn file(&self, path: &FilePath) -> Result<Option<Entry>> {
        let location = self.location(path);
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                Ok(Some(Entry::File(object_meta(location, &metadata))))
            }
            _ => match fs::symlink_metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(failed(path, error)),
                // Its size is not known. It must be read to fail, and an empty file is not.
                Ok(metadata) => Ok(Some(Entry::File(ObjectMeta {
                    size: metadata.len().max(UNKNOWN_BYTES),
                    ..object_meta(location, &metadata)
                }))),
            },
        }
    }

    async fn list_blocking(&self, folder: Path, max_depth: usize) -> Result<Vec<Entry>> {
        let store = self.clone();
        blocking(move || store.entries(&folder, max_depth)).await
    }

    fn open(&self, location: &Path, options: &GetOptions) -> Result<GetResult> {
        let path = self.file_path(location);
        require_file(&path)?;
        let file = File::open(&path).map_err(|error| failed(&path, error))?;
        let metadata = file.metadata().map_err(|error| failed(&path, error))?;
        let meta = object_meta(location.clone(), &metadata);
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            None => 0..meta.size,
            Some(range) => range_of(range, meta.size).map_err(|error| failed(&path, error))?,
        };
        Ok(GetResult {
            payload: GetResultPayload::File(file, path),
            attributes: Attributes::default(),
            range,
            meta,
        })
    }
}

/// Runs what blocks on a thread for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// Checks that there is a file: opening a pipe would block.
fn require_file(path: &FilePath) -> Result<()> {
    let unreadable = |what: String| {
        let error = io::Error::new(io::ErrorKind::InvalidInput, what);
        Err(failed(path, error))
    };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(metadata) if metadata.is_dir() => {
            Err(failed(path, io::Error::from(io::ErrorKind::NotFound)))
        }
        Ok(_) => unreadable("it is a pipe, a socket or a device".to_owned()),
        Err(error) => match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => {
                unreadable(format!("it is a link that leads to no file: {error}"))
            }
            _ => Err(failed(path, error)),
        },
    }
}

/// Returns the part of a file that a request is for.
fn range_of(range: &GetRange, size: u64) -> io::Result<Range<u64>> {
    let wrong = || io::Error::other(format!("it has no range {range} in its {size} bytes"));
    let (start, end) = match range {
        GetRange::Bounded(range) => (range.start, range.end.min(size)),
        GetRange::Offset(start) => (*start, size),
        GetRange::Suffix(length) => (size.saturating_sub(*length), size),
    };
    if start >= end {
        return Err(wrong());
    }
    Ok(start..end)
}

/// Creates the metadata of a file, with the ETag that `object_store` gives to files it writes.
fn object_meta(location: Path, metadata: &Metadata) -> ObjectMeta {
    let modified: DateTime<Utc> = metadata.modified().map(Into::into).unwrap_or_default();
    let (inode, size) = (metadata.ino(), metadata.len());
    let micros = u64::try_from(modified.timestamp_micros()).unwrap_or(0);
    ObjectMeta {
        location,
        last_modified: modified,
        size,
        e_tag: Some(format!("{inode:x}-{micros:x}-{size:x}")),
        version: None,
    }
}

fn failed(path: &FilePath, error: io::Error) -> object_store::Error {
    if error.kind() == io::ErrorKind::NotFound {
        return object_store::Error::NotFound {
            path: path.display().to_string(),
            source: Box::new(error),
        };
    }
    object_store::Error::Generic {
        store: "LocalFileSystem",
        source: Box::new(error),
    }
}

impl fmt::Display for LocalFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalFiles({})", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for LocalFiles {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.require_inside(location)?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.require_inside(location)?;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (store, location) = (self.clone(), location.clone());
        blocking(move || store.open(&location, &options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = self.file_path(location);
        // It opens the file once for all ranges.
        if self.inner.path_to_filesystem(location).ok().as_ref() == Some(&path) {
            blocking(move || require_file(&path)).await?;
            return self.inner.get_ranges(location, ranges).await;
        }
        let read = |range: Range<u64>| self.get_range(location, range);
        coalesce_ranges(ranges, read, OBJECT_STORE_COALESCE_DEFAULT).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let inside = move |location: Path| {
            let checked = store.require_inside(&location);
            std::future::ready(checked.map(|()| location))
        };
        self.inner.delete_stream(locations.and_then(inside).boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, folder) = (self.clone(), prefix.cloned().unwrap_or_default());
        stream::once(async move {
            let entries = store.list_blocking(folder, usize::MAX).await?;
            let files = entries.into_iter().filter_map(|entry| match entry {
                Entry::File(meta) => Some(Ok(meta)),
                Entry::Folder(_) => None,
            });
            Ok::<_, object_store::Error>(stream::iter(files))
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let folder = prefix.cloned().unwrap_or_default();
        let (mut common_prefixes, mut objects) = (Vec::new(), Vec::new());
        for entry in self.list_blocking(folder, 1).await? {
            match entry {
                Entry::File(meta) => objects.push(meta),
                Entry::Folder(path) => common_prefixes.push(path),
            }
        }
        common_prefixes.sort();
        Ok(ListResult {
            common_prefixes,
            objects,
        })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.require_inside(to)?;
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.require_inside(from)?;
        self.require_inside(to)?;
        self.inner.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Manifests record the ETag of what `object_store` wrote.
    #[tokio::test]
    async fn etags_are_those_of_the_store_that_writes() {
        let root = tempfile::tempdir().unwrap();
        let store = LocalFiles::of_folder(root.path()).unwrap();
        let path = Path::from("a/b");
        let written = store.put(&path, "rows".into()).await.unwrap();
        let read = store.head(&path).await.unwrap();
        assert_eq!(read.e_tag, written.e_tag);
        assert_eq!(read, store.inner.head(&path).await.unwrap());
        let listed: Vec<ObjectMeta> = store.list(None).try_collect().await.unwrap();
        assert_eq!(listed, [read]);
    }

    #[tokio::test]
    async fn nothing_is_written_or_removed_through_a_link_out_of_the_folder() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = LocalFiles::of_folder(root.path()).unwrap();
        std::os::unix::fs::symlink(other.path(), root.path().join("out")).unwrap();
        std::fs::write(other.path().join("a"), "others").unwrap();
        std::fs::write(root.path().join("b"), "rows").unwrap();
        let (out, inside) = (Path::from("out/a"), Path::from("b"));
        let refused = [
            store.put(&out, "rows".into()).await.map(|_| ()),
            store.put_multipart(&out).await.map(|_| ()),
            store.delete(&out).await,
            store.copy(&inside, &out).await,
            store.rename(&inside, &out).await,
            store.rename(&out, &inside).await,
        ];
        for result in refused {
            let error = crate::error::Error::store("write", "a", result.unwrap_err());
            assert_eq!(error.kind(), crate::error::ErrorKind::Data, "{error}");
            assert!(error.chain().contains("leads out of the destination"));
        }
        assert_eq!(std::fs::read(other.path().join("a")).unwrap(), b"others");
        assert_eq!(std::fs::read(root.path().join("b")).unwrap(), b"rows");
    }

    #[tokio::test]
    async fn ranges_are_those_of_the_store_that_writes() {
        let root = tempfile::tempdir().unwrap();
        let store = LocalFiles::of_folder(root.path()).unwrap();
        std::fs::write(root.path().join("a"), "0123456789").unwrap();
        std::fs::write(root.path().join("a\t"), "0123456789").unwrap();
        let plain_path = Path::from("a");
        for path in [plain_path.clone(), escaped(b"a\t")] {
            for range in [
                GetRange::Bounded(2..4),
                GetRange::Bounded(8..20),
                GetRange::Offset(7),
                GetRange::Suffix(3),
                GetRange::Suffix(30),
            ] {
                let options = GetOptions {
                    range: Some(range),
                    ..GetOptions::default()
                };
                let plain = store.inner.get_opts(&plain_path, options.clone());
                let expected = plain.await.unwrap().bytes().await.unwrap();
                let read = store.get_opts(&path, options).await.unwrap();
                assert_eq!(read.bytes().await.unwrap(), expected);
            }
            let ranges = store.get_ranges(&path, &[0..2, 4..6]).await.unwrap();
            assert_eq!(ranges, ["01", "45"]);
            let beyond = GetOptions {
                range: Some(GetRange::Offset(10)),
                ..GetOptions::default()
            };
            assert!(store.get_opts(&path, beyond).await.is_err());
        }
    }
}
