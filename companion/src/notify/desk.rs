//! The loop: watch, compare, write down, send, write down.

use std::future::pending;
use std::time::Duration;

use cuo_cluster::ApiError;
use cuo_core::time::Time;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::diff;
use super::line::Line;
use super::memory::{Delivery, How, Memory};
use super::notifier::{Notifier, Recipient};
use super::seen::{Cluster, watch};
use super::sink::{Place, SendError};
use super::store::{self, Stored};
use crate::config::Sink;
use crate::metrics::Fate;

/// What changes within this time is looked at once: a write of many Nodes comes one by one.
const SETTLE: Duration = Duration::from_secs(1);
/// The longest time without a look: a pause ends without any change.
const LOOK: Duration = Duration::from_secs(60);
/// The pause after a call of the API server failed.
const AGAIN: Duration = Duration::from_secs(5);

/// What became of a delivery to the recipient with this place in the list.
type Sent = (usize, Delivery, Result<Option<String>, SendError>);

/// The state of the loop.
pub struct Desk<'a> {
    notifier: &'a Notifier,
    sinks: Vec<Sink>,
    cluster: Cluster,
    /// The memory as the API server has it; `None` if it has to be read first.
    stored: Option<Stored>,
    memory: Memory,
    /// `memory` is not as it is stored.
    dirty: bool,
    /// Nothing is asked of the API server before.
    api_from: Instant,
    /// What was said last of a call that failed.
    told: Option<String>,
    /// When to compare.
    look: Instant,
    lines: Vec<Line>,
    sending: FuturesUnordered<BoxFuture<'a, Sent>>,
}

impl<'a> Desk<'a> {
    /// The loop of `notifier`, before its first turn.
    pub fn new(notifier: &'a Notifier) -> Self {
        let now = Instant::now();
        let recipients = notifier.recipients.iter();
        Self {
            notifier,
            sinks: recipients.clone().map(|one| one.sink.clone()).collect(),
            cluster: Cluster::default(),
            stored: None,
            memory: Memory::default(),
            dirty: false,
            api_from: now,
            told: None,
            look: now + SETTLE,
            lines: recipients.map(|_| Line::new(now)).collect(),
            sending: FuturesUnordered::new(),
        }
    }

    /// Turns without end.
    pub async fn run(mut self) {
        let mut events = watch(&self.notifier.source);
        loop {
            self.turn().await;
            let wake = self.wake();
            let wait = async {
                match wake {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                Some(event) = events.next() => {
                    self.cluster.hear(event);
                    self.look = self.look.min(Instant::now() + SETTLE);
                }
                Some(sent) = self.sending.next() => self.done(sent),
                () = wait => {}
            }
        }
    }

    /// Does what can be done now.
    async fn turn(&mut self) {
        let now = Instant::now();
        if now < self.api_from {
            return;
        }
        if self.stored.is_none() {
            self.read().await;
        }
        if self.stored.is_some() && now >= self.look {
            self.compare();
        }
        if self.dirty {
            self.save().await;
        }
        // What is not kept yet is not sent: a restart would send it again without end.
        if self.stored.is_some() && !self.dirty {
            self.send();
        }
    }

    /// When to turn again if nothing happens.
    fn wake(&self) -> Option<Instant> {
        let idle = self.stored.is_none() || self.dirty;
        let api = idle.then_some(self.api_from);
        let waiting = self.lines.iter().zip(&self.sinks).filter(|(line, sink)| {
            let queue = self.memory.sinks.get(sink.name.as_str());
            !line.busy && queue.is_some_and(|queue| !queue.waiting.is_empty())
        });
        let lines = waiting.map(|(line, _)| line.from);
        let known = self.cluster.whole().is_some() && !idle;
        let look = known.then_some(self.look);
        let wake = lines.filter(|_| !idle).chain(look).chain(api).min();
        wake.map(|at| at.max(self.api_from))
    }

    async fn read(&mut self) {
        let Notifier {
            source, namespace, ..
        } = self.notifier;
        let stored = match store::read(source, namespace).await {
            Ok(stored) => stored,
            Err(error) => return self.failed("what was told can't be read", &error),
        };
        match Memory::parse(stored.text()) {
            Ok(memory) => {
                self.memory = memory;
                self.stored = Some(stored);
                self.dirty = false;
                self.look = Instant::now();
                self.well();
            }
            Err(error) => {
                let name = store::NAME;
                self.trouble(format!("ConfigMap {namespace}/{name}: {error}"));
                self.api_from = Instant::now() + LOOK;
            }
        }
    }

    /// Queues what is new.
    fn compare(&mut self) {
        let now = Time::from(Timestamp::now());
        let Some(whole) = self.cluster.whole() else {
            return;
        };
        self.look = Instant::now() + LOOK;
        let (told, news) = diff::next(self.memory.told.as_ref(), whole, now);
        for draft in &news {
            let node = draft.node.as_deref().unwrap_or_default();
            info!(kind = %draft.kind, node, "news: {}: {}", draft.kind, draft.text);
        }
        let before = self.memory.clone();
        let dropped = self.memory.take(told, news, &self.sinks, now);
        for (sink, count) in dropped {
            warn!(
                sink,
                "notifications ({sink}): {count} pieces of news were dropped: too old, or too many"
            );
            self.notifier.metrics.messages(&sink, Fate::Dropped, count);
        }
        self.dirty |= self.memory != before;
    }

    async fn save(&mut self) {
        let Notifier {
            source, namespace, ..
        } = self.notifier;
        let Some(stored) = &self.stored else {
            return;
        };
        let text = match self.memory.text() {
            Ok(text) => text,
            Err(error) => return self.trouble(error.to_string()),
        };
        match store::replace(source, namespace, stored, text).await {
            Ok(stored) => {
                self.stored = Some(stored);
                self.dirty = false;
                self.well();
            }
            Err(error) => {
                // It may have been written, or somebody else has: what is there counts, and what is new is found again.
                self.stored = None;
                self.failed("what was told can't be written", &error);
            }
        }
    }

    /// Begins to send what may be sent.
    fn send(&mut self) {
        let now = Instant::now();
        let notifier = self.notifier;
        for (at, recipient) in notifier.recipients.iter().enumerate() {
            let name = recipient.sink.name.as_str();
            let queue = self.memory.sinks.get(name);
            let waiting = queue.map_or(0, |queue| queue.waiting.len());
            notifier.metrics.waiting(name, waiting);
            let Some(line) = self.lines.get_mut(at) else {
                continue;
            };
            if line.busy || now < line.from {
                continue;
            }
            // Programs want each piece of news by itself.
            let digests = recipient.sink.webhook.is_none();
            if let Some(delivery) = queue.and_then(|queue| queue.next(digests)) {
                line.busy = true;
                self.sending
                    .push(Box::pin(deliver(notifier, recipient, at, delivery)));
            }
        }
    }

    /// Takes in what became of a delivery.
    fn done(&mut self, (at, delivery, sent): Sent) {
        let (Some(line), Some(sink)) = (self.lines.get_mut(at), self.sinks.get(at)) else {
            return;
        };
        let (name, now) = (sink.name.as_str(), Instant::now());
        let fate = match sent {
            Ok(message) => {
                line.sent(name, sink.pause.unsigned(), now);
                self.memory.sent(name, &delivery, message);
                self.dirty = true;
                Fate::Sent
            }
            Err(SendError::Gone) => {
                line.busy = false;
                self.memory.gone(name, &delivery);
                self.dirty = true;
                Fate::Failed
            }
            Err(error) => {
                line.failed(name, &error, now);
                Fate::Failed
            }
        };
        self.notifier.metrics.messages(name, fate, 1);
    }

    fn failed(&mut self, what: &str, error: &ApiError) {
        self.notifier.metrics.api_error();
        self.api_from = Instant::now() + AGAIN;
        self.trouble(format!("{what}: {error}"));
    }

    /// Says what is in the way, once.
    fn trouble(&mut self, text: String) {
        if self.told.as_ref() != Some(&text) {
            warn!("notifications: {text}; trying again");
            self.told = Some(text);
        }
    }

    fn well(&mut self) {
        if self.told.take().is_some() {
            info!("notifications: the API server answers again");
        }
    }
}

/// Sends `delivery` to `recipient`.
async fn deliver(
    notifier: &Notifier,
    recipient: &Recipient,
    at: usize,
    delivery: Delivery,
) -> Sent {
    let place = match &delivery.how {
        How::Change(message, _) => Place::Of(message),
        How::Post(_) | How::Digest(..) => Place::New,
    };
    let sent = match recipient.words.message(&delivery.how) {
        Ok(message) => notifier.post.send(&recipient.sink, &message, place).await,
        Err(error) => Err(SendError::Refused(error.to_string())),
    };
    (at, delivery, sent)
}
