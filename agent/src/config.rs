//! Configuration: TOML fragments, none of them needed.
//!
//! Fragments are `*.toml` in `config.d` below `/usr/lib/cuo-agent`, `/run/cuo-agent` and `/etc/cuo-agent`. A file in a later directory
//! replaces the one of the same name in an earlier one; what remains is read in the order of the names, later keys over earlier ones.

mod values;

use std::path::{Path, PathBuf};

use cuo_core::agent::state::Retry;
use cuo_core::agent::{self, Settings, StateTrouble};
use cuo_core::look;
use cuo_core::reason::{Code, Reason};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::fragments;

pub use values::{Delay, Span, UnitName};

/// The directories with fragments, highest rank first.
pub const DIRECTORIES: [&str; 3] = [
    "usr/lib/cuo-agent/config.d",
    "run/cuo-agent/config.d",
    "etc/cuo-agent/config.d",
];

/// All settings; each has a default that suits most clusters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Neither stage updates nor reboot.
    pub hold: bool,
    /// What to do about updates.
    pub mode: Mode,
    /// The Node's name; by default the one that the API server finds in the credential, else the host's name.
    pub node_name: Option<String>,
    /// The kubeconfig; by default the first that is found of the agent's own and the kubelet's.
    pub kubeconfig: Option<PathBuf>,
    /// Looking for updates.
    pub check: Check,
    /// Pausing after a grant that was refused or given up.
    pub retry: RetryConfig,
    /// Draining.
    pub drain: Drain,
    /// Rebooting.
    pub reboot: Reboot,
    /// Vouching for what was booted.
    pub health: Health,
    /// Leaving a host alone that somebody else updates.
    pub drivers: Drivers,
}

/// `[check]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Check {
    /// How often to look for an update.
    pub period: Span,
    /// At most this much is added to each period, at random, so that hosts don't ask all at once.
    pub jitter: Delay,
    /// How long after the boot to look for the first time, and at most as much again, at random.
    pub start: Delay,
    /// What to do while NetworkManager says that the network is metered.
    pub metered: Metered,
}

/// `check.metered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metered {
    /// Wait for another network, as desktops and dnf's timer do.
    #[default]
    Wait,
    /// Look for updates all the same.
    Ignore,
}

/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Download and stage updates.
    #[default]
    Stage,
    /// Report them.
    Check,
}

/// `[retry]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// Pause after the first failure; it doubles with each.
    pub first: Span,
    /// Longest pause.
    pub cap: Span,
}

/// `[drain]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// Pause between two evictions of one pod.
    pub evict_every: Span,
}

/// `[reboot]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reboot {
    /// How long the host may take to go down before the reboot is asked for in another way, and again before it is reported.
    pub shutdown: Span,
}

/// `[health]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Units that have to be active after a boot, besides a complete boot and a Node that is Ready.
    pub units: Vec<UnitName>,
    /// How long all of it has to last before the slot is given back.
    pub settle: Delay,
    /// How long it may take before the node counts as failed, and keeps its slot.
    pub deadline: Span,
    /// Whether a node that failed goes back to what it ran before, by a reboot that is granted like any other.
    pub rollback: bool,
}

/// `[drivers]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drivers {
    /// Units that update this host while they run, besides those that the agent knows.
    pub units: Vec<UnitName>,
}

impl Drivers {
    /// The names of the units.
    pub fn names(&self) -> Vec<String> {
        self.units.iter().map(|unit| unit.0.clone()).collect()
    }
}

impl Default for Health {
    fn default() -> Self {
        // Kubelets flap in their first seconds, and slow hosts pull images for their network before they are Ready.
        Self {
            units: Vec::new(),
            settle: Delay(SignedDuration::from_secs(30)),
            deadline: minutes(30),
            rollback: false,
        }
    }
}

impl Default for Check {
    fn default() -> Self {
        // Fedora CoreOS publishes every other week; four looks a day see an urgent fix soon enough and cost next to nothing.
        Self {
            period: minutes(6 * 60),
            jitter: Delay(SignedDuration::from_mins(30)),
            start: Delay(SignedDuration::from_mins(1)),
            metered: Metered::Wait,
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            first: minutes(1),
            cap: minutes(60),
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        // What kubectl drain does, too.
        Self {
            evict_every: Span(SignedDuration::from_secs(5)),
        }
    }
}

impl Default for Reboot {
    fn default() -> Self {
        // systemd gives a unit 90 s to stop, ostree-finalize-staged 5 min.
        Self {
            shutdown: minutes(10),
        }
    }
}

fn minutes(count: i64) -> Span {
    Span(SignedDuration::from_mins(count))
}

/// An error in one file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file, or its directory, can't be read.
    #[error("{path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's error.
        why: String,
    },
    /// The file is not valid TOML, or has an unknown key or an invalid value.
    #[error("{path}:{line}: {message}")]
    Invalid {
        /// The file.
        path: String,
        /// The line, counted from 1.
        line: usize,
        /// The error, in one line.
        message: String,
        /// The error with an excerpt of the file and a caret under the place, over several lines.
        picture: String,
    },
}

impl ConfigError {
    /// The error for a terminal, over several lines if it has a place.
    pub fn picture(&self) -> String {
        match self {
            Self::Unreadable { .. } => self.to_string(),
            Self::Invalid {
                path,
                line,
                picture,
                ..
            } => format!("{path}:{line}:\n{picture}"),
        }
    }
}

impl Config {
    /// Reads all fragments below `root`. Errors are returned beside what could be read, so that the agent can stay up and report them.
    pub fn load(root: &Path) -> (Self, Vec<ConfigError>) {
        let (files, unreadable) = fragments::files(root, &DIRECTORIES);
        let unreadable = unreadable.into_iter();
        let mut errors: Vec<_> = unreadable
            .map(|(path, error)| ConfigError::Unreadable {
                path: path.display().to_string(),
                why: error.to_string(),
            })
            .collect();
        let mut merged = toml::Table::new();
        for path in files {
            match read(&path) {
                Ok(table) => merge(&mut merged, table),
                Err(error) => errors.push(error),
            }
        }
        let config = merged.try_into().unwrap_or_else(|error: toml::de::Error| {
            // Each fragment was valid by itself, so this is not expected to happen.
            let why = error.message().to_owned();
            errors.push(ConfigError::Unreadable {
                path: "all fragments together".into(),
                why,
            });
            Self::default()
        });
        (config, errors)
    }

    /// The settings that decisions depend on.
    pub fn settings(
        &self,
        errors: &[ConfigError],
        state_unusable: Option<StateTrouble>,
    ) -> Settings {
        let held = || self.hold.then(|| Code::Hold.into());
        let broken = errors
            .first()
            .map(|error| Reason::new(Code::ConfigInvalid, error.to_string()));
        Settings {
            hold: broken.or_else(held),
            mode: match self.mode {
                Mode::Stage => look::Mode::Stage,
                Mode::Check => look::Mode::Check,
            },
            retry: Retry {
                first: self.retry.first.0,
                cap: self.retry.cap.0,
            },
            health: agent::Health {
                units: self
                    .health
                    .units
                    .iter()
                    .map(|unit| unit.0.clone())
                    .collect(),
                settle: self.health.settle.0,
                deadline: self.health.deadline.0,
                rollback: self.health.rollback,
            },
            evict_every: self.drain.evict_every.0,
            shutdown: self.reboot.shutdown.0,
            state_unusable,
        }
    }
}

/// Reads one fragment and checks it on its own, so that an error has a place.
fn read(path: &Path) -> Result<toml::Table, ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: shown.clone(),
        why: error.to_string(),
    })?;
    let invalid = |error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or_default();
        ConfigError::Invalid {
            path: shown.clone(),
            line: before.matches('\n').count() + 1,
            message: error
                .message()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            picture: error.to_string(),
        }
    };
    toml::from_str::<Config>(&text).map_err(invalid)?;
    toml::from_str(&text).map_err(invalid)
}

/// Merges `over` into `base`, table by table.
fn merge(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
