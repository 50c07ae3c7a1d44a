//! What the chart and the kustomizations have of other files: objects of the manifests as they are there, and the operator's flags.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use clap::{ArgAction, CommandFactory};
use cuo_operator::config::Config;

use crate::root;

const OPERATOR: &str = "deploy/operator.yaml";
const IDENTITY: &str = "deploy/agent-identity.yaml";
/// Between two objects of a manifest.
const BETWEEN: &str = "\n---\n";
/// As wide as the other comments in the values.
const WIDTH: usize = 138;

/// The chart's file for objects of a kind; `None` for those that it has templates of.
fn file(kind: &str) -> Result<Option<&'static str>> {
    Ok(Some(match kind {
        "Namespace" => "namespace",
        "ValidatingAdmissionPolicy" | "ValidatingAdmissionPolicyBinding" => "policies",
        "CustomResourceDefinition" => "crds",
        "ServiceAccount" | "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding" => "rbac",
        "PodDisruptionBudget" => "disruption",
        "NetworkPolicy" | "Deployment" => return Ok(None),
        other => anyhow::bail!("{OPERATOR}: the chart has no place for a {other}"),
    }))
}

/// Files that are printed as a whole.
pub fn files() -> Result<Vec<(String, String)>> {
    let operator = read(OPERATOR)?;
    let identity = read(IDENTITY)?;
    let objects = split(&operator)?;
    let objects = objects
        .into_iter()
        .map(|(name, text)| (format!("charts/cuo/files/{name}.yaml"), text));
    let copies = [
        "charts/cuo/files/agent-identity.yaml",
        "deploy/agent-identity/agent-identity.yaml",
    ];
    let copies = copies.map(|path| (path.to_owned(), head(IDENTITY) + &identity));
    Ok(objects.chain(copies).collect())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| format!("read {path}"))
}

fn head(source: &str) -> String {
    format!("# Printed from {source} by `cargo xtask codegen`: change that file, not this one.\n")
}

/// The objects of the manifest by the chart's files, in their order and as they are.
fn split(manifest: &str) -> Result<BTreeMap<&'static str, String>> {
    // The manifest begins with a comment about all of it.
    let (_, objects) = manifest
        .split_once("\n\n")
        .with_context(|| format!("{OPERATOR} has no first comment"))?;
    let mut files: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for object in objects.split(BETWEEN) {
        let kind = object.lines().find_map(|line| line.strip_prefix("kind: "));
        let kind = kind.with_context(|| format!("{OPERATOR} has an object without a kind"))?;
        if let Some(file) = file(kind)? {
            let text = format!("{}\n", object.trim_end_matches('\n'));
            files.entry(file).or_default().push(text);
        }
    }
    let whole = |objects: Vec<String>| head(OPERATOR) + &objects.join("---\n");
    Ok(files
        .into_iter()
        .map(|(name, objects)| (name, whole(objects)))
        .collect())
}

/// The operator's flags as values, each with what it means. Those that come from the pod itself are left out.
pub fn flags() -> String {
    let command = Config::command();
    let flags = command
        .get_arguments()
        .filter(|arg| arg.get_env().is_some());
    let mut text = String::new();
    for flag in flags {
        let long = flag.get_long().unwrap_or_default();
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
        let defaults = flag.get_default_values().iter();
        let default = defaults.map(|value| format!(" Default: {}.", value.display()));
        let told = format!("--{long}: {help}.{}", default.collect::<String>());
        for line in wrapped(&told) {
            text += &format!("# {line}\n");
        }
        let many = flag.get_value_delimiter().is_some();
        let value = match (flag.get_action(), many) {
            (ArgAction::SetTrue, _) => "false",
            (_, true) => "[]",
            (_, false) => "null",
        };
        text += &format!("{}: {value}\n", camel(long));
    }
    text
}

/// `a-b` as `aB`.
fn camel(name: &str) -> String {
    let mut words = name.split('-');
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(word.len().min(1));
        text += &first.to_uppercase();
        text += rest;
    }
    text
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, String::len);
        match lines.last_mut() {
            Some(last) if line == 0 => last.push_str(word),
            Some(last) if line + 1 + word.len() <= WIDTH => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests;
