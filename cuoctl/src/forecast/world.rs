//! The simulated cluster: Nodes, ledger and pools, as acts and agents change them.

use std::collections::BTreeMap;

use cuo_core::ids::{BootId, NodeName};
use cuo_core::ledger::Ledger;
use cuo_core::node::NodeView;
use cuo_core::pause::FoundPause;
use cuo_core::plan::{Act, LedgerAct, NodeAct, NodeChange, Plan, Policy, PoolAct, PoolChange};
use cuo_core::plan::{Snapshot, plan};
use cuo_core::reason::{Code, Reason};
use cuo_core::time::Time;
use cuo_core::values::Field;
use jiff::SignedDuration;

use super::agent::{self, Work};
use super::said::{Assumed, Forecast, Left, Reboot, Restless, Turn};
use crate::pools::asks;

/// More acts in a row than any cluster needs at one moment.
const ACTS: usize = 200_000;
/// The least time that passes between two moments, so that time always goes on.
const TICK: SignedDuration = SignedDuration::from_secs(1);

/// The simulated cluster.
pub struct World<'a> {
    seen: Snapshot,
    policy: &'a Policy,
    assumed: Assumed,
    from: Time,
    now: Time,
    work: BTreeMap<NodeName, Work>,
    /// Number of the last boot id that was made up.
    boots: u64,
    forecast: Forecast,
}

impl<'a> World<'a> {
    pub fn new(seen: Snapshot, policy: &'a Policy, assumed: Assumed, from: Time) -> Self {
        Self {
            seen,
            policy,
            assumed,
            from,
            now: from,
            work: BTreeMap::new(),
            boots: 0,
            forecast: Forecast {
                from,
                until: from,
                reboots: Vec::new(),
                turns: Vec::new(),
                left: Vec::new(),
            },
        }
    }

    pub fn run(mut self, until: Time) -> Result<Forecast, Restless> {
        loop {
            self.finish_work();
            let plan = self.settle()?;
            let agents = self.work.values().map(Work::until).min();
            let wake = plan.wake.map(|wake| wake.max(self.now.later(TICK)));
            match agents.into_iter().chain(wake).min() {
                Some(next) if next <= until => self.now = next,
                next => return Ok(self.end(&plan, until, next.is_some())),
            }
        }
    }

    /// What agents are done with by now.
    fn finish_work(&mut self) {
        let due = self
            .work
            .iter()
            .filter(|(_, work)| work.until() <= self.now);
        let due: Vec<_> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            let (Some(work), Some(node)) =
                (self.work.remove(&name), self.seen.nodes.get_mut(&name))
            else {
                continue;
            };
            if let Work::Boots(_, reboot) = &work {
                self.forecast.reboots.push(reboot.clone());
            }
            self.boots += 1;
            let boot = made_up(self.boots);
            if let Some(next) = agent::ends(node, work, boot, self.assumed) {
                self.work.insert(name, next);
            }
        }
    }

    /// Lets the operator and the agents act until nobody has anything to do at this moment.
    fn settle(&mut self) -> Result<Plan, Restless> {
        self.begin_work();
        for _ in 0..ACTS {
            let plan = plan(&self.seen, self.policy, self.now);
            match &plan.act {
                Act::Wait => return Ok(plan),
                Act::ConfirmNode(name) => {
                    let live = self.seen.nodes.get(name).cloned();
                    self.seen.live.insert(name.clone(), live);
                    continue;
                }
                Act::ConfirmPools => {
                    self.seen.pools_live = true;
                    continue;
                }
                Act::Ledger(act) => self.write_ledger(act),
                Act::Node(act) => self.write_node(act),
                Act::Pool(act) => self.write_pool(act),
            }
            self.seen.live.clear();
            self.seen.pools_live = false;
            self.begin_work();
        }
        Err(Restless(self.now))
    }

    fn begin_work(&mut self) {
        for (name, node) in &mut self.seen.nodes {
            let free = match self.work.get(name) {
                None => true,
                // A grant comes before what is staged meanwhile.
                Some(work) => work.reboot().is_none() && !node.operator.grant.is_absent(),
            };
            if free && let Some(work) = agent::begins(node, self.now, self.assumed) {
                self.work.insert(name.clone(), work);
            }
        }
    }

    fn write_ledger(&mut self, act: &LedgerAct) {
        let none = Ledger::default();
        let next = act.on(self.seen.ledger.value().unwrap_or(&none));
        self.seen.ledger = Field::Value(next);
    }

    fn write_node(&mut self, act: &NodeAct) {
        let Some(node) = self.seen.nodes.get_mut(&act.node) else {
            return;
        };
        let want = act.on(node);
        want.apply(node);
        // Checks are assumed to pass as soon as they are asked for.
        let checks = match &act.change {
            NodeChange::MarkReserved { reset, before, .. } if *before => reset.as_slice(),
            NodeChange::AskAfterChecks(checks) => checks,
            _ => &[],
        };
        let passed = checks.iter().map(|name| (name.clone(), "true".to_owned()));
        node.others.extend(passed);
    }

    fn write_pool(&mut self, act: &PoolAct) {
        let rollout = self.seen.rollouts.entry(act.pool.clone()).or_default();
        let what = match &act.change {
            PoolChange::Choose(chosen) => Some(format!("{} is the candidate", chosen.called())),
            PoolChange::Promote => rollout
                .candidate
                .as_ref()
                .map(|chosen| format!("{} is promoted", chosen.called())),
            PoolChange::GiveUp(given_up) => {
                let called = given_up.iter().map(|one| one.version.clone());
                let called: Vec<_> = called.map(Option::unwrap_or_default).collect();
                Some(format!("{} is given up", called.join(", ")))
            }
            PoolChange::Supersede(Some(chosen)) => {
                Some(format!("{} takes the candidate's place", chosen.called()))
            }
            PoolChange::Supersede(None) | PoolChange::End => Some("no candidate any more".into()),
            PoolChange::Restore(_) | PoolChange::Resolve(..) | PoolChange::Forgive(_) => None,
        };
        *rollout = act.on(rollout);
        self.forecast.turns.extend(what.map(|what| Turn {
            at: self.now,
            pool: act.pool.clone(),
            what,
        }));
    }

    fn end(mut self, plan: &Plan, until: Time, goes_on: bool) -> Forecast {
        for (name, node) in &self.seen.nodes {
            let left = self.left(plan, node, goes_on);
            let left = left.map(|(reason, later)| Left {
                node: name.clone(),
                later,
                reason,
            });
            self.forecast.left.extend(left);
        }
        let under_way = self.work.values().filter_map(Work::reboot).cloned();
        self.forecast.reboots.extend(under_way);
        let order = |reboot: &Reboot| (reboot.granted, reboot.node.clone());
        self.forecast.reboots.sort_by_key(order);
        self.forecast.from = self.from;
        self.forecast.until = until;
        self.forecast
    }

    /// Why the node is not where it is to go, and whether that passes by itself; `None` where it is, or reboots right now.
    fn left(&self, plan: &Plan, node: &NodeView, goes_on: bool) -> Option<(Reason, bool)> {
        match self.work.get(&node.name) {
            Some(Work::Stages(_, release)) => {
                let called = release.version.clone();
                let called = called.unwrap_or_else(|| release.identity.short());
                let text = format!("it is still staging {called}");
                return Some((Reason::new(Code::ReleasePending, text), true));
            }
            Some(Work::Drains(..) | Work::Boots(..)) => return None,
            None => {}
        }
        if !node.agent.needed.is_absent() {
            let reason = plan.verdicts.get(&node.name)?.clone();
            let later = self.passes(reason.code, node, goes_on);
            return Some((reason, later));
        }
        // An agent that holds does not stage what it was assigned.
        let assigned = node.operator.assigned.value()?.identity?;
        let runs = node.agent.booted.value().map(|booted| booted.identity);
        let held = node.agent.reason.value()?;
        (runs != Some(assigned)).then(|| (Reason::new(Code::AgentHolds, held.to_string()), false))
    }

    /// The reason goes away by itself: with time, which `goes_on`, or as others get on.
    fn passes(&self, code: Code, node: &NodeView, goes_on: bool) -> bool {
        let busy = !self.work.is_empty();
        let by_time = [
            Code::PoolSettling,
            Code::Reserved,
            Code::Granted,
            Code::GrantUnanswered,
        ];
        let by_either = [Code::CanaryFirst, Code::ReleasePending];
        let by_others = [
            Code::BudgetExhausted,
            Code::ControlPlaneBusy,
            Code::OwnNodeLast,
        ];
        let paused = [Code::ClusterPaused, Code::PoolPaused, Code::Paused];
        goes_on && (by_time.contains(&code) || by_either.contains(&code))
            || busy && (by_others.contains(&code) || by_either.contains(&code))
            || code == Code::WindowClosed && self.opens(node)
            // What opens it is not of this world.
            || code == Code::GateClosed
            || paused.contains(&code) && self.pause_ends(node)
    }

    /// Every pool of the node has another window.
    fn opens(&self, node: &NodeView) -> bool {
        let now = self.now.timestamp();
        let asks = asks(&self.seen.pools, &self.policy.builtin, node);
        let mut calendars = asks.into_iter().map(|pool| &pool.calendar);
        calendars.all(|one| one.open(now).is_some() || one.next_opening(now).is_some())
    }

    /// What pauses the node are objects with an end.
    fn pause_ends(&self, node: &NodeView) -> bool {
        let mut holding = self.seen.pauses.iter().filter_map(|found| match found {
            FoundPause::Valid(pause) if pause.holds(self.now) => Some(pause.until.is_some()),
            FoundPause::Valid(_) => None,
            FoundPause::Invalid { .. } => Some(false),
        });
        let first = holding.next();
        !self.policy.paused && !node.paused && first == Some(true) && holding.all(|ends| ends)
    }
}

/// A boot id that no host has.
fn made_up(number: u64) -> BootId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    BootId::from_bytes(bytes)
}
