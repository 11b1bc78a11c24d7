//! An S3 server inside the test process: real HTTP on 127.0.0.1, real SigV4, objects in memory,
//! and faults on request.
//!
//! ```text
//! client ── http ──> server.rs ── s3s: SigV4, XML ──> backend.rs, multipart.rs ──> state.rs
//!                      │  ▲
//!        operation.rs <┘  └ fault.rs: before | after
//! ```
//!
//! The server has a thread and a runtime of its own. So it also serves a client in another
//! process while the test blocks on that process, and a test may be a plain `#[test]`.
//!
//! Known to differ from AWS: objects are not encrypted unless the writer asks; there are no
//! versions, tags, policies (deny by [`Failure::AccessDenied`]) or ListObjects version 1; a concurrent write is never answered with
//! `409` (inject that); a second CompleteMultipartUpload is always `NoSuchUpload`, where AWS may
//! repeat its first answer for a while.

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

pub use fault::{Action, Failure, Fault, On};
pub use headers::Attributes;
pub use operation::Operation;
pub use server::Call;
pub use state::{Object, Settings};

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

pub const ACCESS_KEY_ID: &str = "AKIATESTS3EXAMPLE000";
pub const SECRET_ACCESS_KEY: &str = "test-s3-secret-access-key";
pub const REGION: &str = "eu-west-1";

/// The running server. Dropping it ends every connection and frees the port.
pub struct TestS3 {
    address: SocketAddr,
    memory: Arc<Memory>,
    server: Arc<Server>,
    /// `Some` until dropped.
    running: Option<Running>,
}

/// The state of a bucket at one moment.
pub struct Saved(Bucket);

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl TestS3 {
    /// Listens on a free port of 127.0.0.1 when it returns. There are no buckets yet.
    pub fn start() -> TestS3 {
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

    /// `http://127.0.0.1:PORT`; buckets are addressed by path.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a child process needs in its environment.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
        ]
    }

    /// A client for the bucket with object_store's number of retries, and backoffs of
    /// milliseconds.
    pub fn store(&self, bucket: &str) -> AmazonS3 {
        self.store_builder(bucket)
            .build()
            .expect("complete client settings")
    }

    /// [`TestS3::store`] before it is built, to change its settings.
    pub fn store_builder(&self, bucket: &str) -> AmazonS3Builder {
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

/// What the server holds, seen and changed behind the back of its clients: no faults, no log.
/// All of these panic on an unknown bucket.
impl TestS3 {
    pub fn create_bucket(&self, name: &str) {
        let former = self
            .memory
            .lock()
            .buckets
            .insert(name.to_owned(), Bucket::default());
        assert!(former.is_none(), "bucket `{name}` exists");
    }

    /// Sorted.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        self.with_bucket(bucket, |bucket| bucket.objects.keys().cloned().collect())
    }

    pub fn object(&self, bucket: &str, key: &str) -> Option<Object> {
        self.with_bucket(bucket, |bucket| bucket.objects.get(key).cloned())
    }

    pub fn put(&self, bucket: &str, key: &str, data: impl Into<Bytes>) {
        let object = Object::new(data.into(), Attributes::default());
        self.with_bucket(bucket, |bucket| {
            bucket.objects.insert(key.to_owned(), object)
        });
    }

    /// Whether there was such an object.
    pub fn delete(&self, bucket: &str, key: &str) -> bool {
        self.with_bucket(bucket, |bucket| bucket.objects.remove(key).is_some())
    }

    /// All that a bucket holds, unfinished uploads included, for [`TestS3::restore`].
    pub fn save(&self, bucket: &str) -> Saved {
        Saved(self.with_bucket(bucket, |bucket| bucket.clone()))
    }

    /// Puts a bucket back into the state that it was saved in.
    pub fn restore(&self, bucket: &str, saved: &Saved) {
        self.with_bucket(bucket, |bucket| *bucket = saved.0.clone());
    }

    pub fn set(&self, bucket: &str, settings: Settings) {
        self.with_bucket(bucket, |bucket| bucket.settings = settings);
    }

    /// Key and upload id of each unfinished multipart upload, in the order of their start.
    pub fn uploads(&self, bucket: &str) -> Vec<(String, String)> {
        self.with_bucket(bucket, |bucket| {
            let uploads = bucket.uploads.iter();
            uploads
                .map(|(id, upload)| (upload.key.clone(), id.clone()))
                .collect()
        })
    }

    /// What a lifecycle rule does to unfinished uploads that are too old: all of them are gone.
    pub fn abort_uploads(&self, bucket: &str) {
        self.with_bucket(bucket, |bucket| bucket.uploads.clear());
    }

    /// The least size of a part that is not the last: 5 MiB unless set.
    pub fn set_min_part_size(&self, bytes: usize) {
        self.memory.lock().limits.part_size = bytes;
    }

    /// The most entries in one page of a listing: 1000 unless set.
    pub fn set_max_page_size(&self, entries: usize) {
        self.memory.lock().limits.page_size = entries;
    }

    fn with_bucket<T>(&self, name: &str, look: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut state = self.memory.lock();
        // The assertion does not run under the lock: a poisoned lock would hide its message.
        let found = state.buckets.get_mut(name).map(look);
        drop(state);
        found.unwrap_or_else(|| panic!("no bucket `{name}`"))
    }
}

/// What is done to its clients, and what they did.
impl TestS3 {
    /// Adds a rule to those in force; the first rule that strikes a request decides.
    pub fn inject(&self, fault: Fault) {
        self.server.faults.inject(fault);
    }

    /// Ends all faults, also a crash, and sets [`TestS3::faults_struck`] to zero. Requests that
    /// already hang in a [`Failure::Silence`] stay there.
    pub fn clear_faults(&self) {
        self.server.faults.clear();
    }

    /// How many requests were struck. Zero after a run under [`Fault::crash_at`] tells a loop
    /// over crash points that it is past the last one.
    pub fn faults_struck(&self) -> u64 {
        self.server.faults.strikes()
    }

    /// Blocks until `count` requests have been struck; false if that takes longer than `limit`.
    /// A request under [`Action::After`] has then been applied. With [`Failure::Silence`], this is
    /// the moment to kill a child process.
    pub fn wait_for_faults(&self, count: u64, limit: Duration) -> bool {
        self.server.faults.wait_for_strikes(count, limit)
    }

    /// Every request since the start, in the order of arrival, retries and refusals included.
    pub fn calls(&self) -> Vec<Call> {
        self.server.calls()
    }

    pub fn count(&self, operation: Operation) -> usize {
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
        // An error means that the thread has ended by a panic, which `join` reports.
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

/// s3s's own `SimpleAuth`, but with the error code that AWS has for an unknown key id.
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
