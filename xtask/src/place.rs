//! Where releases live. The workspace's `Cargo.toml` says it, `cargo xtask codegen` writes it into all files that name it, and
//! `cargo xtask release` puts another place in, which only its caller knows.

use anyhow::{Context, Result};
use cuo_lab::image::Program;
use serde::Deserialize;

const WORKSPACE: &str = include_str!("../../Cargo.toml");
/// What the annotation of an alert with its runbook is called, to Prometheus' dashboards and to chat programs.
const RUNBOOK: &str = "runbook_url: ";

/// The place of releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The URL of the source's repository, without a slash at its end.
    pub repository: String,
    /// Registry and namespace of the images and charts.
    pub registry: String,
    /// The URL of the documentation, without a slash at its end.
    pub site: String,
    /// Owner and project in Copr.
    pub copr: (String, String),
}

#[derive(Deserialize)]
struct Manifest {
    workspace: Workspace,
}

#[derive(Deserialize)]
struct Workspace {
    package: Package,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Package {
    repository: String,
}

#[derive(Deserialize)]
struct Metadata {
    releases: Releases,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Releases {
    registry: String,
    site: String,
    copr: String,
}

impl Place {
    /// As `Cargo.toml` has it.
    pub fn of_workspace() -> Result<Self> {
        let manifest: Manifest = toml::from_str(WORKSPACE).context("Cargo.toml")?;
        let Workspace { package, metadata } = manifest.workspace;
        let Releases {
            registry,
            site,
            copr,
        } = metadata.releases;
        let (owner, project) = copr
            .split_once('/')
            .context("Cargo.toml: `copr` is OWNER/PROJECT")?;
        Ok(Self {
            repository: package.repository,
            registry,
            site,
            copr: (owner.to_owned(), project.to_owned()),
        })
    }

    /// The program's image of this version.
    pub fn image(&self, program: Program) -> String {
        let (registry, version) = (&self.registry, env!("CARGO_PKG_VERSION"));
        format!("{registry}/{}:{version}", program.name())
    }

    /// What files have of it: file, name of the part, text.
    pub fn parts(&self) -> Vec<(&'static str, &'static str, String)> {
        let Self {
            repository,
            registry,
            copr: (owner, project),
            ..
        } = self;
        let version = env!("CARGO_PKG_VERSION");
        let image = format!("{registry}/{}", Program::Operator.name());
        let parts = [
            (
                "deploy/companion.yaml",
                "companion image",
                format!("image: {}", self.image(Program::Companion)),
            ),
            (
                "deploy/operator.yaml",
                "image",
                format!("image: {}", self.image(Program::Operator)),
            ),
            (
                "packaging/rpm/cuo-agent.spec",
                "place",
                format!("URL:            {repository}"),
            ),
            (
                ".packit.yaml",
                "copr",
                format!("owner: {owner}\nproject: {project}"),
            ),
            (
                "charts/cuo/Chart.yaml",
                "chart version",
                format!("version: {version}\nappVersion: \"{version}\""),
            ),
            (
                "charts/cuo/Chart.yaml",
                "chart home",
                format!("home: {repository}\nsources:\n  - {repository}"),
            ),
            (
                "charts/cuo/values.yaml",
                "chart image",
                format!("repository: {image}"),
            ),
            (
                "deploy/kustomization.yaml",
                "kustomize image",
                format!(
                    "#   images:\n#     - name: {image}\n#       newName: registry.example.com/cuo-operator\n#       newTag: {version}"
                ),
            ),
            (
                "deploy/gitops/argocd.yaml",
                "chart place",
                format!("repoURL: {registry}/charts\nchart: cuo\ntargetRevision: {version}"),
            ),
            (
                "deploy/gitops/flux-helm.yaml",
                "chart place",
                format!("url: oci://{registry}/charts/cuo\nref:\n  tag: {version}"),
            ),
            (
                "deploy/gitops/flux-kustomize.yaml",
                "repository",
                format!("url: {repository}\nref:\n  tag: v{version}"),
            ),
        ];
        parts
            .map(|(file, name, text)| (file, name, text + "\n"))
            .into()
    }

    /// `text` with this place in place of `other`.
    pub fn instead_of(&self, other: &Self, text: &str) -> String {
        let replaced = [
            (&other.registry, &self.registry),
            (&other.repository, &self.repository),
            (&other.site, &self.site),
        ];
        let replaced = replaced.into_iter();
        replaced.fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// Rules of Prometheus, or tests of them, with the addresses of runbooks on this place's site.
    pub fn runbooks(&self, text: &str) -> String {
        let line = |line: &str| match line.split_once(RUNBOOK) {
            Some((before, url)) => {
                let name = url.rsplit('/').next().unwrap_or_default();
                let name = name.trim_end_matches(".html");
                format!("{before}{RUNBOOK}{}/runbooks/{name}.html\n", self.site)
            }
            None => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }
}

#[cfg(test)]
mod tests;
