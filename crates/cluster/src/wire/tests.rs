use cuo_core::node::NodeView;
use serde_json::{Value, json};

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(k, v): &(&str, &str)| (k.to_string(), v.to_string());
    pairs.iter().map(owned).collect()
}

#[test]
fn a_node_is_read_with_what_decisions_need_and_nothing_else() {
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": "n1", "uid": "u1", "resourceVersion": "7", "generation": 3,
            "creationTimestamp": "2026-11-23T21:00:00Z", "deletionTimestamp": "2026-11-23T22:00:00Z",
            "labels": {
                "cuo.coreos.com/id": "fedora", "kubernetes.io/os": "linux",
                "node-role.kubernetes.io/control-plane": "", "zone": "a",
            },
            "annotations": {
                "cuo.coreos.com/status": "idle since 2026-11-23T21:00:00Z",
                "example.com/check": "true", "example.com/other": "x",
            },
            "managedFields": [
                {"manager": "kubelet", "time": "2026-11-23T21:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": {".": {}}}}},
                {"manager": "kubectl-cordon", "operation": "Update", "time": "2026-11-23T21:30:00Z",
                 "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:unschedulable": {}}}},
            ],
        },
        "spec": {
            "unschedulable": true, "podCIDR": "10.0.0.0/24",
            "taints": [
                {"key": "example.com/gpu", "effect": "NoSchedule", "value": "x"},
                {"key": "example.com/soft", "effect": "PreferNoSchedule"},
            ],
        },
        "status": {
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "True", "reason": "KubeletReady"},
            ],
            "images": [{"names": ["a"], "sizeBytes": 1}],
            "volumesInUse": ["kubernetes.io/csi/d^v"],
            "nodeInfo": {"bootID": "b1", "machineID": "m1", "kernelVersion": "6"},
        },
    });
    let expected = RawNode {
        cordon: Some(Box::new(Cordon {
            by: "kubectl-cordon".into(),
            at: Some("2026-11-23T21:30:00Z".parse().unwrap()),
        })),
        taints: ["example.com/gpu".to_owned()].into(),
        soft_taints: ["example.com/soft".to_owned()].into(),
        name: "n1".into(),
        uid: "u1".into(),
        resource_version: "7".into(),
        labels: map(&[
            ("cuo.coreos.com/id", "fedora"),
            ("node-role.kubernetes.io/control-plane", ""),
            ("zone", "a"),
        ]),
        annotations: map(&[
            ("cuo.coreos.com/status", "idle since 2026-11-23T21:00:00Z"),
            ("example.com/check", "true"),
        ]),
        unschedulable: true,
        ready: true,
        boot_id: "b1".into(),
        machine_id: "m1".into(),
        deleting: true,
        volumes_in_use: vec!["kubernetes.io/csi/d^v".into()],
    };
    let read: WireNode = serde_json::from_value(node).unwrap();
    let mut keep = Keep::new(["example.com/check"]);
    assert!(keep.grow([], ["zone"]));
    assert!(!keep.grow(["example.com/check"], ["zone"]));
    assert_eq!(read.into_raw(&keep), expected);

    let bare = json!({
        "metadata": {"name": "n2", "uid": "u2", "resourceVersion": "8", "annotations": null},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
    });
    let expected = RawNode {
        name: "n2".into(),
        uid: "u2".into(),
        resource_version: "8".into(),
        ..RawNode::default()
    };
    let read: WireNode = serde_json::from_value(bare).unwrap();
    assert_eq!(read.into_raw(&Keep::default()), expected);
}

#[test]
fn a_pod_is_read_with_its_controller_and_its_end() {
    let pod = json!({
        "metadata": {
            "name": "web-1", "namespace": "default", "uid": "p1", "resourceVersion": "9",
            "annotations": {"kubernetes.io/config.mirror": "abc"},
            "labels": {"app": "web"}, "finalizers": ["example.com/stay"],
            "creationTimestamp": "2026-11-23T21:00:00Z",
            "deletionTimestamp": "2026-11-23T22:00:00Z",
            "managedFields": [{"manager": "someone", "fieldsV1": {"f:spec": {"f:nodeName": {}}}}],
            "ownerReferences": [
                {"kind": "Thing", "name": "t", "uid": "1"},
                {"kind": "ReplicaSet", "name": "web", "uid": "2", "controller": true},
            ],
        },
        "spec": {"containers": [], "tolerations": [{"operator": "Exists"}], "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "pages"}},
            {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}},
            {"name": "token", "projected": {"sources": []}},
        ]},
        "status": {"phase": "Failed", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    let expected = RawPod {
        namespace: "default".into(),
        name: "web-1".into(),
        uid: "p1".into(),
        labels: map(&[("app", "web")]),
        controller: Some("ReplicaSet".into()),
        mirror: true,
        completed: true,
        terminating: true,
        finalizers: vec!["example.com/stay".into()],
        ready: true,
        empty_dir: true,
        claims: ["pages".into(), "web-1-scratch".into()].into(),
        created: Some("2026-11-23T21:00:00Z".parse().unwrap()),
        tolerates_cordon: true,
        placed: true,
    };
    let read: WirePod = serde_json::from_value(pod).unwrap();
    assert_eq!(read.into_raw(), expected);
}

/// Installers taint controllers so as to have pods elsewhere if there is room.
#[test]
fn a_taint_that_only_advises_tells_of_the_control_plane_and_keeps_nothing_away() {
    let advises = keys::CONTROL_PLANE
        .iter()
        .map(|key| (*key, "PreferNoSchedule", (true, true)));
    let others = [
        ("node-role.kubernetes.io/etcd", "NoSchedule", (true, false)),
        ("node-role.kubernetes.io/etcd", "NoExecute", (true, false)),
        ("example.com/a", "PreferNoSchedule", (false, true)),
        ("example.com/a", "NoExecute", (false, false)),
    ];
    for (key, effect, expected) in advises.chain(others) {
        let node = json!({
            "metadata": {"name": "n1", "uid": "u1", "resourceVersion": "7"},
            "spec": {"taints": [{"key": key, "effect": effect}]},
        });
        let read: WireNode = serde_json::from_value(node).unwrap();
        let view = NodeView::parse(&read.into_raw(&Keep::default())).unwrap();
        let found = (view.control_plane, view.takes_pods);
        assert_eq!(found, expected, "{key}:{effect}");
    }
}

#[test]
fn of_several_who_cordoned_a_node_the_first_counts() {
    let cordoned = |by: &str, at: Option<&str>| {
        let mut owner = json!({"manager": by, "fieldsV1": {"f:spec": {"f:unschedulable": {}}}});
        if let Some(at) = at {
            owner["time"] = at.into();
        }
        owner
    };
    let (first, second) = ("2026-11-23T21:30:00Z", "2026-11-23T21:30:01Z");
    let other = json!({"manager": "k", "time": first, "fieldsV1": {"f:spec": {"f:taints": {}}}});
    let cases = [
        (vec![], None),
        (vec![other.clone()], None),
        (
            vec![other, cordoned("a", Some(second))],
            Some(("a", Some(second))),
        ),
        (
            vec![cordoned("a", Some(second)), cordoned("b", Some(first))],
            Some(("b", Some(first))),
        ),
        (
            vec![cordoned("a", Some(first)), cordoned("b", Some(first))],
            Some(("a", Some(first))),
        ),
        (
            vec![cordoned("a", None), cordoned("b", Some(second))],
            Some(("b", Some(second))),
        ),
        (vec![cordoned("a", None)], Some(("a", None))),
    ];
    for (owners, expected) in cases {
        let node = json!({"metadata": {
            "name": "n1", "uid": "u1", "resourceVersion": "7", "managedFields": owners,
        }});
        let read: WireNode = serde_json::from_value(node.clone()).unwrap();
        let expected = expected.map(|(by, at)| {
            let (by, at) = (by.to_owned(), at.map(|at| at.parse().unwrap()));
            Box::new(Cordon { by, at })
        });
        assert_eq!(read.into_raw(&Keep::default()).cordon, expected, "{node}");
    }
}

#[test]
fn what_another_scheduler_brings_counts_as_placed_without_one() {
    let by_hand = json!([{"manager": "x", "fieldsV1": {"f:spec": {"f:nodeName": {}}}}]);
    let by_name = json!([{"manager": "x", "fieldsV1": {"f:spec": {"f:schedulerName": {}}}}]);
    let cases = [
        (Value::Null, json!([]), false),
        (json!(""), json!([]), false),
        (json!("default-scheduler"), by_name.clone(), false),
        (json!("default-scheduler"), by_hand, true),
        (json!("volcano"), by_name, true),
    ];
    for (scheduler, owners, expected) in cases {
        let pod = json!({
            "metadata": {
                "name": "p", "namespace": "d", "uid": "u", "resourceVersion": "9", "managedFields": owners,
            },
            "spec": {"schedulerName": scheduler},
        });
        let read: WirePod = serde_json::from_value(pod.clone()).unwrap();
        assert_eq!(read.into_raw().placed, expected, "{pod}");
    }
}

#[test]
fn a_toleration_is_for_cordons_as_the_scheduler_sees_it() {
    let cases = [
        (json!({"operator": "Exists"}), true),
        (
            json!({"key": CORDONED, "operator": "Exists", "effect": "NoSchedule"}),
            true,
        ),
        (json!({"key": CORDONED, "effect": "NoSchedule"}), true),
        (
            json!({"key": CORDONED, "operator": "Equal", "value": ""}),
            true,
        ),
        (
            json!({"key": CORDONED, "operator": "Equal", "value": "x"}),
            false,
        ),
        (
            json!({"key": CORDONED, "operator": "Exists", "effect": "NoExecute"}),
            false,
        ),
        (
            json!({"key": "example.com/gpu", "operator": "Exists"}),
            false,
        ),
        (json!({"operator": "Exists", "effect": "NoExecute"}), false),
        (json!({"effect": "NoSchedule"}), false),
    ];
    for (toleration, expected) in cases {
        let read: Toleration = serde_json::from_value(toleration.clone()).unwrap();
        assert_eq!(read.is_for_cordons(), expected, "{toleration}");
    }
}
