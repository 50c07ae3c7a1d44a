use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cuo_core::ids::ReleaseId;
use cuo_core::pool::{Canary, CanaryWho, MaxUnavailable, Order, OrderBy, Pool, Release};
use cuo_core::release::{
    Chosen, Declaration, Declared, Ended, GivenUp, NamedRelease, Past, Source,
};
use cuo_core::selector::{Operator, Requirement, Selector};
use cuo_core::time::Time;
use cuo_core::values::{
    Cordoned, DrainMode, DrainPolicy, OnTimeout, PodChecks, PodMatch, PreflightMode, Treatment,
};
use cuo_core::window::{Blackout, Calendar, Windows};
use futures::StreamExt;
use jiff::SignedDuration;
use tokio::time::timeout;

use super::status::Condition;
use super::*;
use crate::double::{Api, Reply};

fn name() -> PoolName {
    "p".parse().unwrap()
}

fn labelled(key: &str, value: &str) -> Selector {
    Selector {
        match_labels: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        match_expressions: vec![],
    }
}

/// What a pool is that asks for nothing.
fn plain() -> Pool {
    Pool {
        name: Some(name()),
        selector: Selector::default(),
        max_unavailable: MaxUnavailable::Count(1),
        paused: false,
        gates: vec![],
        calendar: Calendar::default(),
        order: Order::default(),
        canary: None,
        release: None,
        max_failures: 1,
        target: None,
        approved: None,
        before: vec![],
        after: vec![],
        pods: PodChecks::default(),
        drain: DrainPolicy::default(),
        cordoned: Cordoned::Hold,
        settle: SignedDuration::ZERO,
    }
}

#[test]
fn a_pool_that_asks_for_nothing_goes_one_at_a_time() {
    for spec in [
        json!({}),
        json!({"nodeSelector": {}, "drain": {}, "checks": {}, "order": {}}),
    ] {
        assert_eq!(pool(name(), &spec), FoundPool::Valid(Box::new(plain())));
    }
}

#[test]
fn every_field_is_taken_over() {
    let identity = ReleaseId::Image([7; 32]);
    let spec = json!({
        "nodeSelector": {
            "matchLabels": {"pool": "edge"},
            "matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}],
        },
        "maxUnavailable": "10%",
        "paused": true,
        "gates": ["alerts"],
        "windows": [
            {"days": ["Mon", "Fri"], "start": "22:00", "duration": "4h", "timeZone": "Europe/Berlin"},
            {"start": "12:00", "duration": "1h30m"},
        ],
        "blackouts": [
            {"from": "2026-12-24", "to": "2027-01-02", "timeZone": "Europe/Berlin"},
            {"from": "2026-11-27"},
        ],
        "order": {"by": "Zone", "topologyKey": "topology.kubernetes.io/zone", "controlPlane": "First"},
        "canary": {"nodeSelector": {"matchLabels": {"canary": "true"}}, "soak": "24h"},
        "maxFailures": 2,
        "target": {"version": "44.1"},
        "approval": "Manual",
        "approved": [{"identity": identity.to_string()}, {"version": "44.2"}],
        "checks": {
            "before": ["example.com/backup"],
            "after": ["example.com/well"],
            "blockingPods": [{"namespace": "batch", "labelSelector": {"matchLabels": {"job": "x"}}}, {}],
            "daemonSetsReady": true,
        },
        "drain": {
            "timeout": "20m", "gracePeriod": "0s", "onTimeout": "Force", "emptyDir": "Block", "unmanaged": "Block",
            "podSelector": {"matchLabels": {"drain": "yes"}}, "skipNamespaces": ["b", "a"],
            "waitForVolumes": false, "delay": "30s", "mode": "Evict", "preflight": "Require",
        },
        "cordoned": "Update",
        "settle": "10m",
    });
    let windows = ["Mon,Fri 22:00 4h Europe/Berlin", " 12:00 1h30m UTC"];
    let day = |text: &str| text.parse().unwrap();
    let (eve, end, friday) = (day("2026-12-24"), day("2027-01-02"), day("2026-11-27"));
    let mut selector = labelled("pool", "edge");
    selector.match_expressions.push(Requirement {
        key: "gpu".into(),
        operator: Operator::DoesNotExist,
        values: BTreeSet::new(),
    });
    let expected = Pool {
        name: Some(name()),
        selector,
        max_unavailable: MaxUnavailable::Percent(10),
        paused: true,
        gates: vec!["alerts".into()],
        calendar: Calendar::new(
            Windows::new(windows.map(|text| text.parse().unwrap()).into()),
            vec![
                Blackout::new(eve, end, "Europe/Berlin").unwrap(),
                Blackout::new(friday, friday, "UTC").unwrap(),
            ],
        ),
        order: Order {
            by: OrderBy::Zone("topology.kubernetes.io/zone".into()),
            control_plane_first: true,
        },
        canary: Some(Canary {
            who: CanaryWho::Nodes(labelled("canary", "true")),
            soak: SignedDuration::from_hours(24),
        }),
        max_failures: 2,
        release: None,
        target: Some(Release::Version("44.1".into())),
        approved: Some(vec![Release::Id(identity), Release::Version("44.2".into())]),
        before: vec!["example.com/backup".into()],
        after: vec!["example.com/well".into()],
        pods: PodChecks {
            blocking: vec![
                PodMatch {
                    namespace: Some("batch".into()),
                    selector: labelled("job", "x"),
                },
                PodMatch::default(),
            ],
            daemon_sets_ready: true,
        },
        drain: DrainPolicy {
            mode: DrainMode::Evict,
            preflight: PreflightMode::Require,
            timeout_seconds: 1200,
            on_timeout: OnTimeout::Force,
            grace_period_seconds: Some(0),
            empty_dir: Treatment::Block,
            unmanaged: Treatment::Block,
            pod_selector: labelled("drain", "yes"),
            skip_namespaces: ["a".to_owned(), "b".to_owned()].into(),
            wait_for_volumes: false,
            delay_seconds: 30,
        },
        cordoned: Cordoned::Update,
        settle: SignedDuration::from_mins(10),
    };
    assert_eq!(pool(name(), &spec), FoundPool::Valid(Box::new(expected)));
}

/// What the API server can't see, or did not with an older definition.
#[test]
fn what_makes_no_sense_names_the_field_and_still_selects() {
    let window = |zone: &str, start: &str| json!({"windows": [{"start": start, "duration": "1h", "timeZone": zone}]});
    let cases = [
        (window("Mars/Base", "22:00"), "windows[0]: window"),
        (
            window("Europe/Berlin x", "22:00"),
            "windows[0]: \"Europe/Berlin x\" is not one word",
        ),
        (window("UTC", "22"), "windows[0]: window"),
        (
            json!({"drain": {"mode": "None", "emptyDir": "Block"}}),
            "drain: with `mode: None` no pod leaves",
        ),
        (
            json!({"blackouts": [{"from": "2026-12-24", "timeZone": "Mars"}]}),
            "blackouts[0]: \"Mars\" is no IANA time zone",
        ),
        (
            json!({"blackouts": [{"from": "2026-12-24", "to": "2026-12-23"}]}),
            "blackouts[0]: 2026-12-23 is before 2026-12-24",
        ),
        (
            json!({"blackouts": [{"from": "2026-02-30"}]}),
            "blackouts[0]: from: ",
        ),
        (
            json!({"maxUnavailable": "101%"}),
            "maxUnavailable: \"101%\" is neither",
        ),
        (
            json!({"maxUnavailable": -1}),
            "maxUnavailable: -1 is no number of nodes",
        ),
        (
            json!({"settle": "-1h"}),
            "settle: \"-1h\" is not from 0s to 168h",
        ),
        (
            json!({"settle": "soon"}),
            "settle: \"soon\" is no length of time",
        ),
        (
            json!({"drain": {"timeout": "169h"}}),
            "drain.timeout: \"169h\" is not",
        ),
        (
            json!({"drain": {"podSelector": {"matchLabels": {"a b": ""}}}}),
            "drain.podSelector: \"a b\" is no name of a label",
        ),
        (json!({"canary": {}}), "canary: expected either"),
        (
            json!({"release": {}}),
            "release: expected either `image`, `version` or `commit`",
        ),
        (
            json!({"release": {"image": "quay.io/acme/os"}}),
            "release: image: expected a tag or a digest",
        ),
        (
            json!({"release": {"image": "os"}}),
            "release: image: expected HOST/PATH",
        ),
        (
            json!({"release": {"commit": ReleaseId::Image([1; 32]).to_string()}}),
            "release: commit: expected no digest",
        ),
        (
            json!({"release": {"version": "1"}, "target": {"version": "1"}}),
            "release: `target` says nothing beside it",
        ),
        (json!({"target": {}}), "target: expected either"),
        (
            json!({"target": {"identity": "x"}}),
            "target: identity: an identity expected 64",
        ),
        (json!({"order": {"by": "Zone"}}), "order: `by: Zone` needs"),
        (
            json!({"order": {"topologyKey": "a"}}),
            "order: `topologyKey` goes",
        ),
        (
            json!({"checks": {"before": ["cuo.coreos.com/x"]}}),
            "checks: \"cuo.coreos.com/x\"",
        ),
        (json!({"tomorrow": true}), "unknown field `tomorrow`"),
        (json!({"approval": "Maybe"}), "unknown variant `Maybe`"),
    ];
    for (mut spec, expected) in cases {
        spec["nodeSelector"] = json!({"matchLabels": {"a": "b"}});
        let FoundPool::Invalid {
            name: found,
            selector,
            why,
        } = pool(name(), &spec)
        else {
            panic!("{spec} is valid");
        };
        assert_eq!(
            (found, selector),
            (name(), Some(labelled("a", "b"))),
            "{spec}"
        );
        assert!(why.contains(expected), "{why:?} should say {expected:?}");
    }
}

#[test]
fn without_a_selector_that_makes_sense_the_nodes_are_not_known() {
    let demand = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]});
    let cases = [
        json!("all"),
        json!({"matchLabels": {"a/b/c": ""}}),
        json!({"matchLabels": {"": ""}}),
        json!({"matchFields": {}}),
        json!({"matchLabels": {"cuo.coreos.com/group": "stable"}}),
        demand("In", json!([])),
        demand("Exists", json!(["a"])),
        demand("Gt", json!(["1"])),
    ];
    for selector in cases {
        let found = pool(name(), &json!({"nodeSelector": selector}));
        let FoundPool::Invalid {
            selector: None,
            why,
            ..
        } = &found
        else {
            panic!("{selector}: {found:?}");
        };
        assert!(why.starts_with("nodeSelector: "), "{why}");
    }
}

/// A definition that the API server takes has none of these.
#[test]
fn the_schema_is_structural() {
    let text = schema::definition().to_string();
    for forbidden in [
        "$ref",
        "oneOf",
        "anyOf",
        "\"nullable\"",
        "\"null\"",
        "$schema",
        "\"additionalProperties\":false",
        "uint",
    ] {
        assert!(!text.contains(forbidden), "{forbidden} in {text}");
    }
    assert!(
        text.contains("\"enum\":[\"Abort\",\"Delete\",\"Force\"]"),
        "{text}"
    );
}

fn object(name: &str, version: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "cuo.coreos.com/v1alpha1", "kind": "UpdatePool",
        "metadata": {"name": name, "uid": name, "resourceVersion": version, "generation": 3},
        "spec": spec, "status": {"observedGeneration": 2},
    })
}

async fn next(feed: &mut BoxStream<'static, PoolsEvent>) -> PoolsEvent {
    timeout(Duration::from_secs(10), feed.next())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn pools_are_told_as_they_are_and_as_they_change() {
    let api = Api::start(|request| {
        if request.line.contains("watch=true") {
            return Reply::watch([("DELETED", object("a", "11", json!({})))]);
        }
        let items = [object("a", "9", json!({"paused": true}))];
        Reply::json(
            200,
            json!({"metadata": {"resourceVersion": "10"}, "items": items}),
        )
    })
    .await;
    let expected = PoolObject {
        name: "a".parse().unwrap(),
        uid: "a".into(),
        resource_version: "9".into(),
        generation: 3,
        found: FoundPool::Valid(Box::new(Pool {
            name: Some("a".parse().unwrap()),
            paused: true,
            ..plain()
        })),
        status: PoolStatus {
            observed_generation: 2,
            ..PoolStatus::default()
        },
    };
    let source = api.source().await;
    let mut feed = watch_pools(source.clone());
    assert_eq!(next(&mut feed).await, Change::Reset(vec![expected.clone()]));
    assert_eq!(next(&mut feed).await, Change::Gone("a".into()));
    assert_eq!(list_pools(&source).await, Ok(vec![expected]));
    let lines: Vec<_> = api.seen().into_iter().map(|request| request.line).collect();
    assert_eq!(
        lines[0],
        "GET /apis/cuo.coreos.com/v1alpha1/updatepools?&limit=100"
    );
}

/// Operators of two versions lead one after the other.
#[test]
fn the_status_of_a_later_version_is_read() {
    let condition = json!({
        "type": "Later", "status": "False", "reason": "R", "message": "m",
        "lastTransitionTime": "2026-11-23T21:00:00Z", "observedGeneration": 2, "later": true,
    });
    let mut later = object("a", "9", json!({}));
    later["status"] = json!({"observedGeneration": 2, "conditions": [condition], "later": {}});
    let read: WirePool = serde_json::from_value(later).unwrap();
    let expected = PoolStatus {
        observed_generation: 2,
        conditions: vec![Condition {
            kind: "Later".into(),
            status: "False".into(),
            reason: "R".into(),
            message: "m".into(),
            last_transition_time: "2026-11-23T21:00:00Z".parse().unwrap(),
            observed_generation: 2,
        }],
        ..PoolStatus::default()
    };
    assert_eq!(read.into_object().unwrap().status, expected);
}

#[tokio::test]
async fn without_the_definition_there_are_no_pools_and_without_the_right_they_are_not_known() {
    let api = Api::start(|_| Reply::text(404, "404 page not found\n")).await;
    let source = api.source().await;
    assert_eq!(
        next(&mut watch_pools(source.clone())).await,
        Change::Reset(vec![])
    );
    assert_eq!(list_pools(&source).await, Ok(vec![]));

    let api = Api::start(|_| Reply::failure(403, "Forbidden", "no")).await;
    let source = api.source().await;
    let forbidden = ApiError::Forbidden {
        message: "no".into(),
    };
    assert_eq!(
        next(&mut watch_pools(source.clone())).await,
        Change::Disconnected(forbidden.clone())
    );
    assert_eq!(list_pools(&source).await, Err(forbidden));
}

#[tokio::test]
async fn a_status_is_written_on_the_version_that_was_read() {
    let api = Api::start(|_| Reply::json(200, object("a", "12", json!({})))).await;
    let status = PoolStatus {
        observed_generation: 3,
        ..PoolStatus::default()
    };
    write_status(&api.source().await, &name(), "9", &status)
        .await
        .unwrap();
    let seen = &api.seen()[0];
    let query = "PATCH /apis/cuo.coreos.com/v1alpha1/updatepools/p/status?&fieldManager=cuo-agent";
    assert_eq!(seen.line, query);
    let zero = json!({
        "total": 0, "upToDate": 0, "needReboot": 0, "rebooting": 0, "unavailable": 0, "failed": 0,
    });
    let expected = json!({"metadata": {"resourceVersion": "9"}, "status": {
        "observedGeneration": 3, "maxUnavailable": 0, "nodes": zero,
        "slots": null, "targets": null, "controlPlane": null, "nextWindow": null, "conditions": null,
    }});
    assert_eq!(serde_json::from_str::<Value>(&seen.body).unwrap(), expected);
}

#[test]
fn a_release_is_declared_by_image_version_or_commit() {
    let image = |text: &str| Declaration::Image(text.parse().unwrap());
    let digest = format!("quay.io/acme/os@{}", ReleaseId::Image([7; 32]));
    let commit = ReleaseId::Commit([7; 32]);
    let cases = [
        (json!({"image": digest}), image(&digest), false),
        (
            json!({"image": "quay.io:5000/acme/os:stable", "allowDowngrade": true}),
            image("quay.io:5000/acme/os:stable"),
            true,
        ),
        (
            json!({"version": "44.1"}),
            Declaration::Version("44.1".into()),
            false,
        ),
        (
            json!({"commit": commit.to_string()}),
            Declaration::Commit(commit),
            false,
        ),
    ];
    for (spec, what, downgrade) in cases {
        let expected = Pool {
            release: Some(Declared { what, downgrade }),
            ..plain()
        };
        let found = pool(name(), &json!({"release": spec}));
        assert_eq!(found, FoundPool::Valid(Box::new(expected)));
    }
}

/// What decides is read back as it was written.
#[test]
fn how_far_a_pool_is_with_releases_survives_its_status() {
    let at = Time::from_second(50);
    let release = |byte, version: Option<&str>| NamedRelease {
        identity: ReleaseId::Image([byte; 32]),
        version: version.map(str::to_owned),
    };
    let chosen = |byte| Chosen {
        identities: [
            ("amd64".to_owned(), release(byte, Some("2"))),
            ("arm64".to_owned(), release(byte + 1, None)),
        ]
        .into(),
        version: Some("2".into()),
        source: Source::Cluster,
        image: Some("quay.io/acme/os:stable".parse().unwrap()),
        since: at,
    };
    let rollout = Rollout {
        candidate: Some(chosen(1)),
        promoted: Some(chosen(3)),
        promoted_at: Some(at),
        given_up: vec![GivenUp {
            identity: ReleaseId::Image([5; 32]),
            version: None,
            at,
            nodes: vec!["n1".parse().unwrap()],
        }],
        history: vec![Past {
            identities: vec![ReleaseId::Image([3; 32])],
            version: Some("1".into()),
            source: Source::Graph,
            started: at,
            finished: at,
            outcome: Ended::Promoted,
            nodes: 3,
        }],
    };
    let history: Vec<_> = rollout
        .history
        .iter()
        .map(releases::PastStatus::from)
        .collect();
    let status = json!({"release": ReleaseStatus::new(&rollout), "history": history});
    let status = PoolStatus::deserialize(&status).unwrap();
    let read = status.release.unwrap().rollout(&status.history);
    assert_eq!(read, rollout);
    assert_eq!(ReleaseStatus::default().rollout(&[]), Rollout::default());
}
