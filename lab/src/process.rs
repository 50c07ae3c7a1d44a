//! Children that can't outlive the bench.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

/// A command whose process gets SIGKILL when the thread that spawned it ends, and when its [`Child`] is dropped.
///
/// `setpriv` is used because asking for a parent-death signal in this process would need unsafe code. Spawn from a thread that
/// lives as long as the test (a runtime's own thread, never `spawn_blocking`).
pub fn bound(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Cargo, [`bound`], as if it were started from a shell.
///
/// What cargo tells a program that it runs about that program's own package would make build scripts (ring's, for one) run again, and
/// everything above them would be compiled anew, twice each time.
pub fn cargo() -> Command {
    let mut cargo = bound(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Sends both outputs of `command` to the end of the file `log`, and starts it.
///
/// # Errors
/// When the log can't be opened or the program can't be started; both are named.
pub fn spawn_logged(command: &mut Command, log: &Path) -> Result<Child> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("open log {}", log.display()))?;
    let second = file.try_clone().context("second handle of the log")?;
    command
        .stdout(Stdio::from(file))
        .stderr(Stdio::from(second))
        .spawn()
        .with_context(|| format!("start {:?}", command.as_std()))
}

/// The last lines of a log, for an error.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 12;
    match fs::read(log) {
        Ok(text) => {
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        }
        Err(error) => format!("(can't be read: {error})"),
    }
}
