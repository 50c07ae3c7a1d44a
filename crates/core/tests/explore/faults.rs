//! Everything that can happen next: the processes go on, hosts boot, people interfere, things break.

use cuo_core::agent::Act;
use cuo_core::keys;
use cuo_core::reason::Code;
use cuo_core::values::{Field, Phase};

use crate::search::{self, Violation};
use crate::world::{ALT, MOMENTS, NEW, Pod, Scope, Sent, Stale, Who, World, boot_id, fresh_node};
use crate::{agents, operators};

/// A successor: what happened, whether it happens by itself, and the world after it.
pub type Next = (String, bool, World);

/// Collects successors.
struct Options<'a> {
    world: &'a World,
    next: Vec<Next>,
}

impl Options<'_> {
    /// Happens by itself sooner or later.
    fn free(&mut self, what: String, change: impl FnOnce(&mut World)) {
        let mut world = self.world.clone();
        change(&mut world);
        self.next.push((what, true, world));
    }

    /// Does not have to happen, and costs nothing: time passes.
    fn idle(&mut self, what: String, change: impl FnOnce(&mut World)) {
        let mut world = self.world.clone();
        change(&mut world);
        self.next.push((what, false, world));
    }

    /// Uses one fault up.
    fn fault(&mut self, what: String, change: impl FnOnce(&mut World)) {
        if self.world.faults > 0 {
            self.idle(what, |world| {
                world.faults -= 1;
                change(world);
            });
        }
    }
}

/// All successors, or the rule that one of them breaks and what it is.
pub fn all(world: &World, scope: &Scope) -> Result<Vec<Next>, (String, Violation)> {
    let mut options = Options {
        world,
        next: Vec::new(),
    };
    for site in 0..world.sites.len() {
        agent(&mut options, site, scope)?;
        host(&mut options, site, scope);
        people(&mut options, site, scope);
    }
    for operator in 0..world.operators.len() {
        operators::all(world, operator, scope, &mut options.next)?;
    }
    let busy = options.next.iter().any(|(_, free, _)| *free);
    match (busy, world.moment + 1 < MOMENTS.len()) {
        (true, true) => options.fault("everybody is slow".into(), |world| world.moment += 1),
        (false, true) => options.idle("time passes".into(), |world| world.moment += 1),
        (false, false) => {
            settled(world).map_err(|violation| ("everything has settled".to_owned(), violation))?
        }
        (true, false) => {}
    }
    for (_, _, world) in &mut options.next {
        world.forget_times();
        // Operators are alike: which one does what makes no difference.
        world.operators.sort_by_cached_key(search::hash);
    }
    Ok(options.next)
}

fn agent(options: &mut Options<'_>, site: usize, scope: &Scope) -> Result<(), (String, Violation)> {
    let world = options.world;
    let agent = &world.sites[site].agent;
    let decided = format!("agent {site} decides");
    if let Some(next) =
        agents::turn(world, site, scope.bug).map_err(|violation| (decided.clone(), violation))?
    {
        options.next.push((decided, true, next));
    }
    if !agent.running {
        options.free(format!("agent {site} starts"), |world| {
            world.sites[site].agent.running = true
        });
    } else {
        options.fault(format!("agent {site} is killed"), |world| {
            let agent = &mut world.sites[site].agent;
            (agent.running, agent.asked, agent.refused, agent.stale) = (false, None, None, None);
            agent.orphan = agent.flight.take();
        });
    }
    let arrives = |sent: &Sent<Act>, orphan: bool| -> Result<World, (String, Violation)> {
        let mut next = world.clone();
        let agent = &mut next.sites[site].agent;
        if orphan {
            agent.orphan = None;
        } else {
            agent.flight = None;
            agent.stale = None;
        }
        let what = format!(
            "what agent {site} sent arrives: {}",
            agents::brief(&sent.what)
        );
        agents::arrive(&mut next, site, sent.clone(), scope.bug)
            .map_err(|violation| (what, violation))?;
        Ok(next)
    };
    if let Some(sent) = &agent.flight {
        options.next.push((
            format!("agent {site}: {}", agents::brief(&sent.what)),
            true,
            arrives(sent, false)?,
        ));
        options.fault(format!("what agent {site} sent is lost"), |world| {
            world.sites[site].agent.flight = None
        });
        let before = world.sites[site].node.clone();
        let mut next = arrives(sent, false)?;
        options.fault(
            format!("what agent {site} sent arrives, but not the answer"),
            |world| {
                next.faults = world.faults;
                let current = next.sites[site].node == before;
                next.sites[site].agent.stale = Some(Stale {
                    view: before,
                    current,
                });
                *world = next;
            },
        );
    }
    if let Some(sent) = &agent.orphan {
        options.next.push((
            format!("dead agent {site}: {}", agents::brief(&sent.what)),
            true,
            arrives(sent, true)?,
        ));
        options.idle(format!("what dead agent {site} sent is lost"), |world| {
            world.sites[site].agent.orphan = None
        });
    }
    if agent.stale.is_some() {
        options.free(format!("agent {site} catches up"), |world| {
            world.sites[site].agent.stale = None
        });
    } else if agent.running {
        options.fault(format!("agent {site} hears nothing for a while"), |world| {
            let view = world.sites[site].node.clone();
            world.sites[site].agent.stale = Some(Stale {
                view,
                current: true,
            });
        });
    }
    Ok(())
}

/// The host boots another time: what it runs then, and what is left.
fn boot(world: &mut World, site: usize, apply: impl FnOnce(&mut crate::world::Machine)) {
    let at = &mut world.sites[site];
    apply(&mut at.machine);
    at.machine.boot += 1;
    at.machine.going_down = None;
    at.machine.kubelet = false;
    at.machine.pod = Pod::Runs;
    let agent = &mut at.agent;
    (agent.running, agent.asked, agent.refused, agent.stale) = (false, None, None, None);
    agent.orphan = agent
        .flight
        .take()
        .filter(|sent| matches!(sent.what, Act::Publish(_) | Act::Evict(_)));
    world.write(site, |node| node.ready = false);
}

fn host(options: &mut Options<'_>, site: usize, scope: &Scope) {
    let machine = &options.world.sites[site].machine;
    let (pending, limit) = (machine.pending, machine.boot < 4);
    match machine.going_down {
        Some(finalized) if limit => {
            let written = pending.filter(|(_, staged)| finalized || !staged);
            options.free(format!("host {site} reboots"), |world| {
                boot(world, site, |machine| {
                    if let Some((identity, _)) = written {
                        machine.others = vec![machine.booted];
                        machine.booted = identity;
                    }
                    machine.pending = None;
                });
            });
            if let Some((identity, _)) = written {
                options.fault(
                    format!("host {site} falls back to what it ran before"),
                    |world| {
                        boot(world, site, |machine| {
                            machine.pending = Some((identity, false))
                        });
                    },
                );
                options.fault(format!("host {site} is rolled back"), |world| {
                    boot(world, site, |machine| {
                        (machine.pending, machine.others) = (None, vec![identity])
                    });
                });
                options.fault(format!("host {site} loses the update"), |world| {
                    boot(world, site, |machine| machine.pending = None);
                });
            }
        }
        _ => {}
    }
    if limit {
        options.fault(
            format!("host {site} is rebooted by somebody else"),
            |world| {
                boot(world, site, |machine| {
                    if let Some((identity, false)) = machine.pending {
                        machine.others = vec![machine.booted];
                        machine.booted = identity;
                    }
                    machine.pending = None;
                });
            },
        );
    }
    if !machine.kubelet {
        let fresh = fresh_node(site, scope, machine.boot);
        let boot = boot_id(site, machine.boot);
        options.free(format!("kubelet {site} reports"), |world| {
            world.sites[site].machine.kubelet = true;
            if world.sites[site].node.is_none() {
                world.sites[site].node = Some(fresh);
                world.sites[site].cordoned_by = None;
                world.touched(site);
            }
            world.write(site, |node| {
                (node.ready, node.kubelet_boot) = (true, Some(boot))
            });
        });
    }
    // The agent's own looking for updates: what was dropped is staged again.
    if pending.is_none() && machine.booted != NEW && machine.going_down.is_none() {
        options.free(format!("host {site} has the update staged"), |world| {
            world.sites[site].machine.pending = Some((NEW, true));
        });
    }
}

fn people(options: &mut Options<'_>, site: usize, _scope: &Scope) {
    let at = &options.world.sites[site];
    match at.machine.pod {
        Pod::Runs => options.fault(format!("the pod on {site} may not be disrupted"), |world| {
            world.sites[site].machine.pod = Pod::Blocked;
        }),
        Pod::Blocked => options.free(
            format!("the pod on {site} may be disrupted again"),
            |world| {
                world.sites[site].machine.pod = Pod::Runs;
                // The agent tries again within seconds, which is no moment of its own here.
                world.sites[site].agent.refused = None;
            },
        ),
        Pod::Gone => {}
    }
    if at.machine.going_down.is_none() && at.machine.pending != Some((ALT, false)) {
        options.fault(
            format!("somebody deploys something else on {site}"),
            |world| {
                world.sites[site].machine.pending = Some((ALT, false));
            },
        );
    }
    let Some(node) = &at.node else { return };
    options.fault(format!("node {site} is deleted"), |world| {
        world.sites[site].node = None;
        world.sites[site].cordoned_by = None;
        world.sites[site].machine.kubelet = false;
        world.touched(site);
    });
    if node.ready {
        options.fault(format!("kubelet {site} is silent"), |world| {
            world.sites[site].machine.kubelet = false;
            world.write(site, |node| node.ready = false);
        });
    }
    if node.paused {
        options.free(format!("node {site} goes on"), |world| {
            world.write(site, |node| node.paused = false)
        });
    } else {
        options.fault(format!("node {site} is paused"), |world| {
            world.write(site, |node| node.paused = true)
        });
    }
    if node.unschedulable {
        options.fault(format!("somebody uncordons {site}"), |world| {
            world.sites[site].cordoned_by = None;
            world.write(site, |node| node.unschedulable = false);
        });
    } else {
        // Whoever cordons a node that still says that the agent did, without taking that away, leaves the cordon to the agent: nobody
        // can tell the two apart. Unless the agent knows by then that its own cordon was undone.
        let undone = at
            .agent
            .disk
            .result
            .as_ref()
            .is_some_and(|result| result.code == Some(Code::Uncordoned));
        let owned = node.agent.owned.value().is_some() && !undone;
        let who = if owned { Who::Agent } else { Who::Admin };
        options.fault(format!("somebody cordons {site}"), |world| {
            world.sites[site].cordoned_by = Some(who);
            world.write(site, |node| node.unschedulable = true);
        });
    }
    if !node.operator.grant.is_absent() {
        options.fault(
            format!("somebody removes {} of {site}", keys::REBOOT_OK),
            |world| {
                world.write(site, |node| node.operator.grant = Field::Absent);
            },
        );
    }
}

/// Nothing happens by itself any more, and all the time there is has passed: every node must run the update or say why it does not, and
/// nothing of CUO may be left behind (I6, I10).
fn settled(world: &World) -> Result<(), Violation> {
    let failed = |identity| {
        world
            .sites
            .iter()
            .filter_map(|at| at.node.as_ref()?.agent.failed.value())
            .any(|list| list.find(&identity).is_some())
    };
    let held_up = world
        .sites
        .iter()
        .any(|at| at.cordoned_by == Some(Who::Admin));
    for at in &world.sites {
        let Some(node) = &at.node else {
            return Err(Violation::new("I6: a node did not come back", &at.machine));
        };
        let left = !node.operator.grant.is_absent()
            || !node.operator.reserved.is_absent()
            || !node.agent.progress.is_absent();
        let status = node.agent.status.value().map(|status| status.phase);
        let stuck = status == Some(Phase::Failed);
        if left && !stuck {
            return Err(Violation::new("I6: a slot leaked", node));
        }
        if node.unschedulable && at.cordoned_by == Some(Who::Agent) && !stuck {
            return Err(Violation::new("I6: a cordon was left behind", node));
        }
        let pending = at.machine.pending.map(|(identity, _)| identity);
        let pausing = at
            .agent
            .disk
            .backoff
            .as_ref()
            .is_some_and(|backoff| backoff.until > world.now());
        let excused =
            pending.is_some_and(failed) || stuck || held_up || pausing || at.machine.boot >= 4;
        if pending.is_some() && !excused {
            return Err(Violation::new("I6: an update was left behind", at));
        }
    }
    let stuck = world.sites.iter().any(|at| {
        let status = at.node.as_ref().and_then(|node| node.agent.status.value());
        at.machine.boot >= 4 || status.is_some_and(|status| status.phase == Phase::Failed)
    });
    if world
        .ledger
        .as_ref()
        .is_some_and(|ledger| !ledger.entries.is_empty())
        && !stuck
    {
        return Err(Violation::new(
            "I6: a slot leaked in the ledger",
            &world.ledger,
        ));
    }
    Ok(())
}
