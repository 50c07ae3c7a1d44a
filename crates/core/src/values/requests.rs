//! What administrators ask of a node's agent, and what it says of reboots without an update.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, GrantId, ReleaseId};
use crate::time::Time;

/// Value of `reboot-requested`: the node is to reboot once, without an update.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RebootRequest {
    /// The boot that is to end. In any other one the request counts no longer, so nobody has to remove it.
    pub boot: BootId,
    /// When it was made.
    pub at: Time,
    /// Who made it, as told by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl fmt::Display for RebootRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.by.as_deref().unwrap_or("somebody");
        write!(f, "requested by {by} at {}", self.at)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// Value of `retry`: what failed on the node until `at` is to be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// When it was asked for. Each time counts once.
    pub at: Time,
    /// Who asked for it, as told by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The only release to try again; everything where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<ReleaseId>,
}

impl RetryRequest {
    /// Whether it is about `identity`.
    pub fn is_about(&self, identity: &ReleaseId) -> bool {
        self.identity.is_none_or(|only| only == *identity)
    }
}

impl fmt::Display for RetryRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.by.as_deref().unwrap_or("somebody");
        match &self.identity {
            Some(identity) => write!(f, "{by} asked at {} to try {identity} again", self.at),
            None => write!(f, "{by} asked at {} to try again", self.at),
        }
    }
}

/// Value of `agent-reboot`: reboots of the node without an update.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlainReboots {
    /// Why the node wants to reboot, or is about to, into what it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// The last grant that the node used for such a reboot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<GrantId>,
}
