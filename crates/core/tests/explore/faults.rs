//! Everything that can happen next, and what must be true once nothing does.

use std::rc::Rc;

use cuo_core::release::Rollout;
use cuo_core::values::Phase;
use foldhash::{HashMap, HashMapExt};

use crate::forget::Parts;
use crate::operators::{self, Turn};
use crate::pools::hold;
use crate::releases::head;
use crate::search::Violation;
use crate::shared::{Shared, hash};
use crate::sites::{Broken, Change, Kind, Options};
use crate::world::{ALT, MOMENTS, OLD, QUIET, Scope, Site, Who, World};

/// What happened, how, and the world after it.
pub type Next = (String, Kind, World);

/// What a search knows besides the states: what happens at one place depends on little else, so most of it was found out before.
pub struct Context {
    pub scope: Scope,
    /// Successors get names.
    pub named: bool,
    pub parts: Parts,
    pub plans: HashMap<u64, Turn>,
    changes: HashMap<u64, Rc<Result<Vec<Change>, Broken>>>,
}

impl Context {
    pub fn new(scope: Scope, named: bool) -> Self {
        Self {
            scope,
            named,
            parts: Parts::default(),
            plans: HashMap::new(),
            changes: HashMap::new(),
        }
    }

    fn changes(&mut self, world: &World, at: &Shared<Site>) -> Rc<Result<Vec<Change>, Broken>> {
        let key = hash(&(world.moment, world.faults > 0, world.published, at));
        let known = self.changes.entry(key).or_insert_with(|| {
            let options = Options {
                scope: &self.scope,
                parts: &self.parts,
                moment: world.moment,
                head: head(world),
                faults: world.faults > 0,
                at,
                next: vec![],
            };
            Rc::new(options.collect())
        });
        Rc::clone(known)
    }
}

/// All successors, or the rule that one of them breaks and what it is.
pub fn all(world: &World, context: &mut Context) -> Result<Vec<Next>, Broken> {
    let mut quiet = world.clone();
    quiet.faults = 0;
    let world = if world.moment < QUIET { world } else { &quiet };
    let mut next: Vec<Next> = Vec::new();
    for (site, at) in world.sites.iter().enumerate() {
        let changes = context.changes(world, at);
        for change in changes.as_ref().as_ref().map_err(Clone::clone)? {
            let mut after = world.clone();
            after.sites[site] = change.at.clone();
            if change.written {
                after.node_written(site);
            }
            after.faults -= u8::from(change.kind == Kind::Fault);
            let what = context.named.then(|| change.what.clone());
            next.push((what.unwrap_or_default(), change.kind, after));
        }
    }
    for operator in 0..world.operators.len() {
        operators::all(world, operator, context, &mut next)?;
    }
    whole_cluster(world, &context.scope, &mut next);
    if next.is_empty() {
        settled(world, &context.scope)
            .map_err(|violation| ("everything has settled".to_owned(), violation))?;
    }
    let doomed = context.scope.drops_doomed();
    for (_, _, after) in &mut next {
        context.parts.settle(after, world, doomed);
    }
    Ok(next)
}

/// Time, and what people want of all operators.
fn whole_cluster(world: &World, scope: &Scope, next: &mut Vec<Next>) {
    let pools = scope.pools;
    let mut push = |what: &str, kind: Kind, change: &dyn Fn(&mut World)| {
        if kind != Kind::Fault || world.faults > 0 {
            let mut after = world.clone();
            after.faults -= u8::from(kind == Kind::Fault);
            change(&mut after);
            next.push((what.to_owned(), kind, after));
        }
    };
    if world.paused {
        push("the operators go on", Kind::Free, &|world| {
            world.paused = false
        });
    } else {
        push("somebody pauses the operators", Kind::Fault, &|world| {
            world.paused = true
        });
    }
    for number in pools.iter().filter(|number| **number != world.pools) {
        push("somebody changes the pools", Kind::Fault, &|world| {
            world.pools = *number;
        });
    }
    if hold(world.pools) {
        push("somebody lets the pools go on", Kind::Free, &|world| {
            world.pools = pools[0];
        });
    }
    if scope.has_candidate() {
        releases(world, next);
    }
    let busy = next.iter().any(|(_, kind, _)| *kind == Kind::Free);
    if world.moment + 1 < MOMENTS.len() {
        let (what, kind) = match busy {
            true => ("everybody is slow", Kind::Fault),
            false => ("time passes", Kind::Idle),
        };
        let mut after = world.clone();
        if kind == Kind::Idle || world.faults > 0 {
            after.faults -= u8::from(kind == Kind::Fault);
            after.moment += 1;
            next.push((what.to_owned(), kind, after));
        }
    }
}

/// What happens to releases, and to what is written of them.
fn releases(world: &World, next: &mut Vec<Next>) {
    if !world.published && world.moment == 0 {
        let mut after = world.clone();
        after.published = true;
        let what = "a newer release is published".to_owned();
        next.push((what, Kind::Idle, after));
    }
    if world.faults > 0 && *world.rollout != Rollout::default() {
        let mut after = world.clone();
        after.faults -= 1;
        after.rollout = Rollout::default().into();
        after.rollout_written();
        next.push(("the pool's status is lost".to_owned(), Kind::Fault, after));
    }
}

/// Nothing happens by itself any more, and all the time there is has passed: every node must run the update or say why it does not, and
/// nothing of CUO may be left behind (I6, I10).
fn settled(world: &World, scope: &Scope) -> Result<(), Violation> {
    let failed = |identity| {
        world
            .sites
            .iter()
            .filter_map(|at| at.node.as_ref()?.agent.failed.value())
            .any(|list| list.find(&identity).is_some())
    };
    // Somebody's cordon counts against the budget; a node that needs a person keeps its slot.
    let cordoned = |at: &Shared<Site>| matches!(at.cordoned_by, Some(Who::Admin | Who::Unclear));
    let stuck = |at: &Shared<Site>| {
        let status = at.node.as_ref().and_then(|node| node.agent.status.value());
        status.is_some_and(|status| status.phase == Phase::Failed)
    };
    // With nothing left that knows of a grant, a node that does not work is like any other that is down.
    let down = |at: &Shared<Site>| at.machine.sick && !at.machine.kubelet;
    let used_up = |at: &Shared<Site>| cordoned(at) || stuck(at) || down(at);
    let used_up = world.sites.iter().any(used_up);
    for at in &world.sites {
        let Some(node) = &at.node else {
            // Without a kubelet there is none, and without a Node no grant.
            if down(at) {
                continue;
            }
            return Err(Violation::new("I6: a node did not come back", &at.machine));
        };
        let left = !node.operator.grant.is_absent()
            || !node.operator.reserved.is_absent()
            || !node.agent.progress.is_absent();
        if left && !stuck(at) {
            return Err(Violation::new("I6: a slot leaked", node));
        }
        if node.unschedulable && at.cordoned_by == Some(Who::Agent) && !stuck(at) {
            return Err(Violation::new("I6: a cordon was left behind", node));
        }
        let request = node.requests.reboot.value();
        if request.is_some_and(|request| request.boot == at.boot_id()) && !used_up {
            return Err(Violation::new("I6: a request was left behind", at));
        }
        let pending = at.machine.pending.map(|(identity, _)| identity);
        // Where one release is tried after the other, there may be one more, but nobody is left with what there was before all.
        // What somebody deployed by hand is no release that anybody tries.
        let by_hand = pending == Some(ALT);
        let open = scope.has_candidate() && (at.machine.booted != OLD || by_hand);
        if pending.is_some() && !pending.is_some_and(failed) && !used_up && !open {
            return Err(Violation::new("I6: an update was left behind", at));
        }
    }
    let slots = &world.ledger.entries;
    if !slots.is_empty() && !world.sites.iter().any(stuck) {
        return Err(Violation::new("I6: a slot leaked in the ledger", slots));
    }
    Ok(())
}
