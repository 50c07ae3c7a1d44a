//! Results of tasks that run beside the loop.

use cuo_cluster::ApiError;
use cuo_cluster::evict::Evicted;
use cuo_core::drain::{How, RawPod};
use cuo_core::ids::GrantId;
use cuo_core::reason::{Reason, line};
use tokio::sync::mpsc;
use tracing::warn;

use crate::look::Looked;
use crate::rpmostree::{Error, Package};

/// The result of a task.
pub enum Done {
    /// A line of progress of staging.
    Progress(String),
    /// A look for updates ended.
    Looked(Box<Looked>),
    /// The API server said whether it would evict this pod, for this grant.
    Foreseen(GrantId, RawPod, Said),
    /// The API server answered the removal of this pod in this way, for this grant.
    Removed(GrantId, RawPod, How, Said),
    /// The packages that the deployment of this `id` brings, as far as rpm-ostree tells.
    Brings(String, Vec<Package>),
    /// The version of the API server, if it says.
    Serves(Option<String>),
    /// rpm-ostree answered to what it was asked for because of this grant.
    Asked(GrantId, Answered),
    /// The metrics can't be written, for this reason, or can be again.
    Textfile(Option<String>),
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
