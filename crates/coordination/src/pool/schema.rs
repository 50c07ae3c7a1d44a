//! The `CustomResourceDefinition`, as `deploy/operator.yaml` carries it, and the fields for the documentation.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::{GROUP, KIND, PLURAL, PoolSpec, PoolStatus, SHORT, VERSION};

/// A column of `kubectl get updatepools`.
pub(crate) fn column(name: &str, kind: &str, path: &str) -> Value {
    json!({ "name": name, "type": kind, "jsonPath": path })
}

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
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{PLURAL}.{GROUP}"),
            "labels": { "app.kubernetes.io/name": "cuo-operator" },
        },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": format!("{KIND}List"),
                "plural": PLURAL,
                "singular": KIND.to_lowercase(),
                "shortNames": [SHORT],
            },
            "scope": "Cluster",
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns(),
                "schema": { "openAPIV3Schema": {
                    "description": "What an administrator asks for the updates of some nodes.",
                    "type": "object",
                    "required": ["spec"],
                    "properties": {
                        "spec": spec(),
                        "status": structural::<PoolStatus>(),
                    },
                }},
            }],
        },
    })
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

/// The schema of `T` in the form that a definition takes: nothing is referred to, nothing is `null`, and no field is forbidden.
pub(crate) fn structural<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    let mut schema: Schema = settings.into_generator().into_root_schema_for::<T>();
    let object = schema.ensure_object();
    for key in ["$schema", "title", "components", "definitions"] {
        object.remove(key);
    }
    let mut schema = schema.to_value();
    tidy(&mut schema);
    schema
}

fn tidy(schema: &mut Value) {
    let Value::Object(object) = schema else {
        return;
    };
    merge_choices(object);
    object.remove("nullable");
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    // Unknown fields are dropped by the API server, or refused where the client asks for it, as kubectl does.
    if object.get("additionalProperties") == Some(&Value::Bool(false)) {
        object.remove("additionalProperties");
    }
    if object
        .get("default")
        .is_some_and(|value| value.is_null() || value.is_array() || value.is_object())
    {
        object.remove("default");
    }
    // The API server warns of formats that it does not know.
    if object.get("format").is_some_and(|format| {
        format
            .as_str()
            .is_some_and(|format| format.starts_with("uint"))
    }) {
        object.remove("format");
    }
    for key in ["properties", "items"] {
        match object.get_mut(key) {
            Some(Value::Object(fields)) if key == "properties" => {
                fields.values_mut().for_each(tidy)
            }
            Some(items) => tidy(items),
            None => {}
        }
    }
}

/// One of several words, each with a description, becomes a list of words and one description.
fn merge_choices(object: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = object.remove("oneOf") else {
        return;
    };
    let words: Vec<_> = choices.iter().map(word).collect();
    let mut text = object
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    for (choice, word) in choices.iter().zip(&words) {
        let means = choice["description"].as_str().unwrap_or_default();
        text.push_str(&format!(
            " `{}`: {means}",
            word.as_str().unwrap_or_default()
        ));
    }
    object.insert("description".to_owned(), text.into());
    object.insert("type".to_owned(), "string".into());
    object.insert("enum".to_owned(), Value::Array(words));
}

fn word(choice: &Value) -> Value {
    match &choice["const"] {
        Value::Null => choice["enum"][0].clone(),
        word => word.clone(),
    }
}
