//! `cargo xtask conformance`: the contract of rpm-ostreed, run against the lab's double and against a real daemon.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use cuo_lab::conformance::{self, Case, Fixture, Report, Row, Tree, record};
use cuo_lab::machine::OriginKind;
use cuo_lab::process::cargo;

use crate::{root, setup};

/// What it needs besides the lab's programs.
const SERVER: setup::Programs = &[(conformance::REGISTRY, "docker-registry")];

/// What makes the packages of the releases that are tried.
const BUILDER: setup::Programs = &[("rpmbuild", "rpm")];

/// What is tried.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Root file system whose rpm-ostreed is tried.
    #[arg(long, value_name = "TREE")]
    root: PathBuf,
    /// Write what the real daemon shows into the file that the double is held to, instead of failing where it differs from that.
    #[arg(long)]
    record: bool,
    /// Only cases whose name contains one of these.
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
}

/// Builds the double, runs the cases, and prints what differs.
///
/// # Errors
/// What is missing, or how many cases differ in a way that is not known.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let tree = Tree::new(&arguments.root)?;
    ensure!(
        rustix::process::geteuid().is_root(),
        "a tree is tried in namespaces, which needs root: run this with sudo"
    );
    let images = tree.fetches_images();
    let cases: Vec<_> = conformance::all()
        .filter(|case| wanted(case, &arguments.cases))
        .collect();
    ensure!(!cases.is_empty(), "no case has such a name");
    setup::ensure_programs(setup::LAB)?;
    setup::ensure_programs(BUILDER)?;
    if images {
        setup::ensure_programs(SERVER)?;
    } else {
        eprintln!("==> no skopeo in the tree, so no cases with images");
    }
    build().await?;
    let mut fixture = Fixture::make(tree, images, |line| eprintln!("==> {line}")).await?;
    let mut report = Report { rows: Vec::new() };
    for case in cases {
        eprintln!("==> {}", case.name);
        let double = conformance::on_double(case).await;
        let double = double.map_err(|error| format!("{error:#}"));
        let mut real = None;
        if images || case.origin == OriginKind::Ostree {
            let (back, seen) = conformance::on_real(case, fixture).await?;
            fixture = back;
            real = Some(seen.map_err(|error| format!("{error:#}")));
        }
        report.rows.push(Row { case, double, real });
    }
    println!("{}\n\n{report}", fixture.versions());
    if arguments.record {
        let file = record::file();
        let text = record::renewed(fixture.versions(), &report);
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        eprintln!("wrote {}", file.display());
        return Ok(());
    }
    let differ = report.differ();
    ensure!(
        differ == 0,
        "{differ} cases differ from what {} was seen to do; they are listed above",
        record::versions()
    );
    Ok(())
}

fn wanted(case: &Case, names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|name| case.name.contains(name.as_str()))
}

/// The doubles, beside this program. The whole workspace, so that everything is built with the same features, and once.
async fn build() -> Result<()> {
    let built = cargo()
        .args(["build", "--locked", "--workspace", "--bins"])
        .env("CARGO_TARGET_DIR", root().join("target"))
        .current_dir(root())
        .status()
        .await
        .context("run cargo")?;
    ensure!(built.success(), "the build failed: {built}");
    Ok(())
}
