//! News: one thing worth telling people.

use crate::text::short;
use std::collections::BTreeSet;
use std::fmt;

use cuo_core::time::Time;
use serde::{Deserialize, Serialize};

use crate::config::{Severity, Sink};

/// As many characters of anything that others wrote are told. One Node may say 256 KiB, and what is told is kept once for each sink.
pub const LONGEST: usize = 500;
/// The name of the pool of nodes that no pool selects, in filters and messages.
pub const BUILT_IN: &str = "(built-in)";

macro_rules! kinds {
    ($($name:ident, $severity:ident, $event:literal, $means:literal;)*) => {
        /// A kind of news. Its name is a code for filters, and never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $(#[doc = $means] $name,)*
        }

        impl Kind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name as it is written everywhere.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// How serious it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// The `type` of its CloudEvents.
            pub const fn event(self) -> &'static str {
                match self { $(Self::$name => concat!("com.coreos.cuo.", $event),)* }
            }

            /// What it means, as one sentence.
            pub const fn means(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }
        }
    };
}

// Columns: name, severity, the end of the CloudEvents' type, what it means.
kinds! {
    RolloutStarted, Info, "rollout.started", "The first node of a pool has a slot for a release.";
    RolloutProgress, Info, "rollout.progress", "More nodes of the pool run the release. Only services that can change a message get it, into the message of the roll-out.";
    RolloutFinished, Info, "rollout.finished", "All nodes of the pool that follow the same branch or image run the release.";
    RolloutFailed, Error, "rollout.failed", "No node is left that would boot the release, and some do not run it because it failed.";
    RolloutSuperseded, Info, "rollout.superseded", "Nodes of the pool go to another release before all run this one.";
    ReleaseGivenUp, Error, "release.given-up", "The release failed on as many nodes as the pool allows, and is tried no longer.";
    UpdateFailed, Error, "update.failed", "A node booted something else than it was granted, or did not become healthy; the code says how.";
    UpdateAborted, Warning, "update.aborted", "A node gave its grant up before the reboot, as when a drain was blocked; the code says why.";
    NodeNeedsPerson, Error, "node.needs-person", "A node waits for a person; the code says why.";
    NodeRecovered, Info, "node.recovered", "A node waits for nobody any more.";
    Paused, Warning, "paused", "Updates of all nodes, of a pool or of some nodes are paused.";
    Resumed, Info, "resumed", "A pause is over.";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How far a roll-out is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Nodes that run the release.
    pub done: usize,
    /// Nodes that are to run it.
    pub total: usize,
}

/// What happened, before it has a number and a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    /// Of which kind it is.
    pub kind: Kind,
    /// The pools that it is about; none if it is about all nodes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pools: BTreeSet<String>,
    /// The node that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The code of the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The version of the release that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// How far the roll-out is that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// One or two sentences.
    pub text: String,
}

impl Draft {
    /// News of this kind, about nothing yet, with at most [`LONGEST`] characters of `text`.
    pub fn new(kind: Kind, text: String) -> Self {
        Self {
            kind,
            pools: BTreeSet::new(),
            node: None,
            code: None,
            release: None,
            progress: None,
            text: short(&text, LONGEST),
        }
    }

    /// What identifies the roll-out that it is about, among all that are told of at a time.
    pub fn rollout(&self) -> Option<String> {
        self.progress?;
        let pool = self.pools.first()?;
        Some(format!("{pool}/{}", self.release.as_ref()?))
    }
}

/// A piece of news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// Its number, which no other has.
    pub id: u64,
    /// When it was noticed.
    pub at: Time,
    /// What happened.
    #[serde(flatten)]
    pub what: Draft,
}

impl News {
    /// The first line for people.
    pub fn headline(&self) -> String {
        let what = &self.what;
        let pools: Vec<_> = what.pools.iter().map(String::as_str).collect();
        let pool = format!("pool {}", pools.join(", "));
        let release = what.release.as_deref().unwrap_or("an update");
        let node = what.node.as_deref().unwrap_or("a node");
        let done = what
            .progress
            .map_or(String::new(), |Progress { done, total }| {
                format!(" ({done} of {total} nodes)")
            });
        let code = what
            .code
            .as_ref()
            .map_or(String::new(), |code| format!(": {code}"));
        match what.kind {
            Kind::RolloutStarted => format!("{release} begins to roll out in {pool}{done}"),
            Kind::RolloutProgress => format!("{release} rolls out in {pool}{done}"),
            Kind::RolloutFinished => format!("{release} is rolled out in {pool}{done}"),
            Kind::RolloutFailed => format!("{release} failed in {pool}{done}"),
            Kind::RolloutSuperseded => format!("{release} is superseded in {pool}{done}"),
            Kind::ReleaseGivenUp => format!("{release} is given up in {pool}"),
            Kind::UpdateFailed => format!("The update of {node} failed{code}"),
            Kind::UpdateAborted => format!("{node} gave its update up{code}"),
            Kind::NodeNeedsPerson => format!("{node} needs a person{code}"),
            Kind::NodeRecovered => format!("{node} is well again"),
            Kind::Paused => "Updates are paused".to_owned(),
            Kind::Resumed => "A pause of updates is over".to_owned(),
        }
    }

    /// Whether `sink` is to be sent it, apart from what only services that can change messages get.
    pub fn is_for(&self, sink: &Sink) -> bool {
        let what = &self.what;
        let in_pools =
            what.pools.is_empty() || sink.pools.is_empty() || !what.pools.is_disjoint(&sink.pools);
        let named = |code: &String| code == what.kind.as_str() || Some(code) == what.code.as_ref();
        let codes = sink.codes.is_empty() || sink.codes.iter().any(named);
        what.kind.severity() >= sink.severity && in_pools && codes
    }
}

#[cfg(test)]
mod tests;
