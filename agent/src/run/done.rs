//! Results of tasks that run beside the loop.

use cuo_cluster::ApiError;
use cuo_cluster::evict::Evicted;
use cuo_core::drain::{How, RawPod};
use cuo_core::ids::GrantId;
use cuo_core::reason::{Reason, line};
use tokio::sync::mpsc;
use tracing::warn;

use crate::rpmostree::{Checked, Error, Staged};

/// The result of a task.
pub enum Done {
    /// A line of progress of staging.
    Progress(String),
    /// A staging run ended.
    Staged(Result<Staged, Error>),
    /// A check ended.
    Checked(Result<Checked, Error>),
    /// The API server answered whether it would evict this pod, for this grant.
    Foreseen(GrantId, RawPod, Said),
    /// The API server answered the removal of this pod in this way, for this grant.
    Removed(GrantId, RawPod, How, Said),
    /// rpm-ostree answered the request for this grant.
    Asked(GrantId, Answered),
}

/// The API server's answer about a pod.
pub type Said = Result<Evicted, ApiError>;

/// Sends to the loop. Without a receiver the process is ending, and the result is dropped.
pub async fn send(done: &mpsc::Sender<Done>, result: Done) {
    let _ = done.send(result).await;
}

/// rpm-ostree's answer to a request that leads to the reboot.
#[derive(Debug)]
pub enum Answered {
    /// The staged deployment is finalized: any reboot boots it.
    Finalized,
    /// The next boot boots the rollback target.
    RolledBack,
    /// It was busy with somebody else's transaction, as it put it, and did nothing.
    Busy(String),
    /// It refused, for this reason.
    Refused(Reason),
    /// It went away or did not answer, so it is not known what it did.
    Unheard,
}

impl From<Error> for Answered {
    fn from(error: Error) -> Self {
        let why = error.to_string();
        match error {
            Error::Busy { .. } => Self::Busy(why),
            _ => {
                // The journal has the full text; the reason may have only part of it.
                warn!("rpm-ostree refuses: {}", line(&why));
                Self::Refused(Reason::quoting(error.refusal(), &why))
            }
        }
    }
}
