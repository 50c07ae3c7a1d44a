//! `cuoctl support-bundle`: everything that helps to find out what is wrong, in one file.

mod collect;
mod hide;

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use cuo_cluster::ClientSource;
use jiff::Timestamp;

use crate::connect::Connection;
use crate::print::{note, say};
use collect::Collected;

/// Options of `support-bundle`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Where to write it; `cuo-support-TIME.tar.zst` by default.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only list what it would hold.
    #[arg(long)]
    pub list: bool,
}

/// Collects everything, lists it, and writes it.
///
/// # Errors
/// Where the Nodes can't be read, or the file can't be written; one that is there already is left alone.
pub async fn run(source: &ClientSource, connection: &Connection, options: &Options) -> Result<()> {
    let now = Timestamp::now();
    let name = || format!("cuo-support-{}.tar.zst", now.strftime("%Y%m%dT%H%M%SZ")).into();
    let path = options.file.clone().unwrap_or_else(name);
    ensure!(
        options.list || !path.exists(),
        "{}: it is there already",
        path.display()
    );
    note("this reads the cluster, and takes a moment");
    let collected = collect::all(source, connection).await?;
    for what in &collected.missing {
        note(what);
    }
    say(&collected.listing())?;
    if options.list {
        return Ok(());
    }
    let written = write(&collected, &path, now).inspect_err(|error| remove_half(error, &path));
    written.with_context(|| format!("write {}", path.display()))?;
    say(&format!(
        "Written to {}. Tokens, passwords and keys were removed as far as they can be told; look through it before you send it.\n",
        path.display()
    ))
}

/// Half an archive is of no use to anybody, and would be in the way of the next one. One that was there before stays.
fn remove_half(error: &anyhow::Error, path: &Path) {
    let kind = error.downcast_ref().map(std::io::Error::kind);
    if kind != Some(ErrorKind::AlreadyExists)
        && let Err(error) = fs::remove_file(path)
    {
        note(&format!(
            "half of it is left in {}: {error}",
            path.display()
        ));
    }
}

/// Zstandard's own choice between time and size.
const LEVEL: i32 = 0;

fn write(collected: &Collected, path: &Path, now: Timestamp) -> Result<()> {
    // For its owner only: logs may hold what was not recognised as secret. One that appeared meanwhile is left alone.
    let mut new = OpenOptions::new();
    let file = new.write(true).create_new(true).mode(0o600).open(path)?;
    let mut archive = tar::Builder::new(zstd::Encoder::new(file, LEVEL)?);
    for (name, text) in &collected.files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len().try_into().context("its size")?);
        header.set_mode(0o644);
        header.set_mtime(now.as_second().try_into().unwrap_or_default());
        let name = format!("cuo-support/{name}");
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    let file = archive.into_inner()?.finish()?;
    file.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests;
