//! What came of what ran beside the loop.

use cuo_cluster::ApiError;
use cuo_cluster::evict::Evicted;
use cuo_core::drain::{How, RawPod};
use cuo_core::ids::GrantId;
use cuo_core::reason::{Reason, line};
use tokio::sync::mpsc;
use tracing::warn;

use crate::look::Looked;
use crate::rpmostree::{Error, Package};

/// What a task that ran beside the loop came to.
pub enum Done {
    /// A line of progress of staging.
    Progress(String),
    /// A look for updates ended.
    Looked(Box<Looked>),
    /// The API server said whether it would evict this pod, for this grant.
    Foreseen(GrantId, RawPod, Said),
    /// The API server said what becomes of this pod, that was to leave in this way for this grant.
    Removed(GrantId, RawPod, How, Said),
    /// The packages that the deployment of this `id` brings, as far as rpm-ostree tells.
    Brings(String, Vec<Package>),
    /// The version of the API server, if it says.
    Serves(Option<String>),
    /// rpm-ostree answered to what it was asked for because of this grant.
    Asked(GrantId, Answered),
}

/// What the API server said of a pod.
pub type Said = Result<Evicted, ApiError>;

/// Sends to the loop; when it is gone, the process is ending.
pub async fn send(done: &mpsc::Sender<Done>, result: Done) {
    let _ = done.send(result).await;
}

/// What rpm-ostree answered.
#[derive(Debug)]
pub enum Answered {
    /// What is staged is finalized: any reboot boots it.
    Finalized,
    /// The next boot boots what the host goes back to.
    RolledBack,
    /// It is at work for somebody else and did nothing, in its words.
    Busy(String),
    /// It did not do it, and what is in the way.
    Refused(Reason),
    /// It went away or was silent, and what it did is not known.
    Unheard,
}

impl From<Error> for Answered {
    fn from(error: Error) -> Self {
        let why = error.to_string();
        match error {
            Error::Busy { .. } => Self::Busy(why),
            _ => {
                // The journal has it whole; of the reason there may be only a part.
                warn!("rpm-ostree refuses: {}", line(&why));
                Self::Refused(Reason::quoting(error.refusal(), &why))
            }
        }
    }
}
