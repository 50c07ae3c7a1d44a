//! `CustomResourceDefinition`s, as `deploy/operator.yaml` carries them.

use cuo_cluster::paths::{GROUP, VERSION};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// What a definition says of a resource.
pub(crate) struct Resource<'a> {
    /// Its kind.
    pub kind: &'a str,
    /// Its name in paths.
    pub plural: &'a str,
    /// Its short names for `kubectl`.
    pub short: &'a [&'a str],
    /// What it is for, as one sentence.
    pub means: &'a str,
}

impl Resource<'_> {
    /// The whole definition, with these columns for `kubectl get`, the schema of `spec`, and the one of `status` where there is one.
    pub fn definition(&self, columns: &[Value], spec: Value, status: Option<Value>) -> Value {
        let mut names = json!({
            "kind": self.kind,
            "listKind": format!("{}List", self.kind),
            "plural": self.plural,
            "singular": self.kind.to_lowercase(),
        });
        if !self.short.is_empty() {
            names["shortNames"] = json!(self.short);
        }
        let mut version = json!({
            "name": VERSION,
            "served": true,
            "storage": true,
            "additionalPrinterColumns": columns,
            "schema": { "openAPIV3Schema": {
                "description": self.means,
                "type": "object",
                "required": ["spec"],
                "properties": { "spec": spec },
            }},
        });
        if let Some(status) = status {
            version["subresources"] = json!({ "status": {} });
            version["schema"]["openAPIV3Schema"]["properties"]["status"] = status;
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{}.{GROUP}", self.plural),
                "labels": { "app.kubernetes.io/name": "cuo-operator" },
            },
            "spec": {
                "group": GROUP,
                "names": names,
                "scope": "Cluster",
                "versions": [version],
            },
        })
    }
}

/// A column of `kubectl get`.
pub(crate) fn column(name: &str, kind: &str, path: &str) -> Value {
    json!({ "name": name, "type": kind, "jsonPath": path })
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
