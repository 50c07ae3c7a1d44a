//! Facts about the host, from files that do not change while it is up.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cuo_core::ids::{BootId, MachineId, ParseNameError};
use jiff::SignedDuration;

/// Why a fact is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("can't read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// The file does not hold a boot id.
    #[error("{} does not hold a boot id", .0.display())]
    BootId(PathBuf, #[source] ParseNameError),
}

/// The id of the running boot, from `proc/sys/kernel/random/boot_id` under `root`.
///
/// # Errors
/// When the file can't be read or does not hold a boot id; the error names the file.
pub fn boot_id(root: &Path) -> Result<BootId, Error> {
    let path = root.join("proc/sys/kernel/random/boot_id");
    let text = read(&path)?;
    let parsed = text.trim_end().parse();
    parsed.map_err(|error| Error::BootId(path, error))
}

/// The host's machine id, from `etc/machine-id` under `root`; `None` where there is none.
pub fn machine_id(root: &Path) -> Option<MachineId> {
    let text = read(&root.join("etc/machine-id")).ok()?;
    text.trim_end().parse().ok()
}

/// How long the host has been up, from `proc/uptime` under `root`; `None` where that can't be read.
pub fn uptime(root: &Path) -> Option<SignedDuration> {
    let text = read(&root.join("proc/uptime")).ok()?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    SignedDuration::try_from_secs_f64(seconds).ok()
}

/// When the host was booted, by its clock as it is now: `btime` in `proc/stat` under `root`; `None` where that can't be read.
pub fn boot_time(root: &Path) -> Option<SystemTime> {
    let text = read(&root.join("proc/stat")).ok()?;
    let time = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    let seconds = time.trim().parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// What os-release says about the system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OsRelease {
    /// `ID`, such as `fedora`; `linux` where it is missing, as os-release(5) asks for.
    pub id: String,
    /// `VERSION_ID`, such as `43`; empty where it is missing.
    pub version_id: String,
    /// `PRETTY_NAME` for people; the id where it is missing.
    pub pretty_name: String,
}

/// Reads `etc/os-release` under `root`, or `usr/lib/os-release` where that is missing.
///
/// # Errors
/// When neither can be read; the error names the second.
pub fn os_release(root: &Path) -> Result<OsRelease, Error> {
    let first = read(&root.join("etc/os-release"));
    let text = first.or_else(|_| read(&root.join("usr/lib/os-release")))?;
    Ok(parse_os_release(&text))
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| Error::Read(path.to_owned(), error))
}

fn parse_os_release(text: &str) -> OsRelease {
    let mut fields: BTreeMap<&str, String> = text
        .lines()
        .filter_map(|line| line.trim().split_once('='))
        .map(|(key, value)| (key, unquote(value)))
        .collect();
    let mut take = |key| fields.remove(key).filter(|value| !value.is_empty());
    let id = take("ID").unwrap_or_else(|| "linux".to_owned());
    OsRelease {
        version_id: take("VERSION_ID").unwrap_or_default(),
        pretty_name: take("PRETTY_NAME").unwrap_or_else(|| id.clone()),
        id,
    }
}

/// Removes the shell quotes that os-release(5) allows.
fn unquote(value: &str) -> String {
    let inside = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(literal) = inside('\'') {
        return literal.to_owned();
    }
    let mut out = String::new();
    let mut chars = inside('"').unwrap_or(value).chars();
    while let Some(c) = chars.next() {
        // A backslash escapes the next character.
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// Bytes that are free on the file system of `path`; `None` if not known.
pub fn free(path: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(path).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(test)]
mod tests;
