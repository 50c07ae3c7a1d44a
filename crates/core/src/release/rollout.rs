//! How far a pool is with releases: the one that it tries, the one that all of its nodes may boot, and those that came to nothing.
//!
//! It decides which release nodes are assigned, so it is written only on the condition that nobody else has since it was read.

use std::collections::BTreeMap;

use super::{ImageName, NamedRelease, Source};
use crate::ids::{NodeName, ReleaseId};
use crate::time::Time;

/// More releases that were given up are not remembered, as no Node is told of more.
pub const GIVEN_UP: usize = 8;
/// More past releases are not remembered.
pub const HISTORY: usize = 20;
/// More nodes are not named with a release that was given up.
const NODES: usize = 10;

/// How far a pool is with releases.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Rollout {
    /// What is tried, or waits to be approved.
    pub candidate: Option<Chosen>,
    /// What all nodes may boot.
    pub promoted: Option<Chosen>,
    /// Since when they may.
    pub promoted_at: Option<Time>,
    /// Releases that failed on too many nodes, the newest last.
    pub given_up: Vec<GivenUp>,
    /// Candidates that are none any more, the newest last.
    pub history: Vec<Past>,
}

/// A release as a pool chose it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chosen {
    /// It by architecture of nodes; the empty one stands for all.
    pub identities: BTreeMap<String, NamedRelease>,
    /// Its version, which ties the architectures together.
    pub version: Option<String>,
    /// Where it comes from.
    pub source: Source,
    /// The image that was declared, if one was.
    pub image: Option<ImageName>,
    /// When it was chosen.
    pub since: Time,
}

/// A release that failed on too many nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GivenUp {
    /// Which.
    pub identity: ReleaseId,
    /// Its version.
    pub version: Option<String>,
    /// Since when.
    pub at: Time,
    /// Where it failed.
    pub nodes: Vec<NodeName>,
}

/// A candidate that is none any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Past {
    /// Which it was, in every architecture.
    pub identities: Vec<ReleaseId>,
    /// Its version.
    pub version: Option<String>,
    /// Where it came from.
    pub source: Source,
    /// When it was chosen.
    pub started: Time,
    /// When it ended.
    pub finished: Time,
    /// How.
    pub outcome: Ended,
    /// How many nodes of the pool ran it then.
    pub nodes: usize,
}

/// How a candidate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// All nodes may boot it.
    Promoted,
    /// It failed.
    GivenUp,
    /// Another one took its place.
    Superseded,
}

impl Ended {
    /// Every way, as they are written.
    pub const ALL: &[Self] = &[Self::Promoted, Self::GivenUp, Self::Superseded];

    /// The way as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promoted => "Promoted",
            Self::GivenUp => "GivenUp",
            Self::Superseded => "Superseded",
        }
    }
}

impl Chosen {
    /// Which release it is for nodes of this architecture.
    pub fn of(&self, architecture: &str) -> Option<&NamedRelease> {
        let own = self.identities.get(architecture);
        own.or_else(|| self.identities.get(""))
    }

    /// It is this release, in some architecture.
    pub fn is(&self, identity: &ReleaseId) -> bool {
        self.ids().any(|known| known == identity)
    }

    /// Its release ids.
    pub fn ids(&self) -> impl Iterator<Item = &ReleaseId> {
        self.identities.values().map(|release| &release.identity)
    }

    /// What people call it: its version, or else its id.
    pub fn called(&self) -> String {
        let first = || self.ids().next().map(ReleaseId::to_string);
        self.version.clone().or_else(first).unwrap_or_default()
    }
}

impl Rollout {
    /// It was never written, or lost.
    pub fn is_empty(&self) -> bool {
        let chosen = self.candidate.is_some() || self.promoted.is_some();
        !chosen && self.given_up.is_empty() && self.history.is_empty()
    }

    /// The pool gave it up.
    pub fn gave_up(&self, identity: &ReleaseId) -> bool {
        self.given_up.iter().any(|one| one.identity == *identity)
    }

    /// How many releases were given up since one was last promoted.
    pub fn given_up_since(&self) -> usize {
        let since = |one: &&GivenUp| self.promoted_at.is_none_or(|promoted| one.at > promoted);
        self.given_up.iter().filter(since).count()
    }

    /// It was promoted once, and not given up after that: what is forgiven may be tried again.
    pub fn was_promoted(&self, identity: &ReleaseId) -> bool {
        let about = |past: &&Past| past.identities.contains(identity);
        let mut outcomes = self.history.iter().rev().filter(about);
        let judged = outcomes.find_map(|past| match past.outcome {
            Ended::Promoted => Some(true),
            Ended::GivenUp => Some(false),
            Ended::Superseded => None,
        });
        judged == Some(true)
    }

    /// All nodes may boot the candidate. What it is not known to be for some architecture, the promoted one stays.
    pub(crate) fn promote(&mut self, at: Time, nodes: usize) {
        let Some(mut candidate) = self.candidate.take() else {
            return;
        };
        self.ends(&candidate, at, Ended::Promoted, nodes);
        if let Some(before) = self.promoted.take()
            && before.image == candidate.image
            && !candidate.identities.contains_key("")
        {
            for (architecture, release) in before.identities {
                candidate.identities.entry(architecture).or_insert(release);
            }
        }
        self.promoted = Some(candidate);
        self.promoted_at = Some(at);
    }

    /// Another candidate, or none, takes the place of the one there is.
    pub(crate) fn supersede(&mut self, next: Option<Chosen>, at: Time, nodes: usize) {
        if let Some(before) = std::mem::replace(&mut self.candidate, next) {
            self.ends(&before, at, Ended::Superseded, nodes);
        }
    }

    /// Nodes go to what they find by themselves from now on. What was given up stays so.
    pub(crate) fn end(&mut self, at: Time, nodes: usize) {
        self.supersede(None, at, nodes);
        if let Some(promoted) = self.promoted.take() {
            self.promoted_at = None;
            self.ends(&promoted, at, Ended::Superseded, nodes);
        }
    }

    /// The releases failed on too many nodes.
    pub(crate) fn give_up(&mut self, failed: &[GivenUp], at: Time, nodes: usize) {
        let about = |chosen: &mut Chosen| failed.iter().any(|one| chosen.is(&one.identity));
        if let Some(candidate) = self.candidate.take_if(about) {
            self.ends(&candidate, at, Ended::GivenUp, nodes);
        }
        if let Some(promoted) = self.promoted.take_if(about) {
            self.promoted_at = None;
            self.ends(&promoted, at, Ended::GivenUp, nodes);
        }
        for one in failed {
            self.given_up.retain(|known| known.identity != one.identity);
            let mut one = one.clone();
            one.nodes.truncate(NODES);
            self.given_up.push(one);
        }
        let surplus = self.given_up.len().saturating_sub(GIVEN_UP);
        self.given_up.drain(..surplus);
    }

    fn ends(&mut self, chosen: &Chosen, at: Time, outcome: Ended, nodes: usize) {
        self.history.push(Past {
            identities: chosen.ids().copied().collect(),
            version: chosen.version.clone(),
            source: chosen.source,
            started: chosen.since,
            finished: at,
            outcome,
            nodes,
        });
        let surplus = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..surplus);
    }
}
