//! What else is on the host, as the loop knows it.

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

/// How old the last look may be when something depends on it. Units tell of no change, and looking is cheap.
const FRESH: Duration = Duration::from_secs(1);

/// What was found at the last look.
#[derive(Debug)]
pub struct Around {
    root: PathBuf,
    bus: Bus,
    known: Result<Survey, String>,
    looked: Option<Instant>,
    /// The last look was about the network too.
    heeded: bool,
    rival: Option<String>,
    /// What ostree said of an update that it could not write at the last shutdown. Looked up once, as nothing is added to it.
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

    /// Something changed, or may have: look before the next decision.
    pub fn outdated(&mut self) {
        self.looked = None;
    }

    /// Looks, if `needed` and the last look is not fresh any more, or there was none. `heed` says that it matters whether the network is
    /// metered.
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
            info!("nothing else updates this host any more");
        }
        self.rival = rival;
        self.known = known;
    }
}

/// What else can be in the way of an update than the network: remotes, keys, policies and credentials.
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

/// Names of ostree's remotes, whose keys have them in their own. Of the repository nothing else is looked at, for every try to update
/// changes it.
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
        // A name is a part of a file's name.
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
