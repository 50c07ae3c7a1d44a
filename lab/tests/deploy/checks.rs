//! The documentation's check before a reboot, as it stands there: it does its work with its own right, which is none to grant.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use cuo_lab::cluster::controlplane::assets;
use cuo_lab::process::bound;
use serde_json::Value;
use tokio::time::timeout;

use crate::{Bench, SOON, commands, policy};

const PAGE: &str = "docs/operations.md";
const SECTION: &str = "Checks before and after a reboot";
/// Whom the check runs as.
const ACCOUNT: (&str, &str) = ("default", "backup-check");
/// What it sets.
const ANSWER: &str = "example.com/backup-done";

pub async fn a_check_answers_and_can_not_grant(bench: &Bench) -> Result<()> {
    let file = bench.dir.join("check.yaml");
    std::fs::write(&file, commands::manifest(PAGE, SECTION)?)?;
    let file = file.to_str().context("the path is text")?;
    bench.plane.kubectl(&["apply", "-f", file]).await?;
    let kubeconfig = bench.dir.join("check.kubeconfig");
    let (namespace, account) = ACCOUNT;
    bench
        .plane
        .service_account_kubeconfig(namespace, account, &kubeconfig)
        .await?;

    let get = format!("-n {namespace} get daemonset {account} -o json");
    let set: Value = serde_json::from_str(&bench.kubectl(&get).await?)?;
    let script = set["spec"]["template"]["spec"]["containers"][0]["args"][0].as_str();
    let script = script.context("the container has no script")?;
    run(bench, script, &kubeconfig).await?;
    let node: Value = serde_json::from_str(&bench.kubectl("get node n1 -o json").await?)?;
    assert_eq!(node["metadata"]["annotations"][ANSWER], "true");

    let grant = ["patch", "node", "n1", "--type=merge", "-p", policy::GRANT];
    let done = bench.kubectl_as(&kubeconfig, &grant).await?;
    let refused = matches!(&done, Err(text) if text.contains("'cuo-operator-keys'"));
    ensure!(refused, "a check wrote a grant: {done:?}");
    bench
        .kubectl(&format!("annotate node n1 {ANSWER}-"))
        .await?;
    bench.plane.kubectl(&["delete", "-f", file]).await.map(drop)
}

/// Runs the container's script, with the work that it is about and what it does afterwards left out.
async fn run(bench: &Bench, script: &str, kubeconfig: &Path) -> Result<()> {
    let programs = bench.dir.join("check");
    std::fs::create_dir_all(&programs)?;
    for program in ["run-backup", "sleep"] {
        let path = programs.join(program);
        std::fs::write(&path, "#!/bin/sh\n")?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    }
    let kubectl = assets::ensure(|line| eprintln!("{line}")).await?.kubectl;
    let folder = kubectl.parent().context("kubectl is in a folder")?;
    let path = std::env::var("PATH")?;
    let path = format!("{}:{}:{path}", programs.display(), folder.display());
    let mut shell = bound("sh");
    shell
        .args(["-c", script])
        .env("PATH", path)
        .env("HOME", &bench.dir)
        .env("NODE", "n1")
        .env("KUBECONFIG", kubeconfig);
    let output = timeout(SOON, shell.output()).await??;
    let reported = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{script}`: {reported}");
    Ok(())
}
