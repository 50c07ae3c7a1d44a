//! The loop: watch, compare, write down, send, write down.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use cuo_cluster::ApiError;
use cuo_core::time::Time;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::diff;
use super::line::Line;
use super::memory::{Delivery, End, Ended, How, Memory};
use super::message::TemplateError;
use super::notifier::{Notifier, Recipient};
use super::seen::{Cluster, watch};
use super::sink::{Place, Post, SendError};
use super::store::{self, Stored};
use crate::config::Sink;
use crate::metrics::Fate;

/// What changes within this time is looked at once: a write of many Nodes comes one by one.
const SETTLE: Duration = Duration::from_secs(1);
/// The longest time without a look: a pause ends without any change.
const LOOK: Duration = Duration::from_secs(60);
/// The pause after a call of the API server failed.
const AGAIN: Duration = Duration::from_secs(5);

/// What became of a delivery.
#[derive(Debug)]
struct Sent {
    /// The recipient's place in the list.
    at: usize,
    delivery: Delivery,
    /// Why it was not in the sink's own words.
    unfilled: Option<TemplateError>,
    result: Result<Option<String>, SendError>,
}

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
    /// What became of deliveries since it was stored. What is read in between does not know it, and would have it sent again.
    unsaved: Vec<Ended>,
    /// How many pieces of news each sink has dropped since it was stored, since they were too old or too many.
    dropped: BTreeMap<String, usize>,
    /// Nothing is asked of the API server before.
    api_from: Instant,
    /// What was said last of a call that failed.
    told: Option<String>,
    /// When to compare.
    look: Instant,
    lines: Vec<Line>,
    /// Tasks of their own: an answer of a service is taken while the API server is waited for.
    sending: JoinSet<Sent>,
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
            unsaved: Vec::new(),
            dropped: BTreeMap::new(),
            api_from: now,
            told: None,
            look: now + SETTLE,
            lines: recipients.map(|_| Line::new(now)).collect(),
            sending: JoinSet::new(),
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
                // A task ends in no other way: nothing aborts one, and a panic ends the process.
                Some(Ok(sent)) = self.sending.join_next() => self.done(sent),
                () = wait => {}
            }
        }
    }

    /// Does what can be done now.
    async fn turn(&mut self) {
        if Instant::now() < self.api_from {
            return;
        }
        if self.stored.is_none() {
            self.read().await;
        }
        if self.stored.is_some() && Instant::now() >= self.look {
            self.compare();
        }
        if self.dirty {
            self.save().await;
        }
        // What is not kept yet is not sent: a restart would send it again without end.
        if self.stored.is_some() && !self.dirty {
            self.well();
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
                self.memory = memory.clone();
                self.memory.catch_up(&mut self.unsaved);
                self.stored = Some(stored);
                self.dirty = self.memory != memory;
                self.dropped.clear();
                if !self.dirty {
                    self.unsaved.clear();
                }
                self.look = Instant::now();
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
        self.drop_of(dropped);
        self.dirty |= self.memory != before;
    }

    /// Counts what was dropped until it is stored that it was.
    fn drop_of(&mut self, dropped: BTreeMap<String, usize>) {
        for (sink, count) in dropped {
            *self.dropped.entry(sink).or_default() += count;
        }
    }

    async fn save(&mut self) {
        let Notifier {
            source, namespace, ..
        } = self.notifier;
        let text = match self.memory.fit(store::LARGEST) {
            Ok((text, dropped)) => {
                self.drop_of(dropped);
                text
            }
            Err(error) => {
                self.api_from = Instant::now() + AGAIN;
                return self.trouble(error.to_string());
            }
        };
        let Some(stored) = &self.stored else {
            return;
        };
        match store::replace(source, namespace, stored, text).await {
            Ok(stored) => {
                self.stored = Some(stored);
                self.dirty = false;
                self.unsaved.clear();
                for (sink, count) in std::mem::take(&mut self.dropped) {
                    warn!(
                        sink,
                        "notifications ({sink}): {count} pieces of news were dropped: too old, or too many"
                    );
                    self.notifier.metrics.messages(&sink, Fate::Dropped, count);
                }
            }
            Err(error) => {
                // It may have been written, or somebody else has: what is there counts, apart from what was sent since; and what is new is
                // found again.
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
                let (post, recipient) = (notifier.post.clone(), recipient.clone());
                self.sending.spawn(deliver(post, recipient, at, delivery));
            }
        }
    }

    /// Takes in what became of a delivery.
    fn done(&mut self, sent: Sent) {
        let (Some(line), Some(sink)) = (self.lines.get_mut(sent.at), self.sinks.get(sent.at))
        else {
            return;
        };
        let (name, now) = (sink.name.as_str(), Instant::now());
        let (metrics, delivery) = (&self.notifier.metrics, sent.delivery);
        if let Some(error) = &sent.unfilled {
            line.unfilled(error);
        }
        let end = match sent.result {
            Ok(message) => {
                line.sent(name, sink.pause.unsigned(), now);
                metrics.messages(name, Fate::Sent, 1);
                Some(End::Sent(message))
            }
            Err(SendError::Gone) => {
                line.busy = false;
                metrics.messages(name, Fate::Failed, 1);
                Some(End::Gone)
            }
            Err(error) => {
                line.failed(name, &error, now);
                metrics.messages(name, Fate::Failed, 1);
                let first = delivery.ids.first().copied().unwrap_or_default();
                line.gives_up(name, first, &error).then(|| {
                    metrics.messages(name, Fate::Dropped, delivery.ids.len());
                    End::Refused
                })
            }
        };
        if let Some(fate) = end {
            let sink = name.to_owned();
            let ended = Ended {
                sink,
                delivery,
                fate,
            };
            self.memory.end(&ended);
            self.unsaved.push(ended);
            self.dirty = true;
        }
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
async fn deliver(post: Post, recipient: Recipient, at: usize, delivery: Delivery) -> Sent {
    let place = match &delivery.how {
        How::Change(message, _) => Place::Of(message),
        How::Post(_) | How::Digest(..) => Place::New,
    };
    let (message, unfilled) = recipient.words.message(&delivery.how);
    let result = post.send(&recipient.sink, &message, place).await;
    Sent {
        at,
        delivery,
        unfilled,
        result,
    }
}
