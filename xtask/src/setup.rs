//! What the lab needs of the machine, and how it gets there.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Programs that are not built here, each with the Debian package that has it.
pub type Programs = &'static [(&'static str, &'static str)];

/// What the lab's hosts and the operator's pods need, and the clients that the doubles are tried with.
pub const LAB: Programs = &[
    ("dbus-daemon", "dbus-daemon"),
    ("busctl", "systemd"),
    ("dbus-send", "dbus-bin"),
    ("gdbus", "libglib2.0-bin"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
];
/// What the RPM is built and looked at with.
pub const RPM: Programs = &[
    ("rpmbuild", "rpm"),
    ("rpmlint", "rpmlint"),
    ("rpmspec", "rpm"),
];
/// What else the tests of the package and of the documentation need.
pub const PACKAGING: Programs = &[
    ("cp", "coreutils"),
    ("dpkg-deb", "dpkg"),
    ("git", "git"),
    ("journalctl", "systemd"),
    ("openssl", "openssl"),
    ("pkcheck", "polkitd"),
    ("strip", "binutils"),
    ("systemd-analyze", "systemd"),
    ("systemd-sysusers", "systemd"),
];

/// What else the hosts need that are containers.
pub const HOSTS: Programs = &[
    ("systemd-nspawn", "systemd-container"),
    ("createrepo_c", "createrepo-c"),
    ("gpg", "gpg"),
    ("gpgconf", "gpgconf"),
    ("ip", "iproute2"),
    ("mmdebstrap", "mmdebstrap"),
    ("nsenter", "util-linux"),
    ("rpm", "rpm"),
    ("rpmsign", "rpm"),
];

/// The oldest Go that builds the control plane, as its `go.mod` says.
const GO: &str = "1.26";

/// Instances of inotify that parts of the tests take side by side, with room to spare: a host takes some 16, a control plane 7, and a test of
/// the agent 2.
const INSTANCES: u32 = 512;
/// How many the kernel gives to all processes of a user.
const LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";

/// The program is in one of the folders of `PATH`.
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Makes sure that there is something to build the control plane with, or a built one.
///
/// # Errors
/// Says how to get there.
pub fn ensure_go() -> Result<()> {
    let given = std::env::var_os("KUBEBUILDER_ASSETS").is_some();
    ensure!(
        given || installed("go"),
        "there is no Go toolchain, which builds the control plane once: install Go {GO} or later (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl"
    );
    Ok(())
}

/// Whether there are as many instances of inotify as parts of the tests take side by side. Root makes it so until the next boot, and tells so.
///
/// # Errors
/// When the kernel does not say how many there are.
pub fn ensure_instances_of_inotify() -> Result<bool> {
    let text = fs::read_to_string(LIMIT).with_context(|| format!("read {LIMIT}"))?;
    let given: u32 = text
        .trim()
        .parse()
        .with_context(|| format!("read {LIMIT}"))?;
    if given >= INSTANCES {
        return Ok(true);
    }
    match fs::write(LIMIT, INSTANCES.to_string()) {
        Ok(()) => eprintln!("raised {LIMIT} from {given} to {INSTANCES}"),
        Err(error) => {
            eprintln!(
                "{LIMIT} is {given}, so parts that wait run one at a time; `sysctl fs.inotify.max_user_instances={INSTANCES}` lets them run side by side ({error})"
            );
            return Ok(false);
        }
    }
    Ok(true)
}

/// Installs those of `programs` that are missing, and tells so.
///
/// # Errors
/// Names what can't be installed here, and how to.
pub fn ensure_programs(programs: Programs) -> Result<()> {
    let mut missing: Vec<_> = programs
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
        let names: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
        bail!(
            "these programs are missing: {}; on Debian, `sudo apt-get install {list}` installs them",
            names.join(" ")
        );
    }
    eprintln!("installing {list} with apt-get");
    apt(&["update", "--quiet"])?;
    let install = [
        "-o",
        "DPkg::Lock::Timeout=300",
        "install",
        "--quiet",
        "--yes",
        "--no-install-recommends",
    ];
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

#[cfg(test)]
mod tests;
