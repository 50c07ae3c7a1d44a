//! Where the lab keeps what takes long to make, outside of the work tree.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::process::{spawn_logged, tail};

/// Time between two lines of progress while something takes long.
pub(crate) const TELL_EVERY: Duration = Duration::from_secs(10);

/// The user's cache folder of the lab, which is there: `$CUO_LAB_CACHE`, else `$XDG_CACHE_HOME/cuo-lab`, else `~/.cache/cuo-lab`.
pub(crate) fn folder() -> Result<PathBuf> {
    let named = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let folder = named("CUO_LAB_CACHE")
        .or_else(|| named("XDG_CACHE_HOME").map(|path| path.join("cuo-lab")))
        .or_else(|| named("HOME").map(|path| path.join(".cache/cuo-lab")))
        .context("no place for what the lab makes once: set CUO_LAB_CACHE to a folder")?;
    fs::create_dir_all(&folder)
        .with_context(|| format!("create the cache folder {}", folder.display()))?;
    Ok(folder)
}

/// Names everything that decides what is made, so that a change of any of it is another entry.
pub(crate) fn key<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Holds the file `path` locked; the kernel frees it when the returned file is dropped, however this process ends. Whoever has it
/// makes `what`.
pub(crate) async fn locked(
    path: &Path,
    what: &str,
    deadline: Duration,
    progress: &impl Fn(&str),
) -> Result<File> {
    let file = File::create(path).with_context(|| format!("create the lock {}", path.display()))?;
    let begin = Instant::now();
    let mut reported = begin;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                ensure!(
                    begin.elapsed() < deadline,
                    "another process holds {} for too long",
                    path.display()
                );
                if reported.elapsed() >= TELL_EVERY {
                    reported = Instant::now();
                    progress(&format!(
                        "another process makes {what}; waiting for {} s",
                        begin.elapsed().as_secs()
                    ));
                }
                sleep(Duration::from_millis(200)).await;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", path.display()));
            }
        }
    }
}

/// The folder `entry` of the cache. Where it is not there, `make` fills a folder beside it, which is moved there once it is complete; its second
/// argument is the log. Nothing of an earlier try is left then. Several processes may call this at the same time, and one makes it.
pub(crate) async fn made(
    entry: &str,
    what: &str,
    deadline: Duration,
    progress: &impl Fn(&str),
    make: impl AsyncFnOnce(&Path, &Path) -> Result<()>,
) -> Result<PathBuf> {
    let cache = folder()?;
    let published = cache.join(entry);
    if published.is_dir() {
        return Ok(published);
    }
    let _held = locked(
        &cache.join(format!("{entry}.lock")),
        what,
        deadline,
        progress,
    )
    .await?;
    if published.is_dir() {
        return Ok(published);
    }
    let partial = cache.join(format!("{entry}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
    }
    let log = cache.join(format!("{entry}.log"));
    fs::write(&log, "").with_context(|| format!("write {}", log.display()))?;
    make(&partial, &log).await?;
    fs::rename(&partial, &published)
        .with_context(|| format!("publish {what} as {}", published.display()))?;
    Ok(published)
}

/// Runs `command`, which makes `what`, to its end, with its outputs at the end of the file `log`.
pub(crate) async fn run_told(
    command: &mut Command,
    what: &str,
    log: &Path,
    deadline: Duration,
    progress: &impl Fn(&str),
) -> Result<()> {
    let begin = Instant::now();
    let mut child = spawn_logged(command, log)?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.with_context(|| format!("wait for {what}"))?,
            () = sleep(TELL_EVERY) => progress(&format!("making {what}: {} s", begin.elapsed().as_secs())),
        }
        ensure!(
            begin.elapsed() < deadline,
            "{what} took longer than {deadline:?} to make; log: {}",
            log.display()
        );
    };
    if !status.success() {
        bail!(
            "{what} could not be made ({status}); its last words, from {}:\n{}",
            log.display(),
            tail(log)
        );
    }
    progress(&format!("made {what} in {} s", begin.elapsed().as_secs()));
    Ok(())
}
