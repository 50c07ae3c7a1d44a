//! Requests of administrators to try again what failed on the node.

use super::facts::Facts;
use super::state::State;
use crate::reason::Code;
use crate::values::{Failure, RetryRequest};

impl Facts<'_> {
    /// The request on the Node, unless it was followed already. Until the deployments are known it has to wait.
    pub(super) fn retry(&self) -> Option<&RetryRequest> {
        let request = self.node()?.requests.retry.value()?;
        let new = self.state.retried != Some(request.at);
        (new && self.host().is_some()).then_some(request)
    }

    /// Follows the request: takes what it is about off every list, and ends the pause. That the running release is unhealthy stays noted:
    /// it ends by itself once the node is healthy.
    pub(super) fn tries_again(&self, state: &mut State) {
        let (Some(request), Some(host)) = (self.with(state).retry().cloned(), self.host()) else {
            return;
        };
        let running = |failure: &Failure| {
            failure.identity == host.booted.identity && failure.code == Code::Unhealthy
        };
        let over = |failure: &Failure| {
            request.is_about(&failure.identity) && failure.at <= request.at && !running(failure)
        };
        state.forget(over, |identity| request.is_about(identity));
        state.lost.take_if(|lost| request.is_about(&lost.identity));
        // Only the deployments that are there can be tried again.
        let mut there = host.pending.iter().chain(&host.others);
        let about = |id: &String| {
            let spoiled = there.find(|one| one.id == *id);
            spoiled.is_none_or(|spoiled| request.is_about(&spoiled.identity))
        };
        if state.spoiled.as_ref().is_some_and(about) {
            state.spoiled = None;
        }
        state.retried = Some(request.at);
    }
}
