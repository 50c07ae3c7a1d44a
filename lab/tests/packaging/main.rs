//! What is installed on a host: units, rules of polkit, and the RPM that has them.

// Marked as tests, because their functions that are none may fail loudly too.
#[cfg(test)]
mod catalog;
#[cfg(test)]
mod polkit;
#[cfg(test)]
mod rpm;
mod tool;
#[cfg(test)]
mod units;

use std::path::{Path, PathBuf};
use std::process::Command;

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
