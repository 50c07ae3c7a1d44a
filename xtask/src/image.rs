//! `cargo xtask image`: the operator's container image.

use anyhow::{Result, ensure};
use clap::Args;
use cuo_lab::image::{self, Build};

use crate::oci::{self, Image};
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

/// Builds the program, its tree, and the image: an OCI layout, and the same as one file for `docker load` and `podman load`.
pub async fn run(arguments: &Arguments) -> Result<()> {
    if arguments.debug_build {
        println!("tree   {}", image::rootfs(Build::Debug).await?.display());
        return Ok(());
    }
    let tree = image::rootfs(Build::Release).await?;
    println!("tree   {}", tree.display());
    let version = env!("CARGO_PKG_VERSION");
    let image = Image {
        name: Place::of_workspace()?.image(),
        version: version.to_owned(),
        description: "The cluster side of CUO: chooses which node reboots when".to_owned(),
        entrypoint: format!("/{}", image::PROGRAM),
        user: image::USER,
        port: 8080,
    };
    let layout = image::folder().join("oci");
    let archive = image::folder().join("cuo-operator.tar");
    let written = oci::write(&image, &tree, &layout, &archive)?;
    println!("layout {} ({})", layout.display(), written.digest);
    println!("file   {} ({})", archive.display(), image.name);
    println!("size   {:.1} MB", written.size as f64 / 1e6);
    ensure!(
        written.size <= LIMIT,
        "the image has {} bytes, and {LIMIT} are allowed; see what grew with `cargo tree -p cuo-operator`",
        written.size
    );
    Ok(())
}
