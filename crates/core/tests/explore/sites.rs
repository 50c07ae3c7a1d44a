//! Everything that can happen next at one node: its agent goes on, its host boots, people interfere, things break.

use cuo_core::agent::Act;
use cuo_core::agent::state::State;
use cuo_core::ids::ReleaseId;
use cuo_core::keys;
use cuo_core::reason::Code;
use cuo_core::values::Field;

use crate::agents;
use crate::forget::Parts;
use crate::pools::{GROUPS, LABEL};
use crate::releases::target;
use crate::search::Violation;
use crate::shared::Shared;
use crate::world::{ALT, Machine, NEW, Pod, Scope, Sent, Site, Stale, Who, fresh_node};

/// Something that can happen next at a site.
pub struct Change {
    /// What it is, for people.
    pub what: String,
    pub kind: Kind,
    /// How the site is then.
    pub at: Shared<Site>,
    /// The Node was written.
    pub written: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Happens by itself sooner or later.
    Free,
    /// Does not have to happen, and costs nothing.
    Idle,
    /// Uses one fault up.
    Fault,
}

/// A rule that was broken, and by what.
pub type Broken = (String, Violation);

/// Collects what can happen next.
pub struct Options<'a> {
    pub scope: &'a Scope,
    pub parts: &'a Parts,
    pub moment: usize,
    /// What the branch leads to.
    pub head: ReleaseId,
    /// Faults may happen.
    pub faults: bool,
    pub at: &'a Site,
    pub next: Vec<Change>,
}

impl Options<'_> {
    fn push(&mut self, kind: Kind, what: &str, change: impl FnOnce(&mut Site)) {
        if kind == Kind::Fault && !self.faults {
            return;
        }
        let mut at = self.at.clone();
        change(&mut at);
        let written = at.written;
        let doomed = self.scope.drops_doomed();
        self.next.push(Change {
            what: format!("node {}: {what}", at.index),
            kind,
            at: self.parts.site(at, doomed),
            written,
        });
    }

    fn free(&mut self, what: &str, change: impl FnOnce(&mut Site)) {
        self.push(Kind::Free, what, change);
    }

    fn fault(&mut self, what: &str, change: impl FnOnce(&mut Site)) {
        self.push(Kind::Fault, what, change);
    }

    /// Everything, or the rule that it breaks.
    pub fn collect(mut self) -> Result<Vec<Change>, Broken> {
        self.agent()?;
        self.answers()?;
        self.pictures();
        self.host();
        self.host_breaks();
        self.pods();
        self.people();
        Ok(self.next)
    }

    fn agent(&mut self) -> Result<(), Broken> {
        let decided = agents::turn(self.at, self.moment, self.scope.bug);
        if let Some(next) = decided.map_err(|broken| ("the agent decides".to_owned(), broken))? {
            self.free("the agent decides", |at| *at = next);
        }
        if !self.at.agent.running {
            self.free("the agent starts", |at| at.agent.running = true);
            return Ok(());
        }
        fn killed(at: &mut Site) {
            at.agent.orphan = at.agent.flight.take();
            at.agent.ends();
        }
        self.fault("the agent is killed", killed);
        self.fault("the agent is killed and its file is lost", |at| {
            killed(at);
            // Whoever removes a file takes longer than a write is on its way.
            at.agent.orphan = None;
            at.agent.disk = State::default().into();
            // Only the file knew that a cordon is somebody else's on a Node that still says that the agent did it.
            let says = at
                .node
                .as_ref()
                .is_some_and(|node| node.agent.owned.value().is_some());
            if says && at.cordoned_by.is_some() {
                at.cordoned_by = Some(Who::Unclear);
            }
        });
        Ok(())
    }

    /// What the agent sent arrives or is lost, with its answer or without.
    fn answers(&mut self) -> Result<(), Broken> {
        let (at, bug, moment) = (self.at, self.scope.bug, self.moment);
        let arrives = |sent: &Sent<Shared<Act>>| -> Result<Site, Broken> {
            let mut next = at.clone();
            agents::arrive(&mut next, sent, moment, bug)
                .map_err(|broken| (agents::brief(&sent.what), broken))?;
            Ok(next)
        };
        if let Some(sent) = &at.agent.flight {
            let what = agents::brief(&sent.what);
            let done = arrives(sent)?;
            self.free(&format!("the agent {what}"), |at| {
                *at = done.clone();
                (at.agent.flight, at.agent.stale) = (None, None);
            });
            self.fault(&format!("lost: the agent {what}"), |at| {
                at.agent.flight = None;
            });
            self.fault(&format!("the agent {what}, and hears no answer"), |at| {
                let view = at.node.clone();
                let current = !done.written;
                let asked = at.agent.asked.clone();
                *at = done;
                (at.agent.flight, at.agent.asked) = (None, asked);
                at.agent.stale = Some(Stale { view, current });
            });
        }
        if let Some(sent) = &at.agent.orphan {
            let what = agents::brief(&sent.what);
            let done = arrives(sent)?;
            self.free(&format!("the dead agent {what}"), |at| {
                *at = done;
                at.agent.orphan = None;
            });
            self.push(Kind::Idle, &format!("lost: the dead agent {what}"), |at| {
                at.agent.orphan = None;
            });
        }
        Ok(())
    }

    fn pictures(&mut self) {
        if self.at.agent.stale.is_some() {
            self.free("the agent catches up", |at| at.agent.stale = None);
        } else if self.at.agent.running {
            self.fault("the agent hears nothing for a while", |at| {
                let view = at.node.clone();
                at.agent.stale = Some(Stale {
                    view,
                    current: true,
                });
            });
        }
    }

    fn host(&mut self) {
        let machine = &self.at.machine;
        if let Some(finalized) = machine.going_down {
            let written = machine.pending.filter(|(_, staged)| finalized || !staged);
            self.free("the host reboots", |at| {
                boot(at, |machine| runs(machine, written))
            });
            if let Some((identity, _)) = written {
                self.fault("the host falls back to what it ran before", |at| {
                    boot(at, |machine| machine.pending = Some((identity, false)));
                });
                self.fault("the host is rolled back", |at| {
                    boot(at, |machine| {
                        (machine.pending, machine.others) = (None, vec![identity])
                    });
                });
                self.fault("the host loses the update", |at| {
                    boot(at, |machine| machine.pending = None);
                });
            }
        }
        if !machine.kubelet {
            let fresh = fresh_node(self.at.index, self.scope, machine.boot);
            let reports = |at: &mut Site| {
                at.machine.kubelet = true;
                if at.node.is_none() {
                    at.node = Some(fresh.into());
                    at.cordoned_by = None;
                }
                let boot = Some(at.boot_id());
                at.write(|node| (node.ready, node.kubelet_boot) = (true, boot));
            };
            match machine.sick && machine.booted == NEW {
                true => self.fault("the kubelet reports after all", reports),
                false => self.free("the kubelet reports", reports),
            }
        }
        self.looks();
    }

    /// The agent's own looking for updates: what was dropped is staged again.
    fn looks(&mut self) {
        let machine = &self.at.machine;
        let target = target(self.at, self.head).filter(|target| machine.booted != *target);
        let Some(target) = target.filter(|_| machine.going_down.is_none()) else {
            return;
        };
        // Where it is told otherwise, another one takes the place of what is staged, but for an attempt.
        let idle = self.at.agent.disk.attempt.is_none();
        let other = machine.pending.is_some_and(|(found, _)| found != target);
        let other = other && idle && self.scope.has_candidate();
        if machine.pending.is_none() || other {
            self.free("the update is staged", |at| {
                at.machine.pending = Some((target, true));
            });
        }
    }

    fn host_breaks(&mut self) {
        let machine = &self.at.machine;
        self.fault("the host is rebooted by somebody else", |at| {
            boot(at, |machine| {
                runs(machine, machine.pending.filter(|(_, staged)| !staged));
            });
        });
        if machine.going_down.is_none() && machine.pending != Some((ALT, false)) {
            self.fault("somebody deploys something else", |at| {
                at.machine.pending = Some((ALT, false));
            });
        }
        if self.at.node.as_ref().is_some_and(|node| node.ready) {
            self.fault("the kubelet is silent", |at| {
                at.machine.kubelet = false;
                at.write(|node| node.ready = false);
            });
        }
    }

    fn pods(&mut self) {
        match self.at.machine.pod {
            Pod::Runs => self.fault("the pod may not be disrupted", |at| {
                at.machine.pod = Pod::Blocked;
            }),
            Pod::Blocked => self.free("the pod may be disrupted again", |at| {
                at.machine.pod = Pod::Runs;
                // The agent tries again within seconds, which is no moment of its own here.
                at.agent.refused = None;
            }),
            Pod::Gone => {}
        }
    }

    fn people(&mut self) {
        let at = self.at;
        let Some(node) = &at.node else { return };
        self.fault("the Node is deleted", |at| {
            (at.node, at.cordoned_by) = (None, None);
            at.machine.kubelet = false;
            at.touched();
        });
        if node.paused {
            self.free("somebody lets it go on", |at| {
                at.write(|node| node.paused = false)
            });
        } else {
            self.fault("somebody pauses it", |at| {
                at.write(|node| node.paused = true)
            });
        }
        if node.unschedulable {
            self.fault("somebody uncordons it", |at| {
                at.cordoned_by = None;
                at.write(|node| node.unschedulable = false);
            });
        } else {
            // Whoever cordons a node that still says that the agent did, without taking that away, leaves the cordon to the agent:
            // nobody can tell the two apart. Unless the agent knows by then that its own cordon was undone.
            let result = at.agent.disk.result.as_ref();
            let undone = result.filter(|result| result.gave(Code::Uncordoned));
            let owned = node.agent.owned.value();
            let owned = owned.is_some() && owned != undone.map(|result| &result.id);
            let who = if owned { Who::Unclear } else { Who::Admin };
            self.fault("somebody cordons it", |at| {
                at.cordoned_by = Some(who);
                at.write(|node| node.unschedulable = true);
            });
        }
        if self.scope.pools_change() {
            self.fault("somebody moves it to the other pool", |at| {
                at.write(|node| {
                    let group = node.labels.get(LABEL).map(String::as_str);
                    let other = GROUPS[usize::from(group == Some(GROUPS[0]))];
                    node.labels.insert(LABEL.into(), other.into());
                });
            });
        }
        if !node.requests.reboot.is_absent() {
            self.fault("somebody takes the request back", |at| {
                at.write(|node| node.requests.reboot = Field::Absent);
            });
        }
        if !node.operator.grant.is_absent() {
            self.fault(&format!("somebody removes {}", keys::REBOOT_OK), |at| {
                at.write(|node| node.operator.grant = Field::Absent);
            });
        }
    }
}

/// The host boots another time, when `apply` has said into what.
fn boot(at: &mut Site, apply: impl FnOnce(&mut Machine)) {
    let machine = &mut at.machine;
    apply(machine);
    machine.boot += 1;
    (machine.going_down, machine.kubelet, machine.pod) = (None, false, Pod::Runs);
    // What the agent sent to the API server may still arrive; what it said to the host's own programs died with them.
    at.agent.orphan = at
        .agent
        .flight
        .take()
        .filter(|sent| matches!(*sent.what, Act::Publish(..) | Act::Evict(_)));
    at.agent.ends();
    at.write(|node| node.ready = false);
}

/// The host runs `next`, if there is something, and nothing is left to boot.
fn runs(machine: &mut Machine, next: Option<(cuo_core::ids::ReleaseId, bool)>) {
    if let Some((identity, _)) = next {
        machine.others = vec![machine.booted];
        machine.booted = identity;
    }
    machine.pending = None;
}
