//! What agent and operator write on a Node about releases.

use serde::{Deserialize, Serialize};

use super::ImageName;
use crate::ids::ReleaseId;
use crate::values::is_default;

/// Where a host's next release comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The head of the branch or tag that the host follows.
    Origin,
    /// An update graph, as Fedora CoreOS has one: releases that have to be booted before others are not skipped.
    Graph,
    /// What a pool of the node declares.
    Cluster,
}

impl Source {
    /// The source as it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Graph => "graph",
            Self::Cluster => "cluster",
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A release, with its version where that is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedRelease {
    /// Which.
    pub identity: ReleaseId,
    /// Its version, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Value of `agent-release`: where the node's releases come from, and where that leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Following {
    /// The source that counts now.
    pub source: Source,
    /// What the host follows, as rpm-ostree writes it.
    pub reference: String,
    /// The last release that the source leads to, as the agent saw it at its last look. Absent where it leads nowhere from what runs, and
    /// where the origin is the source: its head is not known before it is staged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<NamedRelease>,
    /// How many releases newer than the one that runs the graph has, the goal among them. Absent where there is no graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<u32>,
}

/// Value of `release`: what the operator assigns to the node. Each part limits what the agent stages; none of them permits a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assigned {
    /// A pool of the node declares it, so it is staged as it is, whatever a graph says. Otherwise it is a release of the node's own source:
    /// on a graph it is the goal, which is reached by its edges.
    #[serde(default, skip_serializing_if = "is_default")]
    pub declared: bool,
    /// Exactly this release. What the node runs already means that it is to stay there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<ReleaseId>,
    /// The release of this version; with an identity it is for people only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The image to follow. Without an identity it is what its tag names now, and the node is the one that finds out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageName>,
    /// An older release than what runs is meant.
    #[serde(default, skip_serializing_if = "is_default")]
    pub downgrade: bool,
    /// Releases that are not to be staged, since they failed elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoid: Vec<ReleaseId>,
}
