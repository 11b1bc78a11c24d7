//! An S3 server inside the test process: real HTTP on 127.0.0.1, real SigV4, objects in memory,
//! and injected faults.
//!
//! ```text
//! client ── http ──> server.rs ── s3s: SigV4, XML ──> backend.rs, multipart.rs ──> state.rs
//!                      │  ▲
//!        operation.rs <┘  └ fault.rs: before | after
//! ```
//!
//! The server has its own thread and runtime, so that it serves a client in another process while
//! the test blocks on that process, and a test may be a plain `#[test]`.
//!
//! Known differences from AWS: objects are encrypted only if the writer requests it; there are no
//! versions, tags, policies (deny by [`Failure::AccessDenied`]) or ListObjects version 1; a concurrent
//! write never gets `409` (inject it); a second CompleteMultipartUpload always gets `NoSuchUpload`,
//! where AWS may repeat its first response for some time.

mod backend;
mod fault;
mod headers;
mod list;
mod multipart;
mod operation;
mod selftest;
mod server;
mod settings;
mod state;
mod sts;
mod wire;

pub(crate) use fault::{Action, Failure, Fault, On};
pub(crate) use headers::Attributes;
pub(crate) use operation::Operation;
pub(crate) use server::Call;
pub(crate) use state::{Object, Settings};

use backend::Backend;
use bytes::Bytes;
use object_store::{
    BackoffConfig, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
};
use s3s::{
    S3Result,
    auth::{S3Auth, SecretKey},
    s3_error,
    service::S3ServiceBuilder,
};
use server::Server;
use state::{Bucket, Memory};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::oneshot;

pub(crate) const ACCESS_KEY_ID: &str = "AKIATESTS3EXAMPLE000";
pub(crate) const SECRET_ACCESS_KEY: &str = "test-s3-secret-access-key";
pub(crate) const REGION: &str = "eu-west-1";

/// A running server. Dropping it closes every connection and frees the port.
pub(crate) struct TestS3 {
    address: SocketAddr,
    memory: Arc<Memory>,
    server: Arc<Server>,
    /// The server thread; `Some` until dropped.
    running: Option<Running>,
}

/// The state of a bucket at one moment.
pub(crate) struct BucketSnapshot(Bucket);

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl TestS3 {
    /// Starts a server without buckets, which listens on a free port of 127.0.0.1.
    pub(crate) fn start() -> TestS3 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind to loopback");
        let address = listener.local_addr().expect("address of a bound socket");
        let memory = Arc::new(Memory::new());
        let mut s3 = S3ServiceBuilder::new(Backend(Arc::clone(&memory)));
        s3.set_auth(OneAccount);
        let server = Arc::new(Server::new(s3.build()));

        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&server);
        let serve = move || serve_until(stopped, serving, listener);
        let name = format!("s3-{}", address.port());
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(serve)
            .expect("start a thread");
        let running = Some(Running { stop, thread });
        TestS3 {
            address,
            memory,
            server,
            running,
        }
    }

    /// Returns `http://127.0.0.1:PORT`; buckets are addressed by path.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the environment variables that a child process needs.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
        ]
    }

    /// Returns a client for the bucket with object_store's number of retries, and backoffs of
    /// milliseconds.
    pub(crate) fn store(&self, bucket: &str) -> AmazonS3 {
        self.store_builder(bucket)
            .build()
            .expect("complete client settings")
    }

    /// Returns the builder of [`TestS3::store`], to change its settings.
    pub(crate) fn store_builder(&self, bucket: &str) -> AmazonS3Builder {
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(10),
            base: 2.0,
        };
        AmazonS3Builder::new()
            .with_endpoint(self.endpoint())
            .with_allow_http(true)
            .with_region(REGION)
            .with_access_key_id(ACCESS_KEY_ID)
            .with_secret_access_key(SECRET_ACCESS_KEY)
            .with_bucket_name(bucket)
            .with_retry(RetryConfig {
                backoff,
                ..RetryConfig::default()
            })
    }
}

/// Direct access to the buckets: without faults, and not recorded as calls. All of these panic on an
/// unknown bucket.
impl TestS3 {
    pub(crate) fn create_bucket(&self, name: &str) {
        let former = self
            .memory
            .lock()
            .buckets
            .insert(name.to_owned(), Bucket::default());
        assert!(former.is_none(), "bucket `{name}` exists");
    }

    /// Returns the keys of a bucket, sorted.
    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        self.with_bucket(bucket, |bucket| bucket.objects.keys().cloned().collect())
    }

    pub(crate) fn object(&self, bucket: &str, key: &str) -> Option<Object> {
        self.with_bucket(bucket, |bucket| bucket.objects.get(key).cloned())
    }

    pub(crate) fn put(&self, bucket: &str, key: &str, data: impl Into<Bytes>) {
        let object = Object::new(data.into(), Attributes::default());
        self.with_bucket(bucket, |bucket| {
            bucket.objects.insert(key.to_owned(), object)
        });
    }

    /// Deletes an object, and returns true if it existed.
    pub(crate) fn delete(&self, bucket: &str, key: &str) -> bool {
        self.with_bucket(bucket, |bucket| bucket.objects.remove(key).is_some())
    }

    /// Copies the state of a bucket, unfinished uploads included, for [`TestS3::restore`].
    pub(crate) fn save(&self, bucket: &str) -> BucketSnapshot {
        BucketSnapshot(self.with_bucket(bucket, |bucket| bucket.clone()))
    }

    /// Restores a bucket to a saved state.
    pub(crate) fn restore(&self, bucket: &str, snapshot: &BucketSnapshot) {
        self.with_bucket(bucket, |bucket| *bucket = snapshot.0.clone());
    }

    pub(crate) fn set(&self, bucket: &str, settings: Settings) {
        self.with_bucket(bucket, |bucket| bucket.settings = settings);
    }

    /// Returns key and upload id of each unfinished multipart upload, in the order of their start.
    pub(crate) fn uploads(&self, bucket: &str) -> Vec<(String, String)> {
        self.with_bucket(bucket, |bucket| {
            let uploads = bucket.uploads.iter();
            uploads
                .map(|(id, upload)| (upload.key.clone(), id.clone()))
                .collect()
        })
    }

    /// Removes all unfinished uploads, as a lifecycle rule does with old ones.
    pub(crate) fn abort_uploads(&self, bucket: &str) {
        self.with_bucket(bucket, |bucket| bucket.uploads.clear());
    }

    /// Sets the minimum size of a part that is not the last; the default is 5 MiB.
    pub(crate) fn set_min_part_size(&self, bytes: usize) {
        self.memory.lock().limits.part_size = bytes;
    }

    /// Sets the maximum number of entries in a page of a listing; the default is 1000.
    pub(crate) fn set_max_page_size(&self, entries: usize) {
        self.memory.lock().limits.page_size = entries;
    }

    fn with_bucket<T>(&self, name: &str, access: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut state = self.memory.lock();
        // The assertion does not run under the lock: a poisoned lock would hide its message.
        let found = state.buckets.get_mut(name).map(access);
        drop(state);
        found.unwrap_or_else(|| panic!("no bucket `{name}`"))
    }
}

/// Faults for the clients, and the calls that the clients made.
impl TestS3 {
    /// Adds a fault; the first one that is triggered by a request decides.
    pub(crate) fn inject(&self, fault: Fault) {
        self.server.faults.inject(fault);
    }

    /// Removes all faults, also a crash, and resets [`TestS3::faults_triggered`] to zero. Requests that
    /// already hang in a [`Failure::Silence`] continue to hang.
    pub(crate) fn clear_faults(&self) {
        self.server.faults.clear();
    }

    /// Returns the number of requests that have triggered a fault. Zero after a run with
    /// [`Fault::crash_at`] tells a loop over crash points that it is past the last one.
    pub(crate) fn faults_triggered(&self) -> u64 {
        self.server.faults.triggered()
    }

    /// Blocks until `count` requests have triggered a fault; returns false after `timeout`. A request
    /// with [`Action::After`] is applied by then. With [`Failure::Silence`], this is the moment to kill a
    /// child process.
    pub(crate) fn wait_for_faults(&self, count: u64, timeout: Duration) -> bool {
        self.server.faults.wait_for_triggers(count, timeout)
    }

    /// Lets the requests go on that are in an [`Action::Hold`].
    pub(crate) fn release(&self) {
        self.server.faults.release();
    }

    /// Returns all requests since the start, in the order of arrival, retries and denied ones included.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.server.calls()
    }

    pub(crate) fn count(&self, operation: Operation) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }
}

impl Drop for TestS3 {
    fn drop(&mut self) {
        let Some(Running { stop, thread }) = self.running.take() else {
            return;
        };
        // An error means that the thread has panicked, which `join` reports.
        let _ = stop.send(());
        let outcome = thread.join();
        if !std::thread::panicking() {
            outcome.expect("the server ran until it was stopped");
        }
    }
}

fn serve_until(stopped: oneshot::Receiver<()>, server: Arc<Server>, listener: TcpListener) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    // Leaving the function drops the runtime, and with it every connection.
    runtime.expect("start a runtime").block_on(async {
        listener
            .set_nonblocking(true)
            .expect("O_NONBLOCK on a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("register a socket");
        tokio::select! {
            _ = stopped => {}
            () = server.run(listener) => {}
        }
    });
}

/// A copy of s3s's `SimpleAuth` with AWS's error code for an unknown key id.
struct OneAccount;

#[async_trait::async_trait]
impl S3Auth for OneAccount {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key != ACCESS_KEY_ID {
            return Err(s3_error!(InvalidAccessKeyId));
        }
        Ok(SECRET_ACCESS_KEY.into())
    }
}
