//! What a new host has on its disk besides the root file system that all hosts share.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::machine::ostree::{Faults, NodeRoot};
use crate::machine::systemd::{FINALIZER, Finalizer};
use crate::machine::{HostSpec, binary};

/// Where programs and packages of the lab are on a host.
const DOUBLE: &str = "/usr/libexec/lab-rpm-ostreed";
/// Where [`super::Packages`] are on a host.
pub const PACKAGES: &str = "/packages";

/// The wire to the switch. Who is there is known without asking, so that a switch that is off is silent.
const NETWORK: &str = "[Match]
Name=host0
[Network]
Address=203.0.113.2/24
LinkLocalAddressing=no
IPv6AcceptRA=no
[Neighbor]
Address=203.0.113.1
LinkLayerAddress=02:00:00:00:00:01
";
const REPOSITORY: &str = "[cuo]
name=CUO
baseurl=file:///packages/repository
gpgcheck=1
gpgkey=file:///packages/key
";
/// Units that are enabled, each with the folder in which that is said.
const ENABLED: &[(&str, &str)] = &[
    ("basic.target.requires", "lab-ostree.service"),
    ("multi-user.target.wants", "systemd-networkd.service"),
    (
        "network-online.target.wants",
        "systemd-networkd-wait-online.service",
    ),
];

/// Units that are off: nobody sits at the console, and each watch of a file counts for the whole machine.
const MASKED: &[&str] = &[
    "console-getty.service",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
];

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
        "usr/lib/systemd/system/ostree-finalize-staged.service",
        include_str!("../../assets/host/ostree-finalize-staged.service"),
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
    ("etc/systemd/network/10-host0.network", NETWORK),
    ("etc/hosts", "127.0.0.1 localhost\n203.0.113.1 kubernetes\n"),
    ("etc/yum.repos.d/cuo.repo", REPOSITORY),
    // What stands for Fedora stays when the agent goes.
    (
        "etc/dnf/dnf.conf",
        "[main]\nclean_requirements_on_remove=False\n",
    ),
    // Debian has no release of Fedora.
    ("etc/dnf/vars/releasever", "42\n"),
    (
        "usr/bin/rpm-ostree",
        include_str!("../../assets/host/rpm-ostree"),
    ),
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
    fs::set_permissions(folder.join("gates"), Permissions::from_mode(0o777))
        .context("open gates")?;
    let root = NodeRoot::new(folder);
    root.save(&spec.sysroot())?;
    root.save(&spec.remote())?;
    root.save(&Faults::none())?;
    for (path, text) in FILES.iter().copied().chain(HostSpec::files()) {
        root.write(&format!("disk/{path}"), text)?;
    }
    fs::set_permissions(
        root.join("disk/usr/bin/rpm-ostree"),
        Permissions::from_mode(0o755),
    )
    .context("make rpm-ostree a program")?;
    let from_boot = ("basic.target.wants", FINALIZER);
    let from_boot = Some(&from_boot).filter(|_| spec.finalizer == Finalizer::FromBoot);
    for (folder, unit) in ENABLED.iter().chain(from_boot) {
        let wants = root.join("disk/etc/systemd/system").join(folder);
        fs::create_dir_all(&wants).with_context(|| format!("create {}", wants.display()))?;
        symlink(format!("/usr/lib/systemd/system/{unit}"), wants.join(unit))
            .with_context(|| format!("enable {unit}"))?;
    }
    for unit in MASKED {
        symlink("/dev/null", root.join("disk/etc/systemd/system").join(unit))
            .with_context(|| format!("mask {unit}"))?;
    }
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
