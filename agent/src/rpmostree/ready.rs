//! Preparation of a call that leads to a reboot, so that nothing delays it after the last look at the Node.

use super::read::Snapshot;
use super::session::Session;
use super::{Client, Error, Overview};

/// rpm-ostreed knows this program and has reported everything needed for [`Ready::finalize`] or [`Ready::roll_back`]. It does not stop when
/// idle as long as this exists.
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
    /// When it can't be parsed.
    pub fn overview(&self) -> Result<Overview, Error> {
        Overview::of(&self.first)
    }
}
