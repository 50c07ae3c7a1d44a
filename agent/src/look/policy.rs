//! Which images rpm-ostreed verifies on this host.

use std::path::{Path, PathBuf};

use cuo_core::release::ImagePolicy;
use tracing::warn;

/// Where container tools look (containers-policy.json(5)).
const POLICY: &str = "/etc/containers/policy.json";
/// Fedora CoreOS gives rpm-ostreed a policy of its own in that place, by `BindReadOnlyPaths=` in one of these folders.
const DROP_INS: [&str; 3] = [
    "usr/lib/systemd/system/rpm-ostreed.service.d",
    "run/systemd/system/rpm-ostreed.service.d",
    "etc/systemd/system/rpm-ostreed.service.d",
];
/// Settings of systemd.exec(5) that put one file in the place of another.
const BINDS: [&str; 2] = ["BindReadOnlyPaths", "BindPaths"];

/// The policy that rpm-ostreed goes by. What can't be read verifies nothing.
pub(super) fn read(root: &Path) -> ImagePolicy {
    let path = bound(root).unwrap_or_else(|| POLICY.to_owned());
    let path = root.join(path.trim_start_matches('/'));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return ImagePolicy::default();
        }
        Err(error) => {
            warn!("no image counts as signed: {}: {error}", path.display());
            return ImagePolicy::default();
        }
    };
    ImagePolicy::parse(&text).unwrap_or_else(|error| {
        warn!("no image counts as signed: {}: {error}", path.display());
        ImagePolicy::default()
    })
}

/// The file that rpm-ostreed finds as its policy, if that is another one.
fn bound(root: &Path) -> Option<String> {
    let mut files: Vec<_> = DROP_INS
        .iter()
        .flat_map(|folder| drop_ins(&root.join(folder)))
        .collect();
    // The last of a name counts, whichever folder it is in; names decide the order.
    files.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    let texts = files
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    let all: Vec<_> = texts.flat_map(|text| binds(&text)).collect();
    all.into_iter().next_back()
}

fn drop_ins(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "conf"))
        .collect()
}

/// What is put in the place of the policy by the settings in `text`.
fn binds(text: &str) -> Vec<String> {
    let settings = text.lines().filter_map(|line| line.split_once('='));
    let binds = settings.filter(|(key, _)| BINDS.contains(&key.trim()));
    let paths = binds.flat_map(|(_, value)| value.split_whitespace());
    let found = paths.filter_map(|path| {
        let mut parts = path.trim_start_matches('-').split(':');
        let (from, to) = (parts.next()?, parts.next()?);
        (to == POLICY).then(|| from.to_owned())
    });
    found.collect()
}

#[cfg(test)]
mod tests;
