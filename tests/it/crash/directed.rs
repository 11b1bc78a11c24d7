//! A store whose every call is numbered, and which a test can make fail, die or wait at one of them.

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

/// What a store is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Put,
    Get,
    List,
    /// One for each name, also where the store deletes many at once.
    Delete,
    Copy,
    Rename,
    Begin,
    Part,
    Complete,
    Abort,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// From 1.
    pub number: usize,
    pub verb: Verb,
    /// The key, or the prefix of a listing.
    pub key: String,
}

impl Call {
    /// The put of a log entry: the commit point.
    pub fn is_commit(&self) -> bool {
        self.verb == Verb::Put && self.key.contains("_dayport/log/")
    }

    /// What makes a staged file visible.
    pub fn is_completion(&self) -> bool {
        matches!(self.verb, Verb::Complete | Verb::Rename) && self.key.contains("data/")
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {} ({:?} {})", self.number, self.verb, self.key)
    }
}

/// When the call is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It never reaches the store.
    Before,
    /// It is done, and its answer is held back.
    After,
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The call fails; the next one does not.
    Failure,
    /// The call and all that follow fail. The program goes on, without a store.
    Outage,
    /// The call and all that follow never return, as if the process were killed.
    Death,
    /// The call waits until [`Director::resume`]; then everything goes on as usual.
    Pause,
}

type Trigger = Box<dyn Fn(&Call) -> bool + Send + Sync>;

struct Plot {
    trigger: Trigger,
    moment: Moment,
    turn: Turn,
}

/// Decides what becomes of each call to the stores that it directs.
pub struct Director {
    plot: Option<Plot>,
    scene: Mutex<Scene>,
    reached: watch::Sender<bool>,
    resumed: watch::Sender<bool>,
}

#[derive(Default)]
struct Scene {
    calls: Vec<Call>,
    struck: Option<Call>,
}

enum Cue {
    Proceed,
    Struck(Moment, Turn),
    Late(Turn),
}

impl Director {
    /// Only counts.
    pub fn watching() -> Arc<Self> {
        Self::new(None)
    }

    /// Strikes the call with this number, counted from 1.
    pub fn at(number: usize, moment: Moment, turn: Turn) -> Arc<Self> {
        Self::when(move |call| call.number == number, moment, turn)
    }

    /// Strikes the first call that matches.
    pub fn when(
        trigger: impl Fn(&Call) -> bool + Send + Sync + 'static,
        moment: Moment,
        turn: Turn,
    ) -> Arc<Self> {
        Self::new(Some(Plot {
            trigger: Box::new(trigger),
            moment,
            turn,
        }))
    }

    fn new(plot: Option<Plot>) -> Arc<Self> {
        Arc::new(Self {
            plot,
            scene: Mutex::default(),
            reached: watch::Sender::new(false),
            resumed: watch::Sender::new(false),
        })
    }

    pub fn calls(&self) -> Vec<Call> {
        self.scene.lock().unwrap().calls.clone()
    }

    /// The call that was struck.
    pub fn struck(&self) -> Option<Call> {
        self.scene.lock().unwrap().struck.clone()
    }

    /// Returns when the call is struck (with [`Moment::After`]: when it is done).
    pub async fn reached(&self) {
        let mut reached = self.reached.subscribe();
        reached
            .wait_for(|reached| *reached)
            .await
            .expect("the director is alive");
    }

    /// Returns when the call is struck with [`Turn::Death`]; else never.
    pub async fn died(&self) {
        match &self.plot {
            Some(plot) if plot.turn == Turn::Death => self.reached().await,
            _ => std::future::pending().await,
        }
    }

    /// Ends a [`Turn::Pause`].
    pub fn resume(&self) {
        self.resumed.send_replace(true);
    }

    fn cue(&self, verb: Verb, key: &str) -> Cue {
        let mut scene = self.scene.lock().unwrap();
        let call = Call {
            number: scene.calls.len() + 1,
            verb,
            key: key.to_owned(),
        };
        scene.calls.push(call.clone());
        match &self.plot {
            None => Cue::Proceed,
            Some(plot) if scene.struck.is_some() => Cue::Late(plot.turn),
            Some(plot) if (plot.trigger)(&call) => {
                scene.struck = Some(call);
                Cue::Struck(plot.moment, plot.turn)
            }
            Some(_) => Cue::Proceed,
        }
    }

    fn is_dead(&self) -> bool {
        let dies = matches!(&self.plot, Some(plot) if plot.turn == Turn::Death);
        dies && self.scene.lock().unwrap().struck.is_some()
    }

    async fn strike(&self, turn: Turn) -> Result<()> {
        self.reached.send_replace(true);
        match turn {
            Turn::Failure | Turn::Outage => Err(outage()),
            Turn::Death => std::future::pending().await,
            Turn::Pause => {
                let mut resumed = self.resumed.subscribe();
                resumed
                    .wait_for(|resumed| *resumed)
                    .await
                    .expect("the director is alive");
                Ok(())
            }
        }
    }

    async fn direct<T>(
        &self,
        verb: Verb,
        key: &str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.cue(verb, key) {
            Cue::Proceed | Cue::Late(Turn::Failure | Turn::Pause) => {
                let answer = call.await;
                if self.is_dead() {
                    std::future::pending::<()>().await;
                }
                answer
            }
            Cue::Struck(Moment::Before, turn) => {
                self.strike(turn).await?;
                call.await
            }
            Cue::Struck(Moment::After, turn) => {
                let answer = call.await;
                self.strike(turn).await?;
                answer
            }
            Cue::Late(Turn::Outage) => Err(outage()),
            Cue::Late(Turn::Death) => std::future::pending().await,
        }
    }
}

fn outage() -> Error {
    Error::Generic {
        store: "directed",
        source: "the store is out of reach".into(),
    }
}

/// A store under direction.
pub struct Directed<S: ?Sized> {
    inner: Arc<S>,
    director: Arc<Director>,
}

impl<S: ?Sized> Directed<S> {
    pub fn new(inner: Arc<S>, director: &Arc<Director>) -> Self {
        Self {
            inner,
            director: Arc::clone(director),
        }
    }
}

impl<S: fmt::Debug + ?Sized> fmt::Debug for Directed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directed({:?})", self.inner)
    }
}

impl<S: fmt::Display + ?Sized> fmt::Display for Directed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directed({})", self.inner)
    }
}

fn prefix_of(prefix: Option<&Path>) -> String {
    prefix.map(Path::to_string).unwrap_or_default()
}

#[async_trait]
impl<S: ObjectStore + ?Sized> ObjectStore for Directed<S> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let call = self.inner.put_opts(location, payload, options);
        self.director
            .direct(Verb::Put, location.as_ref(), call)
            .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let call = self.inner.put_multipart_opts(location, options);
        let inner = self
            .director
            .direct(Verb::Begin, location.as_ref(), call)
            .await?;
        Ok(Box::new(DirectedUpload {
            key: location.to_string(),
            inner,
            director: Arc::clone(&self.director),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let call = self.inner.get_opts(location, options);
        self.director
            .direct(Verb::Get, location.as_ref(), call)
            .await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let call = self.inner.get_ranges(location, ranges);
        self.director
            .direct(Verb::Get, location.as_ref(), call)
            .await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, director) = (Arc::clone(&self.inner), Arc::clone(&self.director));
        locations
            .then(move |location| {
                let (inner, director) = (Arc::clone(&inner), Arc::clone(&director));
                async move {
                    let location = location?;
                    let one = futures::stream::iter([Ok(location.clone())]).boxed();
                    let call = async { inner.delete_stream(one).try_collect::<Vec<_>>().await };
                    director
                        .direct(Verb::Delete, location.as_ref(), call)
                        .await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, director) = (Arc::clone(&self.inner), Arc::clone(&self.director));
        let prefix = prefix.cloned();
        futures::stream::once(async move {
            let call = async { inner.list(prefix.as_ref()).try_collect::<Vec<_>>().await };
            let key = prefix_of(prefix.as_ref());
            let found = director.direct(Verb::List, &key, call).await?;
            Ok::<_, Error>(futures::stream::iter(found.into_iter().map(Ok)))
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let call = self.inner.list_with_delimiter(prefix);
        self.director
            .direct(Verb::List, &prefix_of(prefix), call)
            .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let call = self.inner.copy_opts(from, to, options);
        self.director.direct(Verb::Copy, to.as_ref(), call).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let call = self.inner.rename_opts(from, to, options);
        self.director.direct(Verb::Rename, to.as_ref(), call).await
    }
}

#[async_trait]
impl<S: MultipartStore + ?Sized> MultipartStore for Directed<S> {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let call = self.inner.create_multipart(path);
        self.director.direct(Verb::Begin, path.as_ref(), call).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        part: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        let call = self.inner.put_part(path, id, part, data);
        self.director.direct(Verb::Part, path.as_ref(), call).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let call = self.inner.complete_multipart(path, id, parts);
        self.director
            .direct(Verb::Complete, path.as_ref(), call)
            .await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let call = self.inner.abort_multipart(path, id);
        self.director.direct(Verb::Abort, path.as_ref(), call).await
    }
}

#[derive(Debug)]
struct DirectedUpload {
    key: String,
    inner: Box<dyn MultipartUpload>,
    director: Arc<Director>,
}

impl fmt::Debug for Director {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Director")
    }
}

#[async_trait]
impl MultipartUpload for DirectedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let call = self.inner.put_part(data);
        let (director, key) = (Arc::clone(&self.director), self.key.clone());
        Box::pin(async move { director.direct(Verb::Part, &key, call).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let call = self.inner.complete();
        self.director.direct(Verb::Complete, &self.key, call).await
    }

    async fn abort(&mut self) -> Result<()> {
        let call = self.inner.abort();
        self.director.direct(Verb::Abort, &self.key, call).await
    }
}
