//! What a new host is like.

use super::ostree::{Origin, Release, Remote, Sysroot};
use super::systemd::Finalizer;

/// The branch of most hosts: Fedora IoT's, which no update graph serves.
const BRANCH: &str = "fedora:fedora/stable/x86_64/iot";
/// The image of most hosts: somebody's own, which no update graph serves.
const IMAGE: &str = "ostree-unverified-registry:127.0.0.1:8972/fcos:stable";
/// The branch of Fedora CoreOS' stream `stable`, as hosts follow it that were installed before 2025.
pub const FCOS_BRANCH: &str = "fedora:fedora/x86_64/coreos/stable";
/// The image of Fedora CoreOS' stream `stable`, as hosts follow it since 42.20251012.3.0.
pub const FCOS_IMAGE: &str = "ostree-image-signed:docker://quay.io/fedora/fedora-coreos:stable";

/// What Fedora's package of containers lets in: anything.
const POLICY: (&str, &str) = (
    "etc/containers/policy.json",
    include_str!("../../assets/host/policy.json"),
);
/// Which kind of origin a host follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginKind {
    /// A branch of an ostree remote.
    Ostree,
    /// A tag of a container image.
    Container,
}

/// What a new host is like.
#[derive(Debug, Clone)]
pub struct HostSpec {
    /// Kind of origin.
    pub origin: OriginKind,
    /// What it follows, as rpm-ostree writes it; `None` is a branch or image that no update graph serves.
    pub follows: Option<String>,
    /// Version that runs.
    pub version: String,
    /// Version that the remote offers besides, as its newest.
    pub newest: Option<String>,
    /// Versions that can be fetched by commit, version or digest besides, and that no branch and no tag leads to.
    pub offered: Vec<String>,
    /// Client-side layered packages.
    pub layered: Vec<String>,
    /// Stateroot.
    pub osname: String,
    /// Since when ostree's finalizer is active.
    pub finalizer: Finalizer,
}

impl HostSpec {
    /// A host on a plain ostree branch, up to date.
    pub fn ostree(version: &str) -> Self {
        Self {
            origin: OriginKind::Ostree,
            follows: None,
            version: version.to_owned(),
            newest: None,
            offered: Vec::new(),
            layered: Vec::new(),
            osname: "fedora-coreos".to_owned(),
            finalizer: Finalizer::default(),
        }
    }

    /// A host on a container image, up to date.
    pub fn container(version: &str) -> Self {
        Self {
            origin: OriginKind::Container,
            ..Self::ostree(version)
        }
    }

    /// A host of Fedora CoreOS that follows [`FCOS_BRANCH`], up to date.
    pub fn fcos_branch(version: &str) -> Self {
        Self::following(FCOS_BRANCH, version)
    }

    /// A host of Fedora CoreOS that follows [`FCOS_IMAGE`], up to date.
    pub fn fcos_image(version: &str) -> Self {
        Self::following(FCOS_IMAGE, version)
    }

    /// A host that follows this branch or image, as rpm-ostree writes it, up to date.
    pub fn following(reference: &str, version: &str) -> Self {
        let origin = match Origin::parse(reference) {
            Origin::Ostree { .. } => OriginKind::Ostree,
            Origin::Container { .. } => OriginKind::Container,
        };
        Self {
            origin,
            follows: Some(reference.to_owned()),
            ..Self::ostree(version)
        }
    }

    /// What it follows.
    pub fn origin(&self) -> Origin {
        let usual = match self.origin {
            OriginKind::Ostree => BRANCH,
            OriginKind::Container => IMAGE,
        };
        Origin::parse(self.follows.as_deref().unwrap_or(usual))
    }

    /// Every version that its remote offers, the one that runs first and the newest last.
    pub fn versions(&self) -> Vec<&str> {
        let first = Some(&self.version);
        let all = first.into_iter().chain(&self.offered).chain(&self.newest);
        all.map(String::as_str).collect()
    }

    pub(crate) fn sysroot(&self) -> Sysroot {
        let origin = self.origin();
        // Fedora's remote verifies what it brings.
        let signed = origin.is_fcos() && self.origin == OriginKind::Ostree;
        let booted = Release::new(&self.version);
        Sysroot {
            signed,
            ..Sysroot::new(&self.osname, booted, origin, self.layered.clone())
        }
    }

    /// Files of a new host, from its root, that no release brings: what it lets in of container images.
    pub(crate) fn files() -> [(&'static str, &'static str); 1] {
        [POLICY]
    }

    pub(crate) fn remote(&self) -> Remote {
        let mut remote = Remote::new(&self.version);
        self.offered
            .iter()
            .for_each(|version| remote.offer(version));
        if let Some(newest) = &self.newest {
            remote.publish(newest);
        }
        remote
    }
}
