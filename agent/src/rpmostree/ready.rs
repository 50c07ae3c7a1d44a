//! What has to come before a call that leads to a reboot, so that nothing is left between the last look at the Node and that call.

use super::read::Snapshot;
use super::session::Session;
use super::{Client, Error, Overview};

/// rpm-ostreed knows this program and has told all that is needed for [`Ready::finalize`] or [`Ready::roll_back`]. It does not stop when
/// idle for as long as this is kept.
#[derive(Debug)]
pub struct Ready {
    pub(super) client: Client,
    pub(super) session: Session,
    pub(super) first: Snapshot,
}

impl Client {
    /// Does all that has to come first. Nothing is asked for yet.
    ///
    /// # Errors
    /// As for [`Client::host`].
    pub async fn ready(&self) -> Result<Ready, Error> {
        let (session, first) = self.begin().await?;
        let client = self.clone();
        Ok(Ready {
            client,
            session,
            first,
        })
    }
}

impl Ready {
    /// What was read.
    ///
    /// # Errors
    /// When it makes no sense.
    pub fn overview(&self) -> Result<Overview, Error> {
        Overview::of(&self.first)
    }
}
