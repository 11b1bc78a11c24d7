//! Checks the destination by making the calls of a run.
//!
//! The rights to delete are checked first, on keys that do not exist: without them, no object is
//! created that would have to stay behind.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::path::Path;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::check::leftovers::is_leftover;
use crate::check::list::{CheckArea, CheckList};
use crate::error::Error;
use crate::layout;
use crate::policy::{Grant, IamAction, Statement, denied_action};
use crate::staged::UploadToken;
use crate::store::{Completion, Created, Destination, Encryption, S3Bucket};

const AREA: CheckArea = CheckArea::Destination;

/// The content of the object that is created.
const FIRST: &[u8] = b"dayport check";

/// The content of the second put, which must not replace the first.
const SECOND: &[u8] = b"dayport check, a second time";

/// Makes the calls of a run on a destination.
pub(super) struct DestinationProbe<'a> {
    pub destination: &'a Destination,
    /// The bucket of the destination; `None` for a folder.
    pub bucket: Option<&'a S3Bucket>,
    pub grant: &'a Grant,
    pub encryption: &'a Encryption,
    /// The id of this check, which names its objects.
    pub id: &'a str,
    /// The start of this check.
    pub started: DateTime<Utc>,
    /// True if runs write marks of complete cycles.
    pub has_marks: bool,
    pub stop: &'a CancellationToken,
}

impl DestinationProbe<'_> {
    /// Makes all calls and deletes their objects again.
    pub(super) async fn check(&self, list: &mut CheckList) {
        self.list(list).await;
        let can_delete = self.delete(list).await;
        let can_abort = self.abort(list).await;
        if !can_delete {
            let name = "create-if-absent, multipart, read";
            list.unknown(
                AREA,
                name,
                "not tried: what cannot be deleted would stay behind",
            );
            return;
        }
        self.delete_leftovers(list).await;
        self.stop.run_until_cancelled(self.create(list)).await;
        if self.stop.is_cancelled() {
            list.unknown(AREA, "the rest", "not tried: interrupted");
        } else if can_abort {
            self.multipart(list).await;
        } else {
            list.unknown(AREA, "multipart", "not tried: its parts would stay behind");
        }
        if self.bucket.is_some() && !self.stop.is_cancelled() {
            self.schema_files(list).await;
            self.cycle_markers(list).await;
        }
        self.clean_up(list).await;
    }

    /// Returns a key below `data/` that no table can have. No object ever becomes visible there.
    fn data_path(&self) -> Path {
        layout::data_folder().join("_dayport_check").join(self.id)
    }

    /// Returns the key of the object that is created.
    fn object(&self) -> Path {
        layout::checks_folder().join(self.id)
    }

    /// Returns the key of the multipart upload.
    fn upload(&self) -> Path {
        layout::checks_folder().join(format!("{}-multipart", self.id))
    }

    /// Adds a failed call to the list: as a missing right, or as an error.
    fn failed(&self, list: &mut CheckList, name: &str, requested: IamAction, error: &Error) {
        match denied_action(&error.chain(), requested) {
            Some(action) => list.denied(name, action, self.grant),
            None => list.error(AREA, name, error),
        }
    }

    async fn list(&self, list: &mut CheckList) {
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
        list.passed(AREA, "list", self.destination.to_string());
    }

    /// Checks the right to delete; returns true if it is granted.
    async fn delete(&self, list: &mut CheckList) -> bool {
        let rejects = layout::rejects_folder().join("_dayport_check");
        let paths = [self.data_path(), rejects, self.object(), self.upload()];
        match self.destination.delete(&paths).await {
            Ok(()) => {
                list.passed(AREA, "delete", "in data, rejects and the folder of checks");
                true
            }
            Err(error) => {
                self.failed(list, "delete", IamAction::DeleteObject, &error);
                false
            }
        }
    }

    /// Deletes the objects that killed checks left behind.
    async fn delete_leftovers(&self, list: &mut CheckList) {
        // A missing right to list is already on the list.
        let objects = self.destination.list(&layout::checks_folder()).await;
        let leftovers: Vec<Path> = objects
            .unwrap_or_default()
            .into_iter()
            .map(|object| object.location)
            .filter(|path| is_leftover(path, self.started))
            .collect();
        if leftovers.is_empty() {
            return;
        }
        match self.destination.delete(&leftovers).await {
            Ok(()) => {
                let detail = format!("{} of killed checks deleted", leftovers.len());
                list.passed(AREA, "leftovers", detail);
            }
            Err(error) => self.failed(list, "leftovers", IamAction::DeleteObject, &error),
        }
    }

    /// Checks the right to abort, on an upload that does not exist; returns true if it is granted.
    async fn abort(&self, list: &mut CheckList) -> bool {
        match self.destination.abort_unknown(&self.data_path()).await {
            Err(error)
                if denied_action(&error.chain(), IamAction::AbortMultipartUpload).is_some() =>
            {
                self.failed(list, "abort", IamAction::AbortMultipartUpload, &error);
                false
            }
            // Some stores reject the made-up id as malformed, which also shows that aborts are allowed.
            _ => true,
        }
    }

    /// Checks that a put creates an object, that a second put does not replace it, and that it
    /// reads back.
    async fn create(&self, list: &mut CheckList) {
        let path = self.object();
        match self
            .destination
            .create(&path, Bytes::from_static(FIRST))
            .await
        {
            Created::Yes => list.passed(AREA, "put", "an object"),
            Created::Contested => {
                let detail = format!("`{path}` already exists");
                let hint = "is another check running with the same clock?";
                return list.finding(AREA, "put", detail, Some(hint));
            }
            Created::Unknown(error) => {
                return self.failed(list, "put", IamAction::PutObject, &error);
            }
        }
        let second = self
            .destination
            .create(&path, Bytes::from_static(SECOND))
            .await;
        let content = self.destination.get(&path).await;
        match (second, content) {
            (Created::Contested, Ok(Some(content))) if content == FIRST => {
                list.passed(AREA, "create-if-absent", "the second put is refused");
                list.passed(AREA, "read back", "the bytes that were put");
            }
            (Created::Yes, _) | (_, Ok(Some(_))) => {
                let detail =
                    "the store ignores `If-None-Match: *`: it overwrote an existing object";
                let hint = "exactly once is impossible on this store: export to another one";
                list.finding(AREA, "create-if-absent", detail, Some(hint));
            }
            (Created::Unknown(error), _) => {
                self.failed(list, "create-if-absent", IamAction::PutObject, &error);
            }
            (Created::Contested, Ok(None)) => {
                let detail = format!("`{path}` does not exist after it was put");
                list.finding(AREA, "read back", detail, None);
            }
            (Created::Contested, Err(error)) => {
                list.passed(AREA, "create-if-absent", "the second put is refused");
                self.failed(list, "read back", IamAction::GetObject, &error);
            }
        }
        self.encryption(list, &path).await;
    }

    /// Checks that the object is encrypted as requested.
    async fn encryption(&self, list: &mut CheckList, path: &Path) {
        let Some(bucket) = self.bucket else {
            return;
        };
        let answer = match bucket.head_object(&self.destination.absolute(path)).await {
            Ok(answer) if answer.status.is_success() => answer,
            Ok(answer) => {
                let detail = format!("the store responds {} to HEAD", answer.status);
                return list.unknown(AREA, "encryption", detail);
            }
            Err(error) => return list.error(AREA, "encryption", &error),
        };
        let algorithm = answer.header("x-amz-server-side-encryption");
        let key = answer.header("x-amz-server-side-encryption-aws-kms-key-id");
        let requested = self.encryption.headers();
        let actual = match (algorithm, key) {
            (None, _) => "none".to_owned(),
            (Some(algorithm), None) => algorithm.to_owned(),
            (Some(algorithm), Some(key)) => format!("{algorithm} with {key}"),
        };
        match requested {
            None => list.passed(AREA, "encryption", format!("the bucket's own: {actual}")),
            Some((requested_algorithm, requested_key))
                if algorithm == Some(requested_algorithm)
                    && (requested_key.is_none()
                        || key.is_none()
                        || same_key(key, requested_key)) =>
            {
                list.passed(AREA, "encryption", actual);
            }
            Some((requested_algorithm, _)) => {
                let detail =
                    format!("--sse requests {requested_algorithm}, the object has {actual}");
                let hint = Some("does the bucket enforce another?");
                list.finding(AREA, "encryption", detail, hint);
            }
        }
    }

    /// Checks an upload that is completed, below the folder of checks, and one that is aborted,
    /// below `data/`.
    async fn multipart(&self, list: &mut CheckList) {
        match self.complete_withheld(&self.upload(), list).await {
            Ok(true) => list.passed(AREA, "multipart", "invisible until it is completed"),
            Ok(false) => {}
            Err(error) => self.failed(list, "multipart", IamAction::PutObject, &error),
        }
        let path = self.data_path();
        let token = match self.stage(&path, 1).await {
            Ok(token) => token,
            Err(error) => return self.failed(list, "abort", IamAction::PutObject, &error),
        };
        match self.abort_staged(&path, &token).await {
            Ok(None) => list.passed(AREA, "abort", "in data, and nothing became visible"),
            Ok(Some(detail)) => list.finding(AREA, "abort", detail, None),
            Err(error) => self.failed(list, "abort", IamAction::AbortMultipartUpload, &error),
        }
    }

    /// Checks the rights to write schema files, by an upload that is aborted. A run does not need
    /// them.
    async fn schema_files(&self, list: &mut CheckList) {
        let path = layout::schemas_folder()
            .join("_dayport_check")
            .join(self.id);
        let granting = [self.grant.schema_statement()];
        let without =
            "may not be written: tables are published without a description of their schema";
        let tried = self.write_optional(&path, 2).await;
        self.optional(list, "schema files", tried, &granting, without);
    }

    /// Checks the rights to mark complete cycles, and to overwrite the hint of the newest one, by uploads
    /// that are aborted. A run does not need them.
    async fn cycle_markers(&self, list: &mut CheckList) {
        let folder = layout::cycles_folder();
        let granting = self.grant.marker_statements();
        let without = "may not be written: complete cycles get no marker";
        let mut tried = self.destination.folders(&folder).await.map(|_| ());
        if tried.is_ok() {
            let path = folder.join("_dayport_check").join(self.id);
            tried = self.write_optional(&path, 3).await;
        }
        let may_mark = tried.is_ok();
        self.optional(list, "cycle markers", tried, &granting, without);
        if may_mark {
            let tried = self.write_optional(&layout::latest_file(), 4).await;
            let without = "`latest.json` may not be written: it is left out";
            self.optional(list, "newest cycle", tried, &granting, without);
        }
        if self.has_marks {
            let [.., of_marks] = granting;
            self.marks(list, of_marks).await;
        }
    }

    /// Checks the rights to write marks and to remove them, which `--marks` needs: without them, complete cycles
    /// get no marker either.
    async fn marks(&self, list: &mut CheckList, granting: Statement) {
        let path = layout::marks_folder().join("_dayport_check").join(self.id);
        let mut tried = self.destination.delete(std::slice::from_ref(&path)).await;
        if tried.is_ok() {
            tried = self.write_optional(&path, 5).await;
        }
        match &tried {
            Ok(()) => list.passed(AREA, "marks", "may be written and removed"),
            Err(_) if is_denied(&tried) => {
                let detail =
                    "may not be written or removed: with --marks, complete cycles get no marker";
                list.finding(AREA, "marks", detail, Some(&advice(&[granting])));
            }
            Err(error) => list.error(AREA, "marks", error),
        }
    }

    /// Tries to write an object that a run does not need, by an upload that is aborted.
    async fn write_optional(&self, path: &Path, index: u64) -> Result<(), Error> {
        // First the right to abort, on an upload that does not exist.
        let tried = self.destination.abort_unknown(path).await;
        if is_denied(&tried) {
            return tried;
        }
        let token = self.stage(path, index).await?;
        self.destination.abort(path, &token).await
    }

    /// Adds to the list whether an object that a run does not need may be written.
    fn optional(
        &self,
        list: &mut CheckList,
        name: &str,
        tried: Result<(), Error>,
        granting: &[Statement],
        without: &str,
    ) {
        match &tried {
            Ok(()) => list.passed(AREA, name, "may be written"),
            Err(_) if is_denied(&tried) => list.note(AREA, name, without, advice(granting)),
            Err(error) => list.error(AREA, name, error),
        }
    }

    /// Uploads a file whose completion is withheld.
    async fn stage(&self, path: &Path, index: u64) -> Result<UploadToken, Error> {
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

    /// Checks that an upload is invisible until it is completed, and reads back afterwards; returns
    /// true if so, otherwise the list says what is wrong.
    async fn complete_withheld(&self, path: &Path, list: &mut CheckList) -> Result<bool, Error> {
        let token = self.stage(path, 0).await?;
        match self.destination.head(path).await {
            Ok(None) => {}
            Ok(Some(_)) => {
                let detail = "an upload is visible before it is completed";
                let hint = "readers would see an incomplete day";
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
                let detail = "an upload disappears before it is completed";
                list.finding(AREA, "multipart", detail, None);
                return Ok(false);
            }
            Completion::Unknown(error) => {
                self.destination.abort(path, &token).await?;
                return Err(error);
            }
        }
        match self.destination.get(path).await {
            Ok(Some(content)) if content == FIRST => Ok(true),
            Ok(_) => {
                let detail = "the completed upload reads back differently";
                list.finding(AREA, "multipart", detail, None);
                Ok(false)
            }
            Err(error) => {
                self.failed(list, "multipart", IamAction::GetObject, &error);
                Ok(false)
            }
        }
    }

    /// Aborts an upload; returns a finding if it can still be completed.
    async fn abort_staged(
        &self,
        path: &Path,
        token: &UploadToken,
    ) -> Result<Option<String>, Error> {
        self.destination.abort(path, token).await?;
        match self.destination.complete(path, token).await {
            Completion::Completed => {
                self.destination.delete(std::slice::from_ref(path)).await?;
                Ok(Some("an aborted upload can still be completed".to_owned()))
            }
            Completion::Gone | Completion::Unknown(_) => Ok(None),
        }
    }

    /// Deletes the objects of this check, and checks that they are gone.
    async fn clean_up(&self, list: &mut CheckList) {
        let paths = [self.object(), self.upload()];
        let deleted = self.destination.delete(&paths).await;
        self.destination
            .discard_staging(&format!("check-{}", self.id));
        for path in paths {
            let head = self.destination.head(&path).await;
            match (&deleted, head) {
                (Ok(()), Ok(None)) => {}
                // Without the right to read, the deletion still succeeded.
                (Ok(()), Err(_)) => {}
                _ => {
                    let detail = format!("`{path}` stays behind");
                    return list.finding(AREA, "clean up", detail, Some("delete it by hand"));
                }
            }
        }
        list.passed(AREA, "clean up", "nothing is left behind");
    }
}

fn is_denied(tried: &Result<(), Error>) -> bool {
    let error = tried.as_ref().err();
    error.is_some_and(|error| {
        denied_action(&error.chain(), IamAction::AbortMultipartUpload).is_some()
    })
}

/// Returns the advice to add statements to the policy.
fn advice(statements: &[Statement]) -> String {
    let lines: Vec<String> = statements.iter().map(Statement::line).collect();
    match lines.as_slice() {
        [line] => format!("add this statement to the policy: {line}"),
        lines => format!("add these statements to the policy: {}", lines.join(", ")),
    }
}

/// Returns true if both name the same KMS key, by its ARN or by its id.
fn same_key(one: Option<&str>, other: Option<&str>) -> bool {
    let id = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
    one.map(id) == other.map(id)
}
