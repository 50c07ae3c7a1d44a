use cuo_cluster::events::Severity;
use cuo_coordination::pool::PoolStatus;
use cuo_coordination::pool::status::Condition;
use cuo_core::ids::{BootId, GrantId, ReleaseId};
use cuo_core::ledger::{Entry, Ledger, Stage};
use cuo_core::node::NodeView;
use cuo_core::plan::{Act, LedgerAct, LedgerChange, NodeAct, NodeChange, Note};
use cuo_core::raw::RawNode;
use cuo_core::reason::Reason;
use cuo_core::time::Time;
use cuo_core::values::{DrainPolicy, Field, Grant, Outcome, PodChecks, RebootResult, Reservation};

use super::*;
use crate::narration::Write;

const ID: GrantId = GrantId { seq: 7, salt: 0xab };
const BOOT: BootId = BootId::from_bytes([1; 16]);

fn identity() -> ReleaseId {
    ReleaseId::Commit([2; 32])
}

fn name() -> NodeName {
    "n1".parse().unwrap()
}

fn grant() -> Grant {
    Grant {
        id: ID,
        identity: identity(),
        boot: BOOT,
        issued: Time::EPOCH,
        deadline: Time::EPOCH,
        drain: DrainPolicy::default(),
        pods: PodChecks::default(),
        cordoned: Default::default(),
    }
}

/// The agent's answer to the grant.
type Answer = (Outcome, Option<Code>);

fn result((outcome, code): Answer) -> RebootResult {
    RebootResult {
        id: ID,
        outcome,
        code: code.map(Into::into),
        at: Time::EPOCH,
    }
}

fn entry(stage: Stage) -> Entry {
    Entry {
        id: ID,
        identity: identity(),
        boot: BOOT,
        stage,
        since: Time::EPOCH,
    }
}

/// What is known of the one node n1, with this answer of its agent.
fn seen(stage: Option<Stage>, answer: Option<Answer>) -> Snapshot {
    let raw = RawNode {
        name: "n1".into(),
        uid: "u1".into(),
        ..RawNode::default()
    };
    let mut node = NodeView::parse(&raw).unwrap();
    node.operator.grant = Field::Value(grant());
    node.agent.result = answer.map_or(Field::Absent, |answer| Field::Value(result(answer)));
    let entries = stage.map(|stage| (name(), entry(stage))).into_iter();
    let ledger = Ledger {
        entries: entries.collect(),
        ..Ledger::default()
    };
    Snapshot {
        nodes: BTreeMap::from([(name(), node)]),
        ledger: Field::Value(ledger),
        ..Snapshot::default()
    }
}

fn plan(verdict: Reason) -> Plan {
    Plan {
        verdicts: BTreeMap::from([(name(), verdict)]),
        act: Act::Wait,
        wake: None,
        used: Default::default(),
        control_plane: Default::default(),
        pools: vec![],
    }
}

/// What is said of a write to the ledger, where n1 waits for a window.
fn in_ledger(stage: Option<Stage>, change: LedgerChange) -> Said {
    let act = LedgerAct {
        node: name(),
        change,
        seq: ID.seq,
    };
    Said::of_ledger(&act, &seen(stage, None), &closed())
}

/// The same of a write to n1.
fn on_node(stage: Option<Stage>, answer: Option<Answer>, change: NodeChange) -> Said {
    let node = name();
    Said::of_node(&NodeAct { node, change }, &seen(stage, answer), &closed())
}

fn closed() -> Plan {
    plan(Reason::new(Code::WindowClosed, "opens at ten"))
}

fn release(answer: Option<Answer>) -> NodeChange {
    NodeChange::Release {
        grant: Box::new(grant()),
        answer: result(answer.unwrap()),
    }
}

fn teller() -> (Teller, mpsc::Receiver<Waiting>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new(1, 0));
    let (sender, receiver) = mpsc::channel(10);
    (Teller::new(sender, Arc::clone(&metrics)), receiver, metrics)
}

/// The Events that wait.
fn reported(events: &mut mpsc::Receiver<Waiting>) -> Vec<(String, &'static str, Severity, String)> {
    let mut all = Vec::new();
    while let Ok((about, news)) = events.try_recv() {
        all.push((
            about.name,
            news.action,
            news.severity,
            news.reason.to_string(),
        ));
    }
    all
}

#[test]
fn each_decision_is_told_when_its_write_succeeded() {
    let (normal, warning) = (Severity::Normal, Severity::Warning);
    let (reserved, granted) = (Some(Stage::Reserved), Some(Stage::Granted));
    let short = identity();
    let reserves = || LedgerChange::Reserve(entry(Stage::Reserved));
    let restores = || LedgerChange::Restore(vec![(name(), entry(Stage::Granted))]);
    let begins = || LedgerChange::MarkGranted(entry(Stage::Granted));
    let gone = Vec::new;
    let drops = || LedgerChange::Drop {
        gone: gone(),
        unanswered: Note::Clear,
    };
    let reservation = || Reservation {
        id: ID,
        identity: short,
        boot: BOOT,
    };
    let marks = || NodeChange::MarkReserved {
        reservation: reservation(),
        before: false,
        reset: vec![],
    };
    let grants = || NodeChange::Grant(Box::new(grant()));
    let asks = || NodeChange::AskAfterChecks(vec![]);
    let done = Some((Outcome::Done, None));
    let failed = Some((Outcome::Failed, Some(Code::RolledBack)));
    let refused = Some((Outcome::Refused, None));
    let answered = |outcome: &str, code: Code| {
        format!(
            "{code}: the agent answered {outcome} to the grant {ID} of {short}; the slot is free: {}",
            code.means()
        )
    };
    let cases = [
        (
            Write::LedgerReserve,
            in_ledger(None, reserves()),
            Some((
                "Reserve",
                normal,
                format!("Reserved: next to reboot into {short} (grant {ID})"),
            )),
        ),
        (
            Write::NodeGrant,
            on_node(granted, None, grants()),
            Some((
                "Grant",
                normal,
                format!(
                    "Granted: may reboot into {short}, to be accepted until 1970-01-01T00:00:00Z (grant {ID})"
                ),
            )),
        ),
        (
            Write::NodeWithdraw,
            on_node(granted, None, NodeChange::Withdraw(reservation())),
            Some((
                "Withdraw",
                normal,
                "WindowClosed: the grant was withdrawn: opens at ten".to_owned(),
            )),
        ),
        (
            Write::LedgerDrop,
            in_ledger(reserved, LedgerChange::GiveUp { gone: gone() }),
            Some((
                "Withdraw",
                normal,
                "WindowClosed: the reservation was given up: opens at ten".to_owned(),
            )),
        ),
        // Reported already, when the grant was taken off the Node.
        (Write::LedgerDrop, in_ledger(granted, drops()), None),
        (Write::LedgerRestore, in_ledger(None, restores()), None),
        (Write::LedgerGrant, in_ledger(reserved, begins()), None),
        // The same again: the agent's time starts again.
        (Write::LedgerGrant, in_ledger(granted, begins()), None),
        (Write::NodeReserve, on_node(reserved, None, marks()), None),
        (
            Write::NodeClean,
            on_node(None, None, NodeChange::Clean),
            None,
        ),
        (
            Write::NodeLone,
            on_node(None, None, NodeChange::TellOnlyNode(true)),
            None,
        ),
        (Write::NodeAfter, on_node(granted, done, asks()), None),
        (
            Write::NodeRelease,
            on_node(granted, done, release(done)),
            Some((
                "Release",
                normal,
                format!("UpToDate: rebooted into {short}; the slot is free (grant {ID})"),
            )),
        ),
        (
            Write::NodeRelease,
            on_node(granted, failed, release(failed)),
            Some(("Release", warning, answered("failed", Code::RolledBack))),
        ),
        (
            Write::NodeRelease,
            on_node(granted, refused, release(refused)),
            Some(("Release", warning, answered("refused", Code::AgentHolds))),
        ),
    ];
    for (write, said, expected) in cases {
        let (mut teller, mut events, _) = teller();
        assert_eq!(said.write, write);
        teller.wrote(said);
        let expected =
            expected.map(|(action, severity, text)| ("n1".to_owned(), action, severity, text));
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(reported(&mut events), expected, "{write:?}");
    }
}

#[test]
fn a_release_is_counted_by_its_outcome() {
    let (mut teller, _events, metrics) = teller();
    let failed = Some((Outcome::Failed, None));
    teller.wrote(on_node(Some(Stage::Granted), failed, release(failed)));
    let text = metrics.text();
    assert!(
        text.contains("cuo_grant_results_total{outcome=\"failed\"} 1"),
        "{text}"
    );
}

#[test]
fn a_grant_is_counted_once_it_is_on_its_node() {
    let (mut teller, _events, metrics) = teller();
    let begins = LedgerChange::MarkGranted(entry(Stage::Granted));
    let grants = NodeChange::Grant(Box::new(grant()));
    for (said, count) in [
        (in_ledger(Some(Stage::Reserved), begins), 0),
        (on_node(Some(Stage::Granted), None, grants), 1),
    ] {
        teller.wrote(said);
        let text = metrics.text();
        let line = format!("cuo_grants_total {count}");
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}

#[test]
fn why_a_node_waits_is_told_when_the_code_changes() {
    let (mut teller, mut events, _) = teller();
    let (normal, warning) = (Severity::Normal, Severity::Warning);
    let hold =
        |severity, reason: &str| vec![("n1".to_owned(), "Hold", severity, reason.to_owned())];
    let steps = [
        // What was so when this process began to lead is no news.
        (Reason::new(Code::WindowClosed, "a"), vec![]),
        (Reason::new(Code::WindowClosed, "b"), vec![]),
        (
            Reason::new(Code::BudgetExhausted, "c"),
            hold(normal, "BudgetExhausted: c"),
        ),
        (
            Reason::new(Code::PoolInvalid, "d"),
            hold(warning, "PoolInvalid: d"),
        ),
        (
            Reason::new(Code::PoolsDiffer, "e"),
            hold(warning, "PoolsDiffer: e"),
        ),
        (
            Reason::new(Code::WriteRefused, "f"),
            hold(warning, "WriteRefused: f"),
        ),
        (
            Reason::new(Code::GrantUnanswered, "g"),
            hold(warning, "GrantUnanswered: g"),
        ),
        // Told by writes.
        (Reason::new(Code::Reserved, "h"), vec![]),
        (Reason::new(Code::Granted, "i"), vec![]),
        (
            Reason::new(Code::Rebooting, "j"),
            vec![("n1".to_owned(), "Accept", normal, "Rebooting: j".to_owned())],
        ),
        (Reason::new(Code::UpToDate, "k"), vec![]),
    ];
    for (reason, expected) in steps {
        teller.settled(&seen(None, None), &plan(reason.clone()));
        assert_eq!(reported(&mut events), expected, "{reason}");
    }
    // An operator that leads again does not repeat it, and what a write reported is not reported again.
    teller.forget();
    teller.settled(&seen(None, None), &plan(Code::PoolInvalid.into()));
    assert_eq!(reported(&mut events), []);
}

#[test]
fn why_a_node_waits_is_told_anew_for_each_version() {
    let (mut teller, mut events, _) = teller();
    let failed = |text: &str| Reason::new(Code::IdentityFailed, text);
    let needs = |byte: u8| {
        let mut seen = seen(None, None);
        let node = seen.nodes.get_mut(&name()).unwrap();
        node.agent.needed = Field::Value(ReleaseId::Commit([byte; 32]));
        seen
    };
    let mut tells = |byte: u8, reason: Reason| {
        teller.settled(&needs(byte), &plan(reason));
        let all = reported(&mut events).into_iter();
        all.map(|(_, _, _, text)| text).collect::<Vec<_>>()
    };
    let nothing = Vec::<String>::new();
    assert_eq!(tells(1, failed("one")), nothing);
    assert_eq!(tells(1, failed("one, and on 1 more")), nothing);
    assert_eq!(tells(2, failed("two")), ["IdentityFailed: two"]);
    assert_eq!(tells(2, failed("two, and on 1 more")), nothing);
}

#[test]
fn what_there_is_no_room_for_is_counted() {
    let (sender, mut events) = mpsc::channel(1);
    let metrics = Arc::new(Metrics::new(1, 0));
    let mut teller = Teller::new(sender, Arc::clone(&metrics));
    for code in [Code::UpToDate, Code::WindowClosed, Code::BudgetExhausted] {
        teller.settled(&seen(None, None), &plan(code.into()));
    }
    assert_eq!(reported(&mut events).len(), 1);
    let text = metrics.text();
    assert!(
        text.contains("cuo_operator_events_dropped_total 1"),
        "{text}"
    );
}

#[test]
fn a_pool_that_becomes_invalid_or_valid_is_told_once() {
    let object = |valid: bool, accepted: Option<&str>| PoolObject {
        name: "p".parse().unwrap(),
        uid: "u".into(),
        resource_version: "1".into(),
        generation: 1,
        found: if valid {
            FoundPool::Valid(Box::default())
        } else {
            FoundPool::Invalid {
                name: "p".parse().unwrap(),
                selector: None,
                why: "settle: no".into(),
            }
        },
        status: PoolStatus {
            conditions: accepted
                .map(|status| Condition {
                    kind: "Accepted".into(),
                    status: status.into(),
                    reason: String::new(),
                    message: String::new(),
                    last_transition_time: Time::EPOCH,
                    observed_generation: 1,
                })
                .into_iter()
                .collect(),
            ..PoolStatus::default()
        },
    };
    let invalid = "PoolInvalid: its nodes are held: settle: no";
    let reject = || {
        vec![(
            "p".to_owned(),
            "Reject",
            Severity::Warning,
            invalid.to_owned(),
        )]
    };
    let accept = || {
        vec![(
            "p".to_owned(),
            "Accept",
            Severity::Normal,
            Reason::from(Code::PoolValid).to_string(),
        )]
    };
    // What was found first, what was reported before by its status, and then the same again.
    let tells = |teller: &mut Teller, valid, status| {
        let pool = object(valid, status);
        teller.pools(&BTreeMap::from([(pool.name.clone(), pool)]));
    };
    for (valid, status, expected) in [
        (true, None, vec![]),
        (true, Some("True"), vec![]),
        (false, None, reject()),
        (false, Some("True"), reject()),
        (false, Some("False"), vec![]),
        (true, Some("False"), accept()),
    ] {
        let (mut teller, mut events, _) = teller();
        tells(&mut teller, valid, status);
        assert_eq!(reported(&mut events), expected, "{valid} {status:?}");
        tells(&mut teller, valid, status);
        assert_eq!(reported(&mut events), [], "{valid} {status:?}, again");
        tells(&mut teller, !valid, status);
        let other = if valid { reject() } else { accept() };
        assert_eq!(
            reported(&mut events),
            other,
            "{valid} {status:?}, then the other"
        );
    }
}

#[test]
fn pools_that_are_gone_are_forgotten() {
    let object = |name: &str, uid: String| PoolObject {
        name: name.parse().unwrap(),
        uid,
        resource_version: "1".into(),
        generation: 1,
        found: FoundPool::Valid(Box::default()),
        status: PoolStatus::default(),
    };
    let (mut teller, _events, _) = teller();
    // One stays, and one is recreated again and again.
    for number in 0..100 {
        let all = [
            object("a", "a".into()),
            object("b", format!("b-{number}")),
            object(&format!("c-{number}"), "c".into()),
        ];
        let all = all.map(|pool| (pool.name.clone(), pool));
        teller.pools(&BTreeMap::from(all));
    }
    let known = teller.pools.keys();
    let known: Vec<_> = known.map(|(name, uid)| format!("{name} {uid}")).collect();
    assert_eq!(known, ["a a", "b b-99", "c-99 c"]);
}
