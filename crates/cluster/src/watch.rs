//! Nodes, pools and pods as they change, without end.
//!
//! A feed begins with what is there, goes on with each change, says when it lost touch, and begins again with what is there. The library's
//! own watcher does not fit: it resumes after an error without saying so, holds on to one client, and asks again without any pause when
//! the API server ends a watch at once, which it does while it shuts down.

use std::fmt;
use std::time::Duration;

use cuo_core::raw::RawNode;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::api::{ListParams, WatchEvent};
use kube::core::Request;
use tokio::time::{Instant, timeout};

use crate::backoff::{Backoff, LONGEST_ASKED};
use crate::error::{ApiError, Retry};
use crate::keep::Keep;
use crate::paths::NODES;
use crate::source::{ClientSource, SILENCE};
use crate::wire::{Page, Wire, WireNode};

/// How long the API server is asked to keep a watch, so that an idle node opens less than one an hour; the addition differs from node to
/// node, so that they do not all come back together.
const LIFE_SECONDS: std::ops::Range<u32> = 3600..5400;

/// A watch that ended sooner failed, whatever the API server says.
const TOO_SHORT: Duration = Duration::from_secs(5);

/// How long to wait before looking again whether the kind is defined now.
const UNDEFINED: Duration = Duration::from_secs(60);

/// Objects per page: one page is in memory at a time, and Nodes with many images take 50 KB each.
const PAGE: u32 = 100;

/// What is new about one Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// It is there, and looks like this.
    Present(RawNode),
    /// There is no such Node.
    Absent,
    /// The feed lost touch and tries again by itself. What is known may be old until the next event.
    Disconnected(ApiError),
}

/// What is new about all objects of a kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Change<T> {
    /// These are all that are there; whatever was known before is void.
    Reset(Vec<T>),
    /// This one is new or changed.
    Changed(T),
    /// The one of this name (a pod: of this UID) is gone.
    Gone(String),
    /// The feed lost touch and tries again by itself. What is known may be old until the next event.
    Disconnected(ApiError),
}

/// What is new about all Nodes.
pub type NodesEvent = Change<RawNode>;

/// Watches the Node `name`. The stream never ends; each try that fails is one [`NodeEvent::Disconnected`], and after it comes how the
/// Node is then, changed or not.
pub fn watch_node(source: ClientSource, name: &str, keep: Keep) -> BoxStream<'static, NodeEvent> {
    // Node names need no escapes.
    feed(nodes(source, Some(format!("metadata.name={name}")), keep))
        .map(|event| match event {
            Change::Reset(nodes) => match nodes.into_iter().next() {
                Some(node) => NodeEvent::Present(node),
                None => NodeEvent::Absent,
            },
            Change::Changed(node) => NodeEvent::Present(node),
            Change::Gone(_) => NodeEvent::Absent,
            Change::Disconnected(error) => NodeEvent::Disconnected(error),
        })
        .boxed()
}

/// Watches all Nodes. The stream never ends; each try that fails is one [`Change::Disconnected`], and after it comes an [`Change::Reset`].
pub fn watch_nodes(source: ClientSource, keep: Keep) -> BoxStream<'static, NodesEvent> {
    feed(nodes(source, None, keep)).boxed()
}

fn nodes(source: ClientSource, selector: Option<String>, keep: Keep) -> Objects<WireNode, RawNode> {
    Objects {
        source,
        path: NODES,
        selector,
        may_be_undefined: false,
        read: Box::new(move |node: WireNode| Ok(node.into_raw(&keep))),
    }
}

/// `objects` as they change. The stream never ends; each try that fails is one [`Change::Disconnected`], and after it comes a
/// [`Change::Reset`].
pub fn feed<W: Wire, T: Send + 'static>(
    objects: Objects<W, T>,
) -> impl Stream<Item = Change<T>> + Send {
    let feed = Feed {
        objects,
        state: State::Unknown,
        backoff: Backoff::new(Duration::from_millis(400), Duration::from_secs(30)),
        pause: None,
    };
    futures::stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await;
        Some((event, feed))
    })
}

type Events<W> = BoxStream<'static, kube::Result<WatchEvent<W>>>;

enum State<W> {
    /// Nothing is known: list.
    Unknown,
    /// Everything up to this version is known: watch from there.
    Known(String),
    /// Watching.
    Open(Open<W>),
}

struct Open<W> {
    version: String,
    events: Events<W>,
    generation: u64,
    since: Instant,
}

/// Which objects, where from, and what is taken of each.
pub struct Objects<W, T> {
    /// Who is asked.
    pub source: ClientSource,
    /// The path of the list, such as `/api/v1/nodes`.
    pub path: &'static str,
    /// Only those that this field selector picks, which has nothing to escape but `=`.
    pub selector: Option<String>,
    /// Where the API server does not know the kind, there are none.
    pub may_be_undefined: bool,
    /// Makes of an object what is reported of it; an error ends the try, as one of the API server does.
    pub read: Box<dyn Fn(W) -> Result<T, ApiError> + Send + Sync>,
}

impl<W, T> fmt::Debug for Objects<W, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({})", self.path)
    }
}

struct Feed<W, T> {
    objects: Objects<W, T>,
    state: State<W>,
    backoff: Backoff,
    /// How long to wait before the next try.
    pause: Option<Duration>,
}

impl<W: Wire, T: Send> Feed<W, T> {
    async fn next(&mut self) -> Change<T> {
        loop {
            if let Some(pause) = self.pause.take() {
                self.objects.rest(pause).await;
            }
            match self.advance().await {
                Ok(Some(event)) => return event,
                Ok(None) => {}
                Err(error) => {
                    self.pause = Some(pause(self.backoff.delay(), &error));
                    // The next try lists, so that what comes after it is known to be how it is now.
                    self.state = State::Unknown;
                    return Change::Disconnected(error);
                }
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Change<T>>, ApiError> {
        match std::mem::replace(&mut self.state, State::Unknown) {
            State::Unknown => {
                let (all, version) = match self.objects.list().await {
                    Err(ApiError::NotFound { .. }) if self.objects.may_be_undefined => {
                        self.pause = Some(UNDEFINED);
                        return Ok(Some(Change::Reset(Vec::new())));
                    }
                    listed => listed?,
                };
                self.state = State::Known(version);
                Ok(Some(Change::Reset(all)))
            }
            State::Known(version) => {
                self.state = State::Open(self.objects.open(version).await?);
                Ok(None)
            }
            State::Open(open) => self.read(open).await,
        }
    }

    /// Waits for what the open watch brings next, and goes on from there.
    async fn read(&mut self, mut open: Open<W>) -> Result<Option<Change<T>>, ApiError> {
        let heard = tokio::select! {
            heard = timeout(SILENCE, open.events.next()) => heard,
            () = self.objects.source.other_than(open.generation) => {
                // The old client's connection may end any moment, or live on with a certificate that was withdrawn.
                self.state = State::Known(open.version);
                return Ok(None);
            }
        };
        let event = match heard {
            Ok(Some(event)) => event.map_err(ApiError::from),
            Ok(None) if open.since.elapsed() < TOO_SHORT => {
                let message = "the watch ended as soon as it had begun".to_owned();
                Err(ApiError::Unreachable { message })
            }
            // Its time was over, or the connection broke without a word. If it did, the next try says so.
            Ok(None) | Err(_) => {
                self.state = State::Known(open.version);
                return Ok(None);
            }
        };
        let event = event.and_then(|event| self.objects.take(&mut open, event));
        match event {
            Ok(event) => {
                self.backoff.reset();
                self.state = State::Open(open);
                Ok(event)
            }
            Err(error) => {
                self.objects.source.suspect(open.generation, &error);
                Err(error)
            }
        }
    }
}

impl<W: Wire, T: Send> Objects<W, T> {
    /// Waits, but not once there is another client to try with.
    async fn rest(&self, pause: Duration) {
        let generation = self.source.status().generation;
        // Either way it is time to try again.
        let _ = timeout(pause, self.source.other_than(generation)).await;
    }

    async fn list(&self) -> Result<(Vec<T>, String), ApiError> {
        let (source, path) = (&self.source, self.path);
        list(source, path, self.selector.clone(), &self.read).await
    }

    async fn open(&self, version: String) -> Result<Open<W>, ApiError> {
        let generation = self.source.connection()?.generation;
        let seconds = fastrand::u32(LIFE_SECONDS);
        // Built here because the library refuses watches that are longer than five minutes. Versions need no escapes.
        let mut target = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={version}",
            self.path
        );
        if let Some(selector) = &self.selector {
            target.push_str("&fieldSelector=");
            target.push_str(&selector.replace('=', "%3D"));
        }
        let request = http::Request::get(target).body(Vec::new());
        let request = request.map_err(|error| ApiError::Other {
            message: error.to_string(),
        })?;
        let events = self
            .source
            .call(|client| async move { client.request_events(request).await })
            .await?;
        Ok(Open {
            version,
            events: events.boxed(),
            generation,
            since: Instant::now(),
        })
    }

    fn take(
        &self,
        open: &mut Open<W>,
        event: WatchEvent<W>,
    ) -> Result<Option<Change<T>>, ApiError> {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                open.version = object.resource_version().to_owned();
                Ok(Some(Change::Changed((self.read)(object)?)))
            }
            WatchEvent::Deleted(object) => {
                open.version = object.resource_version().to_owned();
                Ok(Some(Change::Gone(object.key().to_owned())))
            }
            WatchEvent::Bookmark(mark) => {
                open.version = mark.metadata.resource_version;
                Ok(None)
            }
            WatchEvent::Error(status) => Err((*status).into()),
        }
    }
}

/// How long to wait after `error`: `own`, or as long as was asked for.
fn pause(own: Duration, error: &ApiError) -> Duration {
    match error.retry_class() {
        Retry::Later(Some(asked)) => own.max(asked.min(LONGEST_ASKED)),
        _ => own,
    }
}

/// All objects of a kind, or those that the field selector picks, page by page, and the version of the list.
///
/// # Errors
/// Any [`ApiError`], and those of `read`.
pub async fn list<W: Wire, T>(
    source: &ClientSource,
    path: &str,
    selector: Option<String>,
    read: impl Fn(W) -> Result<T, ApiError>,
) -> Result<(Vec<T>, String), ApiError> {
    let mut params = ListParams::default().limit(PAGE);
    params.field_selector = selector;
    let mut all = Vec::new();
    loop {
        let request = Request::new(path).list(&params)?;
        let page: Page<W> = source
            .call(|client| async move { client.request(request).await })
            .await?;
        for object in page.items {
            all.push(read(object)?);
        }
        if page.metadata.next.is_empty() {
            return Ok((all, page.metadata.resource_version));
        }
        params.continue_token = Some(page.metadata.next);
    }
}

#[cfg(test)]
mod tests;
