use super::*;

fn known(counts: &Counts) -> Known<'_> {
    Known {
        version: "0.1.0",
        phase: Phase::Idle,
        since: Time::from_second(1_790_000_000),
        reason: None,
        looked: None,
        daemon_up: true,
        counts,
    }
}

const FRESH: &str = r#"# HELP cuo_agent_build_info The agent that runs.
# TYPE cuo_agent_build_info gauge
cuo_agent_build_info{version="0.1.0"} 1
# HELP cuo_agent_phase The phase that the agent is in: 1 for that one, and 0 for the others.
# TYPE cuo_agent_phase gauge
cuo_agent_phase{phase="idle"} 1
cuo_agent_phase{phase="staging"} 0
cuo_agent_phase{phase="staged"} 0
cuo_agent_phase{phase="waiting"} 0
cuo_agent_phase{phase="draining"} 0
cuo_agent_phase{phase="rebooting"} 0
cuo_agent_phase{phase="verifying"} 0
cuo_agent_phase{phase="held"} 0
cuo_agent_phase{phase="failed"} 0
# HELP cuo_agent_phase_since_timestamp_seconds Since when the agent is in its phase.
# TYPE cuo_agent_phase_since_timestamp_seconds gauge
cuo_agent_phase_since_timestamp_seconds 1790000000
# HELP cuo_agent_looks_total Looks for updates since the agent started, by result: `ok`, or the code of the reason why they failed.
# TYPE cuo_agent_looks_total counter
cuo_agent_looks_total{result="ok"} 0
# HELP cuo_agent_downloads_total Updates that the agent had downloaded and staged since it started.
# TYPE cuo_agent_downloads_total counter
cuo_agent_downloads_total 0
# HELP cuo_agent_reboots_total Grants that were answered since the agent started, by outcome.
# TYPE cuo_agent_reboots_total counter
cuo_agent_reboots_total{outcome="done"} 0
cuo_agent_reboots_total{outcome="refused"} 0
cuo_agent_reboots_total{outcome="aborted"} 0
cuo_agent_reboots_total{outcome="failed"} 0
# HELP cuo_agent_daemon_up Whether rpm-ostreed answered when it was last asked: 1 or 0.
# TYPE cuo_agent_daemon_up gauge
cuo_agent_daemon_up 1
"#;

const BUSY: &str = r#"# HELP cuo_agent_build_info The agent that runs.
# TYPE cuo_agent_build_info gauge
cuo_agent_build_info{version="0.1.0"} 1
# HELP cuo_agent_phase The phase that the agent is in: 1 for that one, and 0 for the others.
# TYPE cuo_agent_phase gauge
cuo_agent_phase{phase="idle"} 0
cuo_agent_phase{phase="staging"} 0
cuo_agent_phase{phase="staged"} 0
cuo_agent_phase{phase="waiting"} 0
cuo_agent_phase{phase="draining"} 0
cuo_agent_phase{phase="rebooting"} 0
cuo_agent_phase{phase="verifying"} 0
cuo_agent_phase{phase="held"} 1
cuo_agent_phase{phase="failed"} 0
# HELP cuo_agent_phase_since_timestamp_seconds Since when the agent is in its phase.
# TYPE cuo_agent_phase_since_timestamp_seconds gauge
cuo_agent_phase_since_timestamp_seconds 1790000000
# HELP cuo_agent_last_look_timestamp_seconds When a look for updates last succeeded; absent until one has.
# TYPE cuo_agent_last_look_timestamp_seconds gauge
cuo_agent_last_look_timestamp_seconds 1789990000
# HELP cuo_agent_looks_total Looks for updates since the agent started, by result: `ok`, or the code of the reason why they failed.
# TYPE cuo_agent_looks_total counter
cuo_agent_looks_total{result="ok"} 2
cuo_agent_looks_total{result="NetworkFailed"} 3
cuo_agent_looks_total{result="DiskFull"} 1
# HELP cuo_agent_downloads_total Updates that the agent had downloaded and staged since it started.
# TYPE cuo_agent_downloads_total counter
cuo_agent_downloads_total 1
# HELP cuo_agent_reboots_total Grants that were answered since the agent started, by outcome.
# TYPE cuo_agent_reboots_total counter
cuo_agent_reboots_total{outcome="done"} 1
cuo_agent_reboots_total{outcome="refused"} 2
cuo_agent_reboots_total{outcome="aborted"} 3
cuo_agent_reboots_total{outcome="failed"} 4
# HELP cuo_agent_reason The reason that the agent reports now; absent if there is none.
# TYPE cuo_agent_reason gauge
cuo_agent_reason{code="DrainBlocked"} 1
# HELP cuo_agent_daemon_up Whether rpm-ostreed answered when it was last asked: 1 or 0.
# TYPE cuo_agent_daemon_up gauge
cuo_agent_daemon_up 0
"#;

#[test]
fn the_text_has_what_is_known_and_nothing_else() {
    let none = Counts::default();
    let mut some = Counts::default();
    let failed = |code| std::iter::repeat_n(Some(code), 3);
    failed(Code::NetworkFailed).for_each(|code| some.look(code));
    [None, Some(Code::DiskFull), None]
        .into_iter()
        .for_each(|code| some.look(code));
    some.download();
    for (times, outcome) in (1..).zip(Outcome::ALL) {
        (0..times).for_each(|_| some.answer(*outcome));
    }
    let busy = Known {
        phase: Phase::Held,
        reason: Some(Code::DrainBlocked),
        looked: Some(Time::from_second(1_789_990_000)),
        daemon_up: false,
        ..known(&some)
    };
    for (known, expected) in [(known(&none), FRESH), (busy, BUSY)] {
        assert_eq!(text(&known), expected);
    }
}

#[test]
fn values_of_labels_are_escaped() {
    for (value, expected) in [
        ("1.0", "1.0"),
        ("a \"b\"", r#"a \"b\""#),
        ("a\\nb", r"a\\nb"),
        ("a\nb", r"a\nb"),
    ] {
        assert_eq!(escaped(value), expected);
    }
}

#[test]
fn a_time_before_1970_is_its_beginning() {
    let early = Time::from_second(-1);
    assert_eq!([early, Time::from_second(7)].map(seconds), [0, 7]);
}
