//! The report of `cuo-agent status`.

use cuo_core::host::Deployment;
use cuo_core::ids::ReleaseId;
use cuo_core::reason::{AnyCode, Code, Reason};
use cuo_core::release::Following;
use cuo_core::time::Time;
use cuo_core::values::{Failure, Phase, RebootResult};
use serde::Serialize;

use crate::answer::{Granted, LookState, Next};

/// The whole report. Unknown parts are `null`, and [`Report::unknown`] says why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The agent's process.
    pub agent: Agent,
    /// The source of phase, reason, grant and next step.
    pub source: Option<Source>,
    /// The Node's name.
    pub node: Option<String>,
    /// The agent's phase, now or when it last reported.
    pub phase: Option<Phase>,
    /// When the agent entered it.
    pub since: Option<Time>,
    /// Why the agent waits, if there is a reason.
    pub reason: Option<Why>,
    /// The grant that is being acted on, or is to be answered.
    pub grant: Option<Granted>,
    /// The running deployment.
    pub booted: Option<Shown>,
    /// What a reboot would boot, if that is something else.
    pub pending: Option<Shown>,
    /// All other deployments.
    pub others: Vec<Shown>,
    /// Where releases come from.
    pub release: Option<Following>,
    /// Looking for updates.
    pub check: Option<LookState>,
    /// What the agent will do next.
    pub next: Option<Next>,
    /// The answer to the last grant.
    pub result: Option<RebootResult>,
    /// Releases that failed here.
    pub failed: Vec<Failure>,
    /// What is not known, and why.
    pub unknown: Vec<String>,
}

/// The agent's process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Agent {
    /// Whether it runs.
    pub running: bool,
    /// Its process id.
    pub pid: Option<i32>,
    /// The program's version.
    pub version: Option<String>,
}

/// Where a report comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The running agent.
    Agent,
    /// The Node's annotations, as the agent left them.
    Node,
}

/// A reason, with what a person can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The stable code.
    pub code: AnyCode,
    /// The details.
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
    /// The release id.
    pub identity: ReleaseId,
    /// Whether it is staged: written to disk only by the shutdown of this boot.
    pub staged: bool,
    /// Whether only a finalization lets a reboot boot it. Known only for a staged deployment.
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
