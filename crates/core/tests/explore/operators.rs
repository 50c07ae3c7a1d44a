//! The operators: each plans on its own picture of the Nodes, without regard to any leader.

use std::collections::BTreeMap;

use cuo_core::ids::PoolName;
use cuo_core::ledger::{Ledger, Stage};
use cuo_core::node::NodeView;
use cuo_core::plan::{Act, Plan, Policy, PoolAct, Snapshot, plan};
use cuo_core::pool::{CanaryWho, FoundPool};
use cuo_core::release::{Chosen, Rollout};
use cuo_core::values::Field;
use jiff::SignedDuration;

use crate::bugs::Bug;
use crate::faults::{Context, Next};
use crate::pools::{beyond, built_in, pools};
use crate::releases::{assigned_well, chosen_well, granted_well, known};
use crate::search::Violation;
use crate::shared::hash;
use crate::sites::{Broken, Kind};
use crate::world::{Operator, Scope, Sent, Site, Stale, World, Write, node_name, time};

fn policy(paused: bool, scope: &Scope) -> Policy {
    Policy {
        builtin: built_in(scope.budget),
        paused,
        control_plane: Default::default(),
        accept_timeout: SignedDuration::from_secs(300),
    }
}

/// The Nodes as the operator knows them.
fn pictures<'a>(world: &'a World, at: &'a Operator) -> impl Iterator<Item = &'a NodeView> {
    let picture = |site: usize| match at.nodes.get(&site) {
        Some(stale) => stale.view.as_deref(),
        None => world.sites[site].node.as_deref(),
    };
    (0..world.sites.len()).filter_map(picture)
}

fn snapshot(world: &World, at: &Operator, scope: &Scope) -> Snapshot {
    let bug = scope.bug;
    let nodes = pictures(world, at).map(|view| (view.name.clone(), view.clone()));
    let mut nodes: BTreeMap<_, _> = nodes.collect();
    if let Some(bug) = bug {
        nodes.values_mut().for_each(|node| bug.blind_operator(node));
    }
    let ledger = at
        .ledger
        .as_ref()
        .map_or(&world.ledger, |stale| &stale.view);
    Snapshot {
        nodes,
        ledger: Field::Value((**ledger).clone()),
        live: BTreeMap::new(),
        own_node: Some(node_name(0)),
        pools: falsified(pools(at.pools.unwrap_or(world.pools)), bug),
        rollouts: rollouts(scope, known(world, at), bug),
        pools_busy: Default::default(),
        pauses: vec![],
        gates: Default::default(),
        pools_live: false,
        writes: Default::default(),
    }
}

/// How far the pool is, under its name.
fn rollouts(scope: &Scope, rollout: &Rollout, bug: Option<Bug>) -> BTreeMap<PoolName, Rollout> {
    let mut rollout = rollout.clone();
    if bug == Some(Bug::TakesCandidatesForPromoted) && rollout.promoted.is_none() {
        rollout.promoted = rollout.candidate.clone();
    }
    let known = scope
        .has_candidate()
        .then(|| ("all".parse().unwrap(), rollout));
    known.into_iter().collect()
}

fn falsified(mut pools: Vec<FoundPool>, bug: Option<Bug>) -> Vec<FoundPool> {
    for pool in &mut pools {
        if let (Some(Bug::TakesAllForCanaries), FoundPool::Valid(pool)) = (bug, pool)
            && let Some(canary) = &mut pool.canary
        {
            canary.who = CanaryWho::Count(9);
        }
    }
    pools
}

fn site_of(world: &World, name: &cuo_core::ids::NodeName) -> usize {
    let mut sites = 0..world.sites.len();
    sites.find(|site| node_name(*site) == *name).unwrap()
}

/// One plan and what it was made on, with live reads where it asks for them.
fn decide(world: &World, at: &Operator, policy: &Policy, scope: &Scope) -> (Snapshot, Plan) {
    let bug = scope.bug;
    let mut seen = snapshot(world, at, scope);
    loop {
        let planned = plan(&seen, policy, time(world.moment));
        let name = match &planned.act {
            Act::ConfirmNode(name) => name,
            Act::ConfirmPools => {
                if bug != Some(Bug::TrustsOldPools) {
                    seen.pools = falsified(pools(world.pools), bug);
                }
                seen.rollouts = rollouts(scope, &world.rollout, bug);
                assert!(!seen.pools_live, "pools are asked for once");
                seen.pools_live = true;
                continue;
            }
            Act::Wait | Act::Ledger(_) | Act::Node(_) | Act::Pool(_) => return (seen, planned),
        };
        let node = world.sites[site_of(world, name)].node.as_deref();
        let live = node.filter(|_| bug != Some(Bug::DropsUnseen)).cloned();
        assert!(
            seen.live.insert(name.clone(), live).is_none(),
            "a live read is asked for once"
        );
    }
}

/// Everything that can happen next at `operator`.
pub fn all(
    world: &World,
    operator: usize,
    context: &mut Context,
    next: &mut Vec<Next>,
) -> Result<(), Broken> {
    let at = &world.operators[operator];
    let named = context.named;
    let name = |what: &dyn Fn() -> String| named.then(what).unwrap_or_default();
    let mut push = |what: &dyn Fn() -> String, kind: Kind, change: &dyn Fn(&mut World)| {
        if kind == Kind::Fault && world.faults == 0 {
            return;
        }
        let mut after = world.clone();
        after.faults -= u8::from(kind == Kind::Fault);
        change(&mut after);
        next.push((name(what), kind, after));
    };
    for site in 0..world.sites.len() {
        if at.nodes.contains_key(&site) {
            let what = || format!("operator {operator} catches up on {site}");
            push(&what, Kind::Free, &|world| {
                world.operators[operator].nodes.remove(&site);
            });
        } else {
            let what = || format!("operator {operator} hears nothing of {site} for a while");
            push(&what, Kind::Fault, &|world| {
                let stale = Stale {
                    view: world.sites[site].node.clone(),
                    current: true,
                };
                world.operators[operator].nodes.insert(site, stale);
            });
        }
    }
    if at.ledger.is_some() {
        let what = || format!("operator {operator} reads the ledger again");
        push(&what, Kind::Free, &|world| {
            world.operators[operator].ledger = None
        });
    } else {
        let what = || format!("operator {operator} does not read the ledger for a while");
        push(&what, Kind::Fault, &|world| {
            let view = world.ledger.clone();
            world.operators[operator].ledger = Some(Stale {
                view,
                current: true,
            });
        });
    }
    if at.pools.is_some() {
        let what = || format!("operator {operator} catches up on the pools");
        push(&what, Kind::Free, &|world| {
            let at = &mut *world.operators[operator];
            (at.pools, at.rollout) = (None, None);
        });
    } else if context.scope.pools_change() || context.scope.has_candidate() {
        let what = || format!("operator {operator} hears nothing of the pools for a while");
        push(&what, Kind::Fault, &|world| {
            let rollout = world.rollout.clone();
            let pools = Some(world.pools);
            let at = &mut *world.operators[operator];
            (at.pools, at.rollout) = (pools, Some(rollout));
        });
    }
    let Some(sent) = &at.flight else {
        let sent = context.planned(world, at);
        let sent = sent.map_err(|violation| (format!("operator {operator} plans"), violation))?;
        if let Some(sent) = sent {
            let what = || format!("operator {operator} sends {}", brief(&sent.what));
            push(&what, Kind::Free, &|world| {
                sends(world, operator, sent.clone())
            });
        }
        return orphan(world, operator, context, next);
    };
    let what = || format!("operator {operator} is killed");
    push(&what, Kind::Fault, &|world| {
        let at = &mut world.operators[operator];
        at.orphan = at.flight.take();
        at.nodes.clear();
        (at.ledger, at.pools, at.rollout) = (None, None, None);
    });
    let what = || format!("lost: operator {operator}'s {}", brief(&sent.what));
    push(&what, Kind::Fault, &|world| {
        let at = &mut world.operators[operator];
        (at.flight, at.ledger) = (None, None);
    });
    let mut after = world.clone();
    after.operators[operator].flight = None;
    let what = || format!("operator {operator}'s write arrives: {}", brief(&sent.what));
    arrive(&mut after, sent, &context.scope).map_err(|violation| (what(), violation))?;
    next.push((name(&what), Kind::Free, after));
    orphan(world, operator, context, next)
}

/// What a dead process sent may still arrive.
fn orphan(
    world: &World,
    operator: usize,
    context: &Context,
    next: &mut Vec<Next>,
) -> Result<(), Broken> {
    let Some(sent) = &world.operators[operator].orphan else {
        return Ok(());
    };
    let mut lost = world.clone();
    lost.operators[operator].orphan = None;
    let mut after = lost.clone();
    let what = format!("dead operator {operator}'s {}", brief(&sent.what));
    arrive(&mut after, sent, &context.scope).map_err(|violation| (what.clone(), violation))?;
    next.push((format!("{what} is lost"), Kind::Idle, lost));
    next.push((what, Kind::Free, after));
    Ok(())
}

fn sends(world: &mut World, operator: usize, sent: Sent<Write>) {
    if let Write::Ledger(ledger) = &sent.what {
        for site in 0..world.sites.len() {
            // A node that does not exist counts for nothing, whatever its host does.
            let at = &world.sites[site];
            if at.node.is_none() && !at.gone && !ledger.entries.contains_key(&node_name(site)) {
                world.sites[site].gone = true;
            }
        }
    }
    world.operators[operator].flight = Some(sent);
}

/// What an operator sends next.
pub type Turn = Result<Option<Sent<Write>>, Violation>;

impl Context {
    /// The decision of an operator, which most of what hosts and agents do does not concern.
    fn planned(&mut self, world: &World, at: &Operator) -> Turn {
        let nodes: Vec<_> = world.sites.iter().map(|at| &at.node).collect();
        let pictures = (&at.nodes, &at.ledger, &world.ledger, nodes);
        let pools = (world.pools, at.pools, &world.rollout, &at.rollout);
        let key = hash(&(world.moment, world.paused, pools, pictures));
        let scope = self.scope;
        let known = self.plans.entry(key);
        known.or_insert_with(|| judged(world, at, &scope)).clone()
    }
}

fn judged(world: &World, at: &Operator, scope: &Scope) -> Turn {
    let (seen, planned) = decide(world, at, &policy(world.paused, scope), scope);
    match planned.act {
        Act::Wait => Ok(None),
        Act::Pool(act) => pool_act(world, at, &act),
        Act::ConfirmNode(_) | Act::ConfirmPools => {
            Err(Violation::new("a live read leads nowhere", &planned.act))
        }
        Act::Ledger(act) => {
            let ledger = act.on(seen.ledger.value().unwrap());
            judged_well(world, at, &ledger, scope)?;
            Ok(Some(Sent {
                what: Write::Ledger(ledger.into()),
                current: at.ledger.as_ref().is_none_or(|stale| stale.current),
            }))
        }
        Act::Node(act) => {
            assigned_well(world, at, &act)?;
            let site = site_of(world, &act.node);
            let allotted = act.on(&seen.nodes[&act.node]);
            Ok(Some(Sent {
                what: Write::Node(site, allotted.into()),
                current: at.nodes.get(&site).is_none_or(|stale| stale.current),
            }))
        }
    }
}

/// What is decided on how far the pool is.
fn pool_act(world: &World, at: &Operator, act: &PoolAct) -> Turn {
    let nodes: Vec<_> = pictures(world, at).collect();
    chosen_well(world, at, &nodes, act)?;
    Ok(Some(Sent {
        what: Write::Pool(act.on(known(world, at)).into()),
        current: at
            .rollout
            .as_ref()
            .is_none_or(|known| *known == world.rollout),
    }))
}

/// A slot may be granted only where there is room for it in the pools as they are, whatever the operator knew of them, and with an
/// up-to-date picture it may be reserved only there; and never for what failed anywhere (I2, I10).
fn judged_well(
    world: &World,
    at: &Operator,
    ledger: &Ledger,
    scope: &Scope,
) -> Result<(), Violation> {
    let before = at.ledger.as_ref();
    let before = before.map_or(&world.ledger, |stale| &stale.view);
    let current = at.nodes.is_empty() && at.ledger.is_none() && at.pools.is_none();
    let nodes: Vec<_> = pictures(world, at).collect();
    for (name, entry) in &ledger.entries {
        // A grant that is out already is put back; a slot that begins again is the one that it had.
        let known = before.entries.get(name);
        let (same, had) = match known {
            Some(known) => (known.id == entry.id, known.stage),
            None => (false, Stage::Reserved),
        };
        let node = nodes.iter().find(|node| node.name == *name);
        let grant = node.and_then(|node| node.operator.grant.value());
        let shown = grant.is_some_and(|grant| grant.id == entry.id);
        let put_back = entry.stage == Stage::Granted && (shown || !same);
        let unchanged = same && had == entry.stage;
        if unchanged || put_back || had == Stage::Granted {
            continue;
        }
        if current || entry.stage == Stage::Granted {
            beyond(scope, world.pools, &nodes, ledger, name)?;
        }
        if scope.has_candidate() && entry.stage == Stage::Granted {
            granted_well(world, current, &nodes, ledger, (name, entry))?;
        }
        // A Node that was recreated tells of failures that nobody can vouch for.
        let failed = |node: &&&NodeView| {
            let (failed, granted) = (node.agent.failed.value(), node.operator.granted.value());
            let granted = granted.is_some_and(|list| list.identities.contains(&entry.identity));
            granted && failed.is_some_and(|failed| failed.find(&entry.identity).is_some())
        };
        if current && nodes.iter().any(|node| failed(&node)) {
            return Err(Violation::new("I10: a new slot for what failed", entry));
        }
    }
    Ok(())
}

/// A write arrives at the API server.
fn arrive(world: &mut World, sent: &Sent<Write>, scope: &Scope) -> Result<(), Violation> {
    let lands = sent.current || scope.bug == Some(Bug::WritesWithoutCondition);
    match &sent.what {
        Write::Ledger(ledger) if lands => {
            world.ledger = ledger.clone();
            world.ledger_written();
        }
        Write::Node(site, allotted) if lands => {
            let at = &mut *world.sites[*site];
            if at.node.is_some() {
                at.gone &= allotted.grant.is_none();
                at.write(|node| allotted.apply(node));
            }
        }
        Write::Pool(rollout) if lands => {
            world.rollout = rollout.clone();
            world.rollout_written();
        }
        Write::Ledger(_) | Write::Node(..) | Write::Pool(_) => {}
    }
    within_the_budget(world, scope)
}

/// Never more nodes with a grant or an accepted one than the budget, as long as nobody changes it, and never two of the control plane
/// (I2).
fn within_the_budget(world: &World, scope: &Scope) -> Result<(), Violation> {
    fn out(at: &Site) -> Option<&NodeView> {
        let node = at
            .node
            .as_ref()
            .filter(|node| !(at.gone && node.operator.grant.is_absent()))?;
        let answered = node.agent.result.value().map(|result| result.id);
        let granted = node
            .operator
            .grant
            .value()
            .is_some_and(|grant| Some(grant.id) != answered);
        (granted || node.agent.progress.value().is_some()).then_some(&**node)
    }
    let out: Vec<_> = world.sites.iter().filter_map(|at| out(at)).collect();
    let names = || out.iter().map(|node| &node.name).collect::<Vec<_>>();
    if !scope.pools_change() && out.len() > scope.budget {
        return Err(Violation::new("I2: too many nodes at once", &names()));
    }
    if out.iter().filter(|node| node.control_plane).count() > 1 {
        let rule = "I2: two nodes of the control plane at once";
        return Err(Violation::new(rule, &names()));
    }
    Ok(())
}

/// A write in a few words.
fn brief(write: &Write) -> String {
    match write {
        Write::Ledger(ledger) => {
            let entries: Vec<_> = ledger
                .entries
                .iter()
                .map(|(name, entry)| format!("{name} {} {:?}", entry.id, entry.stage))
                .collect();
            format!("ledger {entries:?}")
        }
        Write::Node(site, allotted) => {
            let reserved = allotted.reserved.as_ref().map(|reserved| reserved.id);
            let grant = allotted.grant.as_ref().map(|grant| grant.id);
            let assigned = allotted.assigned.as_ref();
            let told = assigned.map(|one| one.as_ref().and_then(|one| one.identity));
            format!("node {site} reserved {reserved:?} grant {grant:?} told {told:?}")
        }
        Write::Pool(rollout) => {
            let called = |chosen: &Option<Chosen>| chosen.as_ref().map(Chosen::called);
            let (candidate, promoted) = (called(&rollout.candidate), called(&rollout.promoted));
            format!("pool candidate {candidate:?} promoted {promoted:?}")
        }
    }
}
