//! Nodes and other objects as they change, for ever.
//!
//! A feed begins with what is there, goes on with each change, says when it lost touch, and begins again with what is there. The library's
//! own watcher does not fit: it resumes after an error without saying so, holds on to one client, and asks again without any pause when
//! the API server ends a watch at once, which it does while it shuts down.

use std::time::Duration;

use cuo_core::raw::RawNode;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::api::{ListParams, WatchEvent};
use kube::core::Request;
use tokio::time::{Instant, timeout};

use crate::backoff::Backoff;
use crate::error::{ApiError, Retry};
use crate::node::{Keep, NODES};
use crate::source::ClientSource;
use crate::wire::{Page, Wire, WireNode};

/// A watch in which nothing was heard for this long is taken for dead: the API server sends a bookmark each minute.
pub(crate) const SILENCE: Duration = Duration::from_secs(180);

/// How long the API server is asked to keep a watch, so that an idle node opens less than one an hour; the addition differs from node to
/// node, so that they do not all come back together.
const LIFE_SECONDS: std::ops::Range<u32> = 3600..5400;

/// A watch that ended sooner failed, whatever the API server says.
const TOO_SHORT: Duration = Duration::from_secs(5);

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<R> {
    /// These are all that are there; whatever was known before is void.
    Reset(Vec<R>),
    /// This one is new or changed.
    Changed(R),
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
    let selector = format!("metadata.name={name}");
    feed::<WireNode>(source, NODES, Some(selector), keep)
        .map(|event| match event {
            NodesEvent::Reset(nodes) => match nodes.into_iter().next() {
                Some(node) => NodeEvent::Present(node),
                None => NodeEvent::Absent,
            },
            NodesEvent::Changed(node) => NodeEvent::Present(node),
            NodesEvent::Gone(_) => NodeEvent::Absent,
            NodesEvent::Disconnected(error) => NodeEvent::Disconnected(error),
        })
        .boxed()
}

/// Watches all Nodes. The stream never ends; each try that fails is one [`NodesEvent::Disconnected`], and after it comes a
/// [`NodesEvent::Reset`].
pub fn watch_nodes(source: ClientSource, keep: Keep) -> BoxStream<'static, NodesEvent> {
    feed::<WireNode>(source, NODES, None, keep).boxed()
}

/// Watches the objects under `path`, all of them or those that `selector` (a field selector without anything to escape but `=`) picks.
pub(crate) fn feed<T: Wire>(
    source: ClientSource,
    path: &'static str,
    selector: Option<String>,
    keep: T::Keep,
) -> impl Stream<Item = Change<T::Raw>> + Send {
    let feed = Feed::<T> {
        objects: Objects {
            source,
            path,
            selector,
            keep,
        },
        state: State::Unknown,
        backoff: Backoff::new(Duration::from_millis(400), Duration::from_secs(30)),
        pause: None,
    };
    futures::stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await;
        Some((event, feed))
    })
}

type Events<T> = BoxStream<'static, kube::Result<WatchEvent<T>>>;

enum State<T> {
    /// Nothing is known: list.
    Unknown,
    /// Everything up to this version is known: watch from there.
    Known(String),
    /// Watching.
    Open(Open<T>),
}

struct Open<T> {
    version: String,
    events: Events<T>,
    generation: u64,
    since: Instant,
}

/// Which objects, and where from.
struct Objects<K> {
    source: ClientSource,
    path: &'static str,
    selector: Option<String>,
    keep: K,
}

struct Feed<T: Wire> {
    objects: Objects<T::Keep>,
    state: State<T>,
    backoff: Backoff,
    /// How long to wait before the next try.
    pause: Option<Duration>,
}

impl<T: Wire> Feed<T> {
    async fn next(&mut self) -> Change<T::Raw> {
        loop {
            if let Some(pause) = self.pause.take() {
                self.objects.rest(pause).await;
            }
            match self.advance().await {
                Ok(Some(event)) => return event,
                Ok(None) => {}
                Err(error) => {
                    let asked = match error.retry_class() {
                        Retry::Later(Some(asked)) => asked,
                        _ => Duration::ZERO,
                    };
                    self.pause = Some(self.backoff.delay().max(asked));
                    // The next try lists, so that what comes after it is known to be how it is now.
                    self.state = State::Unknown;
                    return Change::Disconnected(error);
                }
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Change<T::Raw>>, ApiError> {
        match std::mem::replace(&mut self.state, State::Unknown) {
            State::Unknown => {
                let (objects, version) = self.objects.list::<T>().await?;
                self.state = State::Known(version);
                Ok(Some(Change::Reset(objects)))
            }
            State::Known(version) => {
                self.state = State::Open(self.objects.open(version).await?);
                Ok(None)
            }
            State::Open(open) => self.read(open).await,
        }
    }

    /// Waits for what the open watch brings next, and goes on from there.
    async fn read(&mut self, mut open: Open<T>) -> Result<Option<Change<T::Raw>>, ApiError> {
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

impl<K> Objects<K> {
    /// Waits, but not once there is another client to try with.
    async fn rest(&self, pause: Duration) {
        let generation = self.source.status().generation;
        // Either way it is time to try again.
        let _ = timeout(pause, self.source.other_than(generation)).await;
    }

    async fn list<T: Wire<Keep = K>>(&self) -> Result<(Vec<T::Raw>, String), ApiError> {
        let mut params = ListParams::default().limit(PAGE);
        params.field_selector.clone_from(&self.selector);
        let mut objects = Vec::new();
        loop {
            let request = Request::new(self.path).list(&params)?;
            let page: Page<T> = self
                .source
                .call(|client| async move { client.request(request).await })
                .await?;
            let items = page.items.into_iter();
            objects.extend(items.map(|object| object.into_raw(&self.keep)));
            if page.metadata.next.is_empty() {
                return Ok((objects, page.metadata.resource_version));
            }
            params.continue_token = Some(page.metadata.next);
        }
    }

    async fn open<T: Wire<Keep = K>>(&self, version: String) -> Result<Open<T>, ApiError> {
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

    fn take<T: Wire<Keep = K>>(
        &self,
        open: &mut Open<T>,
        event: WatchEvent<T>,
    ) -> Result<Option<Change<T::Raw>>, ApiError> {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                open.version = object.resource_version().to_owned();
                Ok(Some(Change::Changed(object.into_raw(&self.keep))))
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

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
