use cuo_core::agent::state::{Accepted, Backoff, Baseline};
use cuo_core::agent::{Act, StateTrouble};
use cuo_core::ids::BootId;
use cuo_core::raw::RawNode;
use cuo_core::values::{DrainPolicy, Field, Outcome, Progress};

use super::*;
use crate::config::Config;

const ID: GrantId = GrantId { seq: 7, salt: 1 };
const IDENTITY: ReleaseId = ReleaseId::Commit([1; 32]);

fn time(text: &str) -> Time {
    format!("2999-05-01T{text}Z").parse().unwrap()
}

/// A decision of which nothing is to be reported but the phase.
fn step(phase: Phase) -> Step {
    Step {
        state: State::default(),
        act: Act::Wait,
        wake: None,
        phase,
        reason: None,
        drain: Default::default(),
        happened: vec![],
        course: vec![],
    }
}

fn attempt() -> Attempt {
    let progress = Progress {
        id: ID,
        identity: IDENTITY,
        boot: BootId::from_bytes([1; 16]),
        accepted: time("12:00:00"),
    };
    Attempt::new(Accepted::bare(progress), Baseline::lost(None))
}

fn looks(next: Option<Time>, asks_again: Option<Time>) -> Looks {
    let check = LookState {
        next,
        ..LookState::default()
    };
    Looks {
        check,
        looks: look::Looks::default(),
        asks_again,
        release: None,
    }
}

#[test]
fn what_comes_next_and_when_follows_from_the_decision() {
    let settings = Config::default().settings(&[], None);
    let (now, later) = (time("12:00:00"), time("13:00:00"));
    let due = || looks(Some(later), None);
    let because = |code: Code| Step {
        reason: Some(code.into()),
        ..step(Phase::Idle)
    };
    let woken = |phase| Step {
        wake: Some(later.since(now)),
        ..step(phase)
    };
    let mut drains = step(Phase::Draining);
    drains.state.attempt = Some(attempt());
    let limit = now.later(DrainPolicy::default().timeout());
    // A pause after this is on, and this holds.
    let pauses = |after: Code, holds: Code| {
        let mut pauses = step(Phase::Held);
        pauses.state.backoff = Some(Backoff {
            tries: 1,
            until: later,
            reason: after.into(),
        });
        pauses.reason = Some(holds.into());
        pauses
    };
    let blocked = || pauses(Code::DrainBlocked, Code::DrainBlocked);
    let mut at_risk = blocked();
    let risk = at_risk.reason.as_mut().unwrap();
    risk.message += "; v2 is staged and not locked";
    let mut paused = blocked();
    paused.state.backoff.as_mut().unwrap().until = now;
    let table = [
        (step(Phase::Idle), due(), "look for an update", Some(later)),
        (
            step(Phase::Idle),
            looks(Some(now), None),
            "look for an update",
            None,
        ),
        (
            because(Code::NetworkFailed),
            due(),
            "look for an update",
            Some(later),
        ),
        (
            because(Code::OtherDriver),
            due(),
            "look for an update once nothing holds",
            None,
        ),
        (
            because(Code::RpmOstreeUnavailable),
            looks(Some(now), Some(later)),
            "ask rpm-ostree again",
            Some(later),
        ),
        (
            step(Phase::Staging),
            due(),
            "stage the update that is being looked for",
            None,
        ),
        (
            step(Phase::Waiting),
            due(),
            "drain and reboot once the operator grants it",
            None,
        ),
        (
            drains,
            due(),
            "reboot once the node is drained, or give it up",
            Some(limit),
        ),
        (
            woken(Phase::Rebooting),
            due(),
            "see whether the host goes down",
            Some(later),
        ),
        (
            woken(Phase::Verifying),
            due(),
            "report the outcome of the boot",
            Some(later),
        ),
        (blocked(), due(), "ask for the reboot again", Some(later)),
        (at_risk, due(), "ask for the reboot again", Some(later)),
        (paused, due(), "ask for the reboot once nothing holds", None),
        // The pause is over long before that.
        (
            pauses(Code::DrainBlocked, Code::OtherDriver),
            due(),
            "ask for the reboot once nothing holds",
            None,
        ),
        (
            pauses(Code::Paused, Code::Paused),
            due(),
            "ask for the reboot once nothing holds",
            None,
        ),
        // This version is never asked for again.
        (
            pauses(Code::FinalizationFailed, Code::IdentityFailed),
            due(),
            "look for another version",
            Some(later),
        ),
        (
            pauses(Code::FinalizationFailed, Code::IdentityFailed),
            looks(Some(now), None),
            "look for another version",
            None,
        ),
        (
            pauses(Code::DrainBlocked, Code::OlderVersion),
            due(),
            "look for another version",
            Some(later),
        ),
        (step(Phase::Failed), due(), "wait for a person", None),
    ];
    for (decision, looks, what, at) in table {
        let next = Next::of(&decision, &settings, &looks, now);
        let what = what.to_owned();
        assert_eq!(next, Next { what, at }, "{decision:?}");
    }
    let mut unusable = settings.clone();
    unusable.state_unusable = Some(StateTrouble::Unreadable("why".into()));
    let mut unwritten = settings.clone();
    unwritten.state_unusable = Some(StateTrouble::Unwritten("why".into()));
    let mut held = settings;
    held.hold = Some(Code::Hold.into());
    for (settings, what) in [
        (unusable, "nothing, until the state can be used"),
        (unwritten, "nothing, until the state can be written"),
        (held, "nothing, until the configuration allows it"),
    ] {
        let next = Next::of(&step(Phase::Idle), &settings, &due(), now);
        let what = what.to_owned();
        assert_eq!(next, Next { what, at: None });
    }
}

#[test]
fn a_grant_is_shown_as_open_until_it_is_accepted_and_not_once_it_is_answered() {
    let settings = Config::default().settings(&[], None);
    let raw = RawNode {
        name: "n1".into(),
        ..RawNode::default()
    };
    let mut node = NodeView::parse(&raw).unwrap();
    node.operator.grant = Field::Value(Grant {
        id: ID,
        identity: IDENTITY,
        boot: BootId::from_bytes([1; 16]),
        issued: time("11:30:00"),
        deadline: time("12:30:00"),
        drain: DrainPolicy::default(),
        pods: Default::default(),
        cordoned: Default::default(),
    });
    let shown = |state: State| {
        let decision = Step {
            state,
            ..step(Phase::Waiting)
        };
        Answer::of(&decision, &settings, Some(&node), looks(None, None), None).grant
    };
    let granted = |accepted, deadline| Granted {
        id: ID,
        identity: IDENTITY,
        accepted,
        deadline,
    };
    let open = Some(granted(None, Some(time("12:30:00"))));
    assert_eq!(shown(State::default()), open);
    let accepted = State {
        attempt: Some(attempt()),
        ..State::default()
    };
    let acted_on = Some(granted(Some(time("12:00:00")), None));
    assert_eq!(shown(accepted), acted_on);
    let answered = State {
        result: Some(RebootResult {
            id: ID,
            outcome: Outcome::Refused,
            code: Some(Code::Paused.into()),
            at: time("12:10:00"),
        }),
        ..State::default()
    };
    assert_eq!(shown(answered), None);
}

#[test]
fn what_is_cut_for_the_node_is_whole_on_the_host() {
    let settings = Config::default().settings(&[], None);
    let long = format!("Upgrade of rpm-ostreed failed: {}", "word ".repeat(200));
    let long = long.trim_end();
    let reported = |code: Code, text: &str| {
        let mut looks = looks(None, None);
        looks.check.error = Some(long.to_owned());
        let decision = Step {
            reason: Some(Reason::quoting(code, text)),
            ..step(Phase::Idle)
        };
        let answer = Answer::of(&decision, &settings, None, looks, None);
        answer.reason.unwrap().message
    };
    assert_eq!(reported(Code::StageFailed, long), long);
    assert_eq!(reported(Code::OtherDriver, "another"), "another");
}
