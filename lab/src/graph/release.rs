//! What a graph is made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::machine::HostSpec;
use crate::machine::ostree::{FCOS_REPOSITORY, Release};

/// Which graph a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    /// `stream`.
    pub stream: String,
    /// `basearch`.
    pub basearch: String,
    /// `oci=true`: releases are images, not commits.
    #[serde(default)]
    pub oci: bool,
}

impl Scope {
    /// Commits of a stream, for the architecture of the lab's hosts.
    pub fn commits(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            basearch: "x86_64".to_owned(),
            oci: false,
        }
    }

    /// Images of a stream, for the architecture of the lab's hosts.
    pub fn images(stream: &str) -> Self {
        Self {
            oci: true,
            ..Self::commits(stream)
        }
    }
}

/// Graphs of a file: each scope with its releases, the oldest first.
pub type Graphs = Vec<(Scope, Vec<Vertex>)>;

/// When a release is offered to how many clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// Seconds since 1970 at which it begins; 0 if absent.
    pub start_epoch: Option<i64>,
    /// Share of the clients that have it from the beginning, from 0 to 1; 0 if absent.
    pub start_value: Option<f64>,
    /// Minutes until all have it. If absent, it never goes on from where it began.
    pub duration_minutes: Option<u64>,
}

impl Rollout {
    /// For everybody, at once.
    pub const DONE: Self = Self {
        start_epoch: None,
        start_value: Some(1.0),
        duration_minutes: None,
    };

    /// Most wariness with which a client has the release at `now`, in seconds since 1970.
    pub(super) fn reaches(&self, now: i64) -> f64 {
        let begin = self.start_epoch.unwrap_or(0);
        let first = self.start_value.unwrap_or(0.0);
        let Some(minutes) = self.duration_minutes else {
            return if now < begin { 0.0 } else { first };
        };
        let whole = i64::try_from(minutes.max(1).saturating_mul(60)).unwrap_or(i64::MAX);
        let passed = now.saturating_sub(begin);
        match passed {
            ..0 => 0.0,
            // Seconds have room in a float for longer than there will be hosts.
            passed if passed <= whole => first + (1.0 - first) * passed as f64 / whole as f64,
            _ => 1.0,
        }
    }
}

/// A release of a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vertex {
    /// Its version.
    pub version: String,
    /// Commit, or image with digest. If absent, what the doubles of rpm-ostreed have for that version, the image in Fedora's repository.
    #[serde(default)]
    pub payload: Option<String>,
    /// Its age among all releases of the stream, higher is newer. If absent, its place in the graph.
    #[serde(default)]
    pub age_index: Option<u64>,
    /// It has to be booted before any later release, and why.
    #[serde(default)]
    pub barrier: Option<String>,
    /// Nothing leads away from it, and why.
    #[serde(default)]
    pub deadend: Option<String>,
    /// It is offered. Nothing leads to a release that is neither offered nor a barrier.
    #[serde(default)]
    pub rollout: Option<Rollout>,
}

impl Vertex {
    /// A release that nothing leads to.
    pub fn new(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            payload: None,
            age_index: None,
            barrier: None,
            deadend: None,
            rollout: None,
        }
    }

    /// The same with another payload.
    pub fn payload(self, payload: impl Into<String>) -> Self {
        Self {
            payload: Some(payload.into()),
            ..self
        }
    }

    /// The same as a barrier.
    pub fn barrier(self, reason: &str) -> Self {
        Self {
            barrier: Some(reason.to_owned()),
            ..self
        }
    }

    /// The same as a dead end.
    pub fn deadend(self, reason: &str) -> Self {
        Self {
            deadend: Some(reason.to_owned()),
            ..self
        }
    }

    /// The same while it is rolled out.
    pub fn rollout(self, rollout: Rollout) -> Self {
        Self {
            rollout: Some(rollout),
            ..self
        }
    }

    /// The same, offered to everybody.
    pub fn rolled_out(self) -> Self {
        self.rollout(Rollout::DONE)
    }

    /// As a node of the answer; `place` is where it stands in the graph.
    pub(super) fn node(&self, place: usize, oci: bool) -> Value {
        let release = Release::new(&self.version);
        let payload = self.payload.clone().unwrap_or_else(|| match oci {
            true => format!("{FCOS_REPOSITORY}@{}", release.digest()),
            false => release.commit(),
        });
        json!({
            "version": self.version,
            "metadata": self.metadata(place, oci),
            "payload": payload,
        })
    }

    /// All values are texts, as the real server has them.
    fn metadata(&self, place: usize, oci: bool) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut put = |key: &str, value: String| {
            all.insert(format!("org.fedoraproject.coreos.{key}"), value);
        };
        let age = self.age_index.unwrap_or(place as u64);
        put("releases.age_index", age.to_string());
        put("scheme", if oci { "oci" } else { "checksum" }.to_owned());
        for (key, reason) in [("barrier", &self.barrier), ("deadend", &self.deadend)] {
            let Some(reason) = reason else { continue };
            let reason = if reason.is_empty() { "generic" } else { reason };
            put(&format!("updates.{key}"), "true".to_owned());
            put(&format!("updates.{key}_reason"), reason.to_owned());
        }
        if let Some(rollout) = &self.rollout {
            put("updates.rollout", "true".to_owned());
            let numbers = [
                (
                    "start_epoch",
                    rollout.start_epoch.map(|one| one.to_string()),
                ),
                (
                    "start_value",
                    rollout.start_value.map(|one| one.to_string()),
                ),
                (
                    "duration_minutes",
                    rollout.duration_minutes.map(|one| one.to_string()),
                ),
            ];
            for (key, number) in numbers {
                if let Some(number) = number {
                    put(&format!("updates.{key}"), number);
                }
            }
        }
        all
    }
}

/// The releases of a host's remote, with the payloads that the remote has: what runs first, the newest last and offered to everybody.
pub fn releases(spec: &HostSpec) -> Vec<Vertex> {
    let mut all: Vec<_> = spec.versions().into_iter().map(Vertex::new).collect();
    if let Some(newest) = all.pop() {
        all.push(newest.rolled_out());
    }
    all
}
