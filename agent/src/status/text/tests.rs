use cuo_core::ids::{GrantId, ReleaseId};
use cuo_core::reason::{Code, Reason};
use cuo_core::release::{Following, NamedRelease, Source};
use cuo_core::time::Time;
use cuo_core::values::{Failure, Phase, RebootResult};

use super::super::{Agent, Why};
use super::*;
use crate::answer::{LookState, Next};

fn time(text: &str) -> Time {
    format!("2026-05-01T{text}Z").parse().unwrap()
}

/// A report in which everything is known, while a grant is being acted on.
fn report() -> Report {
    let [old, new, bad] = [1, 2, 3].map(|byte| ReleaseId::Commit([byte; 32]));
    let id = |seq| GrantId { seq, salt: 1 };
    let shown = |version: &str, identity, locked: Option<bool>| Shown {
        version: version.into(),
        identity,
        staged: locked.is_some(),
        locked,
    };
    Report {
        agent: Agent {
            running: true,
            pid: Some(7),
            version: Some("1.2.3".into()),
        },
        source: None,
        node: Some("n1".into()),
        phase: Some(Phase::Draining),
        since: Some(time("12:00:00")),
        reason: Some(Why::from(Reason::new(Code::Draining, "1 pod is left"))),
        grant: Some(Granted::accepted(id(7), new, time("12:00:01"))),
        booted: Some(shown("42.1", old, None)),
        pending: Some(shown("42.2", new, Some(true))),
        others: vec![shown("42.0", bad, None)],
        release: Some(Following {
            source: Source::Graph,
            reference: "fedora:fedora/x86_64/coreos/stable".into(),
            goal: Some(NamedRelease {
                identity: new,
                version: Some("42.2".into()),
            }),
            behind: Some(2),
        }),
        check: Some(LookState {
            last: Some(time("11:00:00")),
            error: Some("no network".into()),
            next: Some(time("11:01:00")),
        }),
        next: Some(Next {
            what: "reboot once the node is drained, or give it up".into(),
            at: Some(time("12:20:00")),
        }),
        result: Some(RebootResult {
            id: id(6),
            outcome: Outcome::Aborted,
            code: Some(Code::DrainBlocked.into()),
            at: time("10:00:00"),
        }),
        failed: vec![Failure {
            identity: bad,
            code: Code::RolledBack.into(),
            at: time("09:00:00"),
        }],
        unknown: vec!["the moon".into()],
    }
}

#[test]
fn everything_that_is_known_has_its_line() {
    let [old, new, bad] = ["01", "02", "03"].map(|byte| byte.repeat(6));
    let (phase, remedy) = (Phase::Draining.means(), Code::Draining.remedy());
    let [first, last] = [7, 6].map(|seq| GrantId { seq, salt: 1 });
    let whole = "03".repeat(32);
    let expected = format!(
        "Agent:   runs, version 1.2.3, process 7\n\
             Node:    n1\n\
             Phase:   draining since 2026-05-01T12:00:00Z: {phase}\n\
             Reason:  Draining: 1 pod is left\n         \
             What to do: {remedy}\n\
             Grant:   {first} for {new}, accepted 2026-05-01T12:00:01Z\n\
             Source:  graph; the host follows fedora:fedora/x86_64/coreos/stable\n         \
             on the way to 42.2 ({new}), 2 releases behind\n\
             Checked: 2026-05-01T11:00:00Z, again 2026-05-01T11:01:00Z\n         \
             failed: no network\n\
             Next:    reboot once the node is drained, or give it up, at 2026-05-01T12:20:00Z\n\
             Last:    grant {last} given up (DrainBlocked) at 2026-05-01T10:00:00Z\n\
             Failed:  {whole} at 2026-05-01T09:00:00Z: RolledBack\n\
             Booted:  42.1 ({old})\n\
             Pending: 42.2 ({new}), staged and locked\n\
             Other:   42.0 ({bad})\n\
             Unknown: the moon\n"
    );
    assert_eq!(of(&report(), time("11:00:30")), expected);
}

#[test]
fn what_is_known_at_once_comes_first() {
    let (whole, now) = (report(), time("11:00:30"));
    let agent = Report {
        booted: None,
        pending: None,
        others: vec![],
        unknown: vec![],
        ..whole.clone()
    };
    assert!(of(&whole, now).starts_with(&of(&agent, now)));
    let alone = Report {
        agent: Agent::default(),
        ..Report::default()
    };
    let away = Report {
        agent: Agent::default(),
        ..whole
    };
    assert!(of(&away, now).starts_with(&of(&alone, now)));
}

#[test]
fn what_should_have_been_is_not_told_as_to_come() {
    let line = |report: &Report, name: &str, now: &str| {
        let lines = of(report, time(now));
        let line = lines.lines().find(|line| line.starts_with(name));
        line.unwrap_or_default().to_owned()
    };
    let mut report = report();
    report.grant = Some(Granted {
        accepted: None,
        deadline: Some(time("12:05:00")),
        ..report.grant.unwrap()
    });
    let table = [
        (
            "Checked",
            "11:00:59",
            "11:00:00Z, again 2026-05-01T11:01:00Z",
        ),
        (
            "Checked",
            "11:01:00",
            "11:00:00Z, due again since 2026-05-01T11:01:00Z",
        ),
        ("Next", "12:19:59", "give it up, at 2026-05-01T12:20:00Z"),
        (
            "Next",
            "12:20:01",
            "give it up, due since 2026-05-01T12:20:00Z",
        ),
        (
            "Grant",
            "12:05:00",
            ", to be accepted by 2026-05-01T12:05:00Z",
        ),
        ("Grant", "12:05:01", ", lapsed at 2026-05-01T12:05:00Z"),
    ];
    for (name, now, end) in table {
        let line = line(&report, name, now);
        assert!(line.ends_with(end), "{now}: {line}");
    }
}

#[test]
fn what_a_reboot_would_boot_is_told_with_its_lock() {
    let pending = |staged, locked| {
        let pending = report().pending.map(|pending| Shown {
            staged,
            locked,
            ..pending
        });
        let report = Report {
            pending,
            ..Report::default()
        };
        let lines = of(&report, time("11:00:30"));
        let line = lines.lines().find(|line| line.starts_with("Pending"));
        let (_, after) = line.unwrap().split_once(')').unwrap();
        after.to_owned()
    };
    assert_eq!(pending(true, Some(true)), ", staged and locked");
    assert_eq!(pending(true, Some(false)), ", staged and not locked");
    assert_eq!(pending(true, None), ", staged");
    assert_eq!(pending(false, None), "");
}
