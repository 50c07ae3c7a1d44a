//! Programs of Debian's packages that would start a server if they were installed: unpacked into the lab's cache, and no more.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cache;
use crate::process::bound;

/// Prometheus with promtool, and Alertmanager.
pub const MONITORING: &[&str] = &["prometheus", "prometheus-alertmanager"];

const DEADLINE: Duration = Duration::from_secs(300);
/// Which Debian this is, of whose packages the programs are.
const RELEASE: &str = "/etc/debian_version";

/// The folder that the packages, without what they depend on, were unpacked in; `progress` gets a line at least every ten seconds
/// meanwhile. Several processes may call this at the same time.
///
/// # Errors
/// When they can't be had, as where there is no apt; the error names the log.
pub async fn unpacked(packages: &[&str], progress: impl Fn(&str)) -> Result<PathBuf> {
    let release = fs::read_to_string(RELEASE)
        .with_context(|| format!("read {RELEASE}: programs of Debian's packages need a Debian"))?;
    let what = packages.join(", ");
    let parts = [std::env::consts::ARCH, release.trim()];
    let key = cache::key(parts.into_iter().chain(packages.iter().copied()));
    let entry = format!("debian-{key}");
    cache::made(&entry, &what, DEADLINE, &progress, async |partial, log| {
        let downloads = partial.join("packages");
        fs::create_dir_all(&downloads)
            .with_context(|| format!("create {}", downloads.display()))?;
        let mut apt = bound("apt-get");
        apt.arg("download").args(packages).current_dir(&downloads);
        cache::run_told(&mut apt, &what, log, DEADLINE, &progress).await?;
        unpack(&downloads, partial, log, &progress).await
    })
    .await
}

/// Unpacks all packages that are in `downloads`, and removes them.
async fn unpack(downloads: &Path, into: &Path, log: &Path, progress: &impl Fn(&str)) -> Result<()> {
    let files = fs::read_dir(downloads).with_context(|| format!("read {}", downloads.display()))?;
    let mut some = false;
    for file in files {
        let file = file.context("read what was downloaded")?.path();
        let mut dpkg = bound("dpkg-deb");
        dpkg.arg("--extract").arg(&file).arg(into);
        let name = file.display().to_string();
        cache::run_told(&mut dpkg, &name, log, DEADLINE, progress).await?;
        some = true;
    }
    ensure!(some, "apt-get downloaded nothing; log: {}", log.display());
    fs::remove_dir_all(downloads).with_context(|| format!("remove {}", downloads.display()))
}
