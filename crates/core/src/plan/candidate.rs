//! Whether one node may be granted, apart from the budget.

use super::nodes::{goes_back, holds};
use super::planner::Planner;
use crate::field::trouble;
use crate::ids::ReleaseId;
use crate::keys;
use crate::node::NodeView;
use crate::pause::{FoundPause, Scope};
use crate::reason::{Code, Reason};
use crate::values::{Cordoned, Phase};

impl Planner<'_> {
    /// Whether a node without a slot may have one.
    pub(super) fn candidate(&mut self, node: &NodeView) -> Result<(), Reason> {
        self.wants(node)?;
        if holds(node) {
            let text = "the rest of an earlier grant has to be removed from the Node first";
            return Err(Reason::new(Code::Reserved, text));
        }
        let writes = &self.seen.writes;
        if writes.refused(&node.name) {
            return Err(Code::WriteRefused.into());
        }
        if writes.resting.contains(&node.name) || writes.under_way.contains(&node.name) {
            let text = "a write to the Node is in progress";
            return Err(Reason::new(Code::Reserved, text));
        }
        self.rested(node)
    }

    /// Whether enough time has passed since an unanswered grant: a node whose agent is dead, or whose clock is wrong, would otherwise take
    /// the slot again and again.
    fn rested(&mut self, node: &NodeView) -> Result<(), Reason> {
        let Some(since) = self.ledger.unanswered.get(&node.name) else {
            return Ok(());
        };
        let until = since.later(self.policy.accept_timeout);
        // A time in the future was written while the clock was ahead.
        if self.now < *since || self.now >= until {
            return Ok(());
        }
        self.wakes.push(until);
        let text = format!(
            "its last grant was not accepted in time; the next one is given from {until} on"
        );
        Err(Reason::new(Code::GrantUnanswered, text))
    }

    /// Whether the node wants to reboot, and may now.
    pub(super) fn wants(&mut self, node: &NodeView) -> Result<(), Reason> {
        understood(node)?;
        let Some(identity) = node.agent.needed.value() else {
            return Err(Code::UpToDate.into());
        };
        if node.paused {
            return Err(Code::Paused.into());
        }
        if node.only_reboots().is_none() {
            self.failed_before(node, identity)?;
        }
        // Before the phase: the agent holds because of it, too, once it has refused.
        if let Some(by) = node.cordoned_by_other()
            && self.pools.cordoned(&node.name) == Cordoned::Hold
        {
            return Err(Reason::new(Code::CordonedByOther, by));
        }
        let back = goes_back(node);
        match node.agent.status.value().map(|status| status.phase) {
            Some(Phase::Waiting) => {}
            _ if back => {}
            phase => return Err(agent_holds(node, phase)),
        }
        let boot = node.agent.booted.value().map(|booted| booted.boot);
        let ready = node.ready && node.kubelet_boot == boot;
        if node.deleting || boot.is_none() || !(ready || back) {
            return Err(Code::NodeNotReady.into());
        }
        if self.policy.paused {
            return Err(Code::ClusterPaused.into());
        }
        self.paused(node)?;
        self.consent(node, identity)
    }

    /// Whether a pause holds the node. One that can't be understood holds all.
    fn paused(&mut self, node: &NodeView) -> Result<(), Reason> {
        let seen = self.seen;
        for found in &seen.pauses {
            let pause = match found {
                FoundPause::Valid(pause) if pause.holds(self.now) => pause,
                FoundPause::Valid(_) => continue,
                FoundPause::Invalid { name, why } => {
                    let text = format!("UpdatePause {name} can't be understood: {why}");
                    return Err(Reason::new(Code::ClusterPaused, text));
                }
            };
            let in_pool = |name| {
                self.pools
                    .of(&node.name)
                    .any(|pool| pool.name == Some(name))
            };
            let (code, text) = match &pause.scope {
                Scope::All => (Code::ClusterPaused, pause.to_string()),
                Scope::Pool(name) if in_pool(name) => {
                    (Code::PoolPaused, format!("pool {name}: {pause}"))
                }
                Scope::Nodes(names) if names.contains(&node.name) => {
                    (Code::Paused, pause.to_string())
                }
                Scope::Pool(_) | Scope::Nodes(_) => continue,
            };
            self.wakes.extend(pause.until);
            return Err(Reason::new(code, text));
        }
        Ok(())
    }

    /// The release failed on this node, or on as many as make its pools give it up.
    fn failed_before(&self, node: &NodeView, identity: &ReleaseId) -> Result<(), Reason> {
        if let Some(own) = node.agent.failed.value().and_then(|own| own.find(identity)) {
            let text = format!("{identity} failed on this node ({})", own.code);
            return Err(Reason::new(Code::IdentityFailed, text));
        }
        let Some(failed) = self.failures.get(identity) else {
            return Ok(());
        };
        let pools = self.pools.asks(&node.name);
        let most = pools.map(|pool| pool.max_failures.max(1)).min();
        let tried_enough = failed.len() >= most.unwrap_or(1);
        let Some((name, code)) = failed.first().filter(|_| tried_enough) else {
            return Ok(());
        };
        let how = match code {
            Some(code) => format!("{identity} failed on node {name} ({code})"),
            None => format!(
                "{identity} may have failed on node {name}: {} there is not understood",
                keys::FAILED
            ),
        };
        let more = failed.len() - 1;
        let text = match more {
            0 => how,
            _ => format!("{how}, and on {more} more"),
        };
        Err(Reason::new(Code::IdentityFailed, text))
    }
}

/// Checks that everything on the Node that matters is of this protocol version.
fn understood(node: &NodeView) -> Result<(), Reason> {
    if node.protocol.is_absent() {
        return Err(Code::NoAgent.into());
    }
    let (agent, operator) = (&node.agent, &node.operator);
    let problem = trouble(&node.protocol, keys::PROTOCOL)
        .or_else(|| trouble(&operator.grant, keys::REBOOT_OK))
        .or_else(|| trouble(&operator.reserved, keys::REBOOT_RESERVED))
        .or_else(|| trouble(&operator.assigned, keys::RELEASE))
        .or_else(|| trouble(&agent.following, keys::AGENT_RELEASE))
        .or_else(|| trouble(&agent.progress, keys::REBOOT_IN_PROGRESS))
        .or_else(|| trouble(&agent.status, keys::STATUS))
        .or_else(|| trouble(&agent.needed, keys::REBOOT_NEEDED))
        .or_else(|| trouble(&agent.booted, keys::BOOTED))
        .or_else(|| trouble(&agent.result, keys::REBOOT_RESULT))
        .or_else(|| trouble(&agent.failed, keys::FAILED));
    problem.map_or(Ok(()), Err)
}

/// The reason of a node whose agent is not waiting for a grant: the agent's own, if it reports one.
fn agent_holds(node: &NodeView, phase: Option<Phase>) -> Reason {
    let phase = phase.map_or("unknown", Phase::as_str);
    match node.agent.reason.value() {
        Some(reason) => Reason::new(Code::AgentHolds, format!("{phase}: {reason}")),
        None => Reason::new(Code::AgentHolds, format!("the agent is {phase}")),
    }
}
