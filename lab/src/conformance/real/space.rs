//! Programs of a tree, run in namespaces.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::timeout;

use crate::process::bound;

/// What is mounted for a program, and how.
const ENTER: &str = include_str!("../../../assets/conformance/enter.sh");
/// For one program of the tree: none needs more than seconds.
const DEADLINE: Duration = Duration::from_secs(120);

/// What the contract runs of a tree, below its `/usr`, and what it is for.
const PROGRAMS: [(&str, &str); 9] = [
    ("bin/rpm-ostree", "the daemon"),
    ("bin/ostree", "making its sysroot and its branch"),
    ("bin/dbus-daemon", "its bus"),
    ("bin/systemctl", "what ostree and the daemon call"),
    ("bin/env", "their environment"),
    ("bin/rpm", "the packages of a release"),
    ("bin/rpmdb", "the packages of a release"),
    ("bin/ldd", "finding the libraries of a program"),
    ("bin/true", "what is run in a release"),
];
/// What images need besides.
const SKOPEO: &str = "bin/skopeo";

/// A root file system whose programs are tried.
#[derive(Debug, Clone)]
pub struct Tree {
    path: PathBuf,
}

impl Tree {
    /// A tree that has what is needed.
    ///
    /// # Errors
    /// Everything that it lacks.
    pub fn new(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).context("the tree's path")?;
        ensure!(
            path.join("usr").is_dir(),
            "{}: no root file system, for it has no usr",
            path.display()
        );
        let lacks: Vec<_> = PROGRAMS
            .iter()
            .filter(|(program, _)| !path.join("usr").join(program).is_file())
            .map(|(program, what)| format!("/usr/{program} ({what})"))
            .collect();
        ensure!(
            lacks.is_empty(),
            "{} lacks {}; install these there, or name another tree",
            path.display(),
            lacks.join(", ")
        );
        Ok(Self { path })
    }

    /// Whether images can be fetched there, for which rpm-ostree runs skopeo.
    pub fn fetches_images(&self) -> bool {
        self.path.join("usr").join(SKOPEO).is_file()
    }

    /// Copies the file that is at `path` of the tree's root, whose programs and libraries are all below `/usr`.
    pub(super) fn copy(&self, path: &str, to: &Path) -> Result<()> {
        let below = path.trim_start_matches('/');
        let below = below.strip_prefix("usr/").unwrap_or(below);
        let from = self.path.join("usr").join(below);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        }
        fs::copy(&from, to).with_context(|| format!("copy {}", from.display()))?;
        Ok(())
    }

    /// A command whose program and arguments are still to be added: it runs with `root` as its root, the folders of `bound` over those of
    /// the same name, and this tree's `/usr`.
    pub(super) fn enter(&self, root: &Path, bound_folder: &Path) -> Command {
        let mut command = bound("unshare");
        command
            .args(["--mount", "--"])
            .args(["sh", "-c", ENTER, "enter"])
            .args([root, &self.path, bound_folder]);
        command
    }

    /// Runs a program to its end and returns what it printed, trimmed.
    pub(super) async fn run(&self, root: &Path, folder: &Path, words: &[&str]) -> Result<String> {
        let mut command = self.enter(root, folder);
        command.args(words);
        let what = words.join(" ");
        let output = timeout(DEADLINE, command.output())
            .await
            .with_context(|| format!("{what}: not within {DEADLINE:?}"))?
            .with_context(|| format!("start {what}"))?;
        ensure!(
            output.status.success(),
            "in {}: {what}: {}: {}",
            self.path.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The version of rpm-ostree and of ostree there, in a line.
    pub(super) async fn versions(&self, root: &Path, folder: &Path) -> Result<String> {
        let mut found = Vec::new();
        for program in ["rpm-ostree", "ostree"] {
            let text = self.run(root, folder, &[program, "--version"]).await?;
            let version = text
                .lines()
                .find_map(|line| line.trim().strip_prefix("Version: "));
            let version = version.with_context(|| format!("{program} --version says {text:?}"))?;
            found.push(format!("{program} {}", version.trim_matches('\'')));
        }
        Ok(found.join(", "))
    }
}
