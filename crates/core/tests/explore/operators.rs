//! The operators: each plans on its own picture of the Nodes, without regard to any leader.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use cuo_core::ledger::{Ledger, Stage};
use cuo_core::node::NodeView;
use cuo_core::plan::{Act, Plan, Policy, Snapshot, plan};
use cuo_core::values::{DrainPolicy, Field};
use cuo_core::window::Windows;
use jiff::SignedDuration;

use crate::bugs::Bug;
use crate::faults::Next;
use crate::search::{Violation, hash};
use crate::world::{Scope, Sent, Site, Stale, World, Write, node_name};

fn policy() -> Policy {
    Policy {
        max_unavailable: 1,
        paused: false,
        windows: Windows::default(),
        before: vec![],
        after: vec![],
        accept_timeout: SignedDuration::from_secs(300),
        drain: DrainPolicy::default(),
    }
}

fn snapshot(world: &World, operator: usize, bug: Option<Bug>) -> Snapshot {
    let stale = &world.operators[operator].stale;
    let picture = |site: usize| match stale.get(&site) {
        Some(stale) => stale.view.clone(),
        None => world.sites[site].node.clone(),
    };
    let nodes = (0..world.sites.len())
        .filter_map(|site| picture(site).map(|view| (view.name.clone(), view)));
    let mut nodes: BTreeMap<_, _> = nodes.collect();
    if let Some(bug) = bug {
        nodes.values_mut().for_each(|node| bug.blind_operator(node));
    }
    Snapshot {
        nodes,
        ledger: world.ledger.clone().map_or(Field::Absent, Field::Value),
        live: BTreeMap::new(),
        own_node: Some(node_name(0)),
    }
}

/// One plan, with live reads where it asks for them.
fn decide(world: &World, operator: usize, bug: Option<Bug>) -> Plan {
    let mut seen = snapshot(world, operator, bug);
    loop {
        let planned = plan(&seen, &policy(), world.now());
        let Act::Confirm(name) = &planned.act else {
            return planned;
        };
        let site = (0..world.sites.len())
            .find(|site| node_name(*site) == *name)
            .unwrap();
        let live = if bug == Some(Bug::DropsUnseen) {
            None
        } else {
            world.sites[site].node.clone()
        };
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
    scope: &Scope,
    next: &mut Vec<Next>,
) -> Result<(), (String, Violation)> {
    let at = &world.operators[operator];
    let mut push = |what: String, free: bool, fault: bool, change: &dyn Fn(&mut World)| {
        if fault && world.faults == 0 {
            return;
        }
        let mut after = world.clone();
        after.faults -= u8::from(fault);
        change(&mut after);
        next.push((what, free, after));
    };
    if at.flight.is_none() {
        if let Some((what, sent)) = turn(world, operator, scope.bug)
            .map_err(|violation| (format!("operator {operator} plans"), violation))?
        {
            push(
                format!("operator {operator} {what}"),
                true,
                false,
                &|world| {
                    if let Write::Ledger(ledger) = &sent.what {
                        for (site, at) in world.sites.iter_mut().enumerate() {
                            // A node that does not exist counts for nothing, whatever its host does.
                            at.gone |=
                                at.node.is_none() && !ledger.entries.contains_key(&node_name(site));
                        }
                    }
                    world.operators[operator].flight = Some(sent.clone());
                },
            );
        }
    } else {
        push(
            format!("operator {operator} is killed"),
            false,
            true,
            &|world| {
                let at = &mut world.operators[operator];
                at.orphan = at.flight.take();
                at.stale.clear();
            },
        );
        push(
            format!("what operator {operator} sent is lost"),
            false,
            true,
            &|world| world.operators[operator].flight = None,
        );
    }
    for site in 0..world.sites.len() {
        if at.stale.contains_key(&site) {
            push(
                format!("operator {operator} catches up on {site}"),
                true,
                false,
                &|world| {
                    world.operators[operator].stale.remove(&site);
                },
            );
        } else {
            push(
                format!("operator {operator} hears nothing of {site} for a while"),
                false,
                true,
                &|world| {
                    let view = world.sites[site].node.clone();
                    world.operators[operator].stale.insert(
                        site,
                        Stale {
                            view,
                            current: true,
                        },
                    );
                },
            );
        }
    }
    for (sent, dead) in [(&at.flight, false), (&at.orphan, true)] {
        let Some(sent) = sent else { continue };
        let mut after = world.clone();
        let from = &mut after.operators[operator];
        if dead {
            from.orphan = None
        } else {
            from.flight = None
        }
        let who = if dead { "dead operator" } else { "operator" };
        let what = format!("{who} {operator}'s write arrives: {}", brief(&sent.what));
        arrive(&mut after, sent, scope.bug).map_err(|violation| (what.clone(), violation))?;
        next.push((what, true, after));
        if dead {
            let mut lost = world.clone();
            lost.operators[operator].orphan = None;
            next.push((
                format!("dead operator {operator}'s write is lost"),
                false,
                lost,
            ));
        }
    }
    Ok(())
}

/// What an operator does: in words, and what it sends.
type Turn = Result<Option<(&'static str, Sent<Write>)>, Violation>;

thread_local! {
    /// Decisions by the hash of all that they depend on: the hosts and agents do things that concern no operator.
    static KNOWN: RefCell<HashMap<u64, Turn>> = RefCell::default();
}

fn turn(world: &World, operator: usize, bug: Option<Bug>) -> Turn {
    let nodes: Vec<_> = world.sites.iter().map(|at| &at.node).collect();
    let seen = (
        world.moment,
        &world.ledger,
        nodes,
        &world.operators[operator].stale,
        bug.map(|bug| bug as u8),
    );
    let key = hash(&seen);
    let known = KNOWN.with_borrow(|known| known.get(&key).cloned());
    known.unwrap_or_else(|| {
        let decided = judged(world, operator, bug);
        KNOWN.with_borrow_mut(|known| known.insert(key, decided.clone()));
        decided
    })
}

fn judged(world: &World, operator: usize, bug: Option<Bug>) -> Turn {
    let planned = decide(world, operator, bug);
    let stale = &world.operators[operator].stale;
    let (what, sent) = match planned.act {
        Act::Wait => return Ok(None),
        Act::Confirm(_) => return Err(Violation::new("a live read leads nowhere", &planned.act)),
        Act::WriteLedger(ledger) => {
            if stale.is_empty() {
                judged_well(world, &ledger)?;
            }
            (
                "writes the ledger",
                Sent {
                    what: Write::Ledger(ledger),
                    current: true,
                },
            )
        }
        Act::WriteNode(name, allotted) => {
            let site = (0..world.sites.len())
                .find(|site| node_name(*site) == name)
                .unwrap();
            let current = stale.get(&site).is_none_or(|stale| stale.current);
            (
                "writes a node",
                Sent {
                    what: Write::Node(site, allotted),
                    current,
                },
            )
        }
    };
    Ok(Some((what, sent)))
}

/// With an up-to-date picture, a slot is given only beside nodes that are in service, and never for what failed anywhere (I2, I10).
fn judged_well(world: &World, ledger: &Ledger) -> Result<(), Violation> {
    let before = world.ledger.clone().unwrap_or_default();
    for (name, entry) in &ledger.entries {
        let known = before.entries.get(name).map(|entry| entry.stage);
        let restored = known.is_none() && entry.stage == Stage::Granted;
        if known == Some(entry.stage) || restored {
            continue;
        }
        let others = || {
            world
                .sites
                .iter()
                .filter_map(|at| at.node.as_ref())
                .filter(|node| node.name != *name)
        };
        if let Some(out) = others().find(|node| !node.ready || node.unschedulable) {
            return Err(Violation::new(
                "I2: a new slot beside a node that is out of service",
                &out.name,
            ));
        }
        let failed = |node: &NodeView| {
            node.agent
                .failed
                .value()
                .is_some_and(|failed| failed.find(&entry.identity).is_some())
        };
        if world
            .sites
            .iter()
            .filter_map(|at| at.node.as_ref())
            .any(failed)
        {
            return Err(Violation::new("I10: a new slot for what failed", entry));
        }
    }
    Ok(())
}

/// A write arrives at the API server.
fn arrive(world: &mut World, sent: &Sent<Write>, bug: Option<Bug>) -> Result<(), Violation> {
    let lands = sent.current || bug == Some(Bug::WritesWithoutCondition);
    match &sent.what {
        Write::Ledger(ledger) if lands => {
            world.ledger = Some(ledger.clone());
            world.ledger_touched();
        }
        Write::Node(site, allotted) if lands => {
            let Some(node) = &mut world.sites[*site].node else {
                return Ok(());
            };
            allotted.apply(node);
            world.sites[*site].gone &= allotted.grant.is_none();
            world.touched(*site);
        }
        Write::Ledger(_) | Write::Node(..) => {}
    }
    one_at_a_time(world)
}

/// Never two nodes with a grant or an accepted one (I2); with that, never two of the control plane either.
fn one_at_a_time(world: &World) -> Result<(), Violation> {
    fn out(at: &Site) -> Option<&cuo_core::identity::NodeName> {
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
        (granted || node.agent.progress.value().is_some()).then_some(&node.name)
    }
    let names: Vec<_> = world.sites.iter().filter_map(out).collect();
    if names.len() > 1 {
        return Err(Violation::new("I2: two nodes at once", &names));
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
            format!("node {site} reserved {reserved:?} grant {grant:?}")
        }
    }
}
