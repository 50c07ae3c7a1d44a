use cuo_core::pause::{FoundPause, Pause, Scope};
use serde_json::json;

use super::{definition, pause};

fn valid(scope: Scope) -> FoundPause {
    FoundPause::Valid(Pause {
        name: "p".to_owned(),
        scope,
        until: None,
        reason: None,
        by: None,
    })
}

#[test]
fn a_pause_is_about_all_nodes_a_pool_or_some_by_name() {
    let nodes = ["n1", "n2"].map(|name| name.parse().unwrap());
    let cases = [
        (json!({"scope": "All"}), valid(Scope::All)),
        (
            json!({"scope": "Pool", "pool": "workers"}),
            valid(Scope::Pool("workers".parse().unwrap())),
        ),
        (
            json!({"scope": "Nodes", "nodes": ["n2", "n1"]}),
            valid(Scope::Nodes(nodes.into())),
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(pause("p", &spec), expected, "{spec}");
    }
}

#[test]
fn what_it_says_for_people_is_kept() {
    let spec =
        json!({"scope": "All", "until": "2026-10-01T22:00:00Z", "reason": "a fair", "by": "alice"});
    let FoundPause::Valid(pause) = pause("p", &spec) else {
        panic!("{spec}");
    };
    let expected = "paused by alice until 2026-10-01T22:00:00Z (UpdatePause p): a fair";
    assert_eq!(pause.to_string(), expected);
}

#[test]
fn what_makes_no_sense_says_why() {
    let cases = [
        (json!(null), "null"),
        (json!({}), "missing field `scope`"),
        (json!({"scope": "Some"}), "unknown variant `Some`"),
        (json!({"scope": "Pool"}), "`pool` goes with"),
        (json!({"scope": "All", "pool": "x"}), "`pool` goes with"),
        (json!({"scope": "Nodes", "nodes": []}), "`nodes` with"),
        (json!({"scope": "Nodes", "nodes": ["A"]}), "nodes: "),
        (json!({"scope": "All", "until": "soon"}), "year"),
        (json!({"scope": "All", "more": 1}), "unknown field `more`"),
    ];
    for (spec, expected) in cases {
        let found = pause("p", &spec);
        let FoundPause::Invalid { name, why } = &found else {
            panic!("{spec}: {found:?}");
        };
        assert!(name == "p" && why.contains(expected), "{spec}: {why}");
    }
}

#[test]
fn the_definition_names_every_field() {
    let schema = definition();
    let fields =
        schema.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties");
    let names: Vec<_> = fields
        .and_then(|fields| fields.as_object())
        .unwrap()
        .keys()
        .collect();
    let mut names: Vec<_> = names.into_iter().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["by", "nodes", "pool", "reason", "scope", "until"]);
}
