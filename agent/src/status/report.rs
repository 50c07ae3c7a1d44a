//! What `cuo-agent status` shows.

use cuo_core::host::Deployment;
use cuo_core::ids::ReleaseId;
use cuo_core::reason::{AnyCode, Code, Reason};
use cuo_core::release::Following;
use cuo_core::time::Time;
use cuo_core::values::{Failure, Phase, RebootResult};
use serde::Serialize;

use crate::answer::{Check, Granted, Next};

/// Everything that is shown. What is not known is `null`, and [`Report::unknown`] says why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The agent's process.
    pub agent: Agent,
    /// Where phase, reason, grant and what follows come from.
    pub source: Option<Source>,
    /// The Node's name.
    pub node: Option<String>,
    /// Where the agent is, or was when it last said so.
    pub phase: Option<Phase>,
    /// Since when.
    pub since: Option<Time>,
    /// What holds.
    pub reason: Option<Why>,
    /// The grant that is acted on, or waits to be.
    pub grant: Option<Granted>,
    /// What runs.
    pub booted: Option<Shown>,
    /// What a reboot would boot, if that is something else.
    pub pending: Option<Shown>,
    /// All other deployments.
    pub others: Vec<Shown>,
    /// Where releases come from.
    pub release: Option<Following>,
    /// Looking for updates.
    pub check: Option<Check>,
    /// What the agent will do next.
    pub next: Option<Next>,
    /// What came of the last grant.
    pub result: Option<RebootResult>,
    /// Releases that failed here.
    pub failed: Vec<Failure>,
    /// What could not be found out, and why.
    pub unknown: Vec<String>,
}

/// The agent's process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Agent {
    /// There is one.
    pub running: bool,
    /// Its id.
    pub pid: Option<i32>,
    /// The program's version.
    pub version: Option<String>,
}

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The running agent.
    Agent,
    /// The Node's annotations, as the agent left them.
    Node,
}

/// A reason, with what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The stable code.
    pub code: AnyCode,
    /// The particulars.
    pub message: String,
    /// What a person can do.
    pub remedy: &'static str,
}

impl<C: Into<AnyCode>> From<Reason<C>> for Why {
    fn from(reason: Reason<C>) -> Self {
        let code = reason.code.into();
        let remedy = code
            .known()
            .map_or("See `journalctl -u cuo-agent`.", Code::remedy);
        Self {
            code,
            message: reason.message,
            remedy,
        }
    }
}

/// A deployment, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its version.
    pub version: String,
    /// What it is for the cluster.
    pub identity: ReleaseId,
    /// Written to disk only by the shutdown of this boot.
    pub staged: bool,
    /// No reboot boots it unless it is finalized before. Known only of what is staged.
    pub locked: Option<bool>,
}

impl From<Deployment> for Shown {
    fn from(deployment: Deployment) -> Self {
        Self {
            version: deployment.version,
            identity: deployment.identity,
            staged: deployment.staged,
            locked: None,
        }
    }
}
