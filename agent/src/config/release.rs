//! `[release]` and `[graph]`: where releases come from.

use std::fmt;

use cuo_core::release::{Preference, Source};
use serde::{Deserialize, Deserializer, Serialize};

/// `[release]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Release {
    /// Where they come from.
    pub source: Choice,
    /// Repositories that the cluster may assign images of, besides the one that the host follows.
    pub allow: Vec<Repository>,
    /// The cluster may assign an older release.
    pub allow_downgrade: bool,
    /// What to do about an update whose kubelet is newer than the API server.
    pub kubelet_skew: KubeletSkew,
}

/// `release.source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// What the cluster declares, else the graph where the host is Fedora CoreOS, else the origin.
    #[default]
    Auto,
    /// The head of the branch or tag that the host follows.
    Origin,
    /// The update graph.
    Graph,
    /// What the cluster declares, and nothing else.
    Cluster,
}

/// `release.kubelet_skew`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KubeletSkew {
    /// Ask for no reboot into it.
    #[default]
    Hold,
    /// Boot it all the same.
    Ignore,
}

impl Release {
    /// The same for decisions.
    pub fn preference(&self) -> Preference {
        Preference {
            source: match self.source {
                Choice::Auto => None,
                Choice::Origin => Some(Source::Origin),
                Choice::Graph => Some(Source::Graph),
                Choice::Cluster => Some(Source::Cluster),
            },
            allow: self.allow.iter().map(|one| one.0.clone()).collect(),
            allow_downgrade: self.allow_downgrade,
        }
    }
}

/// A repository of images, such as `quay.io/acme/os`, or with a `*` at its end all whose names begin so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repository(pub String);

impl<'de> Deserialize<'de> for Repository {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let name = text.strip_suffix('*').unwrap_or(&text);
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:/".contains(c);
        // At least a whole registry: `*` alone would allow everything that anybody publishes.
        let registry = name.contains('/') && !name.starts_with('/');
        if registry && name.chars().all(allowed) {
            return Ok(Self(text));
        }
        Err(serde::de::Error::custom(format_args!(
            "expected a repository such as \"quay.io/acme/os\" or \"quay.io/acme/*\", found {text:?}"
        )))
    }
}

/// `[graph]`. What is not set here is as Zincati's configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Graph {
    /// Where it is served, without `/v1/graph`; `${stream}`, `${basearch}`, `${group}` and `${platform}` stand for what they name. Or
    /// `file:` and the path of a file that holds it.
    pub url: String,
    /// How late in a roll-out this host goes, from 0 (early) to 1; by default the server draws a place for each host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout_wariness: Option<Wariness>,
    /// The group of the host that is reported to the server.
    pub group: String,
    /// The host's id that is reported to the server; by default one that is made from the machine id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_uuid: Option<String>,
    /// The proxy to reach it through; by default what `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

impl Default for Graph {
    fn default() -> Self {
        Self {
            url: FEDORA.to_owned(),
            rollout_wariness: None,
            group: "default".to_owned(),
            node_uuid: None,
            proxy: None,
        }
    }
}

/// Where Fedora CoreOS's graph is served (zincati's `50-fedora-coreos-cincinnati.toml`).
const FEDORA: &str = "https://updates.coreos.fedoraproject.org";

/// A number from 0 to 1.
#[derive(Clone, Copy, PartialEq, Serialize)]
pub struct Wariness(pub f64);

/// The range leaves no NaN.
impl Eq for Wariness {}

impl fmt::Debug for Wariness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Wariness {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&number) {
            return Ok(Self(number));
        }
        Err(serde::de::Error::custom(format_args!(
            "expected a number from 0 to 1, found {number}"
        )))
    }
}
