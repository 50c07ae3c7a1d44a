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

#[test]
fn no_error_shows_a_value_of_the_object() {
    let object = json!({
        "data": {"password": "hunter2hunter2", "map": {}, "list": [], "zero": 0, "number": 7071},
    });
    let table = [
        ("object.data.map[object.data.password] == 1", "No such key"),
        ("object.data.map.missing == 1", "No such key: missing"),
        (
            "object.data.number / object.data.zero == 1",
            "division by zero",
        ),
        (
            "object.data.list[object.data.number] == 1",
            "index out of bounds",
        ),
    ];
    for (text, why) in table {
        assert_eq!(
            expression(text).holds(&object),
            Err(why.to_owned()),
            "{text}"
        );
    }
    let more = [
        "object.data.password < 3",
        "object.data.password - object.data.map == 1",
        "object.data.number * 9223372036854775807 == 1",
        "object.data.number.startsWith('a')",
        "object.data.map[object.data.list] == 1",
        "object.data.number.all(c, c)",
        "int(object.data.password) == 1",
        "'a'.matches(object.data.password + '(')",
        "object.data.password",
        "-object.data.password == 1",
        "object.data.password ? true : false",
    ];
    for text in more {
        let said = expression(text).holds(&object).unwrap_err();
        assert!(
            !said.contains("hunter2") && !said.contains("7071") && !said.is_empty(),
            "{text}: {said}"
        );
    }
}
