//! Files of releases and of hosts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};

use super::registry::Registry;

/// Version of the kernel of all releases.
pub(super) const KERNEL: &str = "6.9.1-200.fc40.x86_64";
/// Bytes that are another in each release, so that there is something to fetch: about a chunk of an image.
const BULK: usize = 1_000_000;
/// The package of each release, with the release's version.
pub(super) const PACKAGE: &str = "Name: lab-foo\nVersion: VERSION\nRelease: 1\nSummary: Stands for a release\nLicense: Apache-2.0\nBuildArch: noarch\n\n\
                                  %description\nStands for a release.\n\n%files\n";
/// Accounts that programs look up.
const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnobody:x:65534:\n";
const POLICY: &str = include_str!("../../../assets/host/policy.json");

pub(super) fn create(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("create {}", path.display()))
}

pub(super) fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    if let Some(parent) = path.parent() {
        create(parent)?;
    }
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// The folders of a root, all empty, and the links of one whose programs are in `/usr`.
pub(super) fn skeleton(root: &Path) -> Result<()> {
    for part in [
        "boot", "dev", "lab", "proc", "run", "sys", "sysroot", "tmp", "usr", "var",
    ] {
        create(&root.join(part))?;
    }
    for (name, to) in [
        ("bin", "usr/bin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
        ("sbin", "usr/sbin"),
        ("ostree", "sysroot/ostree"),
    ] {
        symlink(to, root.join(name)).with_context(|| format!("link {name}"))?;
    }
    Ok(())
}

/// The files of a release: what ostree and rpm-ostree ask for, and bytes of its own.
pub(super) fn lay_out(place: &Path, version: &str) -> Result<()> {
    skeleton(place)?;
    for part in ["usr/bin", "usr/etc", "usr/lib64", "usr/share/rpm"] {
        create(&place.join(part))?;
    }
    let release = format!(
        "NAME=\"Fedora Linux\"\nID=fedora\nVARIANT_ID=iot\nVERSION_ID=40\nPRETTY_NAME=\"Fedora {version}\"\nOSTREE_VERSION='{version}'\n"
    );
    write(&place.join("usr/lib/os-release"), release)?;
    let modules = place.join("usr/lib/modules").join(KERNEL);
    write(&modules.join("vmlinuz"), format!("kernel of {version}\n"))?;
    write(
        &modules.join("initramfs.img"),
        format!("initramfs of {version}\n"),
    )?;
    let mut random = fastrand::Rng::new();
    let bulk: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .take(BULK)
        .collect();
    write(&place.join("usr/share/bulk"), bulk)
}

pub(super) fn write_etc(etc: &Path, registry: Option<&Registry>) -> Result<()> {
    write(&etc.join("passwd"), PASSWD)?;
    write(&etc.join("group"), GROUP)?;
    write(&etc.join("hosts"), "127.0.0.1 localhost\n")?;
    write(&etc.join("containers/policy.json"), POLICY)?;
    let insecure = registry.map(|registry| {
        let address = registry.address();
        format!("[[registry]]\nlocation = \"{address}\"\ninsecure = true\n")
    });
    let path = etc.join("containers/registries.conf");
    write(&path, insecure.unwrap_or_default())
}

pub(super) fn write_service(bound: &Path, name: &str, exec: &str) -> Result<()> {
    let path = bound.join("lab/services").join(format!("{name}.service"));
    let text = format!("[D-BUS Service]\nName={name}\nExec={exec}\nUser=root\n");
    write(&path, text)
}
