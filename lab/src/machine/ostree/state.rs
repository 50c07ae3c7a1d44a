//! The deployments of a host: `lab/sysroot.json`.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::files::{LabFile, NodeRoot};
use super::gvariant;
use super::origin::Origin;
use super::release::{Release, sha256};

/// One deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// What is deployed, without layered packages.
    pub release: Release,
    /// Where it came from.
    pub origin: Origin,
    /// Client-side layered packages.
    pub packages: Vec<String>,
    /// Number at the end of the id.
    pub serial: i32,
    /// This one runs.
    pub booted: bool,
    /// Written to disk only by a clean shutdown.
    pub staged: bool,
    /// Staged, and a clean shutdown will drop it.
    pub locked: bool,
    /// Kept by cleanups.
    pub pinned: bool,
    /// `override-commit` of the origin: the commit or digest that was asked for in place of what branch or tag lead to. D-Bus does not
    /// show it.
    #[serde(default)]
    pub override_commit: Option<String>,
}

impl Deployed {
    /// The commit below the layered packages: the branch's commit, or the merge commit of the image.
    pub fn base_checksum(&self) -> String {
        match self.origin {
            Origin::Ostree { .. } => self.release.commit(),
            Origin::Container { .. } => self.release.merge_commit(),
        }
    }

    /// The deployed commit: the layered one when there are layered packages.
    pub fn checksum(&self) -> String {
        let base = self.base_checksum();
        if self.packages.is_empty() {
            return base;
        }
        sha256(&format!("layered {base} {}", self.packages.join(" ")))
    }

    /// What `FinalizeDeployment` compares `checksum` with: the image digest, or the base commit.
    pub fn identity(&self) -> String {
        match self.origin {
            Origin::Ostree { .. } => self.release.commit(),
            Origin::Container { .. } => self.release.digest(),
        }
    }

    /// rpm-ostree's `id`.
    pub fn id(&self, osname: &str) -> String {
        format!("{osname}-{}.{}", self.checksum(), self.serial)
    }
}

/// What the last check or stage left in `/var/cache/rpm-ostree/cached-update.gv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedUpdate {
    /// Booted checksum when it was written; the file is dropped when another one is booted.
    pub update_sha256: String,
    /// `checksum`: for a container check this is the booted one.
    pub checksum: String,
    /// `version`; absent after staging a container.
    pub version: Option<String>,
    /// `origin`.
    pub origin: String,
    /// `timestamp`: for a container check this is the booted one's.
    pub timestamp: u64,
    /// `ref-has-new-commit`.
    pub ref_has_new_commit: bool,
    /// Id of the staged deployment, when staging wrote it.
    pub deployment: Option<String>,
    /// `gpg-enabled`, plain ostree only.
    pub gpg_enabled: Option<bool>,
    /// Container check: `manifest-diff`; otherwise `rpm-diff`.
    pub manifest_diff: bool,
}

/// All that rpm-ostree keeps on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysroot {
    /// Stateroot.
    pub osname: String,
    /// Plain ostree: the remote is configured with GPG verification, and its commits are signed.
    pub signed: bool,
    /// Boot order; a staged one is first.
    pub deployments: Vec<Deployed>,
    /// Plain ostree: what the local branch points at after a pull. Shown as `pending-base-*`.
    pub local_ref: Option<Release>,
    /// Container: what was last pulled through the tag. While it is not booted, every check reports it, whatever the registry has.
    pub image_pulled: Option<Release>,
    /// Last check's or stage's result.
    pub cached_update: Option<CachedUpdate>,
    /// Directories of staged deployments that were never booted, by checksum: the next one of that checksum gets this serial.
    pub debris: BTreeMap<String, i32>,
}

impl LabFile for Sysroot {
    const NAME: &'static str = "sysroot.json";

    fn reflect(&self, before: Option<&Self>, root: &NodeRoot) -> Result<()> {
        if before.is_some_and(|before| before.deployments == self.deployments) {
            return Ok(());
        }
        match self.staged() {
            Some(staged) => root.write(
                "run/ostree/staged-deployment",
                gvariant::staged_deployment(&self.osname, staged),
            )?,
            None => root.remove("run/ostree/staged-deployment")?,
        }
        root.bump_deploy()
    }
}

impl Sysroot {
    /// A host that runs `release` and has nothing else.
    pub fn new(osname: &str, release: Release, origin: Origin, packages: Vec<String>) -> Self {
        let booted = Deployed {
            release,
            origin,
            packages,
            serial: 0,
            booted: true,
            staged: false,
            locked: false,
            pinned: false,
            override_commit: None,
        };
        Self {
            osname: osname.to_owned(),
            signed: false,
            deployments: vec![booted],
            local_ref: None,
            image_pulled: None,
            cached_update: None,
            debris: BTreeMap::new(),
        }
    }

    /// The running deployment; none on a host that is not booted into ostree.
    pub fn booted(&self) -> Option<&Deployed> {
        self.deployments.iter().find(|one| one.booted)
    }

    /// What the next boot boots, unless it is staged and locked.
    pub fn default(&self) -> Option<&Deployed> {
        self.deployments.first()
    }

    /// The first one after the booted one.
    pub fn rollback(&self) -> Option<&Deployed> {
        let booted = self.deployments.iter().position(|one| one.booted)?;
        self.deployments.get(booted + 1)
    }

    /// The staged one.
    pub fn staged(&self) -> Option<&Deployed> {
        self.deployments.first().filter(|one| one.staged)
    }

    /// Takes the staged one away without finalization; its directory stays behind.
    pub fn lose_staged(&mut self) -> Option<Deployed> {
        let lost = self.staged().cloned()?;
        self.deployments.remove(0);
        self.debris.insert(lost.checksum(), lost.serial + 1);
        Some(lost)
    }

    /// Puts a staged deployment of `release` first, in place of an older staged one.
    pub fn stage(&mut self, release: Release, origin: Origin, locked: bool) {
        let packages = self
            .default()
            .map_or(Vec::new(), |one| one.packages.clone());
        self.deployments.retain(|one| !one.staged);
        let mut staged = Deployed {
            release,
            origin,
            packages,
            serial: 0,
            booted: false,
            staged: true,
            locked,
            pinned: false,
            override_commit: None,
        };
        let checksum = staged.checksum();
        let kept = self
            .deployments
            .iter()
            .filter(|one| one.checksum() == checksum);
        let kept = kept.map(|one| one.serial + 1).max().unwrap_or(0);
        staged.serial = kept.max(self.debris.get(&checksum).copied().unwrap_or(0));
        self.deployments.insert(0, staged);
    }

    /// What a clean shutdown does: what is staged and unlocked is written; it, the running one and pinned ones stay.
    pub fn shut_down(&mut self) {
        if self.staged().is_none_or(|staged| staged.locked) {
            return;
        }
        self.deployments
            .retain(|one| one.staged || one.booted || one.pinned);
        if let Some(first) = self.deployments.first_mut() {
            first.staged = false;
        }
    }

    /// What a boot loader does: the first one runs.
    pub fn boot(&mut self) {
        for (index, one) in self.deployments.iter_mut().enumerate() {
            one.booted = index == 0;
        }
    }

    /// What every reload does: the cached update belongs to the booted deployment it was made for.
    pub fn drop_stale_cache(&mut self) {
        let booted = self.booted().map(Deployed::checksum);
        self.cached_update = self
            .cached_update
            .take()
            .filter(|cached| Some(&cached.update_sha256) == booted.as_ref());
    }
}
