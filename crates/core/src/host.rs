//! What rpm-ostree has on this host, as far as decisions need it.

use serde::{Deserialize, Serialize};

use crate::ids::ReleaseId;

/// One deployment of the booted stateroot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deployment {
    /// rpm-ostree's `id`, `<osname>-<checksum>.<serial>`: tells two deployments of one host apart, layered packages included.
    pub id: String,
    /// What it is for the cluster.
    pub identity: ReleaseId,
    /// Commit that is deployed (the layered or merge commit, where there is one); 64 hexadecimal digits.
    pub checksum: String,
    /// `version` for people; the short release id where the commit has none.
    pub version: String,
    /// Staged: written to disk only by the shutdown of this boot.
    pub staged: bool,
    /// When it was published, in seconds since 1970; what is layered on it does not count.
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
    /// What runs now.
    pub booted: Deployment,
    /// What the next boot boots, when that is another deployment than the booted one.
    pub pending: Option<Deployment>,
    /// All others, in boot order.
    pub others: Vec<Deployment>,
}

/// A `block` inhibitor lock on shutdown (`ListInhibitors` of logind).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Inhibitor {
    /// Who holds it.
    pub who: String,
    /// Why, in the holder's words.
    pub why: String,
}
