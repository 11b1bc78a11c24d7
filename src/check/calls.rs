//! The calls of a run, made for real.
//!
//! Rights to remove come first, on names that are not there: what could not be removed again is
//! not put there.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::path::Path;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::check::denial::denied;
use crate::check::leftovers::is_leftover;
use crate::check::list::{Area, List};
use crate::error::Error;
use crate::layout;
use crate::policy::{Grant, IamAction};
use crate::staged::UploadToken;
use crate::store::{Completion, Created, Destination, Encryption, S3Bucket};

const AREA: Area = Area::Destination;

/// The content of the object that is put, and of the one that must not replace it.
const FIRST: &[u8] = b"dayport check";
const SECOND: &[u8] = b"dayport check, a second time";

pub struct Calls<'a> {
    pub destination: &'a Destination,
    /// Absent for a folder.
    pub bucket: Option<&'a S3Bucket>,
    pub grant: &'a Grant,
    pub encryption: &'a Encryption,
    pub id: &'a str,
    pub began: DateTime<Utc>,
    pub stop: &'a CancellationToken,
}

impl Calls<'_> {
    pub async fn check(&self, list: &mut List) {
        self.list(list).await;
        let removes = self.delete(list).await;
        let aborts = self.abort(list).await;
        if !removes {
            let name = "create-if-absent, multipart, read";
            list.unseen(
                AREA,
                name,
                "not tried: what cannot be deleted would stay behind",
            );
            return;
        }
        self.sweep(list).await;
        self.stop.run_until_cancelled(self.create(list)).await;
        if self.stop.is_cancelled() {
            list.unseen(AREA, "the rest", "not tried: interrupted");
        } else if aborts {
            self.multipart(list).await;
        } else {
            list.unseen(AREA, "multipart", "not tried: its parts would stay behind");
        }
        self.clean_up(list).await;
    }

    /// A name that no table has: nothing is ever visible there.
    fn in_data(&self) -> Path {
        layout::data_folder().join("_dayport_check").join(self.id)
    }

    fn object(&self) -> Path {
        layout::checks_folder().join(self.id)
    }

    fn upload(&self) -> Path {
        layout::checks_folder().join(format!("{}-multipart", self.id))
    }

    fn failed(&self, list: &mut List, name: &str, asked: IamAction, error: &Error) {
        match denied(error, asked) {
            Some(action) => list.denied(name, action, self.grant),
            None => list.error(AREA, name, error),
        }
    }

    async fn list(&self, list: &mut List) {
        let folders = [
            layout::data_folder(),
            layout::manifests_folder(),
            layout::checks_folder(),
        ];
        for folder in folders {
            if let Err(error) = self.destination.folders(&folder).await {
                return self.failed(list, "list", IamAction::ListBucket, &error);
            }
        }
        list.fine(AREA, "list", format!("{}", self.destination));
    }

    async fn delete(&self, list: &mut List) -> bool {
        let rejects = layout::rejects_folder().join("_dayport_check");
        let paths = [self.in_data(), rejects, self.object(), self.upload()];
        match self.destination.delete(&paths).await {
            Ok(()) => {
                list.fine(AREA, "delete", "in data, rejects and the folder of checks");
                true
            }
            Err(error) => {
                self.failed(list, "delete", IamAction::DeleteObject, &error);
                false
            }
        }
    }

    /// Takes away what checks left behind that were killed.
    async fn sweep(&self, list: &mut List) {
        // Whether it may be listed is said already.
        let there = self.destination.list(&layout::checks_folder()).await;
        let there = there.unwrap_or_default().into_iter();
        let leftovers: Vec<Path> = there
            .map(|object| object.location)
            .filter(|path| is_leftover(path, self.began))
            .collect();
        if leftovers.is_empty() {
            return;
        }
        match self.destination.delete(&leftovers).await {
            Ok(()) => {
                let detail = format!("{} of checks that were killed: removed", leftovers.len());
                list.fine(AREA, "leftovers", detail);
            }
            Err(error) => self.failed(list, "leftovers", IamAction::DeleteObject, &error),
        }
    }

    /// Aborts an upload that does not exist. Returns false if that is not allowed.
    async fn abort(&self, list: &mut List) -> bool {
        match self.destination.abort_unknown(&self.in_data()).await {
            Err(error) if denied(&error, IamAction::AbortMultipartUpload).is_some() => {
                self.failed(list, "abort", IamAction::AbortMultipartUpload, &error);
                false
            }
            // Some stores call an id malformed that was never theirs: allowed all the same.
            _ => true,
        }
    }

    async fn create(&self, list: &mut List) {
        let path = self.object();
        match self
            .destination
            .create(&path, Bytes::from_static(FIRST))
            .await
        {
            Created::Yes => list.fine(AREA, "put", "an object"),
            Created::Contested => {
                let hint = "is another check running under the same clock?";
                return list.finding(
                    AREA,
                    "put",
                    format!("`{path}` is there already"),
                    Some(hint),
                );
            }
            Created::Unknown(error) => {
                return self.failed(list, "put", IamAction::PutObject, &error);
            }
        }
        let again = self
            .destination
            .create(&path, Bytes::from_static(SECOND))
            .await;
        let there = self.destination.get(&path).await;
        match (again, there) {
            (Created::Contested, Ok(Some(there))) if there == FIRST => {
                list.fine(AREA, "create-if-absent", "the second one is refused");
                list.fine(AREA, "read back", "the bytes that were put");
            }
            (Created::Yes, _) | (_, Ok(Some(_))) => {
                let detail =
                    "the store ignores `If-None-Match: *`: it overwrote an object that was there";
                let hint = "exactly once cannot be kept there: export to another store";
                list.finding(AREA, "create-if-absent", detail, Some(hint));
            }
            (Created::Unknown(error), _) => {
                self.failed(list, "create-if-absent", IamAction::PutObject, &error);
            }
            (Created::Contested, Ok(None)) => {
                list.finding(
                    AREA,
                    "read back",
                    format!("`{path}` is not there after it was put"),
                    None,
                );
            }
            (Created::Contested, Err(error)) => {
                list.fine(AREA, "create-if-absent", "the second one is refused");
                self.failed(list, "read back", IamAction::GetObject, &error);
            }
        }
        self.encryption(list, &path).await;
    }

    /// What the object says about its encryption.
    async fn encryption(&self, list: &mut List, path: &Path) {
        let Some(bucket) = self.bucket else {
            return;
        };
        let answer = match bucket.head_object(&self.destination.absolute(path)).await {
            Ok(answer) if answer.status.is_success() => answer,
            Ok(answer) => {
                let detail = format!("the object's head is answered with {}", answer.status);
                return list.unseen(AREA, "encryption", detail);
            }
            Err(error) => return list.error(AREA, "encryption", &error),
        };
        let algorithm = answer.header("x-amz-server-side-encryption");
        let key = answer.header("x-amz-server-side-encryption-aws-kms-key-id");
        let wanted = self.encryption.headers();
        let seen = match (algorithm, key) {
            (None, _) => "none".to_owned(),
            (Some(algorithm), None) => algorithm.to_owned(),
            (Some(algorithm), Some(key)) => format!("{algorithm} with {key}"),
        };
        match wanted {
            None => list.fine(AREA, "encryption", format!("the bucket's own: {seen}")),
            Some((algorithm_wanted, key_wanted))
                if algorithm == Some(algorithm_wanted)
                    && (key_wanted.is_none() || key.is_none() || same_key(key, key_wanted)) =>
            {
                list.fine(AREA, "encryption", seen);
            }
            Some((algorithm_wanted, _)) => {
                let detail = format!("--sse asks for {algorithm_wanted}, the object has {seen}");
                list.finding(
                    AREA,
                    "encryption",
                    detail,
                    Some("does the bucket enforce another?"),
                );
            }
        }
    }

    async fn multipart(&self, list: &mut List) {
        let path = self.upload();
        match self.withheld(&path, list).await {
            Ok(true) => list.fine(AREA, "multipart", "invisible until it is completed"),
            Ok(false) => {}
            Err(error) => self.failed(list, "multipart", IamAction::PutObject, &error),
        }
        let path = self.in_data();
        let token = match self.begin(&path, 1).await {
            Ok(token) => token,
            Err(error) => return self.failed(list, "abort", IamAction::PutObject, &error),
        };
        match self.given_up(&path, &token).await {
            Ok(None) => list.fine(AREA, "abort", "in data, and nothing became visible"),
            Ok(Some(detail)) => list.finding(AREA, "abort", detail, None),
            Err(error) => self.failed(list, "abort", IamAction::AbortMultipartUpload, &error),
        }
    }

    /// Begins an upload and sends all of it; its completion is withheld.
    async fn begin(&self, path: &Path, index: u64) -> Result<UploadToken, Error> {
        let staged = layout::staging_file(&format!("check-{}", self.id), index);
        let calls = TaskTracker::new();
        let destination = self.destination;
        let (mut upload, started) = destination.upload(path, &staged, calls.token()).await?;
        let sent = async {
            upload.part(Bytes::from_static(FIRST)).await?;
            upload.seal().await
        };
        match sent.await {
            Ok(token) => Ok(token),
            Err(error) => {
                calls.close();
                calls.wait().await;
                destination.abort(path, &started.token).await?;
                Err(error)
            }
        }
    }

    async fn withheld(&self, path: &Path, list: &mut List) -> Result<bool, Error> {
        let token = self.begin(path, 0).await?;
        match self.destination.head(path).await {
            Ok(None) => {}
            Ok(Some(_)) => {
                let detail = "an upload is visible before it is completed";
                let hint = "a half-written day would be seen";
                list.finding(AREA, "multipart", detail, Some(hint));
                self.destination.abort(path, &token).await?;
                return Ok(false);
            }
            Err(error) => {
                self.failed(list, "multipart", IamAction::GetObject, &error);
                self.destination.abort(path, &token).await?;
                return Ok(false);
            }
        }
        match self.destination.complete(path, &token).await {
            Completion::Completed => {}
            Completion::Gone => {
                list.finding(
                    AREA,
                    "multipart",
                    "an upload is gone before it is completed",
                    None,
                );
                return Ok(false);
            }
            Completion::Unknown(error) => {
                self.destination.abort(path, &token).await?;
                return Err(error);
            }
        }
        match self.destination.get(path).await {
            Ok(Some(there)) if there == FIRST => Ok(true),
            Ok(_) => {
                list.finding(
                    AREA,
                    "multipart",
                    "the completed upload reads differently",
                    None,
                );
                Ok(false)
            }
            Err(error) => {
                self.failed(list, "multipart", IamAction::GetObject, &error);
                Ok(false)
            }
        }
    }

    /// What is wrong with an abort, if anything.
    async fn given_up(&self, path: &Path, token: &UploadToken) -> Result<Option<String>, Error> {
        self.destination.abort(path, token).await?;
        match self.destination.complete(path, token).await {
            Completion::Completed => {
                self.destination.delete(std::slice::from_ref(path)).await?;
                Ok(Some("an aborted upload can still be completed".to_owned()))
            }
            Completion::Gone | Completion::Unknown(_) => Ok(None),
        }
    }

    async fn clean_up(&self, list: &mut List) {
        let paths = [self.object(), self.upload()];
        let deleted = self.destination.delete(&paths).await;
        self.destination
            .discard_staging(&format!("check-{}", self.id));
        for path in paths {
            let there = self.destination.head(&path).await;
            match (&deleted, there) {
                (Ok(()), Ok(None)) => {}
                // Nobody may look: it was deleted all the same.
                (Ok(()), Err(_)) => {}
                _ => {
                    let detail = format!("`{path}` stays behind");
                    return list.finding(AREA, "clean up", detail, Some("delete it by hand"));
                }
            }
        }
        list.fine(AREA, "clean up", "nothing is left behind");
    }
}

/// A key is named by its ARN, or by its id.
fn same_key(one: Option<&str>, other: Option<&str>) -> bool {
    let id = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
    one.map(id) == other.map(id)
}
