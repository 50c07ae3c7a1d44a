use super::*;
use crate::ids::GrantId;
use crate::reason::Reason;

#[test]
fn what_a_newer_agent_wrote_in_an_earlier_boot_is_no_obstacle() {
    let (before, boot) = (BootId::from_bytes([1; 16]), BootId::from_bytes([2; 16]));
    let under = |boot: BootId| format!(r#"{{"progress": {{"boot": "{boot}", "more": 1}}}}"#);
    for (attempt, newer) in [
        ("null".to_owned(), false),
        (under(before), false),
        (under(boot), true),
        (r#"{"progress": {}}"#.to_owned(), true),
        (r#""somewhere else""#.to_owned(), true),
    ] {
        let text = format!(r#"{{"version": 99, "state": {{"attempt": {attempt}}}}}"#);
        let found = State::from_text(&text, Some(&boot)).unwrap_err();
        assert_eq!(found == StateError::Newer(99), newer, "{text}: {found}");
        let unknown = State::from_text(&text, None);
        assert_eq!(unknown, Err(StateError::Newer(99)));
    }
    let elsewhere = State::from_text(r#"{"version": 99, "state": {}}"#, Some(&boot));
    assert_eq!(elsewhere, Err(StateError::Newer(99)));
}

/// As an agent of the first release reads and writes it: without what is beside `state`.
#[test]
fn what_is_new_is_no_obstacle_for_an_older_agent() {
    #[derive(Serialize, Deserialize)]
    struct First {
        version: u32,
        state: serde_json::Value,
    }
    let left = Left {
        identity: ReleaseId::Commit([7; 32]),
        published: 3,
    };
    let plain = State {
        ours: Some("fedora-coreos-aa.0".into()),
        ..State::default()
    };
    let state = State {
        left: vec![left],
        rebooted: Some(GrantId { seq: 7, salt: 1 }),
        retried: Some(Time::EPOCH),
        looked: Some(Time::EPOCH),
        ..plain.clone()
    };
    let text = state.to_text().unwrap();
    assert_eq!(State::from_text(&text, None), Ok(state));
    let first: First = serde_json::from_str(&text).unwrap();
    let before: First = serde_json::from_str(&plain.to_text().unwrap()).unwrap();
    assert_eq!(
        (first.version, &first.state),
        (before.version, &before.state)
    );
    let text = serde_json::to_string(&first).unwrap();
    assert_eq!(State::from_text(&text, None), Ok(plain));
}

#[test]
fn a_state_is_read_back_and_nothing_else_is_taken_for_one() {
    let state = State {
        ours: Some("fedora-coreos-aa.0".into()),
        backoff: Some(Backoff {
            tries: 2,
            until: Time::EPOCH,
            reason: Reason::new(crate::reason::Code::DrainBlocked, "default/web"),
        }),
        ..State::default()
    };
    let text = state.to_text().unwrap();
    let read = |text: &str| State::from_text(text, None);
    assert_eq!(read(&text), Ok(state.clone()));
    let of = |version| text.replace("\"version\": 5", &format!("\"version\": {version}"));
    assert_eq!(read(&of(6)), Err(StateError::Newer(6)));
    for earlier in [1, 2, 3, 4] {
        assert_eq!(read(&of(earlier)), read(&text));
    }
    for text in [
        "",
        "garbage",
        &text[..text.len() / 2],
        &text.replace("\"ours\"", "\"theirs\""),
    ] {
        assert!(matches!(read(text), Err(StateError::Garbage(_))), "{text}");
    }
}

/// An attempt that is as far as `stage` says.
fn at(stage: Stage) -> State {
    let progress = Progress {
        id: GrantId { seq: 7, salt: 1 },
        identity: ReleaseId::Commit([7; 32]),
        boot: BootId::from_bytes([1; 16]),
        accepted: Time::EPOCH,
    };
    let attempt = Attempt {
        grant: Accepted {
            progress,
            drain: DrainPolicy::default(),
            pods: PodChecks::default(),
            cordoned: Cordoned::Hold,
        },
        baseline: Baseline::lost(None),
        others_cordon: true,
        stage,
    };
    State {
        attempt: Some(attempt),
        ..State::default()
    }
}

#[test]
fn a_reboot_without_an_update_is_read_back() {
    let mut state = at(Stage::Draining);
    if let Some(attempt) = &mut state.attempt {
        attempt.baseline.plain = true;
    }
    let text = state.to_text().unwrap();
    assert_eq!(State::from_text(&text, None), Ok(state));
}

#[test]
fn every_stage_is_read_back_by_the_fields_of_the_first_release() {
    let (since, request) = (
        Time::from_second(9),
        Request {
            at: Time::from_second(10),
            up: Some(SignedDuration::from_secs(3)),
        },
    );
    let drained = Some(since);
    let cases = [
        (Stage::Draining, [false, false, false]),
        (Stage::Delaying { since }, [false, true, false]),
        (
            Stage::Rebooting {
                request: request.clone(),
                drained: None,
            },
            [true, false, false],
        ),
        (
            Stage::Rebooting {
                request: request.clone(),
                drained,
            },
            [true, true, false],
        ),
        (
            Stage::Verifying {
                asked: Some(request),
                good: since,
            },
            [true, false, true],
        ),
        (
            Stage::Verifying {
                asked: None,
                good: since,
            },
            [false, false, true],
        ),
    ];
    for (stage, fields) in cases {
        let state = at(stage);
        let text = state.to_text().unwrap();
        assert_eq!(State::from_text(&text, None), Ok(state), "{text}");
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let attempt = &file["state"]["attempt"];
        let found = ["requested", "drained", "good"].map(|name| !attempt[name].is_null());
        assert_eq!(
            (found, &file["beyond"]),
            (fields, &serde_json::Value::Null),
            "{text}"
        );
    }
}
