//! `cargo xtask image`: the container images of operator and companion.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use cuo_lab::image::{self, Build, Program};

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
    /// Make the companion's image in place of the operator's.
    #[arg(long)]
    companion: bool,
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
    let program = match arguments.companion {
        true => Program::Companion,
        false => Program::Operator,
    };
    if arguments.debug_build {
        let tree = image::rootfs(program, Build::Debug).await?;
        println!("tree   {}", tree.display());
        return Ok(());
    }
    let name = Place::of_workspace()?.image(program);
    let built = build(program, &name).await?;
    println!(
        "layout {} ({})",
        built.layout.display(),
        built.written.digest
    );
    println!("file   {} ({name})", built.archive.display());
    println!("size   {:.1} MB", built.written.size as f64 / 1e6);
    Ok(())
}

/// Builds the program's image, to be called `name`, as it is shipped.
///
/// # Errors
/// When it can't be built, or is larger than allowed.
pub async fn build(program: Program, name: &str) -> Result<Built> {
    let tree = image::rootfs(program, Build::Release).await?;
    let (description, layout) = match program {
        Program::Operator => (
            "The cluster side of CUO: chooses which node reboots when",
            "oci",
        ),
        Program::Companion => ("CUO's notifications, gates and hooks", "oci-companion"),
    };
    let image = Image {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: description.to_owned(),
        entrypoint: format!("/{}", program.name()),
        user: image::USER,
        port: 8080,
    };
    let layout = image::folder().join(layout);
    let archive = image::folder().join(format!("{}.tar", program.name()));
    let written = oci::write(&image, &tree, &layout, &archive)?;
    ensure!(
        written.size <= LIMIT,
        "the image has {} bytes, and {LIMIT} are allowed; see what grew with `cargo tree -p {}`",
        written.size,
        program.name()
    );
    Ok(Built {
        layout,
        archive,
        written,
    })
}
