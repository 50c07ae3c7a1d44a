//! The cluster: what the API server holds, the hosts, and the processes.

use std::collections::BTreeMap;

use cuo_core::agent::state::State;
use cuo_core::agent::{Act, Asked};
use cuo_core::host::{Deployment, Host};
use cuo_core::identity::{BootId, Identity, NodeName};
use cuo_core::ledger::Ledger;
use cuo_core::node::{Allotted, NodeView, Published};
use cuo_core::raw::RawNode;
use cuo_core::values::Field;
use jiff::Timestamp;

use crate::bugs::Bug;

/// What runs at first.
pub const OLD: Identity = Identity::Commit([1; 32]);
/// The update.
pub const NEW: Identity = Identity::Commit([2; 32]);
/// What an administrator deploys by hand.
pub const ALT: Identity = Identity::Commit([3; 32]);

/// Moments that matter: at first; after a grant's deadline; after a drain's time-out; after every pause.
pub const MOMENTS: [i64; 4] = [0, 400, 1_500, 100_000];

/// How large a search is.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    pub nodes: usize,
    pub operators: usize,
    /// How many faults, of any kind, in one history.
    pub faults: u8,
    /// How many of the nodes are of the control plane.
    pub control_plane: usize,
    pub bug: Option<Bug>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub moment: usize,
    pub faults: u8,
    pub sites: Vec<Site>,
    pub ledger: Option<Ledger>,
    pub operators: Vec<Operator>,
}

/// One node: its object, its host, its agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Site {
    pub node: Option<NodeView>,
    pub machine: Machine,
    pub agent: Agent,
    /// Who cordoned the node last.
    pub cordoned_by: Option<Who>,
    /// It was decided to take its slot back while it had no Node, and it was not granted anything since.
    pub gone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    Agent,
    Admin,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    pub boot: u8,
    pub booted: Identity,
    /// What a reboot boots, and whether it is staged.
    pub pending: Option<(Identity, bool)>,
    pub others: Vec<Identity>,
    /// A reboot was asked for; `true` if the staged deployment was finalized.
    pub going_down: Option<bool>,
    pub kubelet: bool,
    pub pod: Pod,
}

/// The one pod that has to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pod {
    Runs,
    /// Its disruption budget is exhausted.
    Blocked,
    Gone,
}

/// One agent process and its file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Agent {
    pub running: bool,
    pub disk: State,
    pub asked: Option<Asked>,
    /// The moment of the last refused eviction.
    pub refused: Option<usize>,
    /// An old picture of the Node that it still believes in.
    pub stale: Option<Stale>,
    pub flight: Option<Sent<Act>>,
    /// Sent by a process that is dead.
    pub orphan: Option<Sent<Act>>,
}

/// A picture of a Node that may be old. `None` inside: there was none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stale {
    pub view: Option<NodeView>,
    /// The Node was not written since.
    pub current: bool,
}

/// Something on its way. `current`: what it was decided on was not written since, so a conditional write succeeds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sent<T> {
    pub what: T,
    pub current: bool,
}

/// One operator process. It keeps nothing that must survive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operator {
    pub stale: BTreeMap<usize, Stale>,
    pub flight: Option<Sent<Write>>,
    pub orphan: Option<Sent<Write>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Write {
    Ledger(Ledger),
    Node(usize, Box<Allotted>),
}

pub fn node_name(site: usize) -> NodeName {
    format!("n{site}").parse().unwrap()
}

/// No two boots of any host share an id.
pub fn boot_id(site: usize, boot: u8) -> BootId {
    let mut bytes = [boot; 16];
    bytes[15] = u8::try_from(site).unwrap();
    BootId::from_bytes(bytes)
}

pub fn deployment(identity: Identity, staged: bool) -> Deployment {
    Deployment {
        id: format!("os-{}", identity.short()),
        identity,
        checksum: identity.short(),
        version: identity.short(),
        staged,
    }
}

impl World {
    pub fn new(scope: &Scope) -> Self {
        Self {
            moment: 0,
            faults: scope.faults,
            sites: (0..scope.nodes)
                .map(|site| Site::new(site, scope))
                .collect(),
            ledger: None,
            operators: vec![
                Operator {
                    stale: BTreeMap::new(),
                    flight: None,
                    orphan: None
                };
                scope.operators
            ],
        }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_second(MOMENTS[self.moment]).unwrap()
    }

    /// The Node of `site` was written: whatever was decided on how it was before is out of date.
    pub fn touched(&mut self, site: usize) {
        let agent = &mut self.sites[site].agent;
        for sent in agent.flight.iter_mut().chain(&mut agent.orphan) {
            sent.current = false;
        }
        if let Some(stale) = &mut agent.stale {
            stale.current = false;
        }
        for operator in &mut self.operators {
            for sent in operator.flight.iter_mut().chain(&mut operator.orphan) {
                if matches!(&sent.what, Write::Node(of, _) if *of == site) {
                    sent.current = false;
                }
            }
            if let Some(stale) = operator.stale.get_mut(&site) {
                stale.current = false;
            }
        }
    }

    /// The ledger was written.
    pub fn ledger_touched(&mut self) {
        for operator in &mut self.operators {
            for sent in operator.flight.iter_mut().chain(&mut operator.orphan) {
                if matches!(sent.what, Write::Ledger(_)) {
                    sent.current = false;
                }
            }
        }
    }

    /// Forgets when things happened where no decision depends on it, so that histories that differ in nothing else are one.
    pub fn forget_times(&mut self) {
        let seen = |stale: &mut Stale| stale.view.iter_mut().for_each(forget_in_node);
        for at in &mut self.sites {
            at.node.iter_mut().for_each(forget_in_node);
            at.agent.stale.iter_mut().for_each(seen);
            forget_in_state(&mut at.agent.disk);
            for sent in at.agent.flight.iter_mut().chain(&mut at.agent.orphan) {
                if let Act::Publish(want) = &mut sent.what {
                    want.status.since = NO_TIME;
                    want.result
                        .iter_mut()
                        .for_each(|result| result.at = NO_TIME);
                    want.failed
                        .identities
                        .iter_mut()
                        .for_each(|failure| failure.at = NO_TIME);
                }
            }
        }
        self.ledger.iter_mut().for_each(forget_in_ledger);
        for operator in &mut self.operators {
            operator.stale.values_mut().for_each(seen);
            for sent in operator.flight.iter_mut().chain(&mut operator.orphan) {
                match &mut sent.what {
                    Write::Ledger(ledger) => forget_in_ledger(ledger),
                    Write::Node(_, allotted) => allotted
                        .grant
                        .iter_mut()
                        .for_each(|grant| grant.issued = NO_TIME),
                }
            }
        }
    }

    /// Writes the Node as somebody other than CUO; a deleted one stays so.
    pub fn write(&mut self, site: usize, change: impl FnOnce(&mut NodeView)) {
        if let Some(node) = &mut self.sites[site].node {
            change(node);
            self.touched(site);
        }
    }
}

impl Site {
    /// Runs `OLD`, has `NEW` staged, and has already said so.
    fn new(site: usize, scope: &Scope) -> Self {
        let mut made = Self {
            node: Some(fresh_node(site, scope, 1)),
            machine: Machine {
                boot: 1,
                booted: OLD,
                pending: Some((NEW, true)),
                others: vec![],
                going_down: None,
                kubelet: true,
                pod: Pod::Runs,
            },
            agent: Agent {
                running: true,
                disk: State::default(),
                asked: None,
                refused: None,
                stale: None,
                flight: None,
                orphan: None,
            },
            cordoned_by: None,
            gone: false,
        };
        let now = Timestamp::from_second(MOMENTS[0]).unwrap();
        for _ in 0..3 {
            let step = crate::agents::decide(site, &made, made.node.as_ref(), now, None);
            made.agent.disk = step.state;
            if let (Act::Publish(want), Some(node)) = (&step.act, &mut made.node) {
                want.apply(node);
            }
        }
        made
    }
}

/// Stands for every time that no decision depends on.
const NO_TIME: Timestamp = Timestamp::UNIX_EPOCH;

fn forget_in_node(node: &mut NodeView) {
    if let Field::Value(status) = &mut node.agent.status {
        status.since = NO_TIME;
    }
    if let Field::Value(result) = &mut node.agent.result {
        result.at = NO_TIME;
    }
    if let Field::Value(failed) = &mut node.agent.failed {
        failed
            .identities
            .iter_mut()
            .for_each(|failure| failure.at = NO_TIME);
    }
    if let Field::Value(grant) = &mut node.operator.grant {
        grant.issued = NO_TIME;
    }
}

fn forget_in_state(state: &mut State) {
    state
        .result
        .iter_mut()
        .for_each(|result| result.at = NO_TIME);
    state
        .failed
        .identities
        .iter_mut()
        .for_each(|failure| failure.at = NO_TIME);
    if let Some(requested) = state
        .attempt
        .as_mut()
        .and_then(|attempt| attempt.requested.as_mut())
    {
        *requested = NO_TIME;
    }
}

fn forget_in_ledger(ledger: &mut Ledger) {
    ledger
        .entries
        .values_mut()
        .for_each(|entry| entry.since = NO_TIME);
}

/// A Node as a kubelet registers it.
pub fn fresh_node(site: usize, scope: &Scope, boot: u8) -> NodeView {
    let mut raw = RawNode {
        name: node_name(site).to_string(),
        uid: format!("{site}-{boot}"),
        resource_version: "1".into(),
        ready: true,
        boot_id: boot_id(site, boot).to_string(),
        ..RawNode::default()
    };
    if site < scope.control_plane {
        raw.labels
            .insert(cuo_core::keys::CONTROL_PLANE[0].into(), String::new());
    }
    NodeView::parse(&raw).unwrap()
}

impl Machine {
    pub fn host(&self) -> Host {
        Host {
            booted: deployment(self.booted, false),
            pending: self
                .pending
                .map(|(identity, staged)| deployment(identity, staged)),
            others: self
                .others
                .iter()
                .map(|identity| deployment(*identity, false))
                .collect(),
        }
    }
}

/// What a publication would change about the cordon.
pub fn uncordons(want: &Published, node: &NodeView) -> bool {
    node.unschedulable && want.unschedulable == Some(false)
}
