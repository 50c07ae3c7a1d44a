use serde_json::json;

use super::*;

fn hook(more: Value) -> Hook {
    let mut hook = json!({
        "name": "silence", "at": "beforeDrain", "timeout": "5m", "retries": 2,
        "template": { "spec": { "containers": [{ "name": "c", "image": "i", "env": [
            { "name": "CUO_NODE", "value": "other" }, { "name": "A", "value": "$(CUO_NODE)" },
        ] }] } },
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
    // Its own variables may refer to what it is told, and do not take its place.
    let told = json!([
        { "name": "CUO_NODE", "value": "n1" },
        { "name": "CUO_GRANT", "value": "17-07070707" },
        { "name": "CUO_MOMENT", "value": "beforeDrain" },
        { "name": "A", "value": "$(CUO_NODE)" },
    ]);
    let expected = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": Purpose::new(&hook(json!({})), &node, "17-07070707").job(),
            "namespace": "cuo-hooks",
            "labels": {
                "app.kubernetes.io/managed-by": "cuo-companion",
                "companion.cuo.coreos.com/hook": "silence",
                "companion.cuo.coreos.com/moment": "beforeDrain",
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
fn each_moment_node_and_grant_has_a_name_of_its_own() {
    let mut names = std::collections::BTreeSet::new();
    for at in ["beforeDrain", "afterReboot", "onFailure"] {
        let hook = hook(json!({ "name": "a".repeat(40), "at": at }));
        for node in ["n1", "n2"] {
            let node = node.parse().unwrap();
            for grant in ["1-07070707", "2-07070707"] {
                names.insert(Purpose::new(&hook, &node, grant).job());
            }
        }
    }
    assert!(
        names.len() == 12 && names.iter().all(|name| name.len() <= 63),
        "{names:?}"
    );
}

#[test]
fn what_was_made_says_what_it_is_for() {
    let hook = hook(json!({ "at": "onFailure" }));
    let node = "n1".parse().unwrap();
    let made = manifest(&hook, &node, "17-07070707");
    let purpose = |change: &dyn Fn(&mut Value)| {
        let mut made = made.clone();
        change(&mut made["metadata"]);
        Job::from(serde_json::from_value::<WireJob>(made).unwrap()).purpose
    };
    let expected = Purpose::new(&hook, &node, "17-07070707");
    assert_eq!(purpose(&|_| {}), Some(expected));
    let wrong: [&dyn Fn(&mut Value); 4] = [
        &|meta| meta["labels"]["app.kubernetes.io/managed-by"] = "helm".into(),
        &|meta| meta["labels"]["companion.cuo.coreos.com/moment"] = "later".into(),
        &|meta| meta["labels"] = json!({}),
        &|meta| meta["annotations"] = json!({}),
    ];
    for change in wrong {
        assert_eq!(purpose(change), None);
    }
}

#[test]
fn how_far_a_job_is_is_in_its_conditions() {
    let read = |value: Value| Job::from(serde_json::from_value::<WireJob>(value).unwrap());
    let meta = json!({ "name": "j", "uid": "u" });
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
            uid: "u".into(),
            state,
            deleting: false,
            purpose: None,
        };
        assert_eq!(found, expected);
    }
    let going =
        read(json!({ "metadata": { "name": "j", "deletionTimestamp": "2026-11-23T21:00:00Z" } }));
    assert!(going.deleting);
}
