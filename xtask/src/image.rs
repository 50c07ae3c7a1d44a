//! `cargo xtask image`: the operator's container image.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use cuo_lab::image::{self, Build};

use crate::oci::{self, Image, Written};
use crate::place::Place;

/// More than this is a mistake: a dependency too many, or symbols that were not stripped.
const LIMIT: u64 = 15_000_000;

/// What to build.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Make only the unpacked tree, with a program of the development profile, as tests run it.
    #[arg(long)]
    debug_build: bool,
}

/// An image that was built.
#[derive(Debug)]
pub struct Built {
    /// Its OCI layout, a folder.
    pub layout: PathBuf,
    /// The same as one file, for `docker load` and `podman load`.
    pub archive: PathBuf,
    /// Its digest and size.
    pub written: Written,
}

/// Builds the program, its tree, and the image.
pub async fn run(arguments: &Arguments) -> Result<()> {
    if arguments.debug_build {
        println!("tree   {}", image::rootfs(Build::Debug).await?.display());
        return Ok(());
    }
    let name = Place::of_workspace()?.image();
    let built = build(&name).await?;
    println!(
        "layout {} ({})",
        built.layout.display(),
        built.written.digest
    );
    println!("file   {} ({name})", built.archive.display());
    println!("size   {:.1} MB", built.written.size as f64 / 1e6);
    Ok(())
}

/// Builds the image `name` as it is shipped.
///
/// # Errors
/// When it can't be built, or is larger than allowed.
pub async fn build(name: &str) -> Result<Built> {
    let tree = image::rootfs(Build::Release).await?;
    let image = Image {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: "The cluster side of CUO: chooses which node reboots when".to_owned(),
        entrypoint: format!("/{}", image::PROGRAM),
        user: image::USER,
        port: 8080,
    };
    let layout = image::folder().join("oci");
    let archive = image::folder().join("cuo-operator.tar");
    let written = oci::write(&image, &tree, &layout, &archive)?;
    ensure!(
        written.size <= LIMIT,
        "the image has {} bytes, and {LIMIT} are allowed; see what grew with `cargo tree -p cuo-operator`",
        written.size
    );
    Ok(Built {
        layout,
        archive,
        written,
    })
}
