//! `cargo xtask rpm`: the RPMs of the agent and of `cuoctl`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cuo_lab::image::Build;
use cuo_lab::rpm::{self, Package};

use crate::files::sorted;
use crate::{root, setup};

/// Build the RPMs of the agent and of cuoctl, with rpmbuild.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Take the programs as they lie in target/release, without building them first.
    #[arg(long)]
    no_build: bool,
}

/// Builds the programs and puts each, with all that belongs to it, into an RPM; then has them looked at by rpmlint.
pub async fn run(arguments: &Arguments) -> Result<()> {
    for package in packages(!arguments.no_build).await? {
        println!("package {}", package.display());
    }
    Ok(())
}

/// The RPMs of both, in `target/rpm`.
pub async fn packages(build: bool) -> Result<Vec<PathBuf>> {
    setup::ensure_programs(setup::RPM)?;
    let program = async |name| {
        if !build {
            return Ok(root().join("target/release").join(name));
        }
        println!("building {name}, which takes minutes the first time");
        rpm::program(&root(), name).await
    };
    let (agent, cuoctl) = (program("cuo-agent").await?, program("cuoctl").await?);
    println!("building the packages");
    let folder = root().join("target/rpm");
    let what = Package {
        repository: &root(),
        version: env!("CARGO_PKG_VERSION"),
        program: &agent,
        cuoctl: Some(&cuoctl),
        dist: "",
        build: Build::Release,
    };
    let built = rpm::build(&what, &folder).await?;
    let below = built.parent().context("a package without a folder")?;
    let mut packages = Vec::new();
    for built in sorted(below)? {
        let package = folder.join(built.file_name().unwrap_or_default());
        fs::rename(&built, &package).with_context(|| format!("move {}", built.display()))?;
        packages.push(package);
    }
    println!("looking at them with rpmlint");
    let mut rpmlint = Command::new("rpmlint");
    let config = root().join("packaging/rpm/rpmlint.toml");
    rpmlint.arg("--config").arg(config).arg("--strict");
    call(rpmlint.arg(root().join(rpm::SPEC)).args(&packages))?;
    Ok(packages)
}

fn call(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("run {:?}", command.get_program()))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
