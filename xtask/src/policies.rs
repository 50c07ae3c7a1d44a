//! The lists of keys in the admission policies of `deploy`, as CEL in YAML.

use std::fmt::Write;

use cuo_core::keys::{self, Key, Writer};

/// What a key is used as.
type Kind = fn(&Key) -> bool;

/// The condition that somebody who is no node changes a key of the operator. `matchConditions` can't use variables, so it has the lists in
/// itself; and it is one, since the API server works out all that there are.
pub fn an_operators_key_changes() -> String {
    let changes = |kind: &str, names: Vec<&str>| {
        let (now, before) = ("object.?metadata", "oldObject.?metadata");
        let list = list(&names, "    ");
        format!("{list}.exists(key,\n      {now}.?{kind}[?key] != {before}.?{kind}[?key])")
    };
    let annotations = changes(
        "annotations",
        written_by(Writer::Operator, Key::is_annotation),
    );
    let labels = changes("labels", written_by(Writer::Operator, Key::is_label));
    format!(
        "- name: somebody-else-changes-a-key-of-the-operator\n  expression: |-\n    !('system:nodes' in request.userInfo.?groups.orValue([]))\n    \
         && ({annotations}\n    || {labels})\n"
    )
}

/// Variables with the operator's keys, and those that anybody may remove.
pub fn operators_keys() -> String {
    let (annotations, labels): (Kind, Kind) = (Key::is_annotation, Key::is_label);
    variable(
        "operatorAnnotations",
        &written_by(Writer::Operator, annotations),
    ) + &variable("operatorLabels", &written_by(Writer::Operator, labels))
        + &variable("revocable", keys::REVOCABLE)
}

/// Variables with the agent's keys.
pub fn agents_keys() -> String {
    variable(
        "agentAnnotations",
        &written_by(Writer::Agent, Key::is_annotation),
    ) + &variable("agentLabels", &written_by(Writer::Agent, Key::is_label))
        + &variable("growing", keys::GROWING)
}

/// The same, and what a node may bring along.
pub fn nodes_keys() -> String {
    agents_keys() + &variable("brought", keys::BROUGHT)
}

fn written_by(writer: Writer, kind: Kind) -> Vec<&'static str> {
    let keys = keys::TABLE.iter();
    let keys = keys.filter(|key| key.writer == writer && kind(key));
    keys.map(|key| key.name).collect()
}

fn variable(name: &str, names: &[&str]) -> String {
    format!(
        "- name: {name}\n  expression: >-\n    {}\n",
        list(names, "    ")
    )
}

/// A list with a line for each of its texts, so that a new one is one more line.
fn list(names: &[&str], indent: &str) -> String {
    let mut text = "[".to_owned();
    for (index, name) in names.iter().enumerate() {
        let _ = match index {
            0 => write!(text, "'{name}'"),
            _ => write!(text, ",\n{indent}'{name}'"),
        };
    }
    text + "]"
}

#[cfg(test)]
mod tests;
