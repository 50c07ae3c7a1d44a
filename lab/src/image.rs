//! Programs as they are in their container images: one static program in an otherwise empty tree.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, ensure};

use crate::process::cargo;

/// User and group that it runs as. A number needs no `/etc/passwd`, and is what `runAsNonRoot` can judge.
pub const USER: u32 = 65532;
/// A program that has an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The operator.
    Operator,
    /// The companion.
    Companion,
}

impl Program {
    /// Its name, which is its package's, too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "cuo-operator",
            Self::Companion => "cuo-companion",
        }
    }
}

/// How it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// As it is shipped.
    Release,
    /// With the development profile, quickly and with the steps at which tests can hold it (`cuo_telemetry::gate`).
    Debug,
}

/// Where everything about the image is made; other builds know nothing of it.
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
pub async fn rootfs(program: Program, build: Build) -> Result<PathBuf> {
    let name = program.name();
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let (profile, directory) = match build {
        Build::Release => ("release", "release"),
        Build::Debug => ("dev", "debug"),
    };
    let folder = folder();
    let status = cargo()
        .args(["build", "--locked", "--package", name, "--profile", profile])
        .args(["--target", &target])
        .current_dir(root())
        // Without libraries beside it, it needs the C library inside. Flags for a named target leave build scripts alone.
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_TARGET_DIR", folder.join("build"))
        .status()
        .await
        .context("start cargo")?;
    ensure!(status.success(), "cargo could not build {name}: {status}");
    let program = folder.join("build").join(target).join(directory).join(name);
    let tree = folder.join(format!("{name}-{directory}"));
    place(&program, &tree, name)
        .with_context(|| format!("put {} into {}", program.display(), tree.display()))?;
    Ok(tree)
}

/// Copies `program` into `tree`, in one step: one that is running there goes on with the old file.
fn place(program: &Path, tree: &Path, name: &str) -> io::Result<()> {
    fs::create_dir_all(tree)?;
    let beside = tree.with_extension(format!("{}.next", std::process::id()));
    fs::copy(program, &beside)?;
    fs::rename(&beside, tree.join(name))
}
