//! What is installed on a host: units, rules of polkit, and the RPM that has them. Also the repository's files that no program reads: alerts,
//! workflows and pages agree with the code and with each other.

// Marked as tests, because their functions that are none may fail loudly too.
#[cfg(test)]
mod catalog;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod polkit;
#[cfg(test)]
mod queries;
#[cfg(test)]
mod rpm;
mod tool;
#[cfg(test)]
mod units;
#[cfg(test)]
mod workflows;

use std::path::{Path, PathBuf};
use std::process::Command;

#[cfg(test)]
use serde_json::Value;

/// The repository's root.
fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// What a program said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    success: bool,
    stdout: String,
    stderr: String,
}

/// Runs `command` to its end; one that can't be started has failed, too.
fn said(command: &mut Command) -> Said {
    match command.output() {
        Ok(output) => Said {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        },
        Err(error) => Said {
            success: false,
            stdout: String::new(),
            stderr: format!("{command:?}: {error}"),
        },
    }
}

/// A file of the repository.
#[cfg(test)]
fn text(path: &str) -> String {
    std::fs::read_to_string(repository().join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML file of the repository.
#[cfg(test)]
fn yaml(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in a folder of the repository, in order.
#[cfg(test)]
fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(repository().join(folder));
    let entries = entries.unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
