//! Keys that a store cannot have: found before anything is committed that could never become visible.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path as FilePath;

use object_store::path::Path;

use crate::error::Error;
use crate::store::links::leads_out;

/// The maximum length of the name of a file or folder, in bytes, on the usual disks.
const MAX_NAME_BYTES: usize = 255;

/// The maximum length of a key of S3, in bytes:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>.
const MAX_KEY_BYTES: usize = 1024;

/// The reason why a store cannot have an object with a key. Its text has no part of the key: values of
/// partition columns may be personal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFault {
    /// The cause.
    pub cause: KeyFaultCause,
    reason: String,
}

/// The cause of a [`KeyFault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFaultCause {
    /// The part of the key with this index is too long, or has characters that the store refuses.
    Part(usize),
    /// The key is too long as a whole.
    Key,
    /// A folder is in the place of the file, or a file in that of a folder above it.
    InTheWay,
    /// A folder above the file is a link out of the destination.
    LeadsOut,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Creates the error of a key with a fault.
pub fn key_fault(path: &Path, fault: &KeyFault) -> Error {
    let hint = match fault.cause {
        KeyFaultCause::InTheWay => "move what is in its place away",
        KeyFaultCause::LeadsOut => {
            "put a folder in the place of the link, or export to the folder that it leads to"
        }
        KeyFaultCause::Part(_) | KeyFaultCause::Key => {
            "export to a shorter prefix or folder, or give the table or source a shorter name"
        }
    };
    Error::data(format!("`{path}` would be {fault}")).with_hint(hint)
}

/// Returns the fault of an absolute key of S3.
pub(super) fn in_bucket(key: &Path) -> Option<KeyFault> {
    let bytes = key.as_ref().len();
    (bytes > MAX_KEY_BYTES).then(|| KeyFault {
        cause: KeyFaultCause::Key,
        reason: format!("a key of {bytes} bytes, and S3 has keys of up to {MAX_KEY_BYTES}"),
    })
}

/// Returns the fault of a key below the folder `root` of this machine.
pub(super) fn in_folder(root: &FilePath, key: &Path) -> Option<KeyFault> {
    for (index, part) in key.parts().enumerate() {
        let (name, cause) = (part.as_ref(), KeyFaultCause::Part(index));
        let bytes = name.len();
        if bytes > MAX_NAME_BYTES {
            return Some(KeyFault {
                cause,
                reason: format!(
                    "a file or folder name of {bytes} bytes, and a disk has names of up to {MAX_NAME_BYTES}"
                ),
            });
        }
        // Some file systems have shorter names: the disk itself is asked.
        if let Err(error) = fs::symlink_metadata(root.join(name))
            && is_refused_name(&error)
        {
            return Some(KeyFault {
                cause,
                reason: format!(
                    "a file or folder name of {bytes} bytes, which this disk refuses ({error})"
                ),
            });
        }
    }
    let path = root.join(key.as_ref());
    if leads_out(root, &path) {
        return Some(KeyFault {
            cause: KeyFaultCause::LeadsOut,
            reason: "below a link that leads out of the destination".to_owned(),
        });
    }
    let bytes = path.as_os_str().len();
    match fs::symlink_metadata(&path) {
        Err(error) if is_refused_name(&error) => Some(KeyFault {
            cause: KeyFaultCause::Key,
            reason: format!(
                "a path of {bytes} bytes, and a disk has paths of up to {}",
                libc::PATH_MAX - 1
            ),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Some(KeyFault {
            cause: KeyFaultCause::InTheWay,
            reason: "a path with a file in the place of a folder".to_owned(),
        }),
        Ok(found) if found.is_dir() => Some(KeyFault {
            cause: KeyFaultCause::InTheWay,
            reason: "a file name that a folder has already".to_owned(),
        }),
        _ => None,
    }
}

/// Returns true if a path is refused for its length or its characters, whether it exists or not.
fn is_refused_name(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_has_keys_of_1024_bytes() {
        let key = |bytes: usize| Path::from("a".repeat(bytes));
        assert_eq!(in_bucket(&key(1024)), None);
        let fault = in_bucket(&key(1025)).unwrap();
        assert!(fault.to_string().contains("1025 bytes"), "{fault}");
    }

    #[test]
    fn a_disk_has_names_of_255_bytes_and_paths_of_4095() {
        let root = tempfile::tempdir().unwrap();
        let fault = |key: String| in_folder(root.path(), &Path::from(key));
        let name = |bytes: usize| "b".repeat(bytes);
        assert_eq!(fault(format!("a/{}/c", name(255))), None);
        let long_name = fault(format!("a/{}/c", name(256))).unwrap();
        assert_eq!(long_name.cause, KeyFaultCause::Part(1));
        let folders = vec![name(200); 21].join("/");
        let long_path = fault(folders).unwrap();
        assert_eq!(long_path.cause, KeyFaultCause::Key);
        assert!(long_path.to_string().contains("a path of"), "{long_path}");
    }

    #[test]
    fn what_is_in_the_way_is_found() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/folder")).unwrap();
        fs::write(root.path().join("a/file"), "x").unwrap();
        let fault = |key: &str| in_folder(root.path(), &Path::from(key));
        for key in ["a/folder", "a/file/b"] {
            assert_eq!(fault(key).unwrap().cause, KeyFaultCause::InTheWay);
        }
        assert_eq!(fault("a/file"), None);
        assert_eq!(fault("a/new/b"), None);
    }
}
