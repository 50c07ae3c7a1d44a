use serde_json::json;

use super::*;
use crate::gate::gate;

#[test]
fn who_writes_a_gate_knows_its_version_and_whose_it_is() {
    let read = |object: Value| WireNamed::deserialize(object).unwrap().parsed(gate);
    let labels = json!({"app.kubernetes.io/managed-by": "cuo-companion"});
    let whole = json!({
        "metadata": {"name": "g", "resourceVersion": "7", "labels": labels},
        "spec": {"open": true},
    });
    let expected = Named {
        name: "g".into(),
        version: "7".into(),
        labels: BTreeMap::from([(
            "app.kubernetes.io/managed-by".into(),
            "cuo-companion".into(),
        )]),
        found: gate("g", &json!({"open": true})),
    };
    assert_eq!(read(whole), expected);
    let bare = read(json!({"metadata": {"name": "g"}}));
    let expected = Named {
        name: "g".into(),
        version: String::new(),
        labels: BTreeMap::new(),
        found: gate("g", &Value::Null),
    };
    assert_eq!(bare, expected);
}
