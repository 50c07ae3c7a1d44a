//! The `CustomResourceDefinition`, as `deploy/operator.yaml` carries it, and the fields for the documentation.

use serde_json::Value;

use super::{KIND, PLURAL, PoolSpec, PoolStatus, SHORT};
use crate::definition::{Resource, column, structural};

/// Fields without a default in the definition. The API server writes defaults into every pool, also into those that say nothing of the
/// field, and the release before this one, which does not know these, takes such a pool for invalid. Once that release is no longer
/// supported, they may have theirs.
const UNKNOWN_BEFORE: &[&str] = &[
    "/properties/cordoned",
    "/properties/drain/properties/mode",
    "/properties/drain/properties/preflight",
    "/properties/release/properties/allowDowngrade",
];

/// The schema of `spec` in the definition.
fn spec() -> Value {
    let mut spec = structural::<PoolSpec>();
    for field in UNKNOWN_BEFORE {
        let field = spec.pointer_mut(field).and_then(Value::as_object_mut);
        field.and_then(|field| field.remove("default"));
    }
    spec
}

/// What `kubectl get updatepools` prints.
fn columns() -> [Value; 11] {
    [
        column("Max unavailable", "string", ".spec.maxUnavailable"),
        column("Nodes", "integer", ".status.nodes.total"),
        column("Up to date", "integer", ".status.nodes.upToDate"),
        column("Rebooting", "integer", ".status.nodes.rebooting"),
        column("Unavailable", "integer", ".status.nodes.unavailable"),
        column("Paused", "boolean", ".spec.paused"),
        column("Candidate", "string", ".status.release.candidate.version"),
        column("Promoted", "string", ".status.release.promoted.version"),
        column("Next window", "string", ".status.nextWindow"),
        column(
            "Reason",
            "string",
            ".status.conditions[?(@.type==\"Held\")].reason",
        ),
        column("Age", "date", ".metadata.creationTimestamp"),
    ]
}

/// The whole definition.
pub fn definition() -> Value {
    let resource = Resource {
        kind: KIND,
        plural: PLURAL,
        short: &[SHORT],
        means: "What an administrator asks for the updates of some nodes.",
    };
    let status = structural::<PoolStatus>();
    resource.definition(&columns(), spec(), Some(status))
}

/// The fields of `spec`, each with its path, kind, default and meaning, in the order of the types.
pub fn fields() -> Vec<[String; 4]> {
    let mut rows = Vec::new();
    walk(&structural::<PoolSpec>(), "", &mut rows);
    rows
}

fn walk(schema: &Value, path: &str, rows: &mut Vec<[String; 4]>) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    for (name, field) in properties {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let items = &field["items"];
        let (inner, path) = if items.is_object() {
            (items, format!("{path}[]"))
        } else {
            (field, path)
        };
        let kind = match (&field["type"], &inner["type"]) {
            (Value::Null, _) => "number or share".to_owned(),
            (Value::String(list), Value::String(each)) if list == "array" => {
                format!("list of {each}s")
            }
            (Value::String(kind), _) => kind.clone(),
            _ => String::new(),
        };
        let texts = |value: &Value| value["description"].as_str().unwrap_or_default().to_owned();
        let default = match &field["default"] {
            Value::Null => String::new(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        rows.push([path.clone(), kind, default, texts(field)]);
        // A selector is the same everywhere.
        if inner["properties"]["matchLabels"].is_null() {
            walk(inner, &path, rows);
        }
    }
}
