//! What the API server itself checks: schemas whose rules can't be derived from a type, each with a message that says what is expected.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// One rule in CEL.
fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}

/// A text of at most `longest` characters that keeps this rule; without a limit the API server has to take it for costly.
fn text(longest: u32, condition: &str, message: &str) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": longest,
        "x-kubernetes-validations": [rule(condition, message)],
    })
}

/// `texts`, at most `most` of them.
fn list(most: u32, texts: Schema) -> Schema {
    json_schema!({ "type": "array", "maxItems": most, "items": texts })
}

const LENGTH: &str = "self.matches('^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?$') && size(self) > 0 \
                      && duration(self) <= duration('168h')";

/// A length of time that is not nothing.
pub(super) fn length(_: &mut SchemaGenerator) -> Schema {
    text(
        20,
        &format!("{LENGTH} && duration(self) >= duration('1s')"),
        "expected a length of time from 1s to 168h, such as 90s, 10m or 1h30m",
    )
}

/// A length of time that may be nothing.
pub(super) fn length_or_nothing(_: &mut SchemaGenerator) -> Schema {
    text(
        20,
        LENGTH,
        "expected a length of time from 0s to 168h, such as 90s, 10m or 1h30m",
    )
}

pub(super) fn start(_: &mut SchemaGenerator) -> Schema {
    text(
        5,
        "self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')",
        "expected a time of the day as HH:MM, such as 22:00",
    )
}

/// Whether there is such a zone is for the operator to say.
pub(super) fn time_zone(_: &mut SchemaGenerator) -> Schema {
    text(
        64,
        "self.matches('^[A-Za-z][A-Za-z0-9_+/-]*$')",
        "expected the IANA name of a time zone, such as Europe/Berlin or UTC",
    )
}

/// The API server knows which days there are.
pub(super) fn date(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date" })
}

/// A moment, as everywhere in Kubernetes.
pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

pub(super) fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int32", "minimum": 1, "maximum": 100_000 })
}

pub(super) fn max_unavailable(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "x-kubernetes-validations": [rule(
            "type(self) == int ? self >= 0 && self <= 100000 : self.matches('^(100|[1-9]?[0-9])%$')",
            "expected a number of nodes, 0 or more, or a share from \"0%\" to \"100%\"",
        )],
    })
}

const LABEL: &str =
    "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";

const LABEL_NAME: &str = "expected the name of a label, such as topology.kubernetes.io/zone";

pub(super) fn label(_: &mut SchemaGenerator) -> Schema {
    text(317, &format!("self.matches('{LABEL}')"), LABEL_NAME)
}

/// Anything else is the value of no label, and selects nothing.
fn label_value() -> Schema {
    text(
        63,
        "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
        "expected the value of a label: letters, digits, '-', '_' and '.', with a letter or digit at both ends",
    )
}

pub(super) fn checks(_: &mut SchemaGenerator) -> Schema {
    let name = json_schema!({
        "type": "string",
        "maxLength": 317,
        "x-kubernetes-validations": [
            rule(&format!("self.matches('{LABEL}')"), "expected the name of an annotation, such as example.com/backup-done"),
            rule("!self.startsWith('cuo.coreos.com/')", "names that begin with cuo.coreos.com/ are CUO's own"),
        ],
    });
    list(16, name)
}

pub(super) fn gates(_: &mut SchemaGenerator) -> Schema {
    let name = text(
        253,
        "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        "expected the name of an UpdateGate",
    );
    list(16, name)
}

pub(super) fn namespaces(_: &mut SchemaGenerator) -> Schema {
    let name = text(
        63,
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "expected the name of a namespace",
    );
    list(64, name)
}

pub(super) fn identity(_: &mut SchemaGenerator) -> Schema {
    text(
        71,
        "self.matches('^(sha256:)?[0-9a-f]{64}$')",
        "expected 64 lower-case hexadecimal digits, with sha256: before the digest of an image",
    )
}

pub(super) fn commit(_: &mut SchemaGenerator) -> Schema {
    text(
        64,
        "self.matches('^[0-9a-f]{64}$')",
        "expected 64 lower-case hexadecimal digits",
    )
}

const IMAGE: &str = "^[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|@sha256:[0-9a-f]{64})$";

pub(super) fn image(_: &mut SchemaGenerator) -> Schema {
    text(
        512,
        &format!("self.matches('{IMAGE}')"),
        "expected an image with its registry and a tag or digest, such as quay.io/example/os:stable or quay.io/example/os@sha256:…",
    )
}

/// A label selector for Nodes. Agents write labels of the protocol, and must not choose their pools by them.
pub(super) fn node_selector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = selector(generator);
    let own = "names that begin with cuo.coreos.com/ are CUO's own, and no pool selects by them";
    let rules = [
        rule(
            "!has(self.matchLabels) || self.matchLabels.all(key, !key.startsWith('cuo.coreos.com/'))",
            own,
        ),
        rule(
            "!has(self.matchExpressions) || self.matchExpressions.all(demand, !demand.key.startsWith('cuo.coreos.com/'))",
            own,
        ),
    ];
    schema.insert("x-kubernetes-validations".to_owned(), json!(rules));
    schema
}

/// A label selector as everywhere in Kubernetes.
pub(super) fn selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "description": "Labels that have to have these values.",
                "type": "object",
                "maxProperties": 32,
                "additionalProperties": label_value(),
                "x-kubernetes-validations": [rule(
                    &format!("self.all(key, key.matches('{LABEL}'))"),
                    LABEL_NAME,
                )],
            },
            "matchExpressions": {
                "description": "Further demands, all of which have to hold.",
                "type": "array",
                "maxItems": 16,
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": label(&mut SchemaGenerator::default()),
                        "operator": { "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"] },
                        "values": {
                            "type": "array",
                            "maxItems": 64,
                            "items": label_value(),
                        },
                    },
                    "x-kubernetes-validations": [rule(
                        "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                        "In and NotIn take at least one of `values`, Exists and DoesNotExist none",
                    )],
                },
            },
        },
    })
}
