//! Parts side by side, in two lanes: those that wait have the processors when they need them, and one that computes has what they leave.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cuo_lab::process::cargo;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rustix::process::{Pid, Signal, kill_process_group, setpriority_process};
use tokio::process::Child;

use super::parts::{Effort, Part};
use crate::root;

/// As many lines of the log of a part that failed are shown: a failed test says in them what it saw.
const SHOWN: usize = 120;
/// The niceness of what computes: a tenth of the processor goes to it where others want it, so that their deadlines hold.
const NICE: i32 = 10;

/// What of the machine is taken.
#[derive(Debug, Default)]
struct Taken {
    computes: bool,
    /// Percent of one core.
    waits: u32,
}

impl Taken {
    fn add(&mut self, effort: Effort) {
        match effort {
            Effort::Computes => self.computes = true,
            Effort::Waits(load) => self.waits += load,
        }
    }

    fn remove(&mut self, effort: Effort) {
        match effort {
            Effort::Computes => self.computes = false,
            Effort::Waits(load) => self.waits -= load,
        }
    }

    /// A part fits beside what runs, on a machine with `room`; one that is more than all of it runs without others of its kind.
    fn leaves_room(&self, effort: Effort, room: u32) -> bool {
        match effort {
            Effort::Computes => !self.computes,
            Effort::Waits(load) => self.waits == 0 || self.waits + load <= room,
        }
    }
}

/// What a part took.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// Which part.
    pub name: &'static str,
    /// How long it ran.
    pub time: Duration,
    /// For how long it kept a processor busy, with all that it started and waited for.
    pub processor: Duration,
}

/// The processor time of all children of this process that have ended, with what they waited for themselves. It grows when one is waited for.
///
/// # Errors
/// When the kernel does not tell.
pub fn processor_time() -> Result<Duration> {
    const STAT: &str = "/proc/self/stat";
    /// Linux counts in hundredths of a second here, whatever it was built with.
    const TICK: Duration = Duration::from_millis(10);
    let text = fs::read_to_string(STAT).with_context(|| format!("read {STAT}"))?;
    // The name of the program may have anything in it. Behind it, `cutime` and `cstime` are the fields 14 and 15.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(13).take(2);
    let ticks: Result<Vec<u32>, _> = ticks.map(str::parse).collect();
    let ticks = ticks.with_context(|| format!("read {STAT}"))?;
    Ok(TICK * ticks.iter().sum::<u32>())
}

/// Runs all `parts`, each with its output in a log of its own, and returns what each took. Of those that wait, so many run at a time as
/// keep `room` percent of one core busy; they begin in their order, except that one that does not fit yet lets others go first.
///
/// # Errors
/// Names the first part that failed, with the end of its log. The others are ended.
pub async fn run(parts: &[Part], room: u32) -> Result<Vec<Spent>> {
    let mut to_do = parts.to_vec();
    let mut running = FuturesUnordered::new();
    let mut taken = Taken::default();
    let mut spent = Vec::new();
    let mut before = processor_time()?;
    loop {
        while let Some(next) = next(&to_do, &taken, room) {
            let part = to_do.remove(next);
            taken.add(part.effort);
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
        let (part, time) = ended?;
        taken.remove(part.effort);
        let now = processor_time()?;
        spent.push(Spent {
            name: part.name,
            time,
            processor: now.saturating_sub(before),
        });
        before = now;
    }
}

/// The place of the part that is next beside what runs, if any.
fn next(to_do: &[Part], taken: &Taken, room: u32) -> Option<usize> {
    let mut all = to_do.iter();
    all.position(|part| taken.leaves_room(part.effort, room))
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
            "--> {}: cargo {} > {}",
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
        let running = Self {
            part,
            child,
            log,
            start: Instant::now(),
        };
        if let (Effort::Computes, Some(pid)) = (part.effort, running.pid()) {
            // What cargo starts inherits it.
            setpriority_process(Some(pid), NICE).context("let the others go first")?;
        }
        Ok(running)
    }

    /// None once it was waited for.
    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
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
        if let Some(pid) = self.pid() {
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

#[cfg(test)]
mod tests;
