//! Whether the pending update brings a kubelet that is newer than the API server.

use std::time::Duration;

use cuo_core::skew::{Minor, Skew, kubelet};
use tokio::time::Instant;
use tracing::info;

use crate::rpmostree::Package;

/// How often the API server is asked for its version while its being older holds an update.
const AGAIN: Duration = Duration::from_secs(10 * 60);
/// How soon it is asked again if it did not answer.
const SILENT: Duration = Duration::from_secs(60);

/// What is known of the two versions.
#[derive(Debug, Default)]
pub struct KubeletSide {
    /// The update that rpm-ostree was asked about, by its `id`, and the kubelet that it brings, if it brings one.
    update: Option<(String, Option<Minor>)>,
    server: Option<Minor>,
    /// When that was asked for.
    asked: Option<Instant>,
    /// A question is on its way.
    asking: bool,
}

/// What is to be found out next.
#[derive(Debug, PartialEq, Eq)]
pub enum Question {
    /// Which packages the update brings.
    Packages,
    /// How new the API server is.
    Server,
}

impl KubeletSide {
    /// For a decision.
    pub fn skew(&self) -> Option<Skew> {
        let (update, kubelet) = self.update.as_ref()?;
        Some(Skew {
            update: update.clone(),
            kubelet: (*kubelet)?,
            server: self.server?,
        })
    }

    /// When the API server is to be asked about the update `pending`, if at all.
    pub fn wake(&self, pending: &str) -> Option<Instant> {
        let (update, brought) = self.update.as_ref()?;
        // The answer that is on its way ends the wait by itself.
        if self.asking || update != pending {
            return None;
        }
        let pause = match self.skew() {
            None if brought.is_some() => SILENT,
            Some(skew) if skew.is_too_new() => AGAIN,
            None | Some(_) => return None,
        };
        Some(self.asked.map_or_else(Instant::now, |asked| asked + pause))
    }

    /// What is to be asked now about the update `pending`.
    pub fn question(&self, pending: &str) -> Option<Question> {
        let known = self
            .update
            .as_ref()
            .is_some_and(|(update, _)| update == pending);
        let due = || self.wake(pending).is_some_and(|at| Instant::now() >= at);
        match known {
            _ if self.asking => None,
            false => Some(Question::Packages),
            true => due().then_some(Question::Server),
        }
    }

    /// That is on its way.
    pub fn asks(&mut self) {
        self.asking = true;
    }

    /// Takes in which packages `update` brings; nothing is known of them where rpm-ostree does not tell.
    pub fn brings(&mut self, update: String, packages: &[Package]) {
        self.asking = false;
        let names = packages.iter().map(|one| (&*one.name, &*one.version));
        let brought = kubelet(names);
        if let Some(kubelet) = brought {
            info!("the update brings kubelet {kubelet}");
        }
        self.update = Some((update, brought));
    }

    /// Takes in the API server's version, as it writes it.
    pub fn serves(&mut self, version: Option<&str>) {
        self.asking = false;
        self.asked = Some(Instant::now());
        self.server = version.and_then(Minor::parse).or(self.server);
    }
}

#[cfg(test)]
mod tests;
