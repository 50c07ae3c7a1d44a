//! Calls as they arrive: recorded, and met by the faults that wait for them.

use std::fs::File;
use std::io::Write;

use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use tracing::{error, info};

use super::daemon::Daemon;
use super::failure::Failure;
use super::faults::{Effect, Faults, Stage, ms};
use super::polkit;

/// One line of `lab/calls.jsonl`: a method call that reached the double.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Method name.
    pub method: String,
    /// Unique bus name of the caller.
    pub sender: String,
    /// Arguments as text.
    pub arguments: String,
}

impl Daemon {
    /// The files decide anew at each use; a broken one is the test's mistake and is in the log.
    pub(super) fn faults(&self) -> Faults {
        self.root.load().unwrap_or_else(|error| {
            error!("{error:#}");
            Faults::none()
        })
    }

    /// Takes the fault for this point.
    pub(super) fn fault(&self, method: &str, stage: Stage) -> Option<Effect> {
        let taken = self
            .root
            .edit(|faults: &mut Faults| faults.take(method, stage));
        let effect = taken.unwrap_or_else(|error| {
            error!("{error:#}");
            None
        });
        if let Some(effect) = &effect {
            info!(method, ?stage, ?effect, "fault");
        }
        effect
    }

    /// Dies as from a crash: nothing is cleaned up.
    pub(super) fn die(&self) -> ! {
        // Without a core file, unlike abort; that is only the last resort, when this returns at all.
        let _ = kill_process(getpid(), Signal::KILL);
        std::process::abort()
    }

    /// Records a call and lets a fault of [`Stage::Call`] happen.
    pub(super) async fn arrive(
        &self,
        method: &str,
        sender: &str,
        arguments: &str,
    ) -> Result<(), Failure> {
        let actions: Vec<_> = polkit::action(method).into_iter().collect();
        self.arrive_for(method, &actions, sender, arguments).await
    }

    /// The same of a call for which polkit is asked about these actions.
    pub(super) async fn arrive_for(
        &self,
        method: &str,
        actions: &[&str],
        sender: &str,
        arguments: &str,
    ) -> Result<(), Failure> {
        self.record(method, sender, arguments);
        if self.polkit {
            polkit::check(&self.bus, method, actions, sender).await?;
        }
        match self.fault(method, Stage::Call) {
            Some(Effect::Crash) => self.die(),
            Some(Effect::Refuse { name, text }) => return Err(Failure::new(&name, text)),
            Some(Effect::Fail(text)) => return Err(Failure::failed(text)),
            Some(Effect::Hang | Effect::HangForever) => std::future::pending().await,
            Some(Effect::Delay(time)) => tokio::time::sleep(ms(time)).await,
            Some(Effect::Nothing | Effect::Say(_) | Effect::Burst(_)) | None => {}
        }
        Ok(())
    }

    fn record(&self, method: &str, sender: &str, arguments: &str) {
        let record = CallRecord {
            method: method.to_owned(),
            sender: sender.to_owned(),
            arguments: arguments.to_owned(),
        };
        let path = self.root.join("lab/calls.jsonl");
        let written = serde_json::to_string(&record)
            .map_err(anyhow::Error::from)
            .and_then(|line| {
                let mut file = File::options().create(true).append(true).open(&path)?;
                Ok(file.write_all(format!("{line}\n").as_bytes())?)
            });
        if let Err(error) = written {
            error!("write {}: {error:#}", path.display());
        }
    }
}
