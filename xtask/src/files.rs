//! Folders and archives, with the same bytes wherever they are made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// The entries of `folder`, sorted.
pub fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("list {}", folder.display()))?;
        paths.push(entry.path());
    }
    paths.sort();
    Ok(paths)
}

/// All files below `folder`.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in sorted(folder)? {
        match path.is_dir() {
            true => files.extend(below(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in below(from)? {
        let target = to.join(file.strip_prefix(from)?);
        let folder = target.parent().context("a file without a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        fs::copy(&file, &target).with_context(|| format!("copy {}", file.display()))?;
    }
    Ok(())
}

/// Packs `names` in `folder` as a compressed tar file: sorted, owned by root, without times.
pub fn pack(folder: &Path, names: &[&str], archive: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--gzip", "--sort=name", "--format=ustar"])
        .args(["--owner=0", "--group=0", "--numeric-owner"])
        .args(["--mode=u=rwX,go=rX", "--mtime=@0"])
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(folder)
        .args(names);
    let status = tar.status().context("run tar")?;
    ensure!(status.success(), "tar of {}: {status}", archive.display());
    Ok(())
}

/// SHA-256 of a file, as hexadecimal digits.
pub fn sum(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    Ok(digits(&bytes))
}

/// SHA-256 of `bytes`, as hexadecimal digits.
pub fn digits(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files of `folder`, as `sha256sum --check` takes them. The image's parts are named by their digests anyway.
pub fn sums(folder: &Path) -> Result<String> {
    let mut text = String::new();
    for path in sorted(folder)?.into_iter().filter(|path| path.is_file()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        text += &format!("{}  {name}\n", sum(&path)?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
