//! What a granted reboot would boot.

use super::settings::Health;
use super::state::State;
use crate::host::{Deployment, Host};
use crate::ids::{BootId, ReleaseId};
use crate::node::NodeView;
use crate::reason::Code;
use crate::survey::Survey;

/// What decides what a granted reboot would boot, besides the deployments themselves.
#[derive(Debug, Clone, Copy)]
pub struct Wishes<'a> {
    /// What the agent remembers.
    pub state: &'a State,
    /// The configuration of the way back.
    pub health: &'a Health,
    /// This host's Node, if it is known.
    pub node: Option<&'a NodeView>,
    /// The id of the current boot.
    pub boot: &'a BootId,
    /// What else was found on the host, if that is known.
    pub survey: Option<&'a Survey>,
}

impl<'a> Wishes<'a> {
    /// What a granted reboot would boot: what runs, where the host is only to reboot; else the update.
    pub fn target<'h>(&self, host: &'h Host) -> Option<&'h Deployment> {
        match self.only_reboots(host) {
            true => Some(&host.booted),
            false => self.update(host),
        }
    }

    /// The deployment that any reboot would boot, or else the rollback target of an unhealthy host.
    pub(super) fn update<'h>(&self, host: &'h Host) -> Option<&'h Deployment> {
        let pending = host.pending.as_ref();
        pending.or_else(|| way_back(self.state, host, self.health))
    }

    /// Why the host is to reboot without an update, if it is: somebody asks for it on its Node, for this boot, or a file on the host does.
    pub fn reboot(&self) -> Option<String> {
        let request = self.node.and_then(|node| node.requests.reboot.value());
        let request = request.filter(|request| request.boot == *self.boot);
        let file = || {
            let path = self.survey?.sentinel.as_ref()?;
            Some(format!("requested by the file {path}"))
        };
        request.map(ToString::to_string).or_else(file)
    }

    /// Whether the next granted reboot is one without an update. One into an update that any reboot would boot is not, nor is the way back;
    /// a locked update is dropped by the reboot, and staged anew after it.
    pub(super) fn only_reboots(&self, host: &Host) -> bool {
        let attempt = self.state.attempt.as_ref();
        let wanted = match attempt.filter(|attempt| attempt.grant.progress.boot == *self.boot) {
            Some(attempt) if !attempt.baseline.plain => false,
            // What a file asks for is not known for a moment.
            Some(_) if self.survey.is_none() => true,
            Some(_) | None => self.reboot().is_some(),
        };
        wanted
            && way_back(self.state, host, self.health).is_none()
            && host
                .pending
                .as_ref()
                .is_none_or(|next| self.is_dropped(next))
    }

    /// Whether a reboot that does not finalize the pending deployment drops it, as far as that is known.
    fn is_dropped(&self, pending: &Deployment) -> bool {
        let locked = self.survey.map(|survey| survey.locked(pending));
        pending.staged && locked.is_none_or(|locked| locked == Some(true))
    }
}

/// The rollback target of an unhealthy host. There is none while somebody else's deployment is staged.
pub(super) fn way_back<'h>(
    state: &State,
    host: &'h Host,
    health: &Health,
) -> Option<&'h Deployment> {
    let left = &host.booted.identity;
    let unhealthy = health.rollback && state.is_unhealthy(host);
    // The one rpm-ostree would choose: the first after the booted one. After the rollback call it is the first of all.
    let next = host.pending.as_ref().or_else(|| host.others.first());
    next.filter(|next| {
        let bad = state.failed.find(&next.identity).is_some();
        unhealthy && !next.staged && next.identity != *left && !bad
    })
}

impl State {
    /// Whether the running release is known to be unhealthy here.
    pub(super) fn is_unhealthy(&self, host: &Host) -> bool {
        let failure = self.failed.find(&host.booted.identity);
        failure.is_some_and(|failure| failure.code == Code::Unhealthy)
    }

    /// Notes that `identity` became healthy here after all.
    pub(super) fn recovered(&mut self, identity: &ReleaseId) {
        let failures = &mut self.failed.identities;
        failures.retain(|failure| failure.identity != *identity || failure.code != Code::Unhealthy);
    }
}
