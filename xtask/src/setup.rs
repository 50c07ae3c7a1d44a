//! What the lab needs of the machine, and how it gets there.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Programs that are not built here, and the Debian packages they are in.
const PROGRAMS: &[(&str, &str)] = &[
    ("dbus-daemon", "dbus-daemon"),
    ("busctl", "systemd"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
];

/// The program is in one of the folders of `PATH`.
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Installs what is missing, and tells what it does.
///
/// # Errors
/// Names what can't be installed here, and how to.
pub fn ensure_programs() -> Result<()> {
    let go = installed("go") || std::env::var_os("KUBEBUILDER_ASSETS").is_some();
    ensure!(
        go,
        "there is no Go toolchain, which builds the control plane once: install Go 1.24 or later (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl"
    );
    let mut missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(program, _)| !installed(program))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    missing.dedup_by_key(|(_, package)| package);
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    let list = packages.join(" ");
    if !(rustix::process::geteuid().is_root() && Path::new("/usr/bin/apt-get").exists()) {
        bail!(
            "these packages are missing: {list}; install them, for example with `sudo apt-get install {list}`"
        );
    }
    eprintln!("installing {list} with apt-get");
    apt(&["update", "--quiet"])?;
    let install = ["install", "--quiet", "--yes", "--no-install-recommends"];
    apt(&[&install[..], &packages].concat())
}

fn apt(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("run apt-get")?;
    ensure!(
        status.success(),
        "apt-get {} failed: {status}",
        arguments.join(" ")
    );
    Ok(())
}
