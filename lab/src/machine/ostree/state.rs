//! The deployments of a host: `lab/sysroot.json`.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::files::{LabFile, NodeRoot};
use super::gvariant;
use super::release::{Release, sha256};

/// Where a deployment comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Plain ostree: `remote:branch`.
    Ostree {
        /// For example `fedora:fedora/stable/x86_64/iot`.
        refspec: String,
    },
    /// Container image.
    Container {
        /// For example `ostree-unverified-registry:127.0.0.1:8972/fcos:stable`.
        reference: String,
    },
}

impl Origin {
    /// The text of the `origin` or `container-image-reference` key.
    pub fn text(&self) -> &str {
        match self {
            Self::Ostree { refspec } => refspec,
            Self::Container { reference } => reference,
        }
    }

    /// Parses what `rpm-ostree rebase` takes: a container reference starts with `ostree-`.
    pub fn parse(text: &str) -> Self {
        if text.starts_with("ostree-") {
            Self::Container {
                reference: text.to_owned(),
            }
        } else {
            Self::Ostree {
                refspec: text.to_owned(),
            }
        }
    }

    /// The digest by which an image is followed in place of a tag: there is never anything newer.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Ostree { .. } => None,
            Self::Container { reference } => reference.split_once('@').map(|(_, digest)| digest),
        }
    }

    /// The branch without its remote, or the image with registry and tag but without what begins a reference.
    pub fn name(&self) -> &str {
        let text = self.text();
        let Self::Container { .. } = self else {
            return text.split_once(':').map_or(text, |(_, branch)| branch);
        };
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        let rest = match scheme {
            // The remote that vouches for the commit inside.
            "ostree-remote-image" | "ostree-remote-registry" => {
                rest.split_once(':').map_or(rest, |(_, rest)| rest)
            }
            _ => rest,
        };
        let registry = ["docker://", "registry:"];
        let plain = registry.iter().find_map(|start| rest.strip_prefix(start));
        plain.unwrap_or(rest)
    }

    /// The image without its tag or digest; a colon before the last slash is a port. The name of a branch is all of it.
    pub fn repository(&self) -> &str {
        let name = self.name();
        if matches!(self, Self::Ostree { .. }) {
            return name;
        }
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        let end = match (name.rfind(':'), name.rfind('/')) {
            (Some(colon), Some(slash)) if colon > slash => colon,
            _ => name.len(),
        };
        name.get(..end).unwrap_or(name)
    }

    /// The tag of an image.
    pub fn tag(&self) -> Option<&str> {
        let Self::Container { .. } = self else {
            return None;
        };
        let rest = self.name().strip_prefix(self.repository())?;
        rest.strip_prefix(':')
    }

    /// Whether Fedora CoreOS is published there.
    pub fn is_fcos(&self) -> bool {
        match self {
            Self::Ostree { .. } => self.stream().is_some(),
            Self::Container { .. } => self.repository() == FCOS_REPOSITORY,
        }
    }

    /// The stream of Fedora CoreOS, where it is one: the end of the branch, or the tag. What is followed by digest is of `stable`.
    pub fn stream(&self) -> Option<&str> {
        match self {
            Self::Ostree { .. } => {
                let (_, stream) = self.name().split_once("/coreos/")?;
                Some(stream)
            }
            Self::Container { .. } => self.is_fcos().then(|| self.tag().unwrap_or("stable")),
        }
    }
}

/// Where the images of Fedora CoreOS are.
pub const FCOS_REPOSITORY: &str = "quay.io/fedora/fedora-coreos";

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
