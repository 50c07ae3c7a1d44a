//! The release before this one: its agent, its operator and what that one is deployed with, made once from the repository's own history.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::cache;
use crate::process::{bound, cargo};

/// The commit that counts as the release before this one: no release has a tag yet, and this is the last one whose agents announce no
/// features. A later tag takes its place.
pub const COMMIT: &str = "82a535d018c1fa5ef3fabb0b36f932fbfcbae5ba";
/// Tests hold programs at steps that only builds with debug assertions have.
const PROFILE: &str = "dev";
/// It took 2 minutes on two idle cores; a machine that needs longer than this is not usable for the lab.
const DEADLINE: Duration = Duration::from_secs(3600);
const AGENT: &str = "cuo-agent";
const OPERATOR: &str = "cuo-operator";
const MANIFEST: &str = "operator.yaml";

/// Where that release is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previous {
    /// `cuo-agent`.
    pub agent: PathBuf,
    /// `cuo-operator`.
    pub operator: PathBuf,
    /// `deploy/operator.yaml`.
    pub manifest: PathBuf,
}

/// Whether it is there or can be made.
///
/// # Errors
/// Says why not: the repository was cloned without its history, or is none.
pub async fn possible() -> Result<()> {
    if published().await?.is_dir() {
        return Ok(());
    }
    let object = format!("{COMMIT}^{{commit}}");
    let asked = git(&["cat-file", "-e", &object]).output().await;
    let asked = asked.context("run git, which the release before this one is taken from")?;
    ensure!(
        asked.status.success(),
        "the repository lacks the commit {COMMIT}, the release before this one: `git fetch --unshallow` brings it ({})",
        String::from_utf8_lossy(&asked.stderr).trim()
    );
    Ok(())
}

/// Finds the release, and builds it if it is not there; `progress` gets a line at least every ten seconds meanwhile.
///
/// It is kept in the lab's cache; several processes may call this at the same time, and one builds.
///
/// # Errors
/// As [`possible`], and when the build fails (the error names its log).
pub async fn ensure(progress: impl Fn(&str)) -> Result<Previous> {
    possible().await?;
    let published = published().await?;
    if !published.is_dir() {
        let lock = published.with_extension("lock");
        let what = "the release before this one";
        let _held = cache::locked(&lock, what, DEADLINE, &progress).await?;
        if !published.is_dir() {
            make(&published, &progress).await?;
        }
    }
    Ok(Previous {
        agent: published.join(AGENT),
        operator: published.join(OPERATOR),
        manifest: published.join(MANIFEST),
    })
}

/// Its place in the cache, by everything that decides what is built.
async fn published() -> Result<PathBuf> {
    let mut asked = Command::new("rustc");
    let asked = asked.arg("-vV").current_dir(root()).output().await;
    let asked = asked.context("ask rustc for its version")?;
    ensure!(asked.status.success(), "rustc -vV: {}", asked.status);
    let compiler = String::from_utf8_lossy(&asked.stdout);
    let key = cache::key([COMMIT, compiler.as_ref(), PROFILE]);
    Ok(cache::folder()?.join(format!("previous-{key}")))
}

/// Makes all of it beside its place, and moves it there once it is complete. Whoever calls this holds the lock.
async fn make(published: &Path, progress: &impl Fn(&str)) -> Result<()> {
    let partial = published.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
    }
    let (source, target) = (partial.join("source"), partial.join("target"));
    fs::create_dir_all(&source).with_context(|| format!("create {}", source.display()))?;
    let log = published.with_extension("log");
    fs::write(&log, "").with_context(|| format!("write {}", log.display()))?;
    progress(&format!(
        "building {AGENT} and {OPERATOR} of {COMMIT}, once: about 2 minutes on two cores; log: {}",
        log.display()
    ));
    unpack(&partial, &source).await?;
    let mut build = cargo();
    build
        .args(["build", "--locked", "--profile", PROFILE])
        .args(["--package", AGENT, "--package", OPERATOR])
        .current_dir(&source)
        .env("CARGO_TARGET_DIR", &target)
        // They would not be part of the key.
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("RUSTFLAGS");
    cache::run_told(
        &mut build,
        "the release before this one",
        &log,
        DEADLINE,
        progress,
    )
    .await?;
    for program in [AGENT, OPERATOR] {
        let built = target.join("debug").join(program);
        fs::rename(&built, partial.join(program))
            .with_context(|| format!("take {}", built.display()))?;
    }
    let manifest = source.join("deploy").join(MANIFEST);
    fs::rename(&manifest, partial.join(MANIFEST))
        .with_context(|| format!("take {}", manifest.display()))?;
    for folder in [source, target] {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    fs::rename(&partial, published)
        .with_context(|| format!("publish the build as {}", published.display()))
}

/// Puts the commit's files into `source`.
async fn unpack(partial: &Path, source: &Path) -> Result<()> {
    let archive = partial.join("source.tar");
    let name = archive.display().to_string();
    let packed = git(&["archive", "--format=tar", "--output", &name, COMMIT]);
    succeeds(packed).await?;
    let mut unpack = bound("tar");
    unpack.args(["--extract", "--file", &name, "--directory"]);
    unpack.arg(source);
    succeeds(unpack).await?;
    fs::remove_file(&archive).with_context(|| format!("remove {name}"))
}

async fn succeeds(mut command: Command) -> Result<()> {
    let shown = format!("{:?}", command.as_std());
    let ended = command.output().await;
    let ended = ended.with_context(|| format!("start {shown}"))?;
    let words = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{shown}: {}: {words}", ended.status);
    Ok(())
}

fn git(arguments: &[&str]) -> Command {
    let mut command = bound("git");
    command.args(arguments).current_dir(root());
    command
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
