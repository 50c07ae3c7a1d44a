//! The cluster: what the API server holds, the hosts, and the processes.

use std::collections::BTreeMap;
use std::time::Duration;

use cuo_core::agent::state::State;
use cuo_core::agent::{Act, Asked};
use cuo_core::host::{Deployment, Host};
use cuo_core::ids::{BootId, NodeName, ReleaseId};
use cuo_core::ledger::Ledger;
use cuo_core::node::{Allotted, NodeView};
use cuo_core::raw::RawNode;
use cuo_core::release::Rollout;
use cuo_core::survey::{StagedNote, Survey};
use cuo_core::values::{Field, RebootRequest};

use crate::agents::published::publish;
use crate::bugs::Bug;
use crate::pools::{GROUPS, LABEL};
use crate::shared::Shared;
use cuo_core::time::{Now, Tick, Time};

/// What runs at first.
pub const OLD: ReleaseId = ReleaseId::Commit([1; 32]);
/// The update.
pub const NEW: ReleaseId = ReleaseId::Commit([2; 32]);
/// The update after that.
pub const NEWER: ReleaseId = ReleaseId::Commit([4; 32]);
/// What an administrator deploys by hand.
pub const ALT: ReleaseId = ReleaseId::Commit([3; 32]);

/// Moments that matter: at first; after a grant's deadline; after a drain's time-out, when no window is open; then a day after another,
/// each after every pause.
pub const MOMENTS: [i64; 6] = [0, 400, 1_500, 100_000, 186_400, 272_800];
/// When nodes may be granted: at all moments but the third.
pub const WINDOWS: [&str; 2] = ["00:00 10m", "03:00 3h"];
/// Faults come before this moment, so that there is time to get over the last one.
pub const QUIET: usize = 4;

pub fn time(moment: usize) -> Time {
    Time::from_second(MOMENTS[moment])
}

/// What every clock shows then.
pub fn clocks(moment: usize) -> Now {
    let second = u64::try_from(MOMENTS[moment]).unwrap();
    Now {
        time: time(moment),
        tick: Tick::after(Duration::from_secs(second)),
    }
}

/// How large a search is.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    pub nodes: usize,
    /// How many of them come later.
    pub joining: usize,
    pub operators: usize,
    /// How many faults, of any kind, in one history.
    pub faults: u8,
    /// How many of the nodes are of the control plane.
    pub control_plane: usize,
    /// Most nodes that may be out of service because of a grant, where no pool says otherwise.
    pub budget: usize,
    /// The update does not work: with it no kubelet reports by itself.
    pub sick: bool,
    /// Somebody asks for a reboot without an update.
    pub requested: bool,
    /// The pools that there may be, the first at first (see [`crate::pools`]).
    pub pools: &'static [u8],
    pub bug: Option<Bug>,
}

impl Scope {
    /// How many grants are followed: two operators, one of which does not read the ledger, can go on taking each other's back without end.
    pub fn grants(&self) -> u64 {
        let ways = 1 + u64::from(self.sick);
        self.nodes as u64 * ways + u64::from(self.faults) + 1
    }

    /// People change pools, and move nodes between them.
    pub fn pools_change(&self) -> bool {
        self.pools.len() > 1
    }

    /// Writes whose condition fails do nothing.
    pub fn drops_doomed(&self) -> bool {
        self.bug != Some(Bug::WritesWithoutCondition)
    }
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub moment: usize,
    /// How many may still come.
    pub faults: u8,
    /// The operators are reported not to grant anything.
    pub paused: bool,
    /// The pools that there are.
    pub pools: u8,
    /// How far the pool is with releases.
    pub rollout: Shared<Rollout>,
    /// [`NEWER`] is there.
    pub published: bool,
    pub sites: Vec<Shared<Site>>,
    pub ledger: Shared<Ledger>,
    pub operators: Vec<Shared<Operator>>,
}

/// One node: its object, its host, its agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Site {
    pub index: usize,
    pub node: Option<Shared<NodeView>>,
    /// The Node was written in the step that is being made.
    pub written: bool,
    pub machine: Machine,
    pub agent: Agent,
    /// Who cordoned the node last.
    pub cordoned_by: Option<Who>,
    /// A reboot without an update was asked for in the first boot, and ostree notes what is locked.
    pub requested: bool,
    /// It was decided to take its slot back while it had no Node, and it was not granted anything since.
    pub gone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    Agent,
    Admin,
    /// The agent, for all that anybody can tell; or somebody else, who cordoned what it says to have cordoned.
    Unclear,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    pub boot: u8,
    pub booted: ReleaseId,
    /// What a reboot boots, and whether it is staged.
    pub pending: Option<(ReleaseId, bool)>,
    pub others: Vec<ReleaseId>,
    /// A reboot was asked for; `true` if the staged deployment was finalized.
    pub going_down: Option<bool>,
    pub kubelet: bool,
    /// The update does not work here, and the agent is to leave what does not.
    pub sick: bool,
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
    pub disk: Shared<State>,
    pub asked: Option<Asked>,
    /// The moment of the last refused eviction.
    pub refused: Option<usize>,
    /// An old picture of the Node that it still believes in.
    pub stale: Option<Stale<Option<Shared<NodeView>>>>,
    pub flight: Option<Sent<Shared<Act>>>,
    /// Sent by a process that is dead.
    pub orphan: Option<Sent<Shared<Act>>>,
}

/// A picture that may be old.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stale<T> {
    pub view: T,
    /// What it shows was not written since.
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
    pub nodes: BTreeMap<usize, Stale<Option<Shared<NodeView>>>>,
    pub ledger: Option<Stale<Shared<Ledger>>>,
    /// Old pools that it still believes in.
    pub pools: Option<u8>,
    /// How far the pool was with releases then.
    pub rollout: Option<Shared<Rollout>>,
    pub flight: Option<Sent<Write>>,
    pub orphan: Option<Sent<Write>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Write {
    Ledger(Shared<Ledger>),
    Node(usize, Shared<Allotted>),
    Pool(Shared<Rollout>),
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

pub fn deployment(identity: ReleaseId, staged: bool) -> Deployment {
    Deployment {
        id: format!("os-{}", identity.short()),
        identity,
        checksum: identity.short(),
        version: identity.short(),
        staged,
        published: 0,
    }
}

impl World {
    pub fn new(scope: &Scope) -> Self {
        let operator = Operator {
            nodes: BTreeMap::new(),
            ledger: None,
            pools: None,
            rollout: None,
            flight: None,
            orphan: None,
        };
        Self {
            moment: 0,
            faults: scope.faults,
            paused: false,
            pools: scope.pools[0],
            rollout: Rollout::default().into(),
            published: false,
            sites: (0..scope.nodes)
                .map(|site| Site::new(site, scope).into())
                .collect(),
            ledger: Ledger::default().into(),
            operators: vec![operator.into(); scope.operators],
        }
    }

    /// The Node of `site` was written: whatever operators decided on how it was before is out of date.
    pub fn node_written(&mut self, site: usize) {
        let about = |sent: &Sent<Write>| matches!(&sent.what, Write::Node(of, _) if *of == site);
        for operator in &mut self.operators {
            if sent(operator).any(about) || operator.nodes.contains_key(&site) {
                operator.outdate(about);
                if let Some(stale) = operator.nodes.get_mut(&site) {
                    stale.current = false;
                }
            }
        }
    }

    /// The pool's status was written.
    pub fn rollout_written(&mut self) {
        let about = |sent: &Sent<Write>| matches!(sent.what, Write::Pool(_));
        for operator in &mut self.operators {
            if sent(operator).any(about) {
                operator.outdate(about);
            }
        }
    }

    /// The ledger was written.
    pub fn ledger_written(&mut self) {
        let about = |sent: &Sent<Write>| matches!(sent.what, Write::Ledger(_));
        for operator in &mut self.operators {
            if sent(operator).any(about) || operator.ledger.is_some() {
                operator.outdate(about);
                if let Some(stale) = &mut operator.ledger {
                    stale.current = false;
                }
            }
        }
    }
}

fn sent(operator: &Operator) -> impl Iterator<Item = &Sent<Write>> {
    operator.flight.iter().chain(&operator.orphan)
}

impl Operator {
    fn outdate(&mut self, about: impl Fn(&Sent<Write>) -> bool) {
        let sent = self.flight.iter_mut().chain(&mut self.orphan);
        sent.filter(|sent| about(sent))
            .for_each(|sent| sent.current = false);
    }
}

impl Site {
    /// Runs `OLD`, has `NEW` staged, and has already said so.
    fn new(site: usize, scope: &Scope) -> Self {
        let mut made = Self {
            index: site,
            node: Some(fresh_node(site, scope, 1).into()),
            written: false,
            machine: Machine {
                boot: 1,
                booted: OLD,
                pending: Some((NEW, true)),
                others: vec![],
                going_down: None,
                kubelet: true,
                sick: scope.sick,
                pod: Pod::Runs,
            },
            agent: Agent {
                running: true,
                disk: State::default().into(),
                asked: None,
                refused: None,
                stale: None,
                flight: None,
                orphan: None,
            },
            cordoned_by: None,
            requested: scope.requested,
            gone: false,
        };
        if scope.requested {
            made.machine.pending = None;
            let request = request(boot_id(site, 1));
            made.write(|node| node.requests.reboot = request);
            made.written = false;
        }
        for _ in 0..3 {
            let step = crate::agents::decide(&made, made.node.as_deref(), 0, None);
            made.agent.disk = step.state.into();
            if let (Act::Publish(_, want), Some(node)) = (&step.act, &mut made.node) {
                publish(want, node);
            }
        }
        if site >= scope.nodes - scope.joining {
            (made.node, made.machine.kubelet) = (None, false);
        }
        made
    }

    /// The Node was written: whatever was decided on how it was before is out of date.
    pub fn touched(&mut self) {
        self.written = true;
        let agent = &mut self.agent;
        for sent in agent.flight.iter_mut().chain(&mut agent.orphan) {
            sent.current &= !matches!(*sent.what, Act::Publish(..));
        }
        if let Some(stale) = &mut agent.stale {
            stale.current = false;
        }
    }

    /// Writes the Node as somebody other than CUO; a deleted one stays so.
    pub fn write(&mut self, change: impl FnOnce(&mut NodeView)) {
        if let Some(node) = &mut self.node {
            change(node);
            self.touched();
        }
    }

    /// What else is found on the host.
    pub fn survey(&self) -> Survey {
        let staged = self.machine.pending.filter(|(_, staged)| *staged);
        let note = staged
            .filter(|_| self.requested)
            .map(|(identity, _)| StagedNote {
                name: identity.short(),
                locked: self.machine.going_down != Some(true),
            });
        Survey {
            staged: note,
            ..Survey::default()
        }
    }

    pub fn boot_id(&self) -> BootId {
        boot_id(self.index, self.machine.boot)
    }
}

impl Agent {
    /// The process is gone, with all that it knew.
    pub fn ends(&mut self) {
        self.running = false;
        (self.asked, self.refused, self.stale, self.flight) = (None, None, None, None);
    }
}

/// That the boot `boot` is to end.
fn request(boot: BootId) -> Field<RebootRequest> {
    Field::Value(RebootRequest {
        boot,
        at: time(0),
        by: None,
        reason: None,
    })
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
    if scope.pools_change() {
        let group = GROUPS[site % GROUPS.len()];
        raw.labels.insert(LABEL.into(), group.into());
    }
    if site < scope.control_plane {
        raw.labels
            .insert(cuo_core::keys::CONTROL_PLANE[0].into(), String::new());
    }
    NodeView::parse(&raw).unwrap()
}

impl Machine {
    /// What a reboot boots, or what rpm-ostree goes back to from something that does not work.
    pub fn leads_to(&self) -> Option<ReleaseId> {
        let pending = self.pending.map(|(identity, _)| identity);
        pending.or_else(|| self.others.first().copied().filter(|_| self.sick))
    }

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
