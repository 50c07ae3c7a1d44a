//! The operator as it is in its container image: one static program in an otherwise empty tree.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, ensure};

use crate::process::cargo;

/// User and group that it runs as. A number needs no `/etc/passwd`, and is what `runAsNonRoot` can judge.
pub const USER: u32 = 65532;
/// The program in the tree.
pub const PROGRAM: &str = "cuo-operator";

/// How it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// As it is shipped.
    Release,
    /// With the development profile, quickly and with the steps at which tests can hold it (`cuo_telemetry::gate`).
    Debug,
}

/// Where the image is made.
pub fn folder() -> PathBuf {
    root().join("target/image")
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The path of the tree, with the program built from the sources as they are now. Cargo's output goes to standard error.
///
/// The first time takes minutes; with nothing changed, a second.
///
/// # Errors
/// When the program can't be built or put in its place.
pub async fn rootfs(build: Build) -> Result<PathBuf> {
    let (profile, directory, tree) = match build {
        Build::Release => ("release", "release", "rootfs"),
        Build::Debug => ("dev", "debug", "rootfs-debug"),
    };
    let target = root().join("target");
    let status = cargo()
        .args(["rustc", "--locked", "--package", "cuo-operator"])
        .args(["--bin", PROGRAM, "--profile", profile])
        // Without libraries beside it, it needs the C library inside. That is for the last step alone to know: all it is made of is shared
        // with other builds.
        .args(["--", "-C", "target-feature=+crt-static"])
        .current_dir(root())
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .await
        .context("start cargo")?;
    ensure!(
        status.success(),
        "cargo could not build cuo-operator: {status}"
    );
    let program = target.join(directory).join(PROGRAM);
    let tree = folder().join(tree);
    place(&program, &tree)
        .with_context(|| format!("put {} into {}", program.display(), tree.display()))?;
    Ok(tree)
}

/// Copies `program` into `tree`, in one step: one that is running there goes on with the old file.
fn place(program: &Path, tree: &Path) -> io::Result<()> {
    fs::create_dir_all(tree)?;
    let beside = tree.with_extension(format!("{}.next", std::process::id()));
    fs::copy(program, &beside)?;
    fs::rename(&beside, tree.join(PROGRAM))
}
