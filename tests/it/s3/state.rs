//! The buckets, and the rules of S3 for reading and changing them.
//!
//! Everything is behind one mutex, and each method of [`Bucket`] is a critical section, so that a
//! condition and its write are atomic.

use super::headers::{Attributes, Conditions, same_etag};
use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5, digest::Output};
use s3s::{S3Result, dto::ETag, s3_error};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::SystemTime,
};

#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub data: Bytes,
    /// The ETag as sent, with its quotes.
    pub etag: String,
    pub last_modified: SystemTime,
    pub attributes: Attributes,
}

#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub key: String,
    pub started: SystemTime,
    pub parts: BTreeMap<i32, Part>,
    attributes: Attributes,
}

#[derive(Clone, Debug)]
pub(super) struct Part {
    pub data: Bytes,
    pub uploaded: SystemTime,
    md5: Output<Md5>,
}

#[derive(Clone, Default)]
pub(super) struct Bucket {
    pub objects: BTreeMap<String, Object>,
    /// The unfinished uploads, by upload id.
    pub uploads: BTreeMap<String, Upload>,
    pub settings: Settings,
    uploads_started: u64,
}

/// The settings of a bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub public_access_blocked: bool,
    /// True if the server ignores `If-None-Match` and overwrites, as some do.
    pub ignores_conditions: bool,
    pub is_versioned: bool,
    /// True if the response for a missing object is `403`, as it is for clients whose permission to list
    /// has a condition.
    pub hides_missing: bool,
    /// True if the response for completing an upload that is gone is `500`, as from Ceph 16 and moto.
    pub hides_gone_uploads: bool,
    /// The number of parts that will be stored with one byte changed, without a complaint.
    pub damages_parts: u32,
    /// The prefix and the days of a rule that removes unfinished uploads.
    pub aborts_uploads: Option<(String, i32)>,
    /// The prefix of a rule that lets objects expire.
    pub expires: Option<String>,
}

/// The limits of the real S3, unless a test lowers them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes in a part that is not the last.
    pub part_size: usize,
    /// Entries in one page of a listing.
    pub page_size: usize,
}

pub(super) struct State {
    pub buckets: BTreeMap<String, Bucket>,
    pub limits: Limits,
}

pub(super) struct Memory(Mutex<State>);

impl Memory {
    pub(super) fn new() -> Memory {
        let limits = Limits {
            part_size: 5 * 1024 * 1024,
            page_size: 1000,
        };
        Memory(Mutex::new(State {
            buckets: BTreeMap::new(),
            limits,
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    pub(super) fn bucket(&mut self, name: &str) -> S3Result<&mut Bucket> {
        self.buckets
            .get_mut(name)
            .ok_or_else(|| s3_error!(NoSuchBucket))
    }
}

impl Object {
    pub(crate) fn new(data: Bytes, attributes: Attributes) -> Object {
        let etag = format!("\"{:x}\"", Md5::digest(&data));
        Object {
            data,
            etag,
            last_modified: now(),
            attributes,
        }
    }
}

impl Part {
    pub(super) fn new(data: Bytes) -> Part {
        let md5 = Md5::digest(&data);
        Part {
            data,
            uploaded: now(),
            md5,
        }
    }

    pub(super) fn etag(&self) -> String {
        format!("\"{:x}\"", self.md5)
    }
}

impl Bucket {
    pub(super) fn object(&self, key: &str) -> S3Result<&Object> {
        self.objects
            .get(key)
            .ok_or_else(|| match self.settings.hides_missing {
                true => s3_error!(AccessDenied),
                false => s3_error!(NoSuchKey),
            })
    }

    pub(super) fn put(
        &mut self,
        key: String,
        object: Object,
        conditions: &Conditions,
    ) -> S3Result<()> {
        if !self.settings.ignores_conditions {
            conditions.check_write(self.objects.get(&key))?;
        }
        self.objects.insert(key, object);
        Ok(())
    }

    pub(super) fn start_upload(&mut self, key: String, attributes: Attributes) -> String {
        self.uploads_started += 1;
        let id = format!("upload-{:06}", self.uploads_started);
        let upload = Upload {
            key,
            started: now(),
            parts: BTreeMap::new(),
            attributes,
        };
        self.uploads.insert(id.clone(), upload);
        id
    }

    /// An id that was completed or aborted is as unknown as one that never was.
    pub(super) fn upload(&mut self, key: &str, id: &str) -> S3Result<&mut Upload> {
        let upload = self.uploads.get_mut(id).filter(|upload| upload.key == key);
        upload.ok_or_else(|| s3_error!(NoSuchUpload))
    }

    /// Makes the upload an object of the `wanted` parts (number and ETag) and forgets its id.
    /// On an error the upload stays as it is.
    pub(super) fn complete_upload(
        &mut self,
        key: &str,
        id: &str,
        wanted: &[(i32, ETag)],
        conditions: &Conditions,
        min_part_size: usize,
    ) -> S3Result<Object> {
        let hides_gone = self.settings.hides_gone_uploads;
        let upload = self.upload(key, id).map_err(|error| match hides_gone {
            true => s3_error!(InternalError),
            false => error,
        })?;
        let (data, etag) = assemble(&upload.parts, wanted, min_part_size)?;
        let attributes = upload.attributes.clone();
        let object = Object {
            data,
            etag,
            last_modified: now(),
            attributes,
        };
        self.put(key.to_owned(), object.clone(), conditions)?;
        self.uploads.remove(id);
        Ok(object)
    }
}

/// The bytes of an object and its ETag: the MD5 of the parts' MD5s, and the number of parts.
fn assemble(
    parts: &BTreeMap<i32, Part>,
    wanted: &[(i32, ETag)],
    min_part_size: usize,
) -> S3Result<(Bytes, String)> {
    let Some((last, _)) = wanted.last() else {
        return Err(s3_error!(MalformedXML));
    };
    if !wanted.is_sorted_by(|(left, _), (right, _)| left < right) {
        return Err(s3_error!(InvalidPartOrder));
    }
    let mut data = BytesMut::new();
    let mut md5 = Md5::new();
    for (number, etag) in wanted {
        let part = parts
            .get(number)
            .filter(|part| same_etag(&part.etag(), etag))
            .ok_or_else(|| s3_error!(InvalidPart))?;
        if number != last && part.data.len() < min_part_size {
            return Err(s3_error!(EntityTooSmall));
        }
        data.extend_from_slice(&part.data);
        md5.update(part.md5);
    }
    let count = wanted.len();
    Ok((data.freeze(), format!("\"{:x}-{count}\"", md5.finalize())))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server is another party: it has its own clock, and SigV4 wants the real time"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
