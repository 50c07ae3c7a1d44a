use serde_json::json;

use super::*;

fn expression(text: &str) -> Expression {
    serde_json::from_value(json!(text)).unwrap()
}

#[test]
fn conditions_are_those_that_kubernetes_has() {
    let object = json!({
        "metadata": {"name": "a", "labels": {"zone": "b"}},
        "spec": {"replicas": 3},
        "status": {
            "ready": 2.0, "health": "HEALTH_OK", "readyReplicas": 3,
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Full", "status": "False"}],
        },
    });
    let table = [
        (r#"object.status.health == "HEALTH_OK""#, true),
        ("object.spec.replicas == object.status.readyReplicas", true),
        (
            "object.spec.replicas == 3 && object.spec.replicas > 2",
            true,
        ),
        ("object.status.ready < 3.0", true),
        ("has(object.status.paused)", false),
        ("!has(object.status.paused) || !object.status.paused", true),
        (
            r#"object.status.conditions.exists(c, c.type == "Ready" && c.status == "True")"#,
            true,
        ),
        (
            r#"object.status.conditions.all(c, c.status == "True")"#,
            false,
        ),
        (
            r#"object.metadata.name.startsWith("a") && "zone" in object.metadata.labels"#,
            true,
        ),
        (r#"object.status.health.matches("^HEALTH_")"#, true),
        (
            r#"object.status.health in ["HEALTH_OK", "HEALTH_WARN"]"#,
            true,
        ),
    ];
    for (text, holds) in table {
        assert_eq!(expression(text).holds(&object), Ok(holds), "{text}");
    }
}

#[test]
fn what_can_not_be_said_is_an_error() {
    let object = json!({"status": {"health": "HEALTH_OK"}});
    let table = [
        ("object.status.phase == 'Ready'", "No such key: phase"),
        (
            "object.status.health",
            "it gives String, and not true or false",
        ),
    ];
    for (text, why) in table {
        assert_eq!(
            expression(text).holds(&object),
            Err(why.to_owned()),
            "{text}"
        );
    }
}
