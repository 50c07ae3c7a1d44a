//! What is foreseen, before it is printed.

use cuo_core::time::Time;
use serde::Serialize;

use crate::forecast::{Forecast, Reboot};

/// What is foreseen, and on which grounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Foreseen {
    /// What is foreseen.
    #[serde(flatten)]
    pub forecast: Forecast,
    /// When the last node that needs a reboot is done; `None` where some are not, or none needs one.
    pub end: Option<Time>,
    /// Windows that close before reboots are over that were granted in them, each a sentence.
    pub late: Vec<String>,
    /// What is assumed, each a sentence.
    pub assumed: Vec<String>,
    /// What is not known, each a sentence.
    pub unknown: Vec<String>,
}

/// What a reboot boots, for people.
pub fn called(reboot: &Reboot) -> String {
    let version = reboot.version.clone();
    version.unwrap_or_else(|| reboot.release.short())
}
