//! The plugin for krew, kubectl's package manager: an archive, and the manifest that names it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::files::{self, sum};
use crate::place::Place;
use crate::root;

/// The name of the program in the archive.
const PLUGIN: &str = "kubectl-cuo";

/// Packs `tool` into `out`, and returns the manifest for this machine's architecture.
pub fn pack(place: &Place, tool: &Path, out: &Path) -> Result<String> {
    let version = env!("CARGO_PKG_VERSION");
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let folder = root().join("target/krew");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    for (from, name) in [(tool, PLUGIN), (&root().join("LICENSE"), "LICENSE")] {
        fs::copy(from, folder.join(name)).with_context(|| format!("copy {}", from.display()))?;
    }
    let name = format!("{PLUGIN}-{version}-linux-{architecture}.tar.gz");
    files::pack(&folder, &[PLUGIN, "LICENSE"], &out.join(&name))?;
    Ok(manifest(
        place,
        architecture,
        &name,
        &sum(&out.join(&name))?,
    ))
}

/// krew reads the platform's digest and takes nothing else.
fn manifest(place: &Place, architecture: &str, archive: &str, digest: &str) -> String {
    let repository = &place.repository;
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: cuo
spec:
  version: v{version}
  homepage: {repository}
  shortDescription: See, foresee and steer updates of rpm-ostree hosts
  description: |
    Shows which node of a cluster with CUO runs what and why it waits, foresees which node reboots when, and pauses, approves and
    repeats updates.
  platforms:
    - selector:
        matchLabels:
          os: linux
          arch: {architecture}
      uri: {repository}/releases/download/v{version}/{archive}
      sha256: {digest}
      bin: {PLUGIN}
"
    )
}

#[cfg(test)]
mod tests;
