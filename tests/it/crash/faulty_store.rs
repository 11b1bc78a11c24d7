//! An object store that numbers its calls and injects a fault into one of them: a failure, an outage,
//! the death of the process, or a pause.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    Result, UploadPart,
};
use tokio::sync::watch;

/// The kind of a call to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Put,
    Get,
    List,
    /// One call per object, even if the store deletes many with one request.
    Delete,
    Copy,
    Rename,
    Begin,
    Part,
    Complete,
    Abort,
}

/// A call to a store.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The number of the call, from 1.
    pub number: usize,
    pub verb: Verb,
    /// The key, or the prefix of a listing.
    pub key: String,
}

impl Call {
    /// Returns true for the put of a log entry, which is the commit point.
    pub(crate) fn is_commit(&self) -> bool {
        self.verb == Verb::Put && self.key.contains("_dayport/log/")
    }

    /// Returns true for the call that makes a staged file visible.
    pub(crate) fn is_completion(&self) -> bool {
        matches!(self.verb, Verb::Complete | Verb::Rename) && self.key.contains("data/")
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {} ({:?} {})", self.number, self.verb, self.key)
    }
}

/// The moment of a fault relative to its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultTiming {
    /// The call never reaches the store.
    Before,
    /// The call is applied, and its response is lost.
    After,
}

/// The effect of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The call fails; the next one does not.
    Failure,
    /// The call and all later ones fail; the program continues without a store.
    Outage,
    /// The call and all later ones never return, as if the process were killed.
    Death,
    /// The call blocks until [`FaultInjector::resume`]; later calls are not affected.
    Pause,
}

type Trigger = Box<dyn Fn(&Call) -> bool + Send + Sync>;

struct FaultPlan {
    trigger: Trigger,
    timing: FaultTiming,
    kind: FaultKind,
}

/// Records the calls to the stores that it wraps, and injects at most one fault.
pub(crate) struct FaultInjector {
    plan: Option<FaultPlan>,
    log: Mutex<CallLog>,
    reached: watch::Sender<bool>,
    resumed: watch::Sender<bool>,
}

#[derive(Default)]
struct CallLog {
    calls: Vec<Call>,
    injected: Option<Call>,
}

enum Decision {
    Proceed,
    Inject(FaultTiming, FaultKind),
    Later(FaultKind),
}

impl FaultInjector {
    /// Creates an injector that only records calls.
    pub(crate) fn counting() -> Arc<Self> {
        Self::new(None)
    }

    /// Creates an injector for the call with this number, counted from 1.
    pub(crate) fn at(number: usize, timing: FaultTiming, kind: FaultKind) -> Arc<Self> {
        Self::when(move |call| call.number == number, timing, kind)
    }

    /// Creates an injector for the first call that matches.
    pub(crate) fn when(
        trigger: impl Fn(&Call) -> bool + Send + Sync + 'static,
        timing: FaultTiming,
        kind: FaultKind,
    ) -> Arc<Self> {
        Self::new(Some(FaultPlan {
            trigger: Box::new(trigger),
            timing,
            kind,
        }))
    }

    fn new(plan: Option<FaultPlan>) -> Arc<Self> {
        Arc::new(Self {
            plan,
            log: Mutex::default(),
            reached: watch::Sender::new(false),
            resumed: watch::Sender::new(false),
        })
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.log.lock().unwrap().calls.clone()
    }

    /// Returns the call with the injected fault, if it was reached.
    pub(crate) fn injected(&self) -> Option<Call> {
        self.log.lock().unwrap().injected.clone()
    }

    /// Waits until the fault is injected (with [`FaultTiming::After`]: until the call is applied).
    pub(crate) async fn reached(&self) {
        let mut reached = self.reached.subscribe();
        reached
            .wait_for(|reached| *reached)
            .await
            .expect("the injector is alive");
    }

    /// Waits until [`FaultKind::Death`] is injected; never returns for other kinds.
    pub(crate) async fn died(&self) {
        match &self.plan {
            Some(plan) if plan.kind == FaultKind::Death => self.reached().await,
            _ => std::future::pending().await,
        }
    }

    /// Ends a [`FaultKind::Pause`].
    pub(crate) fn resume(&self) {
        self.resumed.send_replace(true);
    }

    fn decide(&self, verb: Verb, key: &str) -> Decision {
        let mut log = self.log.lock().unwrap();
        let call = Call {
            number: log.calls.len() + 1,
            verb,
            key: key.to_owned(),
        };
        log.calls.push(call.clone());
        match &self.plan {
            None => Decision::Proceed,
            Some(plan) if log.injected.is_some() => Decision::Later(plan.kind),
            Some(plan) if (plan.trigger)(&call) => {
                log.injected = Some(call);
                Decision::Inject(plan.timing, plan.kind)
            }
            Some(_) => Decision::Proceed,
        }
    }

    fn is_dead(&self) -> bool {
        let dies = matches!(&self.plan, Some(plan) if plan.kind == FaultKind::Death);
        dies && self.log.lock().unwrap().injected.is_some()
    }

    async fn inject(&self, kind: FaultKind) -> Result<()> {
        self.reached.send_replace(true);
        match kind {
            FaultKind::Failure | FaultKind::Outage => Err(outage()),
            FaultKind::Death => std::future::pending().await,
            FaultKind::Pause => {
                let mut resumed = self.resumed.subscribe();
                resumed
                    .wait_for(|resumed| *resumed)
                    .await
                    .expect("the injector is alive");
                Ok(())
            }
        }
    }

    async fn intercept<T>(
        &self,
        verb: Verb,
        key: &str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.decide(verb, key) {
            Decision::Proceed | Decision::Later(FaultKind::Failure | FaultKind::Pause) => {
                let response = call.await;
                if self.is_dead() {
                    std::future::pending::<()>().await;
                }
                response
            }
            Decision::Inject(FaultTiming::Before, kind) => {
                self.inject(kind).await?;
                call.await
            }
            Decision::Inject(FaultTiming::After, kind) => {
                let response = call.await;
                self.inject(kind).await?;
                response
            }
            Decision::Later(FaultKind::Outage) => Err(outage()),
            Decision::Later(FaultKind::Death) => std::future::pending().await,
        }
    }
}

fn outage() -> Error {
    Error::Generic {
        store: "faulty",
        source: "the store is out of reach".into(),
    }
}

/// A store whose calls go through a [`FaultInjector`].
pub(crate) struct FaultyStore<S: ?Sized> {
    inner: Arc<S>,
    injector: Arc<FaultInjector>,
}

impl<S: ?Sized> FaultyStore<S> {
    pub(crate) fn new(inner: Arc<S>, injector: &Arc<FaultInjector>) -> Self {
        Self {
            inner,
            injector: Arc::clone(injector),
        }
    }
}

impl<S: fmt::Debug + ?Sized> fmt::Debug for FaultyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({:?})", self.inner)
    }
}

impl<S: fmt::Display + ?Sized> fmt::Display for FaultyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({})", self.inner)
    }
}

fn prefix_of(prefix: Option<&Path>) -> String {
    prefix.map(Path::to_string).unwrap_or_default()
}

#[async_trait]
impl<S: ObjectStore + ?Sized> ObjectStore for FaultyStore<S> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let call = self.inner.put_opts(location, payload, options);
        self.injector
            .intercept(Verb::Put, location.as_ref(), call)
            .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let call = self.inner.put_multipart_opts(location, options);
        let inner = self
            .injector
            .intercept(Verb::Begin, location.as_ref(), call)
            .await?;
        Ok(Box::new(FaultyUpload {
            key: location.to_string(),
            inner,
            injector: Arc::clone(&self.injector),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let call = self.inner.get_opts(location, options);
        self.injector
            .intercept(Verb::Get, location.as_ref(), call)
            .await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let call = self.inner.get_ranges(location, ranges);
        self.injector
            .intercept(Verb::Get, location.as_ref(), call)
            .await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, injector) = (Arc::clone(&self.inner), Arc::clone(&self.injector));
        locations
            .then(move |location| {
                let (inner, injector) = (Arc::clone(&inner), Arc::clone(&injector));
                async move {
                    let location = location?;
                    let one = futures::stream::iter([Ok(location.clone())]).boxed();
                    let call = async { inner.delete_stream(one).try_collect::<Vec<_>>().await };
                    injector
                        .intercept(Verb::Delete, location.as_ref(), call)
                        .await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, injector) = (Arc::clone(&self.inner), Arc::clone(&self.injector));
        let prefix = prefix.cloned();
        futures::stream::once(async move {
            let call = async { inner.list(prefix.as_ref()).try_collect::<Vec<_>>().await };
            let key = prefix_of(prefix.as_ref());
            let found = injector.intercept(Verb::List, &key, call).await?;
            Ok::<_, Error>(futures::stream::iter(found.into_iter().map(Ok)))
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let call = self.inner.list_with_delimiter(prefix);
        self.injector
            .intercept(Verb::List, &prefix_of(prefix), call)
            .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let call = self.inner.copy_opts(from, to, options);
        self.injector.intercept(Verb::Copy, to.as_ref(), call).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let call = self.inner.rename_opts(from, to, options);
        self.injector
            .intercept(Verb::Rename, to.as_ref(), call)
            .await
    }
}

#[async_trait]
impl<S: MultipartStore + ?Sized> MultipartStore for FaultyStore<S> {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let call = self.inner.create_multipart(path);
        self.injector
            .intercept(Verb::Begin, path.as_ref(), call)
            .await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        part: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        let call = self.inner.put_part(path, id, part, data);
        self.injector
            .intercept(Verb::Part, path.as_ref(), call)
            .await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let call = self.inner.complete_multipart(path, id, parts);
        self.injector
            .intercept(Verb::Complete, path.as_ref(), call)
            .await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let call = self.inner.abort_multipart(path, id);
        self.injector
            .intercept(Verb::Abort, path.as_ref(), call)
            .await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    key: String,
    inner: Box<dyn MultipartUpload>,
    injector: Arc<FaultInjector>,
}

impl fmt::Debug for FaultInjector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultInjector")
    }
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let call = self.inner.put_part(data);
        let (injector, key) = (Arc::clone(&self.injector), self.key.clone());
        Box::pin(async move { injector.intercept(Verb::Part, &key, call).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let call = self.inner.complete();
        self.injector
            .intercept(Verb::Complete, &self.key, call)
            .await
    }

    async fn abort(&mut self) -> Result<()> {
        let call = self.inner.abort();
        self.injector.intercept(Verb::Abort, &self.key, call).await
    }
}
