//! Which release a program is of, and how it takes the place of the other one's.

use std::path::Path;

use cuo_lab::bench::{Bench, MANIFEST, Operator, OperatorSpec, Site, SiteSpec};
use cuo_lab::machine::HostSpec;
use cuo_lab::previous::{self, Previous};
use tempfile::TempDir;

use crate::V1;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The one before this one.
    Before,
    /// This one.
    Now,
}

pub use Release::{Before, Now};

impl Release {
    pub fn other(self) -> Self {
        match self {
            Before => Now,
            Now => Before,
        }
    }

    /// First this one, then the other, and so on.
    pub fn at(self, turn: usize) -> Self {
        match turn % 2 {
            0 => self,
            _ => self.other(),
        }
    }
}

/// The programs of both.
pub struct Both(Previous);

impl Both {
    /// Nothing where the other release can't be had, which the test says.
    pub async fn find() -> Option<Self> {
        if let Err(error) = previous::possible().await {
            eprintln!("SKIPPED: {error:#}");
            return None;
        }
        let made = previous::ensure(|line| eprintln!("{line}")).await;
        Some(Self(made.unwrap()))
    }

    /// What the operator of `release` is deployed with.
    fn manifest(&self, release: Release) -> &Path {
        match release {
            Before => &self.0.manifest,
            Now => Path::new(MANIFEST),
        }
    }

    /// A cluster of workers `n1`, `n2`, … on [`V1`] with agents of these releases, deployed as `manifest` does. Nothing runs yet.
    pub async fn cluster(&self, manifest: Release, agents: &[Release]) -> (TempDir, Bench) {
        // Short, because the paths of sockets may not be long.
        let folder = tempfile::Builder::new()
            .prefix("cuo")
            .tempdir_in("/tmp")
            .unwrap();
        let names = (1..=agents.len()).map(|number| format!("n{number}"));
        let sites = names.map(|name| SiteSpec::worker(&name, HostSpec::ostree(V1)));
        let bench = Bench::deployed(folder.path(), self.manifest(manifest), sites.collect());
        let bench = bench.await.unwrap();
        for (site, release) in bench.sites().zip(agents) {
            self.agents_are(site, *release);
        }
        (folder, bench)
    }

    /// From its next start on, the agent is of `release`.
    pub fn agents_are(&self, site: &Site, release: Release) {
        site.agents_are(match release {
            Before => Some(&self.0.agent),
            Now => None,
        });
    }

    /// The agent is ended where it stands, and one of `release` takes its place, in the same boot.
    pub async fn replace_agent(&self, site: &Site, release: Release) {
        site.kill_agent().await.unwrap();
        self.agents_are(site, release);
        site.start_agent().await.unwrap();
    }

    /// An operator of `release`; `name` tells it from others.
    pub async fn operator(&self, bench: &Bench, release: Release, name: &str) -> Operator {
        let program = match release {
            Before => Some(self.0.operator.clone()),
            Now => None,
        };
        let spec = OperatorSpec {
            name: name.to_owned(),
            program,
            ..OperatorSpec::default()
        };
        bench.operator(spec).await.unwrap()
    }

    /// What the operator of `release` is deployed with takes the place of what is there.
    pub async fn deploy(&self, bench: &Bench, release: Release) {
        let manifest = self.manifest(release).display().to_string();
        let apply = ["apply", "--filename", &manifest];
        bench.plane.kubectl(&apply).await.unwrap();
    }

    /// The operator is told to end where it stands, and one of `release` takes over from it.
    pub async fn replace_operator(
        &self,
        bench: &Bench,
        mut operator: Operator,
        release: Release,
        name: &str,
    ) -> Operator {
        self.deploy(bench, release).await;
        operator.terminate().await.unwrap();
        self.operator(bench, release, name).await
    }
}
