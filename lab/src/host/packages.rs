//! The agent's RPM in two releases, signed and in repositories, and one that stands for what it needs of Fedora.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::signing::Key;
use crate::image::Build;
use crate::process::bound;
use crate::rpm::{self, Package, file_of, run};

const FEDORA: &str = include_str!("../../assets/host/fedora.spec");
const HELPER: &str = include_str!("../../assets/host/systemd-update-helper");

/// A folder with repositories for hosts: `repository` has the agent and what stands for Fedora, `newer` has the agent in another release, and
/// `forged` has that with the signature of somebody else. `key` is what all others are signed with.
#[derive(Debug, Clone)]
pub struct Packages(PathBuf);

impl Packages {
    /// Builds them in `folder` from `program`, whose symbols rpm would take out anyway and which are taken out here.
    ///
    /// # Errors
    /// When rpmbuild fails; the error has the end of its log.
    pub async fn build(
        folder: &Path,
        repository: &Path,
        version: &str,
        program: &Path,
    ) -> Result<Self> {
        let stripped = folder.join("cuo-agent");
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let mut strip = bound("strip");
        let status = strip.arg("-o").arg(&stripped).arg(program).status().await?;
        ensure!(status.success(), "strip {}: {status}", program.display());
        for (name, dist) in [("repository", ".1"), ("newer", ".2")] {
            let package = Package {
                repository,
                version,
                program: &stripped,
                cuoctl: None,
                dist,
                build: Build::Debug,
            };
            let built = rpm::build(&package, &folder.join("build")).await?;
            let name = folder.join(name);
            if name.exists() {
                fs::remove_dir_all(&name).with_context(|| format!("empty {}", name.display()))?;
            }
            fs::create_dir_all(&name).with_context(|| format!("create {}", name.display()))?;
            fs::rename(&built, name.join("agent.rpm"))
                .with_context(|| format!("fill {}", name.display()))?;
        }
        fedora(folder).await?;
        sign(folder).await?;
        for name in ["repository", "newer", "forged"] {
            let mut createrepo = bound("createrepo_c");
            createrepo.arg("--quiet").arg(folder.join(name));
            run(&mut createrepo, &folder.join("log")).await?;
        }
        Ok(Self(folder.to_owned()))
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.0
    }
}

/// Signs all packages of the folder, and makes the repository `forged`.
async fn sign(folder: &Path) -> Result<()> {
    let newer = folder.join("newer/agent.rpm");
    let forged = folder.join("forged/agent.rpm");
    fs::create_dir_all(folder.join("forged")).context("create the repository forged")?;
    fs::copy(&newer, &forged).context("copy a package to forge")?;
    let thief = Key::generate(&folder.join("thief")).await?;
    thief.sign(&forged).await?;
    thief.retire().await?;

    let own = Key::generate(&folder.join("own")).await?;
    for file in [
        "repository/agent.rpm",
        "repository/fedora.rpm",
        "newer/agent.rpm",
    ] {
        own.sign(&folder.join(file)).await?;
    }
    own.publish(&folder.join("key")).await?;
    own.retire().await
}

/// Builds what stands for Fedora. It also says that Debian has the C library, in the words of rpm.
async fn fedora(folder: &Path) -> Result<()> {
    let mut rpm = bound("rpm");
    rpm.args(["--query", "--package", "--requires"])
        .arg(folder.join("repository/agent.rpm"));
    let output = rpm.output().await.context("rpm --query")?;
    let needs = String::from_utf8_lossy(&output.stdout).into_owned();
    let libraries = needs
        .lines()
        .filter(|need| need.contains('(') && !need.starts_with("rpmlib("));
    let provides = libraries.fold(String::new(), |mut out, need| {
        // Writing to a String can't fail.
        let _ = writeln!(out, "Provides: {need}");
        out
    });
    let top = folder.join("fedora");
    fs::create_dir_all(&top).with_context(|| format!("create {}", top.display()))?;
    let spec = top.join("fedora.spec");
    fs::write(&spec, FEDORA.replace("PROVIDES", provides.trim_end()))
        .context("write fedora.spec")?;
    fs::write(top.join("systemd-update-helper"), HELPER).context("write systemd-update-helper")?;
    let mut rpmbuild = bound("rpmbuild");
    rpmbuild.args(["-bb", "--nodeps"]);
    let places = [
        ("_topdir", &top),
        ("_sourcedir", &top),
        ("_dbpath", &top.join("db")),
    ];
    for (name, place) in places {
        rpmbuild
            .arg("--define")
            .arg(format!("{name} {}", place.display()));
    }
    run(rpmbuild.arg(&spec), &top.join("log")).await?;
    let built = file_of(&top.join("RPMS/noarch"), "lab-fedora-").context("look for lab-fedora")?;
    fs::rename(built, folder.join("repository/fedora.rpm")).context("move fedora.rpm")
}
