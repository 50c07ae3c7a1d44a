//! Configuration: TOML fragments, none of them needed.
//!
//! Fragments are `*.toml` in `config.d` below `/usr/lib/cuo-agent`, `/run/cuo-agent` and `/etc/cuo-agent`. A file in a later directory
//! replaces the one of the same name in an earlier one; what remains is read in the order of the names, later keys over earlier ones.
//! Before all of them comes what Zincati's fragments say of the update graph.

mod merged;
mod release;
mod sections;
mod values;
mod zincati;

use std::path::Path;

use cuo_core::agent::state::Retry;
use cuo_core::agent::{self, Settings, StateTrouble};
use cuo_core::look;
use cuo_core::reason::{Code, Reason};

use crate::fragments;
use merged::Merged;

pub use release::{Choice, Graph, KubeletSkew, Release, Repository, Wariness};
pub use sections::{
    Check, Config, Drain, Drivers, Health, Metered, Metrics, Mode, Reboot, RetryConfig,
};
pub use values::{Delay, HostPath, Span, Textfile, UnitName};
pub use zincati::DIRECTORIES as ZINCATI;

/// The directories with fragments, highest rank first.
pub const DIRECTORIES: [&str; 3] = [
    "usr/lib/cuo-agent/config.d",
    "run/cuo-agent/config.d",
    "etc/cuo-agent/config.d",
];

/// What is wrong with one file.
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
        let (merged, mut errors) = read_all(root);
        (Self::of(merged.table, &mut errors), errors)
    }

    fn of(table: toml::Table, errors: &mut Vec<ConfigError>) -> Self {
        table.try_into().unwrap_or_else(|error: toml::de::Error| {
            // Each fragment was good by itself, so this has not been seen to happen.
            let why = error.message().to_owned();
            errors.push(ConfigError::Unreadable {
                path: "all fragments together".into(),
                why,
            });
            Self::default()
        })
    }

    /// The whole configuration as TOML, each value with the file that it comes from.
    ///
    /// # Errors
    /// When it can't be written as TOML.
    pub fn shown(root: &Path) -> Result<(String, Vec<ConfigError>), toml::ser::Error> {
        let (merged, mut errors) = read_all(root);
        let config = Self::of(merged.table.clone(), &mut errors);
        let table = toml::Table::try_from(&config)?;
        Ok((merged.annotate(&table), errors))
    }

    /// What the decisions need of it.
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
            any_kubelet: self.release.kubelet_skew == KubeletSkew::Ignore,
            allow_downgrade: self.release.allow_downgrade,
            state_unusable,
        }
    }
}

/// All fragments, one over the other, and what is wrong with any.
fn read_all(root: &Path) -> (Merged, Vec<ConfigError>) {
    let (files, unreadable) = fragments::files(root, &DIRECTORIES);
    let unreadable = unreadable.into_iter();
    let mut errors: Vec<_> = unreadable
        .map(|(path, error)| ConfigError::Unreadable {
            path: path.display().to_string(),
            why: error.to_string(),
        })
        .collect();
    let mut merged = Merged::default();
    for (path, table) in zincati::fragments(root) {
        merged.lay(&path, table);
    }
    for path in files {
        match read(&path) {
            Ok(table) => merged.lay(&path.display().to_string(), table),
            Err(error) => errors.push(error),
        }
    }
    (merged, errors)
}

/// Reads one fragment and checks it by itself, so that an error has a place.
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

#[cfg(test)]
mod tests;
