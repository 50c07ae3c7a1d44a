//! Parts side by side: those that wait beside those that compute.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cuo_lab::process::cargo;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

use super::parts::Part;
use crate::root;

/// As many lines of the log of a part that failed are shown: a failed test says in them what it saw.
const SHOWN: usize = 120;

/// Runs all `parts`, each with its output in a log of its own, and returns how long each took. They begin in their order, except that one
/// that is too much beside those that run lets others go first.
///
/// # Errors
/// Names the first part that failed, with the end of its log. The others are ended.
pub async fn run(parts: &[Part]) -> Result<Vec<(&'static str, Duration)>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let room = u32::try_from(cores).unwrap_or(u32::MAX).saturating_mul(100);
    let mut waiting = parts.to_vec();
    let mut running = FuturesUnordered::new();
    let mut busy = 0;
    let mut spent = Vec::new();
    loop {
        while let Some(next) = next(&waiting, room.saturating_sub(busy), busy == 0) {
            let part = waiting.remove(next);
            busy += part.load;
            running.push(Running::start(part)?.finish());
        }
        let ended = tokio::select! {
            ended = running.next() => ended,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("wait for Ctrl-C")?;
                bail!("interrupted; everything that was started has been ended");
            }
        };
        let Some(ended) = ended else {
            return Ok(spent);
        };
        let (part, took) = ended?;
        busy -= part.load;
        spent.push((part.name, took));
    }
}

/// The place of the part that is next where there is `room`, if any; one that is more than the whole machine runs alone.
fn next(waiting: &[Part], room: u32, idle: bool) -> Option<usize> {
    let fits = waiting.iter().position(|part| part.load <= room);
    fits.or((idle && !waiting.is_empty()).then_some(0))
}

/// A part that runs. Dropping it ends it, with all that it has started.
struct Running {
    part: Part,
    child: Child,
    log: PathBuf,
    start: Instant,
}

impl Running {
    fn start(part: Part) -> Result<Self> {
        let folder = root().join("target/test");
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let log = folder.join(format!("{}.log", part.name.replace(' ', "-")));
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let second = file.try_clone().context("second handle of the log")?;
        let arguments = part.task.arguments();
        println!(
            "--> {}: cargo {} (log: {})",
            part.name,
            arguments.join(" "),
            log.display()
        );
        let child = cargo()
            .args(&arguments)
            .current_dir(root())
            .stdout(Stdio::from(file))
            .stderr(Stdio::from(second))
            // Cargo does not end what it runs when it is killed itself.
            .process_group(0)
            .spawn()
            .context("run cargo")?;
        Ok(Self {
            part,
            child,
            log,
            start: Instant::now(),
        })
    }

    async fn finish(mut self) -> Result<(Part, Duration)> {
        let status = self.child.wait().await.context("wait for cargo")?;
        let took = self.start.elapsed();
        self.tell(status, took)?;
        Ok((self.part, took))
    }

    fn tell(&self, status: ExitStatus, took: Duration) -> Result<()> {
        let name = self.part.name;
        let text = read(&self.log);
        if !status.success() {
            let lines: Vec<_> = text.lines().collect();
            let end = &lines[lines.len().saturating_sub(SHOWN)..];
            bail!(
                "{name} failed ({status}) after {took:.0?}; the command was: cargo {}; the end of {}:\n{}",
                self.part.task.arguments().join(" "),
                self.log.display(),
                end.join("\n")
            );
        }
        println!("<-- {name}: passed after {took:.0?}");
        for line in text.lines().filter(|line| line.starts_with("SKIPPED")) {
            println!("    {line}");
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // None once it was waited for.
        let Some(id) = self.child.id() else { return };
        if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            // It may have ended at this moment.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// What a log says; tests print whatever they like.
fn read(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
