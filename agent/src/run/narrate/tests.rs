//! What is reported of which change.

use cuo_core::agent::state::{Accepted, Attempt, Baseline, State};
use cuo_core::drain::Blocked;
use cuo_core::ids::BootId;
use cuo_core::time::Time;
use cuo_core::values::RebootResult;

use super::*;

const ID: GrantId = GrantId { seq: 4, salt: 9 };
const NEW: ReleaseId = ReleaseId::Commit([7; 32]);

fn attempt() -> Attempt {
    let progress = Progress {
        id: ID,
        identity: NEW,
        boot: BootId::from_bytes([3; 16]),
        accepted: Time::EPOCH,
    };
    Attempt::new(Accepted::bare(progress), Baseline::lost(None))
}

fn at_work() -> State {
    State {
        attempt: Some(attempt()),
        ..State::default()
    }
}

/// What an answer to the attempt's grant is reported as.
fn answered(outcome: Outcome, reason: Option<Reason>) -> Happened {
    Happened::Answered(Answered {
        result: RebootResult {
            id: ID,
            outcome,
            code: reason.as_ref().map(|reason| reason.code.into()),
            at: Time::EPOCH,
        },
        identity: Some(NEW),
        reason,
    })
}

fn step(state: State, phase: Phase, reason: Option<Reason>) -> Step {
    Step {
        state,
        act: Act::Wait,
        wake: None,
        drain: Default::default(),
        happened: vec![],
        course: vec![],
        phase,
        reason,
    }
}

fn target() -> Option<(String, ReleaseId)> {
    Some(("v2 (0707)".into(), NEW))
}

/// An entry without a grant.
fn entry(event: Option<Event>, phase: Phase, message: &str) -> Entry {
    Entry {
        level: Level::Info,
        event,
        phase,
        reason: None,
        grant: None,
        identity: Some(NEW),
        message: message.into(),
    }
}

fn of_grant(entry: Entry) -> Entry {
    Entry {
        grant: Some(ID),
        ..entry
    }
}

#[test]
fn an_update_is_told_step_by_step() {
    let rest = State::default();
    let waits = step(rest.clone(), Phase::Waiting, None);
    let reported = news(&waits, &None, target());
    let text = "needs a reboot into v2 (0707) and waits for a grant";
    let expected = entry(Some(Event::RebootNeeded), Phase::Waiting, text);
    assert_eq!(reported, [expected]);
    let before = shown(&waits);
    assert_eq!(news(&waits, &before, target()), []);

    let mut drains = step(at_work(), Phase::Draining, None);
    drains.happened = vec![Happened::Accepted(attempt().grant.progress)];
    let reported = news(&drains, &before, target());
    let text = format!("accepts grant {ID} to reboot into 070707070707");
    let accepts = of_grant(entry(Some(Event::Accepted), Phase::Draining, &text));
    let begun = entry(Some(Event::DrainBegun), Phase::Draining, "drains the node");
    assert_eq!(reported, [accepts.clone(), of_grant(begun)]);

    let mut stays = drains.clone();
    if let Some(attempt) = &mut stays.state.attempt {
        attempt.grant.drain.mode = DrainMode::None;
    }
    let reported = news(&stays, &before, target());
    let text = "cordons the node, whose pods stay";
    let begun = of_grant(entry(Some(Event::DrainBegun), Phase::Draining, text));
    assert_eq!(reported, [accepts, begun]);

    let before = shown(&drains);
    let leaving = Reason::new(Code::Draining, "1 pod is leaving: default/web is ending");
    let goes = step(at_work(), Phase::Draining, Some(leaving));
    let reported = news(&goes, &before, target());
    let text = "the drain continues: Draining: 1 pod is leaving: default/web is ending";
    let expected = Entry {
        reason: Some(Code::Draining),
        ..of_grant(entry(None, Phase::Draining, text))
    };
    assert_eq!(reported, [expected]);

    let blocked = Reason::new(Code::Draining, "blocked: default/web: budget.");
    let mut held = step(at_work(), Phase::Draining, Some(blocked));
    held.drain.blocked = vec![Blocked {
        pod: "default/web".into(),
        why: "budget".into(),
    }];
    let reported = news(&held, &before, target());
    let text = "the drain is blocked: Draining: blocked: default/web: budget.";
    let waits = entry(Some(Event::DrainWaits), Phase::Draining, text);
    let expected = Entry {
        reason: Some(Code::Draining),
        ..of_grant(waits)
    };
    assert_eq!(reported, [expected]);

    let reboots = step(at_work(), Phase::Rebooting, None);
    let reported = news(&reboots, &shown(&held), target());
    let text = "the drain is over; about to reboot into v2 (0707)";
    let over = entry(Some(Event::DrainOver), Phase::Rebooting, text);
    assert_eq!(reported, [of_grant(over)]);

    let mut done = step(State::default(), Phase::Idle, None);
    done.happened = vec![answered(Outcome::Done, None)];
    let reported = news(&done, &shown(&held), None);
    let text = format!("grant {ID} is done: the host runs 070707070707");
    let idle = Entry {
        identity: None,
        ..entry(None, Phase::Idle, "nothing to do until the next check")
    };
    let done = of_grant(entry(Some(Event::Done), Phase::Idle, &text));
    assert_eq!(reported, [done, idle]);
}

#[test]
fn each_answer_says_why() {
    let paused = || Some(Reason::from(Code::Paused));
    let cases = [
        (
            Outcome::Refused,
            paused(),
            Level::Info,
            Event::Refused,
            format!("refuses grant {ID}: Paused: An administrator paused this node."),
        ),
        (
            Outcome::Aborted,
            paused(),
            Level::Warn,
            Event::GivenUp,
            format!(
                "gives grant {ID} up, and its slot back: Paused: An administrator paused this node."
            ),
        ),
        (
            Outcome::Aborted,
            Some(Reason::new(Code::DrainBlocked, "default/web")),
            Level::Warn,
            Event::DrainGaveUp,
            format!("gives grant {ID} up, and its slot back: DrainBlocked: default/web"),
        ),
        (
            Outcome::Failed,
            Some(Code::RolledBack.into()),
            Level::Error,
            Event::Failed,
            format!("grant {ID} failed: RolledBack: The host was rolled back from the update."),
        ),
    ];
    let quiet = Some((Phase::Idle, None));
    for (outcome, reason, level, event, text) in cases {
        let mut decision = step(State::default(), Phase::Idle, None);
        let code = reason.as_ref().map(|reason| reason.code);
        decision.happened = vec![answered(outcome, reason)];
        let reported = news(&decision, &quiet, None);
        let expected = Entry {
            level,
            reason: code,
            ..of_grant(entry(Some(event), Phase::Idle, &text))
        };
        assert_eq!(reported, [expected]);
    }
}

#[test]
fn each_way_to_ask_for_the_reboot_is_told() {
    let back = Deployment {
        id: "os-aa.0".into(),
        identity: NEW,
        checksum: "aa".into(),
        version: "v2".into(),
        staged: false,
        published: 0,
    };
    let cases = [
        (
            Act::Finalize(back.clone()),
            Event::RebootAsked,
            "asks rpm-ostree to finalize v2 (070707070707) and to reboot",
        ),
        (
            Act::RollBack(back),
            Event::RollbackAsked,
            "asks rpm-ostree to go back to v2 (070707070707)",
        ),
        (Act::Reboot, Event::RebootAsked, "asks logind to reboot"),
    ];
    for (act, event, text) in cases {
        let expected = of_grant(entry(Some(event), Phase::Rebooting, text));
        assert_eq!(asks(&act, ID, NEW), Some(expected));
    }
    assert_eq!(asks(&Act::Confirm, ID, NEW), None);
}

#[test]
fn a_failed_check_is_no_news_of_the_place() {
    let rest = State::default();
    let failed = Reason::new(Code::StageFailed, "no route");
    let decision = step(rest.clone(), Phase::Idle, Some(failed));
    let quiet = Some((Phase::Idle, None));
    assert_eq!(news(&decision, &quiet, None), []);

    let down = Reason::new(Code::RpmOstreeUnavailable, "gone");
    let decision = step(rest.clone(), Phase::Idle, Some(down));
    let text = "no update is staged: RpmOstreeUnavailable: gone";
    let expected = Entry {
        reason: Some(Code::RpmOstreeUnavailable),
        identity: None,
        ..entry(Some(Event::Held), Phase::Idle, text)
    };
    let reported = news(&decision, &quiet, None);
    assert_eq!(reported, [expected]);
}

#[test]
fn what_failed_after_the_boot_is_told_apart_from_a_reboot_that_never_came() {
    let before = shown(&step(at_work(), Phase::Verifying, None));
    for (code, event, text) in [
        (
            Code::Unhealthy,
            Event::Unhealthy,
            "is not healthy after the boot, and keeps its slot: Unhealthy: x",
        ),
        (
            Code::RebootDidNotHappen,
            Event::NeedsPerson,
            "needs a person: RebootDidNotHappen: x",
        ),
    ] {
        let decision = step(at_work(), Phase::Failed, Some(Reason::new(code, "x")));
        let reported = news(&decision, &before, target());
        let expected = Entry {
            level: Level::Error,
            reason: Some(code),
            ..of_grant(entry(Some(event), Phase::Failed, text))
        };
        assert_eq!(reported, [expected]);
    }
    // With `health.rollback` and nothing to go back to.
    let (rest, code) = (State::default(), Code::Unhealthy);
    let decision = step(rest.clone(), Phase::Failed, Some(Reason::new(code, "x")));
    let text = "is not healthy after the boot, and has given its slot back: Unhealthy: x";
    let expected = Entry {
        level: Level::Error,
        reason: Some(code),
        ..entry(Some(Event::Unhealthy), Phase::Failed, text)
    };
    let reported = news(&decision, &before, target());
    assert_eq!(reported, [expected]);
}

#[test]
fn the_status_line_has_all_that_is_known() {
    let held = Some(Reason::new(Code::Paused, "by hand"));
    let decision = |reason| step(State::default(), Phase::Held, reason);
    for (reason, target, progress, expected) in [
        (None, None, None, "held"),
        (None, Some("v2 (0707)"), None, "held, to boot v2 (0707)"),
        (held.clone(), None, None, "held: Paused: by hand"),
        (None, None, Some("50%"), "held; rpm-ostree: 50%"),
        (
            held.clone(),
            Some("v2 (0707)"),
            Some("50%"),
            "held, to boot v2 (0707): Paused: by hand; rpm-ostree: 50%",
        ),
    ] {
        let line = status(&decision(reason), target, progress);
        assert_eq!(line, expected);
    }
}
