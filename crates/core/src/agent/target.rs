//! What a granted reboot would boot.

use super::settings::Health;
use super::state::State;
use crate::host::{Deployment, Host};
use crate::ids::ReleaseId;
use crate::reason::Code;

/// What a granted reboot would boot: the deployment that any reboot would boot, or else the rollback target of an unhealthy host.
pub fn target<'h>(state: &State, host: &'h Host, health: &Health) -> Option<&'h Deployment> {
    let pending = host.pending.as_ref();
    pending.or_else(|| way_back(state, host, health))
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
