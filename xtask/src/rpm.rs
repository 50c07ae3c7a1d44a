//! `cargo xtask rpm`: the agent's RPM.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cuo_lab::image::Build;
use cuo_lab::rpm::{self, Package};

use crate::{root, setup};

/// Build the agent's RPM, with rpmbuild.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Take the program as it lies in target/release, without building it first.
    #[arg(long)]
    no_build: bool,
}

/// Builds the program and puts it, with all that belongs to it, into an RPM; then has it looked at by rpmlint.
pub async fn run(arguments: &Arguments) -> Result<()> {
    setup::ensure_programs(setup::RPM)?;
    let program = if arguments.no_build {
        root().join("target/release/cuo-agent")
    } else {
        println!("building the program, which takes minutes the first time");
        rpm::program(&root()).await?
    };
    println!("building the package");
    let folder = root().join("target/rpm");
    let what = Package {
        repository: &root(),
        version: env!("CARGO_PKG_VERSION"),
        program: &program,
        dist: "",
        build: Build::Release,
    };
    let built = rpm::build(&what, &folder).await?;
    let package = folder.join(built.file_name().context("a package without a name")?);
    fs::rename(&built, &package).with_context(|| format!("move {}", built.display()))?;
    println!("looking at it with rpmlint");
    let mut rpmlint = Command::new("rpmlint");
    rpmlint
        .arg("--config")
        .arg(root().join("packaging/rpm/rpmlint.toml"));
    call(
        rpmlint
            .arg("--strict")
            .arg(root().join(rpm::SPEC))
            .arg(&package),
    )?;
    println!("package {}", package.display());
    Ok(())
}

fn call(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("run {:?}", command.get_program()))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
