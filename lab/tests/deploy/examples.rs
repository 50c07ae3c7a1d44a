//! `deploy/examples`: each file is taken by the API server as it is, and by the operator.

use anyhow::{Context, Result, bail};
use cuo_cluster::{ClientSource, Credentials, Program};
use cuo_coordination::pool::list_pools;
use cuo_core::pool::FoundPool;
use cuo_core::trust::Chosen;

use crate::{Bench, repository};

const PROGRAM: Program = Program {
    name: "cuo-operator",
    version: "0.0.0-test",
};

pub async fn each(bench: &Bench) -> Result<()> {
    let folder = std::fs::read_dir(repository().join("deploy/examples"))?;
    let mut files: Vec<_> = folder
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    let credentials = Credentials::File {
        path: bench.account("cuo-operator").await?,
        root: "/".into(),
    };
    let source = ClientSource::start(credentials, PROGRAM).await;
    for file in &files {
        let file = file.to_str().context("the path is text")?;
        let apply = [
            "apply",
            "--validate=strict",
            "--warnings-as-errors",
            "-f",
            file,
        ];
        bench.plane.kubectl(&apply).await?;
    }
    let found = list_pools(&source).await?;
    let names: Vec<_> = found.iter().map(|pool| pool.name.as_str()).collect();
    let all = [
        "control-plane",
        "edge",
        "one-node",
        "production",
        "two-nodes",
    ];
    assert_eq!(names, all);
    for pool in found {
        let FoundPool::Valid(valid) = &pool.found else {
            bail!("{pool:#?}");
        };
        // An example shows labels that no node writes for itself.
        assert_eq!(Chosen::of(valid), Chosen::default(), "{}", pool.name);
    }
    for file in &files {
        let file = file.to_str().context("the path is text")?;
        bench.plane.kubectl(&["delete", "-f", file]).await?;
    }
    Ok(())
}
