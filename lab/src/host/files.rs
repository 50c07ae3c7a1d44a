//! What a new host has on its disk besides the root file system that all hosts share.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::machine::{HostSpec, binary};
use crate::ostree::{Faults, NodeRoot, Release, Remote, Sysroot};

/// Where programs and packages of the lab are on a host.
const DOUBLE: &str = "/usr/libexec/lab-rpm-ostreed";
/// Where [`super::Packages`] are on a host.
pub const PACKAGES: &str = "/packages";

/// Files for the disk, from the host's root.
const FILES: &[(&str, &str)] = &[
    (
        "usr/lib/systemd/system/rpm-ostreed.service",
        include_str!("../../assets/host/rpm-ostreed.service"),
    ),
    (
        "usr/lib/systemd/system/lab-ostree.service",
        include_str!("../../assets/host/lab-ostree.service"),
    ),
    (
        "usr/share/dbus-1/system-services/org.projectatomic.rpmostree1.service",
        include_str!("../../assets/host/org.projectatomic.rpmostree1.service"),
    ),
    (
        "usr/share/dbus-1/system.d/org.projectatomic.rpmostree1.conf",
        include_str!("../../assets/host/org.projectatomic.rpmostree1.conf"),
    ),
    (
        "usr/share/polkit-1/actions/org.projectatomic.rpmostree1.policy",
        include_str!("../../assets/host/org.projectatomic.rpmostree1.policy"),
    ),
    // Fedora's presets enable nothing that they don't name; Debian's enable everything.
    ("etc/systemd/system-preset/50-lab.preset", "disable *\n"),
    // A journal that outlives the boot.
    ("var/log/journal/.lab", ""),
];

/// A new host in `folder`: its disk, and what it shares with the tests (`lab`, `ostree`, `kubelet`, see [`binds`]).
pub(super) fn lay_out(folder: &Path, spec: &HostSpec) -> Result<NodeRoot> {
    for part in ["lab", "ostree/deploy", "ostree/repo", "kubelet", "gates"] {
        let path = folder.join(part);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
    }
    // Steps at which the agent, which is not root, is held.
    fs::set_permissions(
        folder.join("gates"),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .context("open gates")?;
    let root = NodeRoot::new(folder);
    let booted = Release::new(&spec.version);
    root.save(&Sysroot::new(
        &spec.osname,
        booted,
        spec.origin(),
        spec.layered.clone(),
    ))?;
    root.save(&Remote::new(&spec.version))?;
    root.save(&Faults::none())?;
    for (path, text) in FILES {
        root.write(&format!("disk/{path}"), text)?;
    }
    let wants = root.join("disk/etc/systemd/system/basic.target.requires");
    fs::create_dir_all(&wants).with_context(|| format!("create {}", wants.display()))?;
    symlink(
        "/usr/lib/systemd/system/lab-ostree.service",
        wants.join("lab-ostree.service"),
    )
    .context("enable lab-ostree.service")?;
    Ok(root)
}

/// What of the machine a host sees, as arguments of nspawn.
pub(super) fn binds(folder: &Path, packages: &Path) -> Result<Vec<String>> {
    let bind = |option: &str, from: PathBuf, to: &str| format!("{option}={}:{to}", from.display());
    Ok(vec![
        bind("--bind", folder.join("lab"), "/lab"),
        bind("--bind", folder.join("ostree"), "/ostree"),
        bind("--bind", folder.join("gates"), "/gates"),
        bind("--bind", folder.join("kubelet"), "/var/lib/kubelet"),
        bind("--bind-ro", packages.to_owned(), PACKAGES),
        bind("--bind-ro", binary("lab-rpm-ostreed")?, DOUBLE),
    ])
}
