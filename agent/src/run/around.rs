//! What else is on the host, as the loop knows it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cuo_core::reason::Code;
use cuo_core::survey::Survey;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::bus::Bus;
use crate::survey;

/// How old the last look may be when something depends on it. Units tell of no change, and looking is cheap.
const FRESH: Duration = Duration::from_secs(1);

/// What was found at the last look.
#[derive(Debug)]
pub struct Around {
    root: PathBuf,
    bus: Bus,
    known: Result<Survey, String>,
    looked: Option<Instant>,
    rival: Option<String>,
}

impl Around {
    pub fn new(root: &Path, bus: Bus) -> Self {
        Self {
            root: root.to_owned(),
            bus,
            known: Err("not asked yet".into()),
            looked: None,
            rival: None,
        }
    }

    pub fn known(&self) -> &Result<Survey, String> {
        &self.known
    }

    /// Something changed, or may have: look before the next decision.
    pub fn outdated(&mut self) {
        self.looked = None;
    }

    /// Looks, if `needed` and the last look is not fresh any more, or there was none.
    pub async fn refresh(&mut self, needed: bool, required: &[String]) {
        let fresh = |looked: Instant| !needed || looked.elapsed() < FRESH;
        if self.looked.is_some_and(fresh) {
            return;
        }
        let known = survey::look(&self.root, &self.bus, required).await;
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
    let files = [
        "etc/ostree/remotes.d",
        "etc/ostree/auth.json",
        "run/ostree/auth.json",
        "etc/containers",
        "etc/containers/registries.d",
        "etc/pki/rpm-gpg",
        "etc/rpm-ostreed.conf",
    ];
    files.map(|file| root.join(file)).into()
}

/// The reason ends with a change of units.
pub fn by_units(code: Option<Code>) -> bool {
    let Some(code) = code else { return false };
    matches!(
        code,
        Code::OtherDriver
            | Code::UnitsUnknown
            | Code::BootIncomplete
            | Code::UnitsInactive
            | Code::FinalizerInactive
            | Code::Unhealthy
    )
}
