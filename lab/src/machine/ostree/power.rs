//! What a host's boot and shutdown do, for hosts with a systemd that calls it.

use anyhow::{Context, Result};

use super::files::NodeRoot;
use super::policy;
use super::state::{Deployed, Sysroot};

/// A boot: whatever is still staged is lost, the first deployment runs, and the system says so.
///
/// # Errors
/// When a file can't be read or written; it is named.
pub fn boot(root: &NodeRoot) -> Result<()> {
    root.edit(|sysroot: &mut Sysroot| {
        sysroot.lose_staged();
        sysroot.boot();
        sysroot.drop_stale_cache();
    })?;
    let sysroot: Sysroot = root.load()?;
    let booted = sysroot.booted().context("nothing is booted")?;
    bring(root, booted)?;
    // Its staged deployment goes there, and whoever watches for one needs the folder.
    std::fs::create_dir_all(root.join("run/ostree")).context("create run/ostree")?;
    root.write("run/ostree-booted", "")
}

/// Files of the system that are those of the release that boots.
///
/// # Errors
/// When one can't be written or removed; it is named.
pub(crate) fn bring(root: &NodeRoot, booted: &Deployed) -> Result<()> {
    policy::boot(root, booted)?;
    root.write("etc/os-release", os_release(&booted.release.version))
}

/// A clean shutdown: what is staged and unlocked is written.
///
/// # Errors
/// When the file can't be read or written; it is named.
pub fn shut_down(root: &NodeRoot) -> Result<()> {
    root.edit(Sysroot::shut_down)
}

/// The os-release of Fedora CoreOS `version`.
fn os_release(version: &str) -> String {
    let major = version.split('.').next().unwrap_or(version);
    format!(
        "NAME=\"Fedora Linux\"\nVERSION=\"{version} (CoreOS)\"\nID=fedora\nVERSION_ID={major}\nVARIANT_ID=coreos\n\
         PRETTY_NAME=\"Fedora CoreOS {version}\"\nOSTREE_VERSION='{version}'\n"
    )
}
