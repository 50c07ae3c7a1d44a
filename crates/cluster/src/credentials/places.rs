//! Which of a host's kubeconfigs to use.

use std::path::{Path, PathBuf};

use super::files::error_text;
use super::{CredentialsError, under};

/// Kubeconfigs that a host may have, in the order in which they are tried: CUO's own, then the kubelet's in the places where
/// installers put it.
pub const PLACES: &[&str] = &[
    "/etc/cuo-agent/kubeconfig",
    "/var/lib/kubelet/kubeconfig",
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
    "/var/lib/k0s/kubelet.conf",
];

pub(super) fn discover(root: &Path) -> Result<PathBuf, CredentialsError> {
    let mut tried = Vec::new();
    for place in PLACES {
        let path = under(root, Path::new(place));
        match std::fs::File::open(&path) {
            Ok(_) => return Ok(path),
            Err(error) => tried.push((path, error_text(&error))),
        }
    }
    Err(CredentialsError::NotFound(tried))
}
