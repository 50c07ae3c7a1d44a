//! What is linked into a program, in the format of CycloneDX 1.6.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::root;

/// Between the parts of a line of `cargo tree`; no version or licence has it.
const BETWEEN: char = '|';

/// The list for `program`. It has neither a time nor a number of its own: the same sources give the same list.
pub fn of(program: &str) -> Result<String> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["tree", "--offline", "--locked", "--package", program])
        .args(["--edges", "no-build,no-dev,no-proc-macro", "--no-dedupe"])
        .args(["--prefix", "none", "--format", "{p}|{l}"])
        .current_dir(root());
    let output = cargo.output().context("run cargo tree")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree of {program}: {error}");
    let text = String::from_utf8(output.stdout).context("what cargo tree says")?;
    let document = document(program, &text)?;
    Ok(serde_json::to_string_pretty(&document).context("a list of parts")? + "\n")
}

fn document(program: &str, tree: &str) -> Result<Value> {
    let lines: BTreeSet<_> = tree.lines().collect();
    let parts = lines.into_iter().map(|line| part(program, line));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let (own, others): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| part["name"] == program);
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": own.first() },
        "components": others,
    }))
}

/// A line such as `serde v1.0.229|MIT OR Apache-2.0`; crates of the workspace have a path in it, too.
fn part(program: &str, line: &str) -> Result<Value> {
    let (package, licence) = line
        .split_once(BETWEEN)
        .with_context(|| format!("an unexpected line of cargo tree: {line:?}"))?;
    let mut words = package.split_whitespace();
    let (name, version) = (words.next(), words.next());
    let name = name.with_context(|| format!("a line without a name: {line:?}"))?;
    let version = version.unwrap_or_default().trim_start_matches('v');
    // Some crates write it as it was done before SPDX.
    let licence = licence.trim().replace('/', " OR ");
    let kind = if name == program {
        "application"
    } else {
        "library"
    };
    Ok(json!({
        "type": kind,
        "bom-ref": format!("pkg:cargo/{name}@{version}"),
        "name": name,
        "version": version,
        "purl": format!("pkg:cargo/{name}@{version}"),
        "licenses": [{ "expression": licence }],
    }))
}

#[cfg(test)]
mod tests;
