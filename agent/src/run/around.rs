//! What else runs on the host, as of the last look.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cuo_core::survey::Survey;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::bus::Bus;
use crate::survey::{self, Further};
use crate::{network, ostree};

/// The maximum age of a look when something depends on it. Units send no signals here, and looking is cheap.
const FRESH: Duration = Duration::from_secs(1);

/// The result of the last look.
#[derive(Debug)]
pub struct Around {
    root: PathBuf,
    bus: Bus,
    known: Result<Survey, String>,
    looked: Option<Instant>,
    /// The last look included the network.
    heeded: bool,
    rival: Option<String>,
    /// ostree's error if it could not write an update at the last shutdown. Looked up once, because it does not change.
    finalize_error: OnceCell<Option<String>>,
}

impl Around {
    pub fn new(root: &Path, bus: Bus) -> Self {
        Self {
            root: root.to_owned(),
            bus,
            known: Err("not asked yet".into()),
            looked: None,
            heeded: false,
            rival: None,
            finalize_error: OnceCell::new(),
        }
    }

    pub fn known(&self) -> &Result<Survey, String> {
        &self.known
    }

    /// Notes that something may have changed, so that the next decision looks again.
    pub fn outdated(&mut self) {
        self.looked = None;
    }

    /// Looks if `needed` and the last look is missing or not fresh. `heed` says whether it matters if the network is metered.
    pub async fn refresh(&mut self, needed: bool, further: Further<'_>, heed: bool) {
        let fresh = |looked: Instant| !needed || looked.elapsed() < FRESH;
        if self.looked.is_some_and(fresh) && self.heeded == heed {
            return;
        }
        let mut known = survey::look(&self.root, &self.bus, further).await;
        if let Ok(survey) = &mut known {
            survey.metered = heed && network::metered(&self.bus).await;
            if survey.finalization_failed() {
                let look = || ostree::finalize_error(&self.root);
                survey.finalize_error = self.finalize_error.get_or_init(look).await.clone();
            }
        }
        self.heeded = heed;
        self.looked = Some(Instant::now());
        if let Err(why) = &known
            && self.known.as_ref().err() != Some(why)
        {
            warn!(why, "not known which units run");
        }
        let rival = known
            .as_ref()
            .ok()
            .and_then(Survey::rival)
            .map(|rival| rival.message);
        if rival.is_none() && self.rival.is_some() {
            info!("no other program updates this host any more");
        }
        self.rival = rival;
        self.known = known;
    }
}

/// What besides the network can keep updates from being fetched: remotes, keys, policies and credentials.
pub fn causes(root: &Path) -> Vec<PathBuf> {
    let remotes = remotes(root).into_iter();
    let keys = remotes.map(|remote| format!("ostree/repo/{remote}.trustedkeys.gpg"));
    let files = [
        "ostree/repo/config",
        "etc/ostree/remotes.d",
        "etc/ostree/auth.json",
        "run/ostree/auth.json",
        "etc/containers",
        "etc/containers/registries.d",
        "etc/pki/rpm-gpg",
        "etc/yum.repos.d",
        "etc/rpm-ostreed.conf",
    ];
    let files = files.into_iter().map(str::to_owned).chain(keys);
    files.map(|file| root.join(file)).collect()
}

/// Names of ostree's remotes, which are part of the file names of their keys. No other file of the repository is watched, because every
/// try to update changes it.
fn remotes(root: &Path) -> BTreeSet<String> {
    let folder = std::fs::read_dir(root.join("etc/ostree/remotes.d"));
    let mut files: Vec<_> = folder
        .into_iter()
        .flatten()
        .flatten()
        .map(|file| file.path())
        .collect();
    files.push(root.join("ostree/repo/config"));
    let named = |line: &str| {
        let name = line
            .trim()
            .strip_prefix("[remote \"")?
            .strip_suffix("\"]")?;
        // The name becomes part of a file name.
        (!name.contains('/')).then(|| name.to_owned())
    };
    let mut names = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        names.extend(text.lines().filter_map(named));
    }
    names
}

#[cfg(test)]
mod tests;
