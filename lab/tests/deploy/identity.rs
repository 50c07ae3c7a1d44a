//! `deploy/agent-identity.yaml`: an identity for the agent that is not the kubelet's, tied to its one Node and its pods.

use anyhow::{Context, Result, ensure};
use cuo_core::keys::{self, Writer};
use cuo_lab::cluster::controlplane::assets;
use cuo_lab::process::bound;
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::policy::LISTS;
use crate::{Bench, SOON, repository};

/// What the API server says when it refuses, or nothing.
fn said<T>(done: kube::Result<T>) -> Result<Option<String>> {
    match done {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) => Ok(Some(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

async fn write(nodes: &Api<Node>, name: &str, patch: &Value) -> Result<Option<String>> {
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
    said(nodes.patch(name, &parameters, &patch).await)
}

fn annotated(key: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {key: value}}})
}

async fn pod_on(bench: &Bench, name: &str, node: &str) -> Result<()> {
    let overrides = format!(r#"{{"spec":{{"nodeName":"{node}"}}}}"#);
    bench
        .plane
        .kubectl(&["run", name, "--image=none", "--overrides", &overrides])
        .await
        .map(drop)
}

/// Each change of a Node, and a piece of the refusal if there has to be one.
fn changes() -> Vec<(&'static str, Value, Option<&'static str>)> {
    let keys = Some("its own keys only");
    let spec = Some("of a Node's spec");
    let mut all = keys_of_all(keys);
    all.extend([
        ("n1", annotated("cuo.coreos.com/status", "idle"), None),
        (
            "n1",
            json!({"metadata": {"labels": {"cuo.coreos.com/reboot-needed": "true"}}}),
            None,
        ),
        ("n1", json!({"spec": {"unschedulable": true}}), None),
        ("n1", json!({"spec": {"unschedulable": null}}), None),
        ("n1", annotated("example.com/well", "true"), keys),
        (
            "n1",
            json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": null}}}),
            keys,
        ),
        (
            "n1",
            json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}),
            spec,
        ),
        ("n1", json!({"spec": {"providerID": "x://1"}}), spec),
        (
            "n1",
            json!({"metadata": {"finalizers": ["example.com/stay"]}}),
            Some("neither finalizers nor owners"),
        ),
        (
            "n2",
            annotated("cuo.coreos.com/status", "idle"),
            Some("its own Node only"),
        ),
        (
            "n2",
            json!({"spec": {"unschedulable": true}}),
            Some("its own Node only"),
        ),
    ]);
    all
}

/// Every key of the protocol where it belongs, some of other versions, and some where they do not belong; refused unless they are the
/// agent's.
fn keys_of_all(refusal: Option<&'static str>) -> Vec<(&'static str, Value, Option<&'static str>)> {
    let mut all = Vec::new();
    let mut push = |place: &str, name: &str, own: bool| {
        for value in [json!("true"), Value::Null] {
            // Taking off what is not there changes nothing, and is refused to nobody.
            let refusal = refusal.filter(|_| !own && !value.is_null());
            all.push(("n1", json!({"metadata": {place: {name: value}}}), refusal));
        }
    };
    for key in keys::TABLE {
        if keys::GROWING.contains(&key.name) {
            continue; // tried apart
        }
        let own = key.writer == Writer::Agent;
        let like = key.name.starts_with(keys::AGENTS_PREFIX);
        push("annotations", key.name, like || own && key.is_annotation());
        push("labels", key.name, like || own && key.is_label());
    }
    for name in ["reboot-requested", "retry"] {
        push("annotations", &format!("{}{name}", keys::PREFIX), false);
    }
    let later = format!("{}of-a-later-version", keys::AGENTS_PREFIX);
    push("annotations", &later, true);
    push("labels", &later, true);
    all
}

/// From lists it takes nothing away.
async fn only_adds_to_lists(bench: &Bench, nodes: &Api<Node>) -> Result<()> {
    let admin: Api<Node> = Api::all(bench.plane.admin());
    for key in keys::GROWING {
        let change = |value: Option<&str>| json!({"metadata": {"annotations": {*key: value}}});
        for (before, after, grows) in LISTS {
            let reset = write(&admin, "n1", &change(before)).await?;
            ensure!(reset.is_none(), "{reset:?}");
            let done = write(nodes, "n1", &change(after)).await?;
            let refused = done.as_ref().is_some_and(|text| {
                text.ends_with(&format!("cuo-agent takes nothing away from {key}"))
            });
            ensure!(
                refused != grows && done.is_none() == grows,
                "{key} from {before:?} to {after:?}: {done:?}"
            );
        }
        write(&admin, "n1", &change(None)).await?;
    }
    Ok(())
}

/// What others have written it doesn't take off.
async fn keeps_what_others_wrote(bench: &Bench, nodes: &Api<Node>) -> Result<()> {
    for name in [keys::REBOOT_OK, keys::REBOOT_PAUSED] {
        let set = ["annotate", "node", "n1", &format!("{name}=x")];
        bench.plane.kubectl(&set).await?;
        let patch = json!({"metadata": {"annotations": {name: null}}});
        let done = write(nodes, "n1", &patch).await?;
        let refused = done.as_ref().is_some_and(|text| {
            text.ends_with(&format!("cuo-agent changes its own keys only, not {name}"))
        });
        ensure!(refused, "{name} taken off: {done:?}");
        let reset = ["annotate", "node", "n1", &format!("{name}-")];
        bench.plane.kubectl(&reset).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_identity_of_its_own_reaches_its_node_and_its_pods_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::start(dir.path()).await.unwrap();
    confined(&bench).await.unwrap();
    issued(&bench).await.unwrap();
}

/// What the documentation says of issuing one makes one.
async fn issued(bench: &Bench) -> Result<()> {
    let page = std::fs::read_to_string(repository().join("docs/install.md"))?;
    let section = page.split("### An identity of its own").nth(1);
    let commands = section
        .and_then(|section| section.split("```sh\n").nth(1)?.split("```").next())
        .context("no commands in the section")?;
    let folder = bench.dir.join("issued");
    std::fs::create_dir_all(&folder)?;
    let deploy = repository().join("deploy").canonicalize()?;
    std::os::unix::fs::symlink(deploy, folder.join("deploy"))?;
    let kubectl = assets::ensure(|line| eprintln!("{line}")).await?.kubectl;
    let programs = kubectl.parent().context("kubectl is in a folder")?;
    let path = format!("{}:{}", programs.display(), std::env::var("PATH")?);
    let mut shell = bound("sh");
    shell
        .args(["-euc", &commands.replace("worker-1", "n2")])
        .current_dir(&folder)
        .env("PATH", path)
        .env("KUBECONFIG", bench.plane.admin_kubeconfig());
    let output = timeout(2 * SOON, shell.output()).await??;
    let reported = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{reported}");
    let client = bench.plane.client(&folder.join("agent.kubeconfig")).await?;
    let idle = annotated("cuo.coreos.com/status", "idle");
    let done = write(&Api::all(client), "n2", &idle).await?;
    ensure!(done.is_none(), "with the issued identity: {done:?}");
    Ok(())
}

async fn confined(bench: &Bench) -> Result<()> {
    let manifest = repository().join("deploy/agent-identity.yaml");
    let manifest = manifest.to_str().context("the path is text")?;
    let strict = [
        "apply",
        "--warnings-as-errors",
        "--validate=strict",
        "-f",
        manifest,
    ];
    bench.plane.kubectl(&strict).await?;
    let kubeconfig = bench.dir.join("agent.kubeconfig");
    bench
        .plane
        .client_kubeconfig("cuo:agent:n1", "cuo:agents", &kubeconfig)?;
    let client = bench.plane.client(&kubeconfig).await?;
    let nodes: Api<Node> = Api::all(client.clone());
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::all(client);
    pod_on(bench, "own", "n1").await?;
    pod_on(bench, "other", "n2").await?;

    // New policies take a moment to be in force.
    let refused = async |done: Option<String>, text: &str| match done {
        Some(done) if done.contains(text) => Ok(Some(())),
        Some(done) => anyhow::bail!("{done}"),
        None => Ok(None),
    };
    until("the Node's policy to be in force", SOON, async || {
        let patch = annotated("cuo.coreos.com/status", "idle");
        refused(write(&nodes, "n2", &patch).await?, "its own Node only").await
    })
    .await?;
    // `delete_options` would not do: kube 5 writes it under a name that the API server does not know.
    let post_options = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let dry = EvictParams {
        post_options,
        ..EvictParams::default()
    };
    until("the evictions' policy to be in force", SOON, async || {
        let done = said(pods.evict("other", &dry).await)?;
        refused(done, "pods of its own node only").await
    })
    .await?;
    until("the deletions' policy to be in force", SOON, async || {
        let dry = DeleteParams::default().dry_run();
        let done = said(pods.delete("other", &dry).await)?;
        refused(done, "deletes pods of its own node only").await
    })
    .await?;

    for (node, patch, text) in changes() {
        let done = write(&nodes, node, &patch).await?;
        let fits = match (&done, text) {
            (None, None) => true,
            (Some(done), Some(text)) => done.contains(text),
            _ => false,
        };
        ensure!(fits, "{patch} on {node}: {done:?}");
    }
    keeps_what_others_wrote(bench, &nodes).await?;
    only_adds_to_lists(bench, &nodes).await?;
    let status = json!({"status": {"conditions": []}});
    let done = nodes
        .patch_status("n1", &PatchParams::default(), &Patch::Merge(&status))
        .await;
    ensure!(said(done)?.is_some(), "it wrote a Node's status");
    let done = nodes.delete("n1", &DeleteParams::default()).await;
    ensure!(said(done)?.is_some(), "it deleted its Node");
    ensure!(
        said(secrets.list(&ListParams::default()).await)?.is_some(),
        "it read secrets"
    );
    let done = said(pods.delete("other", &DeleteParams::default()).await)?;
    ensure!(done.is_some(), "it deleted another node's pod");
    let done = said(pods.evict("missing", &EvictParams::default()).await)?;
    ensure!(done.is_some(), "it evicted what isn't there");
    let done = said(pods.evict("other", &EvictParams::default()).await)?;
    ensure!(done.is_some(), "it evicted another node's pod");
    let done = said(pods.evict("own", &EvictParams::default()).await)?;
    ensure!(done.is_none(), "its own pod: {done:?}");
    pod_on(bench, "late", "n1").await?;
    let done = said(pods.delete("late", &DeleteParams::default()).await)?;
    ensure!(done.is_none(), "its own pod: {done:?}");
    for policy in [
        "cuo-agent-node",
        "cuo-agent-evictions",
        "cuo-agent-deletions",
    ] {
        crate::policy::type_checked(bench, policy).await?;
    }
    Ok(())
}
