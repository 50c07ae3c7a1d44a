//! Programs of others that tests run, built from crates at pinned versions, once, into the lab's cache.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cache;
use crate::process::cargo;

/// A program of a crate of the same name.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// The crate's version, with the lock file that it was published with.
    pub version: &'static str,
}

/// Checks licences, sources and versions of dependencies.
pub const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};

const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// The program's path, built if it is not there; `progress` gets a line at least every ten seconds meanwhile. Several processes may call
/// this at the same time.
///
/// # Errors
/// When it can't be built; the error names its log.
pub async fn built(tool: Tool, progress: impl Fn(&str)) -> Result<PathBuf> {
    let Tool { name, version } = tool;
    let cache = cache::folder()?;
    let entry = format!(
        "{name}-{}",
        cache::key([name, version, std::env::consts::ARCH])
    );
    let published = cache.join(&entry);
    let program = published.join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    let lock = cache.join(format!("{entry}.lock"));
    let _held = cache::locked(&lock, name, DEADLINE, &progress).await?;
    if program.is_file() {
        return Ok(program);
    }
    // cargo continues with what a killed build left here.
    let partial = cache.join(format!("{entry}.partial"));
    let log = cache.join(format!("{entry}.log"));
    progress(&format!(
        "building {name} {version} once, some minutes on two cores; log: {}",
        log.display()
    ));
    let mut install = cargo();
    install
        .args([
            "install",
            "--locked",
            "--no-track",
            "--force",
            name,
            "--version",
        ])
        .arg(format!("={version}"))
        .arg("--root")
        .arg(&partial)
        .arg("--target-dir")
        .arg(partial.join("target"));
    cache::run_told(&mut install, name, &log, DEADLINE, &progress).await?;
    fs::remove_dir_all(partial.join("target"))
        .with_context(|| format!("remove what {name} was built from"))?;
    fs::rename(&partial, &published)
        .with_context(|| format!("publish {name} as {}", published.display()))?;
    Ok(program)
}
