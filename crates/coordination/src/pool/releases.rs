//! The part of `status` that decides: how far a pool is with releases.

use cuo_core::ids::{NodeName, ReleaseId};
use cuo_core::release::{Chosen, Ended, GivenUp, ImageName, NamedRelease, Past, Rollout, Source};
use cuo_core::time::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// How far the pool is with releases. The operator decides on this, and writes it only if nobody has since it was read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseStatus {
    /// What canaries try, or what waits for approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<ChosenStatus>,
    /// What all nodes may boot. To declare the same in another cluster, copy its `image` or identity into `spec.release` there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted: Option<ChosenStatus>,
    /// Since when they may.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rules::time")]
    pub promoted_at: Option<Time>,
    /// The newest release that nodes announce and that waits until the candidate is promoted or given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<IdentityStatus>,
    /// Releases that failed on as many nodes as `maxFailures` allows: no node is told to stage them any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<GivenUpStatus>,
}

/// A release that was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChosenStatus {
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its release id for each architecture of nodes.
    #[serde(default)]
    pub identities: Vec<IdentityStatus>,
    /// Where it comes from: `origin`, `graph` or `cluster`.
    #[schemars(with = "String")]
    pub source: Source,
    /// The image that was declared, by the tag or digest under which it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub image: Option<ImageName>,
    /// When it was chosen.
    #[schemars(schema_with = "rules::time")]
    pub since: Time,
}

/// A release id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityStatus {
    /// The nodes' `kubernetes.io/arch`; absent where it is for all of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// What.
    #[schemars(with = "String")]
    pub identity: ReleaseId,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A release that failed on too many nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GivenUpStatus {
    /// Which.
    #[schemars(with = "String")]
    pub identity: ReleaseId,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Since when.
    #[schemars(schema_with = "rules::time")]
    pub at: Time,
    /// Where it failed, at most ten.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub nodes: Vec<NodeName>,
}

/// A candidate that is none any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastStatus {
    /// Its release ids.
    #[schemars(with = "Vec<String>")]
    pub release: Vec<ReleaseId>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it came from.
    #[schemars(with = "String")]
    pub source: Source,
    /// When it was chosen.
    #[schemars(schema_with = "rules::time")]
    pub started: Time,
    /// When it was promoted, given up or superseded.
    #[schemars(schema_with = "rules::time")]
    pub finished: Time,
    /// `Promoted`, `GivenUp` or `Superseded`.
    pub outcome: String,
    /// How many nodes of the pool ran it then.
    pub nodes: u32,
}

impl From<&Chosen> for ChosenStatus {
    fn from(chosen: &Chosen) -> Self {
        let identities = chosen.identities.iter();
        let identities = identities.map(|(architecture, release)| IdentityStatus {
            architecture: architecture.clone(),
            identity: release.identity,
            version: release.version.clone(),
        });
        Self {
            version: chosen.version.clone(),
            identities: identities.collect(),
            source: chosen.source,
            image: chosen.image.clone(),
            since: chosen.since,
        }
    }
}

impl From<&ChosenStatus> for Chosen {
    fn from(status: &ChosenStatus) -> Self {
        let identities = status.identities.iter().map(|one| {
            let release = NamedRelease {
                identity: one.identity,
                version: one.version.clone(),
            };
            (one.architecture.clone(), release)
        });
        Self {
            identities: identities.collect(),
            version: status.version.clone(),
            source: status.source,
            image: status.image.clone(),
            since: status.since,
        }
    }
}

impl From<&Past> for PastStatus {
    fn from(past: &Past) -> Self {
        Self {
            release: past.identities.clone(),
            version: past.version.clone(),
            source: past.source,
            started: past.started,
            finished: past.finished,
            outcome: past.outcome.as_str().to_owned(),
            nodes: u32::try_from(past.nodes).unwrap_or(u32::MAX),
        }
    }
}

impl PastStatus {
    /// `None` where it ended in a way that this build does not know.
    fn read(&self) -> Option<Past> {
        let mut ways = Ended::ALL.iter();
        Some(Past {
            identities: self.release.clone(),
            version: self.version.clone(),
            source: self.source,
            started: self.started,
            finished: self.finished,
            outcome: *ways.find(|way| way.as_str() == self.outcome)?,
            nodes: usize::try_from(self.nodes).unwrap_or(usize::MAX),
        })
    }
}

impl ReleaseStatus {
    /// What is written of how far a pool is.
    pub fn new(rollout: &Rollout) -> Self {
        let given_up = rollout.given_up.iter().map(|one| GivenUpStatus {
            identity: one.identity,
            version: one.version.clone(),
            at: one.at,
            nodes: one.nodes.clone(),
        });
        Self {
            candidate: rollout.candidate.as_ref().map(ChosenStatus::from),
            promoted: rollout.promoted.as_ref().map(ChosenStatus::from),
            promoted_at: rollout.promoted_at,
            waiting: None,
            given_up: given_up.collect(),
        }
    }

    /// How far the pool is, by this and its `history`.
    pub fn rollout(&self, history: &[PastStatus]) -> Rollout {
        let given_up = self.given_up.iter().map(|one| GivenUp {
            identity: one.identity,
            version: one.version.clone(),
            at: one.at,
            nodes: one.nodes.clone(),
        });
        // A release in no architecture is none.
        let chosen = |status: &Option<ChosenStatus>| {
            let chosen = status.as_ref().map(Chosen::from);
            chosen.filter(|chosen| !chosen.identities.is_empty())
        };
        Rollout {
            candidate: chosen(&self.candidate),
            promoted: chosen(&self.promoted),
            promoted_at: self.promoted_at,
            given_up: given_up.collect(),
            history: history.iter().filter_map(PastStatus::read).collect(),
        }
    }
}
