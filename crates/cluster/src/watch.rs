//! Watches Nodes, pools and pods without end.
//!
//! A feed begins with all existing objects, continues with each change, reports a lost connection, and begins again with all existing
//! objects. The library's own watcher does not fit: it resumes after an error without saying so, keeps one client, and asks again without
//! any pause when the API server ends a watch at once, which it does while it shuts down.

use std::borrow::Cow;
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

/// How long the API server is asked to keep a watch, so that an idle node opens less than one an hour. The exact time is random, so that
/// nodes do not all come back at once.
const LIFE_SECONDS: std::ops::Range<u32> = 3600..5400;

/// A watch that ended sooner counts as failed, whatever the API server says.
const TOO_SHORT: Duration = Duration::from_secs(5);

/// How long to wait before checking again whether the kind is defined.
const UNDEFINED: Duration = Duration::from_secs(60);

/// Objects per page: one page is in memory at a time, and Nodes with many images take 50 KB each.
const PAGE: u32 = 100;

/// A change of one Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// The Node exists, with this content.
    Present(RawNode),
    /// The Node does not exist.
    Absent,
    /// The connection was lost, and the feed retries. Until the next event, the known state may be old.
    Disconnected(ApiError),
}

/// A change of the objects of a kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Change<T> {
    /// All existing objects; everything known before is void.
    Reset(Vec<T>),
    /// An object that is new or changed.
    Changed(T),
    /// The object of this name (for a pod: of this UID) is gone.
    Gone(String),
    /// The connection was lost, and the feed retries. Until the next event, the known state may be old.
    Disconnected(ApiError),
}

/// A change of the Nodes.
pub type NodesEvent = Change<RawNode>;

/// Watches the Node `name`. The stream never ends; each failed try yields one [`NodeEvent::Disconnected`], and the current Node follows,
/// changed or not.
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

/// Watches all Nodes. The stream never ends; each failed try yields one [`Change::Disconnected`], and a [`Change::Reset`] follows.
pub fn watch_nodes(source: ClientSource, keep: Keep) -> BoxStream<'static, NodesEvent> {
    feed(nodes(source, None, keep)).boxed()
}

fn nodes(source: ClientSource, selector: Option<String>, keep: Keep) -> Objects<WireNode, RawNode> {
    Objects {
        source,
        path: NODES.into(),
        selector,
        may_be_undefined: false,
        read: Box::new(move |node: WireNode| Ok(node.into_raw(&keep))),
    }
}

/// Reads all Nodes once.
///
/// # Errors
/// Any [`ApiError`].
pub async fn list_nodes(source: &ClientSource, keep: &Keep) -> Result<Vec<RawNode>, ApiError> {
    let read = |node: WireNode| Ok(node.into_raw(keep));
    let (nodes, _) = list(source, NODES, None, read).await?;
    Ok(nodes)
}

/// Watches `objects`. The stream never ends; each failed try yields one [`Change::Disconnected`], and a [`Change::Reset`] follows.
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
    /// Nothing is known, so the objects have to be listed.
    Unknown,
    /// Everything up to this version is known, so a watch can begin there.
    Known(String),
    /// A watch is open.
    Open(Open<W>),
}

struct Open<W> {
    version: String,
    events: Events<W>,
    generation: u64,
    since: Instant,
}

/// The objects to watch, and how to read them.
pub struct Objects<W, T> {
    /// The source of clients.
    pub source: ClientSource,
    /// The path of the list, such as `/api/v1/nodes`.
    pub path: Cow<'static, str>,
    /// A field selector, without characters to escape but `=`.
    pub selector: Option<String>,
    /// Whether a kind that the API server does not know counts as one without objects.
    pub may_be_undefined: bool,
    /// Converts an object; an error ends the try like an error of the API server.
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
    /// The pause before the next try.
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
                    // The next try lists, so that its result is known to be current.
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

    /// Waits for the next message of the open watch, and returns the event for it.
    async fn read(&mut self, mut open: Open<W>) -> Result<Option<Change<T>>, ApiError> {
        let heard = tokio::select! {
            heard = timeout(SILENCE, open.events.next()) => heard,
            () = self.objects.source.other_than(open.generation) => {
                // The old client's connection may end at any moment, or live on with a certificate that was withdrawn.
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
            // Its time was over, or the connection broke without an error. In that case the next try reports one.
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
    /// Waits for `pause`, or until there is another client to try with.
    async fn rest(&self, pause: Duration) {
        let generation = self.source.status().generation;
        // Either way it is time to try again.
        let _ = timeout(pause, self.source.other_than(generation)).await;
    }

    async fn list(&self) -> Result<(Vec<T>, String), ApiError> {
        let (source, path) = (&self.source, &*self.path);
        list(source, path, self.selector.clone(), &self.read).await
    }

    async fn open(&self, version: String) -> Result<Open<W>, ApiError> {
        let generation = self.source.connection()?.generation;
        let seconds = fastrand::u32(LIFE_SECONDS);
        // Built by hand because the library refuses watches longer than five minutes. Versions need no escapes.
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

/// The pause after `error`: `own`, or what the API server asked for.
fn pause(own: Duration, error: &ApiError) -> Duration {
    match error.retry_class() {
        Retry::Later(Some(asked)) => own.max(asked.min(LONGEST_ASKED)),
        _ => own,
    }
}

/// All objects of a kind, or those that the field selector matches, read page by page, and the version of the list.
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
