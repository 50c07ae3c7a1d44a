use k8s_openapi::api::apps::v1::DaemonSet;
use serde_json::{from_value, json};

use super::{Rival, is_kured, judged};
use crate::doctor::Level;
use crate::testing::idle;

#[test]
fn kured_is_known_by_its_image_wherever_that_is_from() {
    let cases = [
        ("ghcr.io/kubereboot/kured:1.23.0", true),
        ("registry.example.com:5000/mirror/kured", true),
        ("registry.example.com:5000/kured:1@sha256:4c1b70e8", true),
        ("kured@sha256:4c1b70e8", true),
        ("kured", true),
        ("registry.example.com/kured-exporter:1", false),
        ("registry.example.com/kured/exporter:1", false),
        ("", false),
    ];
    for (image, expected) in cases {
        let containers = [
            json!({ "name": "proxy", "image": "example.com/proxy:1" }),
            json!({ "name": "main", "image": image }),
        ];
        let set: DaemonSet = from_value(json!({
            "metadata": { "name": "reboots", "namespace": "kube-system" },
            "spec": {
                "selector": {},
                "template": { "spec": { "containers": containers } },
            },
        }))
        .unwrap();
        assert_eq!(is_kured(&set), expected, "{image}");
    }
}

#[test]
fn only_kured_on_nodes_with_an_agent_is_a_fault() {
    let mut bare = idle("bare", &[]);
    bare.annotations.clear();
    let nodes = [idle("n1", &[]), idle("n2", &[]), bare];
    let kured = |nodes: &[&str]| Rival {
        name: "kube-system/kured".to_owned(),
        nodes: nodes.iter().map(|name| (*name).to_owned()).collect(),
    };
    let none = "no kured on nodes with an agent";
    let cases = [
        (vec![], Level::Ok, none),
        (vec![kured(&[])], Level::Ok, none),
        (vec![kured(&["bare", "gone"])], Level::Ok, none),
        (
            vec![kured(&["bare", "n1", "n2"])],
            Level::Failed,
            "kured runs on nodes with an agent: DaemonSet kube-system/kured on n1, n2",
        ),
    ];
    for (rivals, level, expected) in cases {
        let check = judged(&rivals, &nodes);
        assert_eq!((check.level, check.found.as_str()), (level, expected));
        assert_eq!(check.remedy.is_some(), level > Level::Ok, "{check:?}");
    }
}

#[test]
fn what_another_program_left_unfinished_is_a_warning() {
    let kured = "weave.works/kured-reboot-in-progress";
    let fluo = "flatcar-linux-update.v1.flatcar-linux.net/agent-made-unschedulable";
    let cases = [
        (kured, "2026-10-01T20:00:00Z", true),
        (fluo, "true", true),
        (fluo, "false", false),
        ("weave.works/kured-most-recent-reboot-needed", "x", false),
    ];
    for (key, value, expected) in cases {
        let mut node = idle("n1", &[]);
        node.annotations.insert(key.to_owned(), value.to_owned());
        let check = judged(&[], &[idle("n2", &[]), node.clone()]);
        let found = format!("another program has not finished its reboot of n1 ({key})");
        assert_eq!(check.found == found, expected, "{check:?}");
        assert_eq!(check.level == Level::Warning, expected, "{check:?}");
        // Without an agent it is somebody else's.
        node.annotations.remove(cuo_core::keys::PROTOCOL);
        assert_eq!(judged(&[], &[node]).level, Level::Ok);
    }
}
