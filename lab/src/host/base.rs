//! The root file system below all hosts: Debian, made once.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::cache;
use crate::process::bound;

/// It took 50 s on two idle cores; a machine that needs longer than this has no network to speak of.
const DEADLINE: Duration = Duration::from_secs(900);
/// The release whose systemd (257), polkit and rpm are nearest to Fedora's.
const SUITE: &str = "trixie";
const MIRROR: &str = "http://deb.debian.org/debian";
/// Documentation and translations are left out, and what has to be each host's own.
const ARGUMENTS: &[&str] = &[
    "--mode=root",
    "--variant=apt",
    "--include=systemd,systemd-sysv,dbus,polkitd,libpam-systemd,rpm,procps,dnf,libfaketime",
    "--aptopt=Acquire::Languages \"none\"",
    "--aptopt=APT::Install-Recommends \"false\"",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--customize-hook=rm -f \"$1/etc/hostname\" \"$1/var/lib/dbus/machine-id\"; : > \"$1/etc/machine-id\"",
];

/// The folder with the root file system, made if it is not there; `progress` gets a line at least every ten seconds meanwhile.
///
/// The packages come from `$CUO_LAB_MIRROR`, or from Debian's own server. The folder is kept in the lab's cache; several processes may
/// call this at the same time.
///
/// # Errors
/// When it can't be made; the error names the log.
pub async fn base(progress: impl Fn(&str)) -> Result<PathBuf> {
    let parts = [std::env::consts::ARCH, SUITE];
    let key = cache::key(parts.into_iter().chain(ARGUMENTS.iter().copied()));
    let entry = format!("host-{key}");
    let what = "the hosts' root file system";
    cache::made(&entry, what, DEADLINE, &progress, async |partial, log| {
        progress(&format!(
            "making {what}, once: a minute or two; log: {}",
            log.display()
        ));
        let mirror = std::env::var("CUO_LAB_MIRROR").unwrap_or_else(|_| MIRROR.to_owned());
        let mut command = bound("mmdebstrap");
        command.args(ARGUMENTS).arg(SUITE).arg(partial).arg(mirror);
        cache::run_told(&mut command, what, log, DEADLINE, &progress).await
    })
    .await
}
