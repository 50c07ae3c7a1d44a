//! What has to survive a restart: what was told, and what has yet to be sent.
//!
//! Both are in one object and are written at once, before anything is sent. So nothing is forgotten, and what was sent just before a crash is
//! sent once more, and nothing else.

use std::collections::BTreeMap;

use cuo_core::time::Time;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::diff::Told;
use super::news::{Draft, Kind, News};
use crate::config::Sink;

/// The version of the format; another one is not read.
pub const VERSION: u32 = 1;
/// As many pieces of news wait for a sink. Of more, the oldest are dropped, and the next message says how many.
pub const WAITING: usize = 100;
/// News that could not be sent for this long is none any more.
pub const TOO_OLD: SignedDuration = SignedDuration::from_hours(24);
/// As many messages are kept up to date.
const MESSAGES: usize = 50;

/// Everything that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// [`VERSION`].
    pub v: u32,
    /// The number of the last piece of news.
    pub last: u64,
    /// What was told; `None` before anything was.
    pub told: Option<Told>,
    /// What each sink has yet to be sent, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, Queue>,
}

/// What a sink has yet to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// The news, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<News>,
    /// How many were dropped since the last message.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: usize,
    /// The service's names of the messages that are kept up to date, by roll-out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub messages: BTreeMap<String, String>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Why there is no memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// It is not what this program writes.
    #[error(
        "it is not understood ({0}); delete the ConfigMap to begin anew without what has yet to be sent"
    )]
    Malformed(String),
    /// Another release wrote it.
    #[error(
        "it is of version {0}, and this release reads version {VERSION}; delete the ConfigMap to begin anew without what has yet to be sent"
    )]
    Version(u32),
}

impl Memory {
    /// What `text` remembers; nothing where there is no text.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn parse(text: Option<&str>) -> Result<Self, MemoryError> {
        let Some(text) = text else {
            return Ok(Self {
                v: VERSION,
                ..Self::default()
            });
        };
        let memory: Self = serde_json::from_str(text)
            .map_err(|error| MemoryError::Malformed(error.to_string()))?;
        match memory.v {
            VERSION => Ok(memory),
            other => Err(MemoryError::Version(other)),
        }
    }

    /// The text that is kept.
    ///
    /// # Errors
    /// Where it can't be written as JSON, which has not been seen to happen.
    pub fn text(&self) -> Result<String, MemoryError> {
        serde_json::to_string(self).map_err(|error| MemoryError::Malformed(error.to_string()))
    }

    /// Remembers that `told` is told, and queues `news` for those of `sinks` that are to be sent it. Returns how many each dropped.
    pub fn take(
        &mut self,
        told: Told,
        news: Vec<Draft>,
        sinks: &[Sink],
        now: Time,
    ) -> BTreeMap<String, usize> {
        self.told = Some(told);
        for what in news {
            self.last += 1;
            let news = News {
                id: self.last,
                at: now,
                what,
            };
            for sink in sinks.iter().filter(|sink| news.is_for(sink)) {
                let queue = self.sinks.entry(sink.name.to_string()).or_default();
                queue.push(news.clone(), keeps_up(sink));
            }
        }
        // One that is configured no longer gets nothing any more.
        self.sinks
            .retain(|name, _| sinks.iter().any(|sink| sink.name.as_str() == name));
        let dropped = self.sinks.iter_mut();
        let dropped = dropped.map(|(name, queue)| (name.clone(), queue.shorten(now)));
        let dropped: BTreeMap<_, _> = dropped.filter(|(_, count)| *count > 0).collect();
        self.sinks.retain(|_, queue| *queue != Queue::default());
        dropped
    }
}

impl Memory {
    /// Records what became of a delivery. What is recorded already changes nothing.
    pub fn end(&mut self, ended: &Ended) {
        let Ended {
            sink,
            delivery,
            fate,
        } = ended;
        if let Some(queue) = self.sinks.get_mut(sink) {
            match fate {
                End::Sent(message) => queue.sent(delivery, message.clone()),
                End::Gone => queue.gone(delivery),
                End::Refused => queue.refused(delivery),
            }
        }
        self.sinks.retain(|_, queue| *queue != Queue::default());
    }

    /// Records again what `unsaved` says, which this memory as it was read may lack. Of one that was begun anew since, nothing is left in
    /// `unsaved`: its numbers mean other news.
    pub fn catch_up(&mut self, unsaved: &mut Vec<Ended>) {
        let last = self.last;
        unsaved.retain(|one| one.delivery.ids.iter().all(|id| *id <= last));
        for one in unsaved.iter() {
            self.end(one);
        }
    }

    /// The text that is kept, after the oldest news of the longest queues was dropped while it has more than `most` bytes. Returns how many
    /// each sink dropped as well.
    ///
    /// # Errors
    /// Where it can't be written as JSON, which has not been seen to happen.
    pub fn fit(&mut self, most: usize) -> Result<(String, BTreeMap<String, usize>), MemoryError> {
        let mut dropped = BTreeMap::new();
        loop {
            let text = self.text()?;
            let longest = self
                .sinks
                .iter_mut()
                .max_by_key(|(_, queue)| queue.waiting.len());
            match longest {
                Some((name, queue)) if text.len() > most && !queue.waiting.is_empty() => {
                    queue.waiting.remove(0);
                    queue.dropped += 1;
                    *dropped.entry(name.clone()).or_default() += 1;
                }
                Some(_) | None => return Ok((text, dropped)),
            }
        }
    }
}

/// Whether the service of `sink` can change a message that it was sent.
pub fn keeps_up(sink: &Sink) -> bool {
    sink.slack.is_some() || sink.discord.is_some() || sink.matrix.is_some()
}

impl Queue {
    fn push(&mut self, news: News, keeps_up: bool) {
        if news.what.kind == Kind::RolloutProgress {
            if !keeps_up {
                return;
            }
            // Only the latest matters.
            let rollout = news.what.rollout();
            self.waiting.retain(|known| {
                known.what.kind != Kind::RolloutProgress || known.what.rollout() != rollout
            });
        }
        self.waiting.push(news);
    }

    /// Drops what is too old or too much; how many that were.
    fn shorten(&mut self, now: Time) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(|news| now.since(news.at) < TOO_OLD);
        let excess = self.waiting.len().saturating_sub(WAITING);
        self.waiting.drain(..excess);
        let dropped = before - self.waiting.len();
        self.dropped += dropped;
        dropped
    }
}

/// What to send next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The numbers of the news in it.
    pub ids: Vec<u64>,
    /// How.
    pub how: How,
}

/// What became of a delivery, where that changes what is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The sink's name.
    pub sink: String,
    /// What was to be sent.
    pub delivery: Delivery,
    /// What became of it.
    pub fate: End,
}

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was sent, as a message that the service calls so.
    Sent(Option<String>),
    /// The message that was to be changed is gone: somebody deleted it. The next one is another.
    Gone,
    /// The service refused it too often; it is dropped.
    Refused,
}

/// How to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// As a message of its own.
    Post(News),
    /// In place of the message with this name.
    Change(String, News),
    /// As one message with all of it, and with how many were dropped before.
    Digest(Vec<News>, usize),
}

/// More than so many pieces of news at once go into one message.
const SINGLE: usize = 3;

impl Queue {
    /// What to send next, if anything; a sink that takes `digests` gets many pieces of news in one message.
    pub fn next(&self, digests: bool) -> Option<Delivery> {
        let first = self.waiting.first()?;
        if let Some((rollout, message)) = self.message_of(first) {
            let same = |news: &&News| news.what.rollout().as_ref() == Some(&rollout);
            let all: Vec<_> = self.waiting.iter().filter(same).collect();
            let ids = all.iter().map(|news| news.id).collect();
            // The last one has all that the others say of it.
            let last = all.last().map_or(first, |last| *last).clone();
            return Some(Delivery {
                ids,
                how: How::Change(message, last),
            });
        }
        let others = self
            .waiting
            .iter()
            .filter(|news| self.message_of(news).is_none());
        let others: Vec<_> = others.cloned().collect();
        if digests && (others.len() > SINGLE || self.dropped > 0) {
            return Some(Delivery {
                ids: others.iter().map(|news| news.id).collect(),
                how: How::Digest(others, self.dropped),
            });
        }
        Some(Delivery {
            ids: vec![first.id],
            how: How::Post(first.clone()),
        })
    }

    /// The roll-out that `news` is about, and its message, if there is one.
    fn message_of(&self, news: &News) -> Option<(String, String)> {
        let rollout = news.what.rollout()?;
        let message = self.messages.get(&rollout)?.clone();
        Some((rollout, message))
    }

    fn sent(&mut self, delivery: &Delivery, message: Option<String>) {
        self.waiting.retain(|news| !delivery.ids.contains(&news.id));
        match &delivery.how {
            How::Post(news) | How::Change(_, news) => self.keep(news, message),
            How::Digest(..) => self.dropped = 0,
        }
    }

    fn keep(&mut self, news: &News, message: Option<String>) {
        let Some(rollout) = news.what.rollout() else {
            return;
        };
        match news.what.kind {
            Kind::RolloutStarted | Kind::RolloutProgress => {
                if let Some(message) = message {
                    self.messages.insert(rollout, message);
                }
                while self.messages.len() > MESSAGES {
                    self.messages.pop_first();
                }
            }
            // It is over, or it never was under way.
            Kind::RolloutFinished
            | Kind::RolloutFailed
            | Kind::RolloutSuperseded
            | Kind::ReleaseGivenUp
            | Kind::UpdateFailed
            | Kind::UpdateAborted
            | Kind::NodeNeedsPerson
            | Kind::NodeRecovered
            | Kind::Paused
            | Kind::Resumed => drop(self.messages.remove(&rollout)),
        }
    }

    /// Drops it, and the message that it was to change: that one may be what is refused.
    fn refused(&mut self, delivery: &Delivery) {
        let before = self.waiting.len();
        self.waiting.retain(|news| !delivery.ids.contains(&news.id));
        self.dropped += before - self.waiting.len();
        self.gone(delivery);
    }

    fn gone(&mut self, delivery: &Delivery) {
        if let How::Change(_, news) = &delivery.how
            && let Some(rollout) = news.what.rollout()
        {
            self.messages.remove(&rollout);
        }
    }
}

#[cfg(test)]
mod tests;
