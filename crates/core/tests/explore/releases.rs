//! A pool with a candidate: what is published, what agents stage of it, and which release may be assigned and granted (I11).

use cuo_core::ids::ReleaseId;
use cuo_core::ledger::{Entry, Ledger};
use cuo_core::node::NodeView;
use cuo_core::plan::{NodeAct, NodeChange, PoolAct, PoolChange};
use cuo_core::release::{Chosen, Rollout};
use cuo_core::time::Time;

use crate::search::Violation;
use crate::world::{NEW, NEWER, Operator, Scope, Site, World, node_name};

/// What the branch leads to.
pub fn head(world: &World) -> ReleaseId {
    if world.published { NEWER } else { NEW }
}

/// What the agent stages: what it is told, or else what the branch leads to.
pub fn target(at: &Site, head: ReleaseId) -> Option<ReleaseId> {
    let picture = match &at.agent.stale {
        Some(stale) => stale.view.as_deref(),
        None => at.node.as_deref(),
    };
    let assigned = picture.and_then(|node| node.operator.assigned.value());
    let avoided = assigned.is_some_and(|assigned| assigned.avoid.contains(&head));
    let told = assigned.and_then(|assigned| assigned.identity);
    told.or_else(|| (!avoided).then_some(head))
}

impl Scope {
    /// The pool has a candidate.
    pub fn has_candidate(&self) -> bool {
        self.pools.contains(&crate::pools::CANARY)
    }
}

/// How far the pool is, as the operator knows it.
pub fn known<'a>(world: &'a World, at: &'a Operator) -> &'a Rollout {
    at.rollout.as_ref().unwrap_or(&world.rollout)
}

/// Brings it into the one form of all that differ in nothing that matters.
pub fn forget(rollout: &mut Rollout) {
    let chosen = rollout.candidate.iter_mut().chain(&mut rollout.promoted);
    chosen.for_each(|chosen: &mut Chosen| chosen.since = Time::EPOCH);
    rollout.promoted_at = rollout.promoted_at.map(|_| Time::EPOCH);
    rollout
        .given_up
        .iter_mut()
        .for_each(|one| one.at = Time::EPOCH);
    for past in &mut rollout.history {
        (past.started, past.finished, past.nodes) = (Time::EPOCH, Time::EPOCH, 0);
    }
}

fn violation(rule: &str, by: &impl std::fmt::Debug) -> Result<(), Violation> {
    Err(Violation::new(rule, by))
}

/// What is granted is promoted in the pool as it is, or it is the candidate, and no other node tries it than as many as are to.
pub fn granted_well(
    world: &World,
    current: bool,
    nodes: &[&NodeView],
    ledger: &Ledger,
    entry: (&cuo_core::ids::NodeName, &Entry),
) -> Result<(), Violation> {
    let (name, entry) = entry;
    let (rollout, identity) = (&*world.rollout, &entry.identity);
    let is = |chosen: &Option<Chosen>| chosen.as_ref().is_some_and(|one| one.is(identity));
    if is(&rollout.promoted) {
        return Ok(());
    }
    if !is(&rollout.candidate) {
        let rule = "I11: granted what is neither the candidate nor promoted";
        return violation(rule, &(entry, rollout));
    }
    let tries = |node: &&&NodeView| {
        let runs = node.agent.booted.value();
        let runs = runs.is_some_and(|booted| booted.identity == *identity);
        let slot = ledger.entries.get(&node.name);
        let slot = slot.is_some_and(|slot| slot.identity == *identity);
        node.name != *name && (runs || slot)
    };
    // As with budgets, what the operator could not know of Nodes does not count.
    let others = nodes.iter().filter(tries).count();
    if current && others > 0 {
        return violation("I11: more nodes try it than are to", &(entry, others));
    }
    Ok(())
}

/// A node is told to go to the candidate, to what is promoted, or to stay.
pub fn assigned_well(world: &World, at: &Operator, act: &NodeAct) -> Result<(), Violation> {
    let NodeChange::Assign(assigned) = &act.change else {
        return Ok(());
    };
    let Some(identity) = assigned.as_ref().and_then(|assigned| assigned.identity) else {
        return Ok(());
    };
    let rollout = known(world, at);
    let mut chosen = rollout.candidate.iter().chain(&rollout.promoted);
    let site = (0..world.sites.len()).find(|site| node_name(*site) == act.node);
    let picture = site.and_then(|site| match at.nodes.get(&site) {
        Some(stale) => stale.view.as_deref(),
        None => world.sites[site].node.as_deref(),
    });
    let booted = picture.and_then(|node| node.agent.booted.value());
    let stays = booted.is_some_and(|booted| booted.identity == identity);
    match stays || chosen.any(|chosen| chosen.is(&identity)) {
        true => Ok(()),
        false => violation("I11: told a node to go elsewhere", &(assigned, rollout)),
    }
}

/// Nothing is promoted that no node runs, and what was given up stays so unless no node says any more that it failed.
pub fn chosen_well(
    world: &World,
    at: &Operator,
    nodes: &[&NodeView],
    act: &PoolAct,
) -> Result<(), Violation> {
    let rollout = known(world, at);
    let candidate = rollout.candidate.as_ref();
    let runs = |node: &&&NodeView| {
        let booted = node.agent.booted.value();
        booted.is_some_and(|run| candidate.is_some_and(|one| one.is(&run.identity)))
    };
    match &act.change {
        PoolChange::Promote if !nodes.iter().any(|node| runs(&node)) => {
            violation("I11: promoted what no node runs", &(act, rollout))
        }
        PoolChange::Choose(chosen) | PoolChange::Supersede(Some(chosen))
            if rollout.given_up.iter().any(|one| chosen.is(&one.identity)) =>
        {
            violation("I11: chose what was given up", &(act, rollout))
        }
        _ => Ok(()),
    }
}
