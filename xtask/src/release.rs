//! `cargo xtask release`: every file of a release, in one folder, without a network.
//!
//! Publishing is for the pipeline, which runs this on a machine of each architecture, joins what they made, pushes, signs and attests it.

mod krew;
mod sbom;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use cuo_lab::image::Program;

use crate::files::{self, copy, sums};
use crate::place::Place;
use crate::{image, root, rpm};

/// Manifests that people apply, which name the image or nothing of the place.
const MANIFESTS: [&str; 2] = ["operator.yaml", "agent-identity.yaml"];
/// The programs whose parts are listed.
const PROGRAMS: [&str; 3] = ["cuo-operator", "cuo-agent", "cuoctl"];

/// How to make it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Make and list everything, and publish nothing: the only way so far, since publishing is for the pipeline.
    #[arg(long, required = true)]
    dry_run: bool,
    /// Registry and namespace to name in place of the workspace's.
    #[arg(long, value_name = "REGISTRY")]
    registry: Option<String>,
    /// URL of the repository to name in place of the workspace's. The RPMs name the workspace's.
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
}

/// Makes all files in `target/release-VERSION`, which is recreated, and lists them.
pub async fn run(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.dry_run, "publishing is for the pipeline");
    let version = env!("CARGO_PKG_VERSION");
    let here = Place::of_workspace()?;
    let place = Place {
        registry: arguments.registry.clone().unwrap_or(here.registry.clone()),
        repository: arguments
            .repository
            .clone()
            .unwrap_or(here.repository.clone()),
        ..here.clone()
    };
    let out = root().join(format!("target/release-{version}"));
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("empty {}", out.display()))?;
    }
    fs::create_dir_all(&out).with_context(|| format!("create {}", out.display()))?;

    println!("building the operator's image");
    let program = Program::Operator;
    let built = image::build(program, &place.image(program)).await?;
    copy(&built.layout, &out.join("image"))?;
    for package in rpm::packages(true).await? {
        let name = package.file_name().context("a package without a name")?;
        fs::copy(&package, out.join(name))
            .with_context(|| format!("copy {}", package.display()))?;
    }
    println!("packing the rest");
    for name in MANIFESTS {
        let path = root().join("deploy").join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        write(&out.join(name), &place.instead_of(&here, &text))?;
    }
    chart(&here, &place, &out)?;
    let tool = root().join("target/release/cuoctl");
    write(&out.join("cuo.yaml"), &krew::pack(&place, &tool, &out)?)?;
    for program in PROGRAMS {
        let name = format!("{program}-{version}-{}.cdx.json", std::env::consts::ARCH);
        write(&out.join(name), &sbom::of(program)?)?;
    }
    write(&out.join("SHA256SUMS"), &sums(&out)?)?;
    print_list(&out, &place, &built.written.digest)
}

/// Packs the chart as `helm package` would.
fn chart(here: &Place, place: &Place, out: &Path) -> Result<()> {
    let above = root().join("target/chart");
    let chart = above.join("cuo");
    if chart.exists() {
        fs::remove_dir_all(&chart).with_context(|| format!("empty {}", chart.display()))?;
    }
    copy(&root().join("charts/cuo"), &chart)?;
    for file in files::below(&chart)? {
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        write(&file, &place.instead_of(here, &text))?;
    }
    let name = format!("cuo-{}.tgz", env!("CARGO_PKG_VERSION"));
    files::pack(&above, &["cuo"], &out.join(name))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// Says what is there, and where the pipeline publishes it.
fn print_list(out: &Path, place: &Place, digest: &str) -> Result<()> {
    println!("\nfiles in {}:", out.display());
    for entry in files::sorted(out)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        match entry.is_dir() {
            true => println!("  {name}/"),
            false => println!(
                "  {name} ({:.1} kB)",
                entry.metadata()?.len() as f64 / 1000.0
            ),
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    println!("\nto be published by the pipeline, and nothing of it now:");
    println!("  image {} ({digest})", place.image(Program::Operator));
    println!("  chart oci://{}/charts/cuo:{version}", place.registry);
    println!(
        "  all other files at {}/releases/tag/v{version}",
        place.repository
    );
    let (owner, project) = &place.copr;
    println!("  RPMs by Copr, from the source: {owner}/{project}");
    Ok(())
}
