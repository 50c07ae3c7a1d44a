//! The values of the keys, with their text formats.

mod policy;
mod requests;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, GrantId, ReleaseId, serde_as_text};
use crate::reason::{AnyCode, Code, Reason};
use crate::time::Time;

pub use crate::field::{Field, to_json};
pub(crate) use policy::is_default;
pub use policy::{
    Cordoned, DrainMode, DrainPolicy, OnTimeout, PodChecks, PodMatch, PreflightMode, Treatment,
};
pub use requests::{PlainReboots, RebootRequest, RetryRequest};

/// Names in a sorted list that is separated by commas. Names that this build does not know are kept and ignored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// Whether `name` is in the list.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Parses the value of a key; an absent one is an empty list.
    pub fn read(found: Option<&String>) -> Self {
        let items = found.into_iter().flat_map(|text| text.split(','));
        let items = items.map(str::trim);
        items.filter(|item| !item.is_empty()).collect()
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }
}

impl FromStr for Names {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::read(Some(&text.to_owned())))
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().collect();
        f.write_str(&names.join(","))
    }
}

macro_rules! phases {
    ($($name:ident = $text:literal, $means:literal;)*) => {
        /// Where the agent is in the life of an update.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Phase {
            $(#[doc = $means] $name,)*
        }

        impl Phase {
            /// Every phase, in the order of an update.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The phase as it is written everywhere.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it means, as one sentence.
            pub const fn means(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }
        }
    };
}

phases! {
    Idle = "idle", "Nothing to do until the next check.";
    Staging = "staging", "rpm-ostree is looking for, downloading or staging an update.";
    Staged = "staged", "An update is staged, but the node does not ask for a reboot yet.";
    Waiting = "waiting", "The node needs a reboot and waits for a grant. Besides the way back from `failed`, a node is granted only in this phase.";
    Draining = "draining", "The node has a grant, is cordoned and being drained.";
    Rebooting = "rebooting", "The update is being finalized, and the reboot is in progress.";
    Verifying = "verifying", "The node has booted; the booted release and the node's health are being checked.";
    Held = "held", "A reboot is needed, but something on the node holds it; the reason says what.";
    Failed = "failed", "The node needs a person, and keeps its slot unless `health.rollback` gave it back; or it wants to go back to what it ran before and waits for a grant to do so (`RollbackWanted`).";
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|known| known.as_str() == text);
        known
            .copied()
            .ok_or_else(|| format!("unknown phase {text:?}"))
    }
}

/// Value of `status`: the phase and since when, to the second.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// When the node entered it.
    pub since: Time,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} since {}", self.phase, self.since)
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (phase, since) = text
            .split_once(" since ")
            .ok_or("expected `PHASE since TIME`")?;
        Ok(Self {
            phase: phase.parse()?,
            since: since
                .parse()
                .map_err(|error: jiff::Error| error.to_string())?,
        })
    }
}

/// Value of `reboot-ok`: the permission to reboot once, into one release, from one boot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The grant's id.
    pub id: GrantId,
    /// The release that may be booted.
    pub identity: ReleaseId,
    /// The boot that the grant is for.
    pub boot: BootId,
    /// When the grant was written.
    pub issued: Time,
    /// When the grant lapses unless it was accepted; never after the end of the window.
    pub deadline: Time,
    /// How to drain.
    pub drain: DrainPolicy,
    /// Further checks of the node's pods.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pods: PodChecks,
    /// What to do while somebody else has cordoned the node.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cordoned: Cordoned,
}

/// Value of `reboot-reserved`: the node is next.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    /// The id that the grant will have.
    pub id: GrantId,
    /// The release that it will name.
    pub identity: ReleaseId,
    /// The boot that it will be for.
    pub boot: BootId,
}

/// Value of `reboot-in-progress`: the agent accepted a grant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The grant's id.
    pub id: GrantId,
    /// The release that the grant is for.
    pub identity: ReleaseId,
    /// The boot under which it was accepted: another boot id means that the node has booted since.
    pub boot: BootId,
    /// When it was accepted; the drain's time-out counts from here.
    pub accepted: Time,
}

/// Value of `booted`: the running release.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Booted {
    /// The release id.
    pub identity: ReleaseId,
    /// Its version, for people.
    pub version: String,
    /// The boot's id.
    pub boot: BootId,
    /// When the host was first seen to run it, possibly several boots ago.
    pub since: Time,
}

/// How a grant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The node runs what was granted, and is healthy.
    Done,
    /// The grant could not be accepted.
    Refused,
    /// It was accepted, but given up before the update was booted.
    Aborted,
    /// The node booted something else than what was granted.
    Failed,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: &[Self] = &[Self::Done, Self::Refused, Self::Aborted, Self::Failed];

    /// The outcome as it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
        }
    }
}

/// Value of `reboot-result`: the answer to a grant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RebootResult {
    /// The grant's id.
    pub id: GrantId,
    /// How the grant ended.
    pub outcome: Outcome,
    /// Why it ended so; `None` if it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<AnyCode>,
    /// When it ended.
    pub at: Time,
}

impl RebootResult {
    /// Whether it ended because of `code`.
    pub fn gave(&self, code: Code) -> bool {
        self.known() == Some(code)
    }

    /// Why it ended so, if this build knows the code.
    pub fn known(&self) -> Option<Code> {
        self.code.as_ref().and_then(AnyCode::known)
    }
}

/// One entry of `failed`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The release that failed.
    pub identity: ReleaseId,
    /// Why it failed.
    pub code: AnyCode,
    /// When it failed.
    pub at: Time,
}

/// Value of `granted`: the releases that this node had grants for. Failures that it reports count for other nodes only if they are in here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Granted {
    /// The releases, newest last, at most [`Failures::KEPT`]: as many as can be listed as failed.
    pub identities: Vec<ReleaseId>,
}

impl Granted {
    /// Adds `identity` as the newest, and forgets the oldest beyond [`Failures::KEPT`].
    pub fn add(&mut self, identity: ReleaseId) {
        self.identities.retain(|known| *known != identity);
        self.identities.push(identity);
        let excess = self.identities.len().saturating_sub(Failures::KEPT);
        self.identities.drain(..excess);
    }
}

/// Value of `failed`: the releases that failed on the node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failures {
    /// The failures, newest last, at most [`Failures::KEPT`].
    pub identities: Vec<Failure>,
}

impl Failures {
    /// How many are kept: enough for a bad week, small enough for an annotation.
    pub const KEPT: usize = 8;

    /// The failure of `identity` on this node, if it failed before.
    pub fn find(&self, identity: &ReleaseId) -> Option<&Failure> {
        self.identities
            .iter()
            .find(|failure| failure.identity == *identity)
    }

    /// Which they are.
    pub fn ids(&self) -> impl Iterator<Item = ReleaseId> {
        self.identities.iter().map(|failure| failure.identity)
    }

    /// Adds `failure` in place of an older one of the same release, and forgets the oldest beyond [`Failures::KEPT`].
    pub fn add(&mut self, failure: Failure) {
        self.identities
            .retain(|known| known.identity != failure.identity);
        self.identities.push(failure);
        let excess = self.identities.len().saturating_sub(Self::KEPT);
        self.identities.drain(..excess);
    }
}

serde_as_text!(AnyCode, Code, Phase, Reason);

#[cfg(test)]
mod tests;
