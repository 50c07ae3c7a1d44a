//! Requests the reboot from rpm-ostree and logind, and processes their answers.

use cuo_core::agent::{Act, Asked};
use cuo_core::host::Deployment;
use cuo_core::ids::GrantId;
use cuo_core::reason::{Code, Reason};
use tracing::{info, warn};

use super::agent::Agent;
use super::done::{Answered, Done, send};
use super::narrate;
use crate::logind;
use crate::rpmostree::Error;

impl Agent {
    /// Notes that `act` is requested for the current grant, and reports that to the journal; returns the grant's id.
    fn ask(&mut self, act: &Act) -> Option<GrantId> {
        let progress = &self.state.attempt.as_ref()?.grant.progress;
        let (id, identity) = (progress.id, progress.identity);
        let before = self.asked.take();
        self.asked = Some(Asked::next(before, id, act, self.clock.tick()));
        if let Some(entry) = narrate::asks(act, id, identity) {
            entry.tell();
        }
        Some(id)
    }

    pub(super) fn finalize(&mut self, deployment: Deployment) {
        // A confirmation has prepared this; if it is missing, the next confirmation does.
        let Some(ready) = self.host.take_ready() else {
            return;
        };
        let Some(id) = self.ask(&Act::Finalize(deployment.clone())) else {
            return;
        };
        let done = self.done.clone();
        tokio::spawn(async move {
            let answer = match ready.finalize(&deployment).await {
                // The boot id will show whether the host reboots.
                Ok(()) => {
                    info!("rpm-ostree has finalized and reboots");
                    Answered::Finalized
                }
                Err(error @ (Error::Lost { .. } | Error::Timeout { .. })) => {
                    warn!("whether rpm-ostree reboots is not known, and waited for: {error}");
                    Answered::Unheard
                }
                Err(error @ Error::Rebooting) => {
                    warn!("whether rpm-ostree reboots is not known, and waited for: {error}");
                    return;
                }
                Err(error) => error.into(),
            };
            send(&done, Done::Asked(id, answer)).await;
        });
    }

    pub(super) fn roll_back(&mut self, deployment: Deployment) {
        let Some(ready) = self.host.take_ready() else {
            return;
        };
        let Some(id) = self.ask(&Act::RollBack(deployment.clone())) else {
            return;
        };
        let done = self.done.clone();
        tokio::spawn(async move {
            let answer = match ready.roll_back(&deployment).await {
                Ok(()) => Answered::RolledBack,
                // This does not reboot the host, so an unknown result may be given up.
                Err(error) => error.into(),
            };
            send(&done, Done::Asked(id, answer)).await;
        });
    }

    pub(super) async fn reboot(&mut self) {
        if self.ask(&Act::Reboot).is_none() {
            return;
        }
        let refused = match self.logind.reboot().await {
            Ok(()) => return,
            Err(error @ (logind::Error::InProgress | logind::Error::Unavailable { .. })) => {
                warn!("whether the host reboots is not known, and waited for: {error}");
                return;
            }
            Err(error @ logind::Error::Inhibited(_)) => {
                Reason::new(Code::Inhibited, error.to_string())
            }
            Err(error @ (logind::Error::Denied(_) | logind::Error::Failed { .. })) => {
                Reason::new(Code::FinalizeFailed, error.to_string())
            }
        };
        warn!("logind does not reboot: {refused}");
        if let Some(asked) = &mut self.asked {
            asked.refused = Some(refused);
        }
    }

    /// Processes rpm-ostree's answer to the request for grant `id`.
    pub(super) fn answered(&mut self, id: GrantId, answer: Answered) {
        if let Answered::Refused(_) | Answered::RolledBack | Answered::Unheard = answer {
            self.host.outdated();
        }
        let Some(asked) = self.asked.as_mut().filter(|asked| asked.id == id) else {
            return;
        };
        match answer {
            Answered::Finalized => asked.unlocked = true,
            Answered::RolledBack => {
                // Only the reboot itself is missing, and has not been requested yet.
                self.asked = None;
            }
            Answered::Unheard => asked.unheard = true,
            Answered::Busy(why) => asked.busy = Some(Reason::new(Code::RpmOstreeBusy, why)),
            Answered::Refused(why) => {
                // logind has accepted the reboot meanwhile.
                if asked.again.is_some() {
                    warn!("rpm-ostree refuses, after logind was asked: {why}");
                    return;
                }
                asked.refused = Some(why);
            }
        }
    }
}
