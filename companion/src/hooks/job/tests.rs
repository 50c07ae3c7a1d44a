use serde_json::json;

use super::*;

fn hook(more: Value) -> Hook {
    let mut hook = json!({
        "name": "silence", "at": "beforeDrain", "timeout": "5m", "retries": 2,
        "template": { "spec": { "containers": [{ "name": "c", "image": "i", "env": [{ "name": "A", "value": "b" }] }] } },
    });
    for (key, value) in more.as_object().unwrap() {
        hook[key] = value.clone();
    }
    serde_json::from_value(hook).unwrap()
}

#[test]
fn a_job_says_what_it_is_for_and_ends_by_itself() {
    let node = "n1".parse().unwrap();
    let made = manifest(&hook(json!({})), &node, "17-07070707");
    let told = json!([
        { "name": "CUO_NODE", "value": "n1" },
        { "name": "CUO_GRANT", "value": "17-07070707" },
        { "name": "CUO_MOMENT", "value": "beforeDrain" },
        { "name": "A", "value": "b" },
    ]);
    let expected = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name(&hook(json!({})).name, &node, "17-07070707"),
            "namespace": "cuo-hooks",
            "labels": {
                "app.kubernetes.io/managed-by": "cuo-companion",
                "companion.cuo.coreos.com/hook": "silence",
            },
            "annotations": {
                "companion.cuo.coreos.com/node": "n1",
                "companion.cuo.coreos.com/grant": "17-07070707",
            },
        },
        "spec": {
            "activeDeadlineSeconds": 300,
            "backoffLimit": 2,
            "ttlSecondsAfterFinished": 3600,
            "template": { "spec": {
                "containers": [{ "name": "c", "image": "i", "env": told }],
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
            } },
        },
    });
    assert_eq!(made, expected);
}

#[test]
fn each_node_and_grant_has_a_name_of_its_own() {
    let hook = hook(json!({ "name": "a".repeat(40) }));
    let nodes = ["n1", "n2"].map(|node| node.parse().unwrap());
    let names = nodes
        .iter()
        .flat_map(|node| ["1-07070707", "2-07070707"].map(|grant| name(&hook.name, node, grant)));
    let names: std::collections::BTreeSet<_> = names.collect();
    assert!(
        names.len() == 4 && names.iter().all(|name| name.len() <= 63),
        "{names:?}"
    );
}

#[test]
fn how_far_a_job_is_is_in_its_conditions() {
    let read = |value: Value| Job::from(serde_json::from_value::<WireJob>(value).unwrap());
    let meta =
        json!({ "name": "j", "labels": { "app.kubernetes.io/managed-by": "cuo-companion" } });
    let condition = |kind: &str, status: &str| json!([{ "type": kind, "status": status }]);
    let table = [
        (json!({}), State::Running),
        (
            json!({ "conditions": condition("Suspended", "True") }),
            State::Running,
        ),
        (
            json!({ "conditions": condition("Complete", "False") }),
            State::Running,
        ),
        (
            json!({ "conditions": condition("Complete", "True") }),
            State::Complete,
        ),
        (
            json!({ "conditions": condition("Failed", "True") }),
            State::Failed,
        ),
    ];
    for (status, state) in table {
        let found = read(json!({ "metadata": meta, "status": status }));
        let expected = Job {
            name: "j".into(),
            state,
            deleting: false,
            ours: true,
        };
        assert_eq!(found, expected);
    }
    let foreign =
        read(json!({ "metadata": { "name": "j", "deletionTimestamp": "2026-11-23T21:00:00Z" } }));
    assert_eq!((foreign.ours, foreign.deleting), (false, true));
}
