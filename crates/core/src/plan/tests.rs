//! Single decisions in a small world whose writes land at once; the search through all interleavings is in `tests/explore`.

use jiff::SignedDuration;

use super::*;
use crate::control_plane::Rule;
use crate::ids::{BootId, ReleaseId};
use crate::node::OperatorFields;
use crate::pool::{FoundPool, MaxUnavailable, Pool};
use crate::raw::RawNode;
use crate::reason::AnyCode;
use crate::release::{Assigned, Chosen};
use crate::values::{
    Booted, Cordoned, DrainPolicy, Failure, Failures, Grant, Granted, Outcome, Phase, Progress,
    RebootResult, Reservation, Status,
};
use crate::window::{Calendar, Windows};

mod faults;
mod gates;
mod lone;
mod pauses;
mod plain;
mod pools;
mod releases;
mod rollback;
mod starving;

const OLD: ReleaseId = ReleaseId::Commit([1; 32]);
const NEW: ReleaseId = ReleaseId::Commit([2; 32]);
const OTHER: ReleaseId = ReleaseId::Commit([3; 32]);
const BOOT: BootId = BootId::from_bytes([1; 16]);
const NEXT: BootId = BootId::from_bytes([2; 16]);
/// Monday 2026-11-23, 21:00 UTC.
const NOW: i64 = 1_795_467_600;

fn at(second: i64) -> Time {
    Time::from_second(second)
}

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn id(seq: u64) -> GrantId {
    let salt = BOOT.salt();
    GrantId { seq, salt }
}

fn checks(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A node that runs [`OLD`] and waits for a grant of [`NEW`].
fn waiting(text: &str) -> NodeView {
    let raw = RawNode {
        name: text.to_owned(),
        uid: text.to_owned(),
        ready: true,
        boot_id: BOOT.to_string(),
        ..RawNode::default()
    };
    let mut node = NodeView::parse(&raw).unwrap();
    node.protocol = Field::Value(keys::VERSION);
    node.agent.needed = Field::Value(NEW);
    phase(&mut node, Phase::Waiting);
    node.agent.booted = Field::Value(Booted {
        identity: OLD,
        version: "1".into(),
        boot: BOOT,
        since: at(0),
    });
    node
}

fn phase(node: &mut NodeView, phase: Phase) {
    node.agent.status = Field::Value(Status {
        phase,
        since: at(NOW),
    });
}

fn failed(identity: ReleaseId) -> Field<Failures> {
    let failure = Failure {
        identity,
        code: Code::RolledBack.into(),
        at: at(NOW),
    };
    Field::Value(Failures {
        identities: vec![failure],
    })
}

/// The node had a grant for it, and it failed there.
fn fails(node: &mut NodeView, identity: ReleaseId) {
    node.agent.failed = failed(identity);
    let mut granted = Granted::default();
    granted.add(identity);
    node.operator.granted = Field::Value(granted);
}

/// A cluster with its operator.
struct World {
    seen: Snapshot,
    policy: Policy,
    now: i64,
    /// What was written, in words.
    log: Vec<String>,
}

impl World {
    /// Nodes that all wait.
    fn new(names: &[&str]) -> Self {
        let nodes = names.iter().map(|text| (name(text), waiting(text)));
        Self {
            seen: Snapshot {
                nodes: nodes.collect(),
                ..Snapshot::default()
            },
            policy: Policy {
                builtin: Pool::default(),
                paused: false,
                control_plane: Rule::default(),
                accept_timeout: SignedDuration::from_secs(300),
            },
            now: NOW,
            log: vec![],
        }
    }

    fn node(&mut self, text: &str) -> &mut NodeView {
        self.seen.nodes.get_mut(&name(text)).unwrap()
    }

    fn ledger(&self) -> Ledger {
        self.seen.ledger.value().cloned().unwrap_or_default()
    }

    /// The slots that are out, in words.
    fn slots(&self) -> Vec<String> {
        let entries = self.ledger().entries;
        let words = entries
            .iter()
            .map(|(name, entry)| format!("{name} {:?} {}", entry.stage, entry.id.seq));
        words.collect()
    }

    fn plan(&self) -> Plan {
        let plan = plan(&self.seen, &self.policy, at(self.now));
        for name in self.seen.nodes.keys() {
            assert!(plan.verdicts.contains_key(name), "no verdict for {name}");
        }
        plan
    }

    /// Decides and carries out until there is nothing more to do; what is asked live is answered with what is known.
    fn run(&mut self) -> Plan {
        for _ in 0..200 {
            let plan = self.plan();
            if plan.act == Act::Wait {
                return plan;
            }
            self.carry_out(&plan.act);
        }
        panic!("the plans do not settle: {:#?}", self.log);
    }

    /// Decides and carries out until the last write begins with `until`.
    fn run_until(&mut self, until: &str) -> Plan {
        for _ in 0..50 {
            let plan = self.plan();
            self.carry_out(&plan.act);
            if self.log.last().is_some_and(|last| last.starts_with(until)) {
                return plan;
            }
        }
        panic!("{until} does not happen: {:#?}", self.log);
    }

    fn carry_out(&mut self, act: &Act) {
        let live = std::mem::take(&mut self.seen.live);
        self.seen.pools_live = false;
        let words = match act {
            Act::Wait => return,
            Act::ConfirmNode(name) => {
                self.seen.live = live;
                let node = self.seen.nodes.get(name).cloned();
                self.seen.live.insert(name.clone(), node);
                format!("confirm {name}")
            }
            Act::ConfirmPools => {
                (self.seen.live, self.seen.pools_live) = (live, true);
                return;
            }
            Act::Ledger(act) => {
                let ledger = act.on(&self.ledger());
                assert_ne!(Some(&ledger), self.seen.ledger.value(), "an idle write");
                self.seen.ledger = Field::Value(ledger);
                format!("ledger: {}", self.slots().join(", "))
            }
            Act::Pool(act) => {
                let known = self.seen.rollouts.entry(act.pool.clone()).or_default();
                let next = act.on(known);
                assert_ne!(next, *known, "an idle write");
                *known = next;
                format!("{}: {}", act.pool, happens(&act.change))
            }
            Act::Node(act) => {
                let node = self.seen.nodes.get_mut(&act.node).unwrap();
                let allotted = act.on(node);
                assert_ne!(allotted.patch(node), None, "an idle write");
                allotted.apply(node);
                match &act.change {
                    NodeChange::Assign(assigned) => {
                        format!("{}: told {}", act.node, told(assigned))
                    }
                    _ => format!("{}: {}", act.node, shown(node)),
                }
            }
        };
        self.log.push(words);
    }

    /// To the moment at which `text` has its grant.
    fn granted(&mut self, text: &str) -> Grant {
        self.run_until(&format!("{text}: grant"));
        self.log.clear();
        self.node(text).operator.grant.value().unwrap().clone()
    }

    /// The agent accepts what it was granted.
    fn accept(&mut self, text: &str) {
        let now = at(self.now);
        let node = self.node(text);
        let grant = node.operator.grant.value().unwrap();
        node.agent.progress = Field::Value(Progress {
            id: grant.id,
            identity: grant.identity,
            boot: grant.boot,
            accepted: now,
        });
        phase(node, Phase::Draining);
        node.unschedulable = true;
    }

    /// The agent answers its grant, and rests if it is done.
    fn answer(&mut self, text: &str, outcome: Outcome, code: Option<Code>) {
        let now = at(self.now);
        let node = self.node(text);
        let id = node.operator.grant.value().unwrap().id;
        node.agent.progress = Field::Absent;
        node.agent.result = Field::Value(RebootResult {
            id,
            outcome,
            code: code.map(AnyCode::from),
            at: now,
        });
        node.unschedulable = false;
        if outcome == Outcome::Done {
            node.agent.needed = Field::Absent;
            node.kubelet_boot = Some(NEXT);
            node.agent.booted = Field::Value(Booted {
                identity: NEW,
                version: "2".into(),
                boot: NEXT,
                since: now,
            });
            phase(node, Phase::Idle);
        } else {
            phase(node, Phase::Held);
        }
    }

    /// Accepts and answers for whoever has a grant, until nobody gets any more; in which order they came, and how many at once at most.
    fn all_done(&mut self) -> (Vec<String>, usize) {
        let (mut order, mut most) = (Vec::new(), 0);
        loop {
            self.run();
            let granted = |node: &&NodeView| !node.operator.grant.is_absent();
            let granted = self.seen.nodes.values().filter(granted);
            let names: Vec<_> = granted.map(|node| node.name.to_string()).collect();
            most = most.max(names.len());
            for name in &names {
                self.accept(name);
                self.run();
            }
            for name in &names {
                self.answer(name, Outcome::Done, None);
            }
            if names.is_empty() {
                return (order, most);
            }
            order.extend(names);
        }
    }
}

/// What of a slot is on the Node, in words.
fn shown(node: &NodeView) -> String {
    let operator = &node.operator;
    let mut words = Vec::new();
    if !operator.reserved.is_absent() {
        words.push("reserved");
    }
    if !operator.grant.is_absent() {
        words.push("grant");
    }
    if operator.before {
        words.push("before");
    }
    if operator.after {
        words.push("after");
    }
    words.join(" ")
}

/// What a node is told to go to, in words.
fn told(assigned: &Option<Assigned>) -> String {
    let Some(assigned) = assigned else {
        return "nothing".to_owned();
    };
    let mut words = vec![];
    if assigned.declared {
        words.push("declared".to_owned());
    }
    if assigned.downgrade {
        words.push("downgrade".to_owned());
    }
    words.extend(assigned.image.as_ref().map(ToString::to_string));
    let version = assigned
        .version
        .clone()
        .filter(|_| assigned.identity.is_none());
    words.extend(version);
    words.push(
        assigned
            .identity
            .map_or("look".to_owned(), |identity| identity.short()),
    );
    let avoid = assigned
        .avoid
        .iter()
        .map(|one| format!("not {}", one.short()));
    words.extend(avoid);
    words.join(" ")
}

/// What happens to a pool's releases, in words.
fn happens(change: &PoolChange) -> String {
    let called = |chosen: &Chosen| {
        let mut ids: Vec<_> = chosen.ids().map(ReleaseId::short).collect();
        ids.dedup();
        ids.join("+")
    };
    match change {
        PoolChange::Restore(rollout) => {
            let candidate = rollout.candidate.as_ref().map(called);
            format!("restore {}", candidate.unwrap_or_default())
        }
        PoolChange::Choose(chosen) => format!("choose {}", called(chosen)),
        PoolChange::Resolve(architecture, release) => {
            format!("resolve {architecture} {}", release.identity.short())
        }
        PoolChange::Promote => "promote".to_owned(),
        PoolChange::GiveUp(failed) => format!("give up {}", failed[0].identity.short()),
        PoolChange::Forgive(identity) => format!("forgive {}", identity.short()),
        PoolChange::Supersede(other) => {
            let other = other.as_ref().map(called);
            format!("supersede {}", other.unwrap_or_default())
                .trim()
                .to_owned()
        }
        PoolChange::End => "end".to_owned(),
    }
}

fn codes(plan: &Plan) -> Vec<(&str, Code)> {
    let verdicts = plan.verdicts.iter();
    verdicts
        .map(|(name, reason)| (name.as_str(), reason.code))
        .collect()
}

type Change = fn(&mut World);

#[test]
fn a_slot_goes_through_its_steps_and_its_checks() {
    let mut world = World::new(&["n1"]);
    world.policy.builtin.before = checks(&["example.com/backup", "example.com/quiet"]);
    world.policy.builtin.after = checks(&["example.com/well"]);
    // Answers that were given for an earlier update.
    for check in ["example.com/backup", "example.com/well"] {
        world.node("n1").others.insert(check.into(), "true".into());
    }
    let plan = world.run();
    let reason = "not yet true: example.com/backup, example.com/quiet";
    assert_eq!(
        plan.verdicts[&name("n1")],
        Reason::new(Code::BeforeChecks, reason)
    );
    let reservation = Reservation {
        id: id(1),
        identity: NEW,
        boot: BOOT,
    };
    assert_eq!(
        world.node("n1").operator.reserved,
        Field::Value(reservation)
    );
    assert_eq!(world.log, ["ledger: n1 Reserved 1", "n1: reserved before"]);

    for check in ["example.com/backup", "example.com/quiet"] {
        world.node("n1").others.insert(check.into(), "true".into());
    }
    world.log.clear();
    assert_eq!(codes(&world.run()), [("n1", Code::Granted)]);
    assert_eq!(world.log, ["ledger: n1 Granted 1", "n1: grant"]);
    let grant = Grant {
        id: id(1),
        identity: NEW,
        boot: BOOT,
        issued: at(NOW),
        deadline: at(NOW + 300),
        pods: Default::default(),
        cordoned: Cordoned::Hold,
        drain: DrainPolicy::default(),
    };
    assert_eq!(world.node("n1").operator.grant, Field::Value(grant));

    world.accept("n1");
    world.log.clear();
    assert_eq!(codes(&world.run()), [("n1", Code::Rebooting)]);
    assert!(world.log.is_empty());

    // An answer that nobody asked for yet.
    let well = || ("example.com/well".to_owned(), "true".to_owned());
    world.node("n1").others.extend([well()]);
    world.answer("n1", Outcome::Done, None);
    assert_eq!(codes(&world.run()), [("n1", Code::AfterChecks)]);
    assert_eq!(world.log, ["n1: grant after"]);

    world.node("n1").others.extend([well()]);
    world.log.clear();
    assert_eq!(codes(&world.run()), [("n1", Code::UpToDate)]);
    assert_eq!(world.log, ["n1: ", "confirm n1", "ledger: "]);
    assert_eq!(world.ledger().seq, 1);
}

/// Why a node without a slot has none, in the order in which reasons are looked for: each change comes on top of a node that could go.
#[test]
fn every_reason_to_wait_has_its_code() {
    let cases: [(Code, Change); 31] = [
        (Code::NoAgent, |world| {
            world.node("n1").protocol = Field::Absent
        }),
        (Code::ProtocolUnknown, |world| {
            world.node("n1").protocol = Field::OtherVersion(2)
        }),
        (Code::MalformedAnnotation, |world| {
            world.node("n1").protocol = Field::Malformed("x".into())
        }),
        (Code::ProtocolUnknown, |world| {
            world.node("n1").operator.grant = Field::OtherVersion(2)
        }),
        (Code::MalformedAnnotation, |world| {
            world.node("n1").operator.grant = Field::Malformed("x".into())
        }),
        (Code::MalformedAnnotation, |world| {
            world.node("n1").operator.reserved = Field::Malformed("x".into())
        }),
        (Code::MalformedAnnotation, |world| {
            world.node("n1").agent.progress = Field::Malformed("x".into())
        }),
        (Code::MalformedAnnotation, |world| {
            world.node("n1").agent.status = Field::Malformed("x".into())
        }),
        (Code::MalformedAnnotation, |world| {
            world.node("n1").agent.needed = Field::Malformed("x".into())
        }),
        (Code::ProtocolUnknown, |world| {
            world.node("n1").agent.booted = Field::OtherVersion(2)
        }),
        (Code::ProtocolUnknown, |world| {
            world.node("n1").agent.result = Field::OtherVersion(2)
        }),
        (Code::ProtocolUnknown, |world| {
            world.node("n1").agent.failed = Field::OtherVersion(2)
        }),
        (Code::UpToDate, |world| {
            world.node("n1").agent.needed = Field::Absent
        }),
        (Code::Paused, |world| world.node("n1").paused = true),
        (Code::IdentityFailed, |world| fails(world.node("n1"), NEW)),
        (Code::IdentityFailed, |world| fails(world.node("n2"), NEW)),
        (Code::AgentHolds, |world| {
            world.node("n1").agent.status = Field::Absent
        }),
        (Code::AgentHolds, |world| {
            phase(world.node("n1"), Phase::Staged)
        }),
        (Code::AgentHolds, |world| {
            phase(world.node("n1"), Phase::Held)
        }),
        (Code::AgentHolds, |world| {
            phase(world.node("n1"), Phase::Failed)
        }),
        (Code::NodeNotReady, |world| world.node("n1").ready = false),
        (Code::NodeNotReady, |world| world.node("n1").deleting = true),
        (Code::NodeNotReady, |world| {
            world.node("n1").kubelet_boot = None
        }),
        (Code::NodeNotReady, |world| {
            world.node("n1").kubelet_boot = Some(NEXT)
        }),
        (Code::NodeNotReady, |world| {
            world.node("n1").kubelet_boot = None;
            world.node("n1").agent.booted = Field::Absent;
        }),
        (Code::ClusterPaused, |world| world.policy.paused = true),
        (Code::WindowClosed, |world| {
            world.policy.builtin.calendar = windows("22:00 1h")
        }),
        (Code::BudgetExhausted, |world| {
            world.node("n2").ready = false
        }),
        (Code::ControlPlaneBusy, |world| {
            world.policy.builtin.max_unavailable = MaxUnavailable::Count(9);
            world.node("n1").control_plane = true;
            world.node("n2").control_plane = true;
            world.node("n2").ready = false;
        }),
        (Code::OwnNodeLast, |world| {
            world.seen.own_node = Some(name("n1"));
            world.node("n2").agent.needed = Field::Value(NEW);
            world.policy.builtin.before = checks(&["example.com/backup"]);
        }),
        (Code::BeforeChecks, |world| {
            world.policy.builtin.before = checks(&["example.com/backup"])
        }),
    ];
    for (index, (code, change)) in cases.into_iter().enumerate() {
        let mut world = World::new(&["n1", "n2"]);
        world.node("n2").agent.needed = Field::Absent;
        change(&mut world);
        let plan = world.run();
        let found = plan.verdicts[&name("n1")].code;
        assert_eq!((found, plan.act), (code, Act::Wait), "case {index}");
        let alone = code == Code::BeforeChecks;
        let other = code == Code::OwnNodeLast;
        assert_eq!(world.slots().is_empty(), !alone && !other, "case {index}");
    }
}

fn windows(text: &str) -> Calendar {
    Calendar::new(Windows::new(vec![text.parse().unwrap()]), vec![])
}

#[test]
fn reasons_say_what_is_in_the_way_without_a_clock() {
    let cases: [(&str, Change); 7] = [
        (
            "WindowClosed: the next window opens 2026-11-23T22:00:00Z",
            |world| world.policy.builtin.calendar = windows("22:00 1h"),
        ),
        ("BudgetExhausted: 1 of 1 in use: n2", |world| {
            world.node("n2").unschedulable = true
        }),
        (
            "ControlPlaneBusy: waits for control-plane node n2",
            |world| {
                for text in ["n1", "n2"] {
                    world.node(text).control_plane = true;
                }
                world.node("n2").ready = false;
            },
        ),
        ("AgentHolds: held: Hold: because of the holidays", |world| {
            phase(world.node("n1"), Phase::Held);
            let reason = Reason::new(Code::Hold, "because of the holidays");
            world.node("n1").agent.reason = Field::Value(reason.read());
        }),
        ("AgentHolds: the agent is staging", |world| {
            phase(world.node("n1"), Phase::Staging)
        }),
        // The agent has refused for that very reason.
        ("CordonedByOther: cordoned by somebody else", |world| {
            phase(world.node("n1"), Phase::Held);
            let reason = Reason::new(Code::CordonedByOther, "cordoned by somebody else");
            let node = world.node("n1");
            node.agent.reason = Field::Value(reason.read());
            node.unschedulable = true;
        }),
        (
            "IdentityFailed: 0202020202020202020202020202020202020202020202020202020202020202 failed on node n2 (RolledBack)",
            |world| fails(world.node("n2"), NEW),
        ),
    ];
    for (expected, change) in cases {
        let mut world = World::new(&["n1", "n2"]);
        world.node("n2").agent.needed = Field::Absent;
        change(&mut world);
        for later in [0, 60] {
            world.now = NOW + later;
            assert_eq!(world.run().verdicts[&name("n1")].to_string(), expected);
        }
    }
}

#[test]
fn workers_go_before_the_control_plane_and_the_own_node_is_last() {
    let mut world = World::new(&["c1", "c2", "w1", "w2", "w3"]);
    for control in ["c1", "c2"] {
        world.node(control).control_plane = true;
    }
    world.seen.own_node = Some(name("w2"));
    let order = ["w1", "w3", "c1", "c2", "w2"].map(str::to_owned).to_vec();
    assert_eq!(world.all_done(), (order, 1));
    assert_eq!(world.ledger().seq, 5);
}

#[test]
fn the_own_node_waits_for_slots_that_are_out_but_not_for_nodes_that_can_not_go() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.policy.builtin.max_unavailable = MaxUnavailable::Count(3);
    world.seen.own_node = Some(name("n1"));
    world.node("n3").paused = true;
    world.granted("n2");
    let expected = [
        ("n1", Code::OwnNodeLast),
        ("n2", Code::Granted),
        ("n3", Code::Paused),
    ];
    assert_eq!(codes(&world.run()), expected);
    world.answer("n2", Outcome::Done, None);
    let expected = [
        ("n1", Code::Granted),
        ("n2", Code::UpToDate),
        ("n3", Code::Paused),
    ];
    assert_eq!(codes(&world.run()), expected);
}

#[test]
fn the_own_node_does_not_wait_for_a_slot_that_a_person_has_to_free() {
    let mut world = World::new(&["n1", "n2"]);
    world.seen.own_node = Some(name("n1"));
    world.policy.builtin.max_unavailable = MaxUnavailable::Count(2);
    world.granted("n2");
    world.accept("n2");
    assert_eq!(codes(&world.run())[0], ("n1", Code::OwnNodeLast));
    phase(world.node("n2"), Phase::Failed);
    assert_eq!(codes(&world.run())[0], ("n1", Code::Granted));
}

#[test]
fn as_many_go_at_once_as_the_budget_allows() {
    for budget in 1..=4 {
        let mut world = World::new(&["n1", "n2", "n3", "n4", "n5"]);
        world.policy.builtin.max_unavailable = MaxUnavailable::Count(budget);
        let order = ["n1", "n2", "n3", "n4", "n5"].map(str::to_owned).to_vec();
        assert_eq!(world.all_done(), (order, budget));
    }
}

/// Found while the Events were written: everybody was called reserved until the first one was.
#[test]
fn no_more_are_called_reserved_than_there_are_slots() {
    let mut world = World::new(&["c1", "c2", "n1", "n2", "n3"]);
    for control in ["c1", "c2"] {
        world.node(control).control_plane = true;
    }
    world.policy.builtin.max_unavailable = MaxUnavailable::Count(2);
    let expected = [
        ("c1", Code::BudgetExhausted),
        ("c2", Code::BudgetExhausted),
        ("n1", Code::Reserved),
        ("n2", Code::Reserved),
        ("n3", Code::BudgetExhausted),
    ];
    assert_eq!(codes(&world.plan()), expected);
    world.policy.builtin.max_unavailable = MaxUnavailable::Count(4);
    let expected = [
        ("c1", Code::Reserved),
        ("c2", Code::ControlPlaneBusy),
        ("n1", Code::Reserved),
        ("n2", Code::Reserved),
        ("n3", Code::Reserved),
    ];
    assert_eq!(codes(&world.plan()), expected);
}

#[test]
fn whoever_is_out_of_service_counts_whatever_the_cause() {
    let cases: [(bool, Change); 10] = [
        (true, |_| {}),
        (false, |world| world.node("n2").ready = false),
        (false, |world| world.node("n2").unschedulable = true),
        (false, |world| world.node("n2").deleting = true),
        (false, |world| phase(world.node("n2"), Phase::Failed)),
        (false, |world| {
            world.node("n2").operator.grant = Field::Malformed("x".into())
        }),
        (false, |world| {
            world.node("n2").agent.progress = Field::OtherVersion(2)
        }),
        (false, |world| {
            world.node("n2").operator.reserved = Field::OtherVersion(2)
        }),
        // A node that is out of service itself counts once.
        (true, |world| {
            world.policy.builtin.cordoned = Cordoned::Update;
            world.node("n1").unschedulable = true;
        }),
        (true, |world| {
            world.node("n2").ready = false;
            world.policy.builtin.max_unavailable = MaxUnavailable::Count(2);
        }),
    ];
    for (index, (expected, change)) in cases.into_iter().enumerate() {
        let mut world = World::new(&["n1", "n2"]);
        world.node("n2").agent.needed = Field::Absent;
        change(&mut world);
        world.run();
        let granted = !world.node("n1").operator.grant.is_absent();
        assert_eq!(granted, expected, "case {index}");
    }
}

/// A host that somebody else holds could otherwise keep a release from all nodes.
#[test]
fn a_failure_is_about_others_only_where_the_node_was_granted_that_release() {
    let mut world = World::new(&["n1", "n2"]);
    world.node("n2").agent.failed = failed(NEW);
    let verdict = |world: &mut World, text: &str| world.run().verdicts[&name(text)].code;
    assert_eq!(verdict(&mut world, "n2"), Code::IdentityFailed);
    assert_eq!(verdict(&mut world, "n1"), Code::Granted);

    let mut world = World::new(&["n1", "n2"]);
    fails(world.node("n2"), NEW);
    assert_eq!(verdict(&mut world, "n1"), Code::IdentityFailed);
}

#[test]
fn two_control_plane_nodes_never_go_together() {
    let mut world = World::new(&["c1", "c2", "c3"]);
    for control in ["c1", "c2", "c3"] {
        world.node(control).control_plane = true;
    }
    world.policy.builtin.max_unavailable = MaxUnavailable::Count(3);
    let order = ["c1", "c2", "c3"].map(str::to_owned).to_vec();
    assert_eq!(world.all_done(), (order, 1));
}

/// An administrator has the last word on what the nodes say of themselves.
#[test]
fn selectors_add_nodes_to_the_control_plane_and_take_them_out() {
    let mut world = World::new(&["c1", "c2", "w1", "w2"]);
    world.node("c1").control_plane = true;
    world.node("w1").control_plane = true;
    for (text, label) in [("c2", "etcd"), ("w1", "liar"), ("w2", "none")] {
        let labels = &mut world.node(text).labels;
        labels.insert(label.to_owned(), String::new());
    }
    let rule = Rule {
        also: vec!["etcd".parse().unwrap()],
        never: vec!["liar".parse().unwrap()],
    };
    world.policy.control_plane = rule;
    let counted: Vec<_> = world.plan().control_plane.into_iter().collect();
    assert_eq!(counted, [name("c1"), name("c2")]);
}

/// What ends a grant that was not accepted, and under which code.
const WITHDRAWN: [(Code, Change); 12] = [
    (Code::GrantExpired, |world| world.now += 301),
    (Code::WindowClosed, |world| {
        world.policy.builtin.calendar = windows("22:00 1h")
    }),
    (Code::Paused, |world| world.node("n1").paused = true),
    (Code::ClusterPaused, |world| world.policy.paused = true),
    (Code::GrantMismatch, |world| {
        world.node("n1").agent.needed = Field::Value(OTHER)
    }),
    (Code::UpToDate, |world| {
        world.node("n1").agent.needed = Field::Absent
    }),
    (Code::GrantMismatch, |world| {
        world.node("n1").kubelet_boot = Some(NEXT);
        let booted = Booted {
            identity: OLD,
            version: "1".into(),
            boot: NEXT,
            since: at(NOW),
        };
        world.node("n1").agent.booted = Field::Value(booted);
    }),
    (Code::AgentHolds, |world| {
        phase(world.node("n1"), Phase::Held)
    }),
    (Code::NodeNotReady, |world| world.node("n1").ready = false),
    (Code::NodeNotReady, |world| world.node("n1").deleting = true),
    (Code::IdentityFailed, |world| fails(world.node("n2"), NEW)),
    (Code::ProtocolUnknown, |world| {
        world.node("n1").protocol = Field::OtherVersion(2)
    }),
];

#[test]
fn a_grant_that_was_not_accepted_is_withdrawn() {
    for (index, (code, change)) in WITHDRAWN.into_iter().enumerate() {
        let mut world = World::new(&["n1", "n2"]);
        world.node("n2").agent.needed = Field::Absent;
        world.granted("n1");
        change(&mut world);
        let plan = world.run_until("n1: reserved");
        assert_eq!(plan.verdicts[&name("n1")].code, code, "case {index}");
        world.run_until("n1: ");
        let expected = ["n1: reserved", "ledger: ", "n1: "];
        assert_eq!(world.log, expected, "case {index}");
    }
}

#[test]
fn an_accepted_grant_is_left_alone() {
    for (index, (_, change)) in WITHDRAWN.into_iter().enumerate() {
        let mut world = World::new(&["n1", "n2"]);
        world.node("n2").agent.needed = Field::Absent;
        let grant = world.granted("n1");
        world.accept("n1");
        change(&mut world);
        let plan = world.run();
        let code = plan.verdicts[&name("n1")].code;
        assert_eq!(code, Code::Rebooting, "case {index}");
        assert_eq!(world.log, [""; 0], "case {index}");
        assert_eq!(world.node("n1").operator.grant, Field::Value(grant));
    }
}

/// An agent of another version may have accepted: then it is not for this operator to take the grant away.
#[test]
fn a_progress_that_is_not_understood_counts_as_accepted() {
    let cases = [
        (Field::OtherVersion(2), Code::ProtocolUnknown),
        (Field::Malformed("x".into()), Code::MalformedAnnotation),
    ];
    for (progress, code) in cases {
        let mut world = World::new(&["n1"]);
        let grant = world.granted("n1");
        world.node("n1").agent.progress = progress;
        assert_eq!(codes(&world.run()), [("n1", code)]);
        assert_eq!(world.log, [""; 0]);
        assert_eq!(world.node("n1").operator.grant, Field::Value(grant));
    }
}

/// The same that ends a grant ends what is not one yet, and so does the loss of its place in the budget.
#[test]
fn a_reservation_is_given_up() {
    let budget: (Code, Change) = (Code::BudgetExhausted, |world| {
        world.node("n2").unschedulable = true
    });
    for (index, (code, change)) in WITHDRAWN.into_iter().chain([budget]).enumerate() {
        let mut world = World::new(&["n1", "n2"]);
        world.node("n2").agent.needed = Field::Absent;
        world.policy.builtin.before = checks(&["example.com/backup"]);
        world.run();
        world.log.clear();
        change(&mut world);
        let plan = world.plan();
        if code == Code::GrantExpired {
            // Checks may take as long as they like.
            assert_eq!(codes(&plan)[0], ("n1", Code::BeforeChecks));
            continue;
        }
        assert_eq!(plan.verdicts[&name("n1")].code, code, "case {index}");
        world.run_until("n1: ");
        assert_eq!(world.log, ["ledger: ", "n1: "], "case {index}");
    }
}

/// Between the write that makes the entry `granted` and the one that puts the grant on the Node.
#[test]
fn a_granted_entry_whose_node_may_no_longer_go_is_taken_back() {
    let budget: (Code, Change) = (Code::BudgetExhausted, |world| {
        world.node("n2").unschedulable = true
    });
    let control: (Code, Change) = (Code::ControlPlaneBusy, |world| {
        world.node("n1").control_plane = true;
        world.node("n2").control_plane = true;
        world.node("n2").ready = false;
    });
    let more = [budget, control];
    for (index, (code, change)) in WITHDRAWN.into_iter().chain(more).enumerate() {
        let mut world = World::new(&["n1", "n2"]);
        world.node("n2").agent.needed = Field::Absent;
        world.run_until("ledger: n1 Granted");
        world.log.clear();
        change(&mut world);
        if code == Code::GrantExpired {
            // There is no deadline yet: it counts from the write that puts it on the Node.
            let grant = world.granted("n1");
            assert_eq!(grant.deadline, at(world.now + 300));
            continue;
        }
        let plan = world.run_until("n1: reserved");
        assert_eq!(plan.verdicts[&name("n1")].code, code, "case {index}");
        world.run_until("n1: ");
        let expected = ["n1: reserved", "ledger: ", "n1: "];
        assert_eq!(world.log, expected, "case {index}");
    }
}

#[test]
fn a_grant_lapses_with_its_window_at_the_latest() {
    let cases = [
        ("20:00 4h", NOW + 300, NOW + 301),
        ("20:00 62m", NOW + 120, NOW + 121),
    ];
    for (window, deadline, wake) in cases {
        let mut world = World::new(&["n1"]);
        world.policy.builtin.calendar = windows(window);
        let grant = world.granted("n1");
        assert_eq!(grant.deadline, at(deadline), "{window}");
        assert_eq!(world.run().wake, Some(at(wake)), "{window}");
    }
}

#[test]
fn a_closed_window_is_slept_through_and_an_open_one_watched() {
    let mut world = World::new(&["n1"]);
    world.policy.builtin.calendar = windows("22:00 1h");
    world.policy.builtin.before = checks(&["example.com/backup"]);
    assert_eq!(world.run().wake, Some(at(NOW + 3600)));
    world.now = NOW + 3600;
    let plan = world.run();
    assert_eq!(codes(&plan), [("n1", Code::BeforeChecks)]);
    assert_eq!(plan.wake, Some(at(NOW + 7200)));
    world.now = NOW + 7200;
    assert_eq!(codes(&world.run()), [("n1", Code::WindowClosed)]);
    assert_eq!(
        (world.slots(), shown(world.node("n1"))),
        (vec![], "".into())
    );
}

#[test]
fn every_answer_gives_the_slot_back_and_only_a_done_one_is_checked() {
    let cases = [
        (Outcome::Done, None, Code::AfterChecks),
        (Outcome::Refused, Some(Code::Inhibited), Code::AgentHolds),
        (Outcome::Aborted, Some(Code::DrainBlocked), Code::AgentHolds),
        (Outcome::Failed, Some(Code::RolledBack), Code::AgentHolds),
    ];
    for (outcome, code, expected) in cases {
        let mut world = World::new(&["n1"]);
        world.policy.builtin.after = checks(&["example.com/well"]);
        world.granted("n1");
        world.accept("n1");
        world.answer("n1", outcome, code);
        assert_eq!(codes(&world.run()), [("n1", expected)]);
        let kept = outcome == Outcome::Done;
        assert_eq!(world.slots().is_empty(), !kept, "{outcome:?}");
    }
}

/// An answer of an earlier grant says nothing about this one.
#[test]
fn an_old_answer_is_none() {
    let mut world = World::new(&["n1"]);
    world.granted("n1");
    world.accept("n1");
    world.answer("n1", Outcome::Aborted, Some(Code::DrainBlocked));
    world.run();
    phase(world.node("n1"), Phase::Waiting);
    assert_eq!(world.granted("n1").id, id(2));
    assert_eq!(codes(&world.run()), [("n1", Code::Granted)]);
    assert_eq!(world.slots(), ["n1 Granted 2"]);
}

/// The operator was started again with other checks while a reservation was out.
#[test]
fn checks_that_are_asked_for_later_are_asked() {
    let mut world = World::new(&["n1"]);
    world.run_until("n1: reserved");
    world.policy.builtin.before = checks(&["example.com/backup"]);
    let backup = || ("example.com/backup".to_owned(), "true".to_owned());
    world.node("n1").others.extend([backup()]);
    world.log.clear();
    assert_eq!(codes(&world.run()), [("n1", Code::BeforeChecks)]);
    assert_eq!(world.log, ["n1: reserved before"]);

    world.policy.builtin.before = vec![];
    world.log.clear();
    assert_eq!(codes(&world.run()), [("n1", Code::Granted)]);
    let expected = ["n1: reserved", "ledger: n1 Granted 1", "n1: grant"];
    assert_eq!(world.log, expected);
}

#[test]
fn a_ledger_that_makes_no_sense_stops_everything_and_is_not_touched() {
    let cases = [
        (Field::OtherVersion(2), Code::ProtocolUnknown),
        (Field::Malformed("x".into()), Code::MalformedAnnotation),
    ];
    for (ledger, code) in cases {
        let mut world = World::new(&["n1", "n2"]);
        world.granted("n1");
        world.now += 301;
        world.seen.ledger = ledger;
        let plan = world.run();
        assert_eq!(codes(&plan), [("n1", code), ("n2", code)]);
        let text = &plan.verdicts[&name("n1")].message;
        assert!(text.contains("cuo-ledger"), "{text}");
        assert_eq!((plan.wake, plan.used.len()), (None, 2));
        assert_eq!(world.log, [""; 0]);
    }
}

/// Somebody deletes the ledger, with a slot at each of its stages.
#[test]
fn a_lost_ledger_is_rebuilt_from_the_nodes_before_anything_new() {
    let cases: [(&str, &[&str]); 4] = [
        ("n1: reserved", &["n1: "]),
        ("ledger: n1 Granted", &["n1: "]),
        ("n1: grant", &["ledger: n1 Granted 1"]),
        ("accepted", &["ledger: n1 Granted 1"]),
    ];
    for (stage, expected) in cases {
        let mut world = World::new(&["n1", "n2"]);
        if stage == "accepted" {
            world.granted("n1");
            world.accept("n1");
        } else {
            world.run_until(stage);
        }
        world.seen.ledger = Field::Absent;
        world.log.clear();
        let plan = world.plan();
        assert_eq!(plan.verdicts[&name("n2")].code, Code::BudgetExhausted);
        for _ in expected {
            let plan = world.plan();
            world.carry_out(&plan.act);
        }
        assert_eq!(world.log, expected, "{stage}");
    }
}

/// What is on the Node wins over what the ledger says of it.
#[test]
fn another_grant_than_the_ledgers_replaces_its_entry() {
    let mut world = World::new(&["n1"]);
    let grant = world.granted("n1");
    let Field::Value(ledger) = &mut world.seen.ledger else {
        panic!("no ledger");
    };
    let entry = ledger.entries.get_mut(&name("n1")).unwrap();
    (entry.stage, entry.id.seq) = (Stage::Reserved, 9);
    let expected = Entry {
        id: grant.id,
        identity: NEW,
        boot: BOOT,
        stage: Stage::Granted,
        since: at(NOW),
    };
    world.run();
    let ledger = Ledger {
        seq: 9,
        entries: [(name("n1"), expected)].into(),
        ..Ledger::default()
    };
    assert_eq!(world.ledger(), ledger);
}

#[test]
fn grants_are_numbered_above_every_number_that_was_ever_seen() {
    let old = GrantId { seq: 40, salt: 7 };
    let cases: [(u64, Change); 5] = [
        (1, |_| {}),
        (31, |world| {
            let seq = 30;
            let entries = BTreeMap::new();
            world.seen.ledger = Field::Value(Ledger {
                seq,
                entries,
                ..Ledger::default()
            });
        }),
        (41, |world| {
            world.node("n2").agent.result = Field::Value(RebootResult {
                id: GrantId { seq: 40, salt: 7 },
                outcome: Outcome::Done,
                code: None,
                at: at(NOW),
            });
        }),
        (41, |world| {
            world.node("n2").agent.owned = Field::Value(GrantId { seq: 40, salt: 7 })
        }),
        (41, |world| {
            world.policy.builtin.max_unavailable = MaxUnavailable::Count(2);
            world.node("n2").agent.progress = Field::Value(Progress {
                id: GrantId { seq: 40, salt: 7 },
                identity: NEW,
                boot: BOOT,
                accepted: at(NOW),
            });
        }),
    ];
    for (seq, change) in cases {
        let mut world = World::new(&["n1", "n2"]);
        world.node("n2").agent.needed = Field::Absent;
        change(&mut world);
        assert_eq!(world.granted("n1").id, id(seq));
        assert_eq!(world.ledger().seq, seq);
    }
    assert_ne!(id(old.seq), old, "the salt tells boots apart");
}

#[test]
fn what_nothing_stands_for_is_taken_off() {
    let reservation = Reservation {
        id: id(5),
        identity: NEW,
        boot: BOOT,
    };
    let cases = [
        ("reserved", OperatorFields::default(), true),
        ("before", before_label(), false),
        ("after", after_label(), false),
    ];
    for (what, fields, reserved) in cases {
        let mut world = World::new(&["n1", "n2"]);
        world.policy.paused = true;
        world.node("n1").operator = fields;
        if reserved {
            world.node("n1").operator.reserved = Field::Value(reservation.clone());
        }
        assert_eq!(shown(world.node("n1")), what);
        world.run();
        assert_eq!(world.log, ["n1: "], "{what}");
    }
}

fn before_label() -> OperatorFields {
    OperatorFields {
        before: true,
        ..OperatorFields::default()
    }
}

fn after_label() -> OperatorFields {
    OperatorFields {
        after: true,
        ..OperatorFields::default()
    }
}

#[test]
fn what_is_not_understood_is_left_for_a_person() {
    let cases: [Change; 4] = [
        |world| world.node("n1").operator.grant = Field::Malformed("x".into()),
        |world| world.node("n1").operator.grant = Field::OtherVersion(2),
        |world| world.node("n1").operator.reserved = Field::Malformed("x".into()),
        |world| {
            world.node("n1").operator.grant = Field::OtherVersion(2);
            world.node("n1").operator.reserved = Field::Value(Reservation {
                id: id(5),
                identity: NEW,
                boot: BOOT,
            });
        },
    ];
    for (index, change) in cases.into_iter().enumerate() {
        let mut world = World::new(&["n1", "n2"]);
        change(&mut world);
        world.node("n1").operator.before = true;
        let plan = world.run();
        assert_eq!(world.log, [""; 0], "case {index}");
        assert_eq!(plan.verdicts[&name("n2")].code, Code::BudgetExhausted);
    }
}

#[test]
fn the_slot_of_a_node_that_is_gone_is_free_once_that_is_sure() {
    let cases: [(&str, &[&str]); 3] = [
        ("n1: reserved", &["ledger: "]),
        ("ledger: n1 Granted", &["confirm n1", "ledger: "]),
        ("n1: grant", &["confirm n1", "ledger: "]),
    ];
    for (stage, expected) in cases {
        let mut world = World::new(&["n1", "n2"]);
        world.node("n2").agent.needed = Field::Absent;
        world.run_until(stage);
        world.seen.nodes.remove(&name("n1"));
        world.log.clear();
        world.run();
        assert_eq!(world.log, expected, "{stage}");
    }
}

/// The watch may be behind in both directions.
#[test]
fn an_entry_is_kept_while_the_api_server_still_shows_it_on_the_node() {
    type Hide = fn(&mut World);
    let gone: Hide = |world| {
        world.seen.nodes.remove(&name("n1"));
    };
    let empty: Hide = |world| world.node("n1").operator = OperatorFields::default();
    let cases = [
        ("ledger: n1 Granted", gone),
        ("n1: grant", gone),
        ("ledger: n1 Granted", empty),
        ("n1: grant", empty),
    ];
    for (stage, hide) in cases {
        let mut world = World::new(&["n1", "n2"]);
        world.run_until(stage);
        let shown = world.node("n1").clone();
        hide(&mut world);
        assert_eq!(world.plan().act, Act::ConfirmNode(name("n1")), "{stage}");
        world.seen.live.insert(name("n1"), Some(shown));
        let plan = world.plan();
        assert_eq!(plan.act, Act::Wait, "{stage}");
        assert_eq!(plan.verdicts[&name("n2")].code, Code::BudgetExhausted);
    }
}

/// Another operator may just be putting the grant on the Node that was recreated: another number keeps it from succeeding.
#[test]
fn the_slot_of_a_node_that_was_made_anew_is_taken_back_there_first() {
    let mut world = World::new(&["n1", "n2"]);
    world.run_until("ledger: n1 Granted");
    world.node("n1").operator = OperatorFields::default();
    world.log.clear();
    let plan = world.run_until("ledger: ");
    assert_eq!(world.log, ["confirm n1", "n1: reserved", "ledger: "]);
    assert_eq!(plan.verdicts[&name("n2")].code, Code::BudgetExhausted);
    let shown = world.node("n1").operator.reserved.value();
    assert_eq!(shown.map(|reserved| reserved.id.seq), Some(2));
}

/// The ledger says how long a grant can be acted on, so an operator that was away writes it again before it grants.
#[test]
fn a_grant_does_not_outlive_what_the_ledger_says_of_it() {
    for (away, writes) in [
        (150, vec!["n1: grant"]),
        (151, vec!["ledger: n1 Granted 1", "n1: grant"]),
        (100_000, vec!["ledger: n1 Granted 1", "n1: grant"]),
    ] {
        let mut world = World::new(&["n1"]);
        world.run_until("ledger: n1 Granted");
        world.log.clear();
        world.now += away;
        world.run();
        assert_eq!(world.log, writes, "{away}");
        let ledger = world.ledger();
        let since = ledger.entries[&name("n1")].since;
        let deadline = world.node("n1").operator.grant.value().unwrap().deadline;
        assert_eq!(deadline, since.later(SignedDuration::from_secs(300)));
    }
}

/// The grant was removed by hand: the agent gives it up or has rebooted; either way it answers.
#[test]
fn a_grant_that_somebody_removed_keeps_its_slot_until_the_agent_lets_go() {
    let mut world = World::new(&["n1", "n2"]);
    world.granted("n1");
    world.accept("n1");
    world.node("n1").operator.grant = Field::Absent;
    let expected = [("n1", Code::Rebooting), ("n2", Code::BudgetExhausted)];
    assert_eq!(codes(&world.run()), expected);
    assert_eq!(world.slots(), ["n1 Granted 1"]);

    let node = world.node("n1");
    (node.agent.progress, node.unschedulable) = (Field::Absent, false);
    phase(node, Phase::Held);
    let expected = [("n1", Code::AgentHolds), ("n2", Code::Granted)];
    assert_eq!(codes(&world.run()), expected);
    assert_eq!(world.slots(), ["n2 Granted 3"]);
}

#[test]
fn an_identity_that_failed_anywhere_is_tried_nowhere_but_another_one_is() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.policy.builtin.max_unavailable = MaxUnavailable::Count(3);
    world.node("n3").agent.needed = Field::Value(OTHER);
    world.granted("n1");
    world.accept("n1");
    world.answer("n1", Outcome::Failed, Some(Code::RolledBack));
    fails(world.node("n1"), NEW);
    world.node("n1").agent.needed = Field::Absent;
    let expected = [
        ("n1", Code::UpToDate),
        ("n2", Code::IdentityFailed),
        ("n3", Code::Granted),
    ];
    assert_eq!(codes(&world.run()), expected);
}

/// Both go, because a reservation that is still on its Node counts; then the first one is reserved again.
#[test]
fn a_lower_budget_takes_back_what_is_not_granted_yet() {
    let mut world = World::new(&["n1", "n2"]);
    world.policy.builtin.max_unavailable = MaxUnavailable::Count(2);
    world.policy.builtin.before = checks(&["example.com/backup"]);
    world.run();
    assert_eq!(world.slots(), ["n1 Reserved 1", "n2 Reserved 2"]);
    world.policy.builtin.max_unavailable = MaxUnavailable::Count(1);
    let expected = [("n1", Code::BeforeChecks), ("n2", Code::BudgetExhausted)];
    assert_eq!(codes(&world.run()), expected);
    assert_eq!(world.slots(), ["n1 Reserved 3"]);
    assert_eq!(shown(world.node("n2")), "");
}

#[test]
fn an_empty_cluster_is_at_rest() {
    let plan = World::new(&[]).run();
    let expected = Plan {
        verdicts: BTreeMap::new(),
        act: Act::Wait,
        wake: None,
        used: BTreeSet::new(),
        control_plane: BTreeSet::new(),
        pools: vec![PoolReport {
            budget: 1,
            open: true,
            ..PoolReport::default()
        }],
    };
    assert_eq!(plan, expected);
}

/// An agent that is dead, but whose Node is Ready, must not take the slot again and again while others wait.
#[test]
fn a_node_that_lets_its_grant_lapse_rests_and_then_others_go_first() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.node("n3").control_plane = true;
    world.granted("n1");
    world.now += 301;
    let expected = [
        ("n1", Code::GrantUnanswered),
        ("n2", Code::Granted),
        ("n3", Code::BudgetExhausted),
    ];
    assert_eq!(codes(&world.run()), expected);
    assert_eq!(
        world.ledger().unanswered,
        [(name("n1"), at(NOW + 301))].into()
    );

    world.now += 300;
    world.accept("n2");
    world.answer("n2", Outcome::Done, None);
    let expected = [
        ("n1", Code::BudgetExhausted),
        ("n2", Code::UpToDate),
        ("n3", Code::Granted),
    ];
    assert_eq!(codes(&world.run()), expected);
    world.accept("n3");
    world.answer("n3", Outcome::Done, None);
    assert_eq!(codes(&world.run())[0], ("n1", Code::Granted));

    world.accept("n1");
    world.answer("n1", Outcome::Done, None);
    world.run();
    assert_eq!(world.ledger().unanswered, [].into());
}

/// An agent whose clock is ahead takes every grant for late at once: no storm of writes comes of that.
#[test]
fn a_node_that_calls_its_grant_late_rests() {
    let mut world = World::new(&["n1"]);
    world.granted("n1");
    world.answer("n1", Outcome::Refused, Some(Code::GrantExpired));
    phase(world.node("n1"), Phase::Waiting);
    let plan = world.run();
    assert_eq!(codes(&plan), [("n1", Code::GrantUnanswered)]);
    assert_eq!(plan.wake, Some(at(NOW + 300)));

    world.now += 300;
    assert_eq!(codes(&world.run()), [("n1", Code::Granted)]);
    // A clock that is set back ends the rest, not prolongs it.
    world.answer("n1", Outcome::Refused, Some(Code::GrantExpired));
    phase(world.node("n1"), Phase::Waiting);
    world.run();
    world.now -= 3600;
    assert_eq!(codes(&world.run()), [("n1", Code::Granted)]);
}

/// A grant that was taken back in time is no fault of the agent.
#[test]
fn a_node_whose_grant_was_taken_back_does_not_rest() {
    let mut world = World::new(&["n1"]);
    world.granted("n1");
    world.node("n1").paused = true;
    world.run();
    world.node("n1").paused = false;
    assert_eq!(codes(&world.run()), [("n1", Code::Granted)]);
    assert_eq!(world.ledger().unanswered, [].into());
}

/// Another operator has given the node its next grant, and this one's watch has not brought it: its entry must not be dropped.
#[test]
fn an_entry_is_kept_while_the_api_server_shows_any_other_slot_on_the_node() {
    let mut world = World::new(&["n1", "n2"]);
    world.run_until("ledger: n1 Granted");
    let mut live = world.node("n1").clone();
    world.node("n1").operator = OperatorFields::default();
    let Field::Value(reserved) = &mut live.operator.reserved else {
        panic!("no reservation");
    };
    reserved.id.seq = 9;
    world.seen.live.insert(name("n1"), Some(live));
    let plan = world.plan();
    assert_eq!(plan.act, Act::Wait);
    assert_eq!(plan.verdicts[&name("n2")].code, Code::BudgetExhausted);
}

/// A slot's Node that the watch has not brought yet may be of the control plane.
#[test]
fn beside_a_slot_of_an_unknown_node_no_control_plane_node_goes() {
    let mut world = World::new(&["n1", "n2"]);
    world.policy.builtin.max_unavailable = MaxUnavailable::Count(2);
    world.node("n2").agent.needed = Field::Absent;
    world.node("n2").control_plane = true;
    world.granted("n1");
    let shown = world.seen.nodes.remove(&name("n1"));
    world.node("n2").agent.needed = Field::Value(NEW);
    world.seen.live.insert(name("n1"), shown);
    let plan = world.plan();
    assert_eq!(plan.act, Act::Wait);
    assert_eq!(codes(&plan), [("n2", Code::ControlPlaneBusy)]);
}
