use cuo_cluster::ApiError;
use cuo_coordination::pool::{PoolStatus, pool};
use serde_json::{Value, json};

use super::*;

fn object(name: &str, spec: Value) -> PoolObject {
    let name: PoolName = name.parse().unwrap();
    PoolObject {
        found: pool(name.clone(), &spec),
        name,
        uid: "u".into(),
        resource_version: "1".into(),
        generation: 1,
        status: PoolStatus::default(),
    }
}

#[test]
fn the_watch_is_the_only_truth() {
    let mut pools = Pools::default();
    let names =
        |pools: &Pools| -> Vec<_> { pools.objects().keys().map(ToString::to_string).collect() };
    assert!(pools.missing().is_some() && !pools.heard());
    let message = "no".to_owned();
    pools.hear(PoolsEvent::Disconnected(ApiError::Forbidden { message }));
    let why = "the pools can't be watched: forbidden: no".to_owned();
    assert_eq!((pools.missing(), pools.heard()), (Some(&why), true));
    let plain = |name| object(name, json!({}));
    pools.hear(PoolsEvent::Reset(vec![plain("a"), plain("b")]));
    assert_eq!(pools.missing(), None);
    pools.hear(PoolsEvent::Gone("a".into()));
    pools.hear(PoolsEvent::Changed(plain("c")));
    assert_eq!(names(&pools), ["b", "c"]);
    assert_eq!(pools.found().len(), 2);
    pools.hear(PoolsEvent::Reset(vec![]));
    assert_eq!(names(&pools), Vec::<String>::new());
}

/// The watch was behind when they were read from the API server.
#[test]
fn what_is_known_of_a_pool_never_gets_older() {
    let at = |version: &str, uid: &str, paused: bool| PoolObject {
        resource_version: version.into(),
        uid: uid.into(),
        ..object("p", json!({"paused": paused}))
    };
    type Event = fn(PoolObject) -> PoolsEvent;
    let changed: Event = PoolsEvent::Changed;
    let reset: Event = |pool| PoolsEvent::Reset(vec![pool]);
    let read = at("10", "u", true);
    for event in [changed, reset] {
        for (heard, expected) in [
            (at("9", "u", false), &read),
            (at("11", "u", false), &at("11", "u", false)),
            // Another one of the same name.
            (at("9", "v", false), &at("9", "v", false)),
            (at("x", "u", false), &read),
        ] {
            let mut pools = Pools::default();
            pools.replace(vec![read.clone()]);
            pools.hear(event(heard));
            let found: Vec<_> = pools.objects().values().collect();
            assert_eq!(found, [expected]);
        }
    }
}

#[test]
fn whatever_a_pool_looks_at_is_kept_of_nodes() {
    let labels = |key: &str| json!({"matchLabels": {key: "x"}});
    let checks = json!({"before": ["b"], "after": ["a"]});
    let zone = json!({"by": "Zone", "topologyKey": "z"});
    let cases = [
        (json!({}), vec![], vec![]),
        (json!({"nodeSelector": labels("s")}), vec![], vec!["s"]),
        (
            json!({"nodeSelector": labels("s"), "settle": "soon"}),
            vec![],
            vec!["s"],
        ),
        (json!({"nodeSelector": "none"}), vec![], vec![]),
        (json!({"order": zone}), vec![], vec!["z"]),
        (
            json!({"canary": {"nodeSelector": labels("c")}}),
            vec![],
            vec!["c", cuo_core::plan::ARCHITECTURE],
        ),
        (json!({"checks": checks}), vec!["a", "b"], vec![]),
    ];
    for (spec, annotations, labels) in cases {
        let (mut found, mut expected) = (Keep::new(["own"]), Keep::new(["own"]));
        expected.grow(annotations, labels);
        let mut pools = Pools::default();
        pools.hear(PoolsEvent::Reset(vec![object("p", spec.clone())]));
        let more = found != expected;
        assert_eq!(pools.needs(&mut found), more, "{spec}");
        assert_eq!(found, expected, "{spec}");
        assert!(!pools.needs(&mut found), "{spec}: nothing more is needed");
    }
}
