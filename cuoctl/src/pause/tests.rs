use clap::Parser;
use cuo_core::pause::{FoundPause, Pause, Scope};

use super::{Target, shortens, spec, still};
use crate::testing::NOW;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    target: Target,
}

fn target(arguments: &[&str]) -> Result<Target, clap::Error> {
    Ok(Line::try_parse_from(["pause"].iter().chain(arguments))?.target)
}

#[test]
fn each_target_has_a_pause_of_its_own() {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let cases: [Case<'_>; 4] = [
        (&["--all"], &[("all", r#"{"scope":"All"}"#)]),
        (
            &["pool", "p"],
            &[("pool-p", r#"{"scope":"Pool","pool":"p"}"#)],
        ),
        (
            &["node", "n1"],
            &[("node-n1", r#"{"scope":"Nodes","nodes":["n1"]}"#)],
        ),
        (
            &["node", "n1", "n2"],
            &[
                ("node-n1", r#"{"scope":"Nodes","nodes":["n1"]}"#),
                ("node-n2", r#"{"scope":"Nodes","nodes":["n2"]}"#),
            ],
        ),
    ];
    for (arguments, expected) in cases {
        let pauses = target(arguments).unwrap().pauses().unwrap();
        let found: Vec<_> = pauses
            .iter()
            .map(|(name, scope)| (name.as_str(), serde_json::to_string(&spec(scope)).unwrap()))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, spec)| (*name, (*spec).to_owned()))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_target_has_to_be_said_and_only_once() {
    let wrong: [&[&str]; 5] = [
        &[],
        &["pool"],
        &["n1"],
        &["--all", "pool", "p"],
        &["zone", "a"],
    ];
    for arguments in wrong {
        assert!(target(arguments).is_err(), "{arguments:?}");
    }
    let error = target(&["node", "N1"]).unwrap().pauses().unwrap_err();
    assert!(error.to_string().contains("N1"), "{error}");
}

#[test]
fn what_still_holds_is_said() {
    let now = NOW.parse().unwrap();
    let node = |name: &str| Scope::Nodes([name.parse().unwrap()].into());
    let pause = |scope| Pause {
        name: "x".to_owned(),
        scope,
        until: None,
        reason: None,
        by: None,
    };
    let over = Pause {
        until: Some(now),
        ..pause(Scope::All)
    };
    let held = Some("still paused (UpdatePause x)".to_owned());
    let cases = [
        (pause(Scope::All), node("n1"), held.clone()),
        (pause(node("n1")), Scope::All, held.clone()),
        (pause(node("n1")), node("n1"), held),
        (pause(node("n2")), node("n1"), None),
        (over, node("n1"), None),
    ];
    for (pause, scope, expected) in cases {
        assert_eq!(still(FoundPause::Valid(pause), &scope, now), expected);
    }
}

#[test]
fn nobody_ends_the_pause_of_somebody_else_earlier() {
    let time = |text: &str| Some(text.parse().unwrap());
    let now = NOW.parse().unwrap();
    let (ten, eleven) = (time("2026-10-01T22:00:00Z"), time("2026-10-01T23:00:00Z"));
    let pause = |until| Pause {
        name: "all".to_owned(),
        scope: Scope::All,
        until,
        reason: None,
        by: Some("alice".to_owned()),
    };
    let cases = [
        (pause(None), "bob", ten, true),
        (pause(eleven), "bob", ten, true),
        (pause(ten), "bob", eleven, false),
        (pause(ten), "bob", None, false),
        (pause(None), "alice", ten, false),
        (pause(time(NOW)), "bob", ten, false),
    ];
    for (there, by, until, expected) in cases {
        assert_eq!(
            shortens(&there, by, until, now),
            expected,
            "{there} {by} {until:?}"
        );
    }
}
