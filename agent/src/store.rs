//! The agent's files: its state, its process id, and requests from its own command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cuo_core::agent::state::{State, StateError};
use cuo_core::ids::BootId;
use tracing::debug;

use crate::answer::Answer;
use crate::files::write_atomic;

/// The state, below the root.
const STATE: &str = "var/lib/cuo-agent/state.json";
/// A state file that could not be parsed, kept for people to look at.
const BROKEN: &str = "var/lib/cuo-agent/state.json.broken";
/// The directory of process id and requests. It is not the one above: the agent's user can write this one, and root reads files in there.
const RUN: &str = "run/cuo-agent/agent";

const PID: &str = "pid";
const ANSWER: &str = "status.json";

/// The result of reading the state.
#[derive(Debug)]
pub enum Loaded {
    /// The state, or an empty one.
    State(Box<State>),
    /// The file could not be parsed and was moved aside; the Node has what matters.
    Lost(String),
    /// The file must not be touched, for this reason.
    Unusable(String),
}

/// The agent's files below one root.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The files below `root`, which is `/` except in tests.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Reads the state in the boot `boot`.
    pub fn load(&self, boot: &BootId) -> Loaded {
        let path = self.root.join(STATE);
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Loaded::State(Box::default());
            }
            Err(error) => return Loaded::Unusable(format!("{}: {error}", path.display())),
        };
        match State::from_text(&text, Some(boot)) {
            Ok(state) => Loaded::State(Box::new(state)),
            Err(why @ StateError::Newer(_)) => {
                Loaded::Unusable(format!("{}: {why}", path.display()))
            }
            Err(StateError::Garbage(why)) => match std::fs::rename(&path, self.root.join(BROKEN)) {
                Ok(()) => Loaded::Lost(format!("{}: {why}", path.display())),
                Err(error) => Loaded::Unusable(format!(
                    "{}: {why}; and it can't be moved aside: {error}",
                    path.display()
                )),
            },
        }
    }

    /// Reads the state without moving anything aside, for programs other than the agent.
    ///
    /// # Errors
    /// When the file can't be read or parsed; the error names it.
    pub fn peek(&self) -> Result<State> {
        let path = self.root.join(STATE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(State::default());
            }
            text => text.with_context(|| format!("read {}", path.display()))?,
        };
        State::from_text(&text, None).with_context(|| path.display().to_string())
    }

    /// Whether the state's directory exists.
    pub fn has_folder(&self) -> bool {
        self.root.join(STATE).parent().is_some_and(Path::is_dir)
    }

    /// Writes the state atomically.
    ///
    /// # Errors
    /// When the state may not be on disk; the error names the file.
    pub fn save(&self, state: &State) -> Result<()> {
        let path = self.root.join(STATE);
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("create {}", directory.display()))?;
        }
        let text = state.to_text().context("state as JSON")?;
        Ok(write_atomic(&path, text.as_bytes(), 0o600)?)
    }

    fn run_file(&self, name: &str) -> Result<PathBuf> {
        let directory = self.root.join(RUN);
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("create {}", directory.display()))?;
        Ok(directory.join(name))
    }

    /// Records this process as the running agent.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_pid(&self) -> Result<()> {
        let path = self.run_file(PID)?;
        let pid = format!("{}\n", std::process::id());
        Ok(write_atomic(&path, pid.as_bytes(), 0o644)?)
    }

    /// The process id that was last recorded.
    ///
    /// # Errors
    /// When there is none, or the file holds something else.
    pub fn read_pid(&self) -> Result<i32> {
        let path = self.root.join(RUN).join(PID);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{}: is cuo-agent.service running?", path.display()))?;
        // The first process and negative numbers, which are groups, are never an agent.
        let pid = text.trim().parse().ok().filter(|pid| *pid > 1);
        pid.with_context(|| format!("{}: no process id", path.display()))
    }

    /// The process id of the running agent, if one runs.
    ///
    /// # Errors
    /// When the file with the process id can't be read or holds something else.
    pub fn agent(&self) -> Result<Option<i32>> {
        if !self.root.join(RUN).join(PID).exists() {
            return Ok(None);
        }
        let pid = self.read_pid()?;
        // An agent that was killed leaves its id, which may belong to another process by now.
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Ok((name.trim_end() == "cuo-agent").then_some(pid))
    }

    /// Writes the agent's answer, readable for everybody.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_answer(&self, answer: &Answer) -> Result<()> {
        let path = self.run_file(ANSWER)?;
        let text = serde_json::to_string_pretty(answer).context("the answer as JSON")?;
        write_atomic(&path, text.as_bytes(), 0o644)
            .with_context(|| format!("write {}", path.display()))
    }

    /// The answer of the agent with the process id `pid`, if it has written one.
    ///
    /// # Errors
    /// When the file can't be read or holds something else.
    pub fn read_answer(&self, pid: i32) -> Result<Option<Answer>> {
        let path = self.root.join(RUN).join(ANSWER);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("read {}", path.display()))?,
        };
        let answer: Answer =
            serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        // An agent that was killed leaves its answer.
        Ok(Some(answer).filter(|answer| answer.pid == pid))
    }

    /// The answer of the last agent since the boot: when it looked for an update, the result, and when it would have looked again. The
    /// directory does not outlive the boot.
    pub fn last_answer(&self) -> Option<Answer> {
        let text = std::fs::read(self.root.join(RUN).join(ANSWER)).ok()?;
        let answer = serde_json::from_slice::<Answer>(&text);
        let answer =
            answer.inspect_err(|error| debug!(%error, "not known when it was looked last"));
        answer.ok()
    }

    /// Asks the running agent to forget failed releases.
    ///
    /// # Errors
    /// When the request can't be written.
    pub fn request_forget(&self, what: &str) -> Result<()> {
        let path = self.run_file("forget")?;
        Ok(write_atomic(&path, what.as_bytes(), 0o644)?)
    }

    /// Takes a request to forget releases, if there is one.
    ///
    /// # Errors
    /// When a request can't be read or removed.
    pub fn take_forget(&self) -> Result<Option<String>> {
        let path = self.root.join(RUN).join("forget");
        match std::fs::read_to_string(&path) {
            Ok(what) => {
                std::fs::remove_file(&path)
                    .with_context(|| format!("remove {}", path.display()))?;
                Ok(Some(what.trim().to_owned()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests;
