//! What rpm-ostree has deployed on this host, as far as decisions need it.

use serde::{Deserialize, Serialize};

use crate::ids::ReleaseId;

/// One deployment of the booted stateroot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deployment {
    /// rpm-ostree's `id`, `<osname>-<checksum>.<serial>`: tells two deployments of one host apart, layered packages included.
    pub id: String,
    /// The release id.
    pub identity: ReleaseId,
    /// Commit that is deployed (the layered or merge commit, where there is one); 64 hexadecimal digits.
    pub checksum: String,
    /// `version` for people; the short release id where the commit has none.
    pub version: String,
    /// Staged: written to disk only by the shutdown of this boot.
    pub staged: bool,
    /// When the release was published, in seconds since 1970, layered packages aside.
    pub published: u64,
}

impl Deployment {
    /// The version, if the commit has one.
    pub fn named_version(&self) -> Option<String> {
        (self.version != self.identity.short()).then(|| self.version.clone())
    }
}

/// The deployments of the booted stateroot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    /// The running deployment.
    pub booted: Deployment,
    /// The deployment that the next boot boots, if that is not the booted one.
    pub pending: Option<Deployment>,
    /// All other deployments, in boot order.
    pub others: Vec<Deployment>,
}

/// A `block` inhibitor lock on shutdown (`ListInhibitors` of logind).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Inhibitor {
    /// The program that holds it.
    pub who: String,
    /// Why, as that program put it.
    pub why: String,
}
