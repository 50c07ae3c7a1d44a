//! The configuration: one file in YAML. Each part that is there switches a function on.

mod gates;
mod hooks;
mod sinks;
mod values;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cuo_core::reason::line;
use serde::Deserialize;

pub use gates::{
    Alerts, Condition, EVALUATIONS, Expression, Gate, LabelSelector, Otherwise, Resources,
};
pub use hooks::{Hook, Moment, OnFailure, Template as PodTemplate};
pub use sinks::{
    Address, Email, MailTls, Mailbox, Matrix, Ntfy, ServerUrlOr, Service, Severity, Sink, Slack,
    Template, Webhook,
};
pub use values::{Name, Pattern, Secret, SecretError, ServerUrl, Span, web_url};

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// The cluster's name in messages.
    pub cluster: Option<String>,
    /// A file with certificates of CAs that are trusted besides those of the system, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Gates to open and close.
    pub gates: Vec<Gate>,
    /// Where messages go to.
    pub notifications: Vec<Sink>,
    /// Jobs to run at updates.
    pub hooks: Vec<Hook>,
}

/// What is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It can't be read.
    #[error("{path}: {why}; name the configuration with --config, or mount it there")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's error.
        why: String,
    },
    /// It is not valid YAML, or has an unknown key or an invalid value.
    #[error("{path}:{line}: {message}")]
    Invalid {
        /// The file.
        path: String,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong, in one line.
        message: String,
    },
    /// Each value is valid, but not all of them together.
    #[error("{path}: {place}: {message}")]
    Senseless {
        /// The file.
        path: String,
        /// Where in it, such as `gates[0] (quiet)`.
        place: String,
        /// What is wrong.
        message: String,
    },
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&shown, &text),
            Err(error) => Err(ConfigError::Unreadable {
                path: shown,
                why: error.to_string(),
            }),
        }
    }

    /// The configuration in `text`, which is from `path`. An empty one switches nothing on.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(path: &str, text: &str) -> Result<Self, ConfigError> {
        let found: Result<Option<Self>, _> = serde_saphyr::from_str(text);
        let config = found.map_err(|error| {
            let error = error.without_snippet();
            ConfigError::Invalid {
                path: path.to_owned(),
                line: error.location().map_or(1, |place| place.line()),
                message: line(&error.to_string()),
            }
        })?;
        let config = config.unwrap_or_default();
        match config.senseless() {
            None => Ok(config),
            Some((place, message)) => Err(ConfigError::Senseless {
                path: path.to_owned(),
                place,
                message,
            }),
        }
    }

    /// The first place that makes no sense, and why.
    fn senseless(&self) -> Option<(String, String)> {
        let gates = self.gates.iter().enumerate().find_map(|(at, gate)| {
            let wrong = gate.condition().err()?;
            Some((format!("gates[{at}] ({})", gate.name), wrong))
        });
        let sinks = self
            .notifications
            .iter()
            .enumerate()
            .find_map(|(at, sink)| {
                let place = format!("notifications[{at}] ({})", sink.name);
                Some((place, sink.wrong()?))
            });
        gates
            .or_else(|| twice("gates", self.gates.iter().map(|gate| &gate.name)))
            .or(sinks)
            .or_else(|| twice("hooks", self.hooks.iter().map(|hook| &hook.name)))
            .or_else(|| {
                twice(
                    "notifications",
                    self.notifications.iter().map(|sink| &sink.name),
                )
            })
    }
}

/// The first of `names` that is there twice.
fn twice<'a>(what: &str, mut names: impl Iterator<Item = &'a Name>) -> Option<(String, String)> {
    let mut seen = BTreeSet::new();
    let twice = names.find(|name| !seen.insert(*name))?;
    let message = "the name is there twice; rename one of them".to_owned();
    Some((format!("{what} ({twice})"), message))
}

#[cfg(test)]
mod tests;
