//! What the operator's service account may do.

use std::collections::BTreeSet;
use std::future::pending;
use std::path::Path;

use anyhow::{Result, ensure};
use cuo_cluster::{ClientSource, Credentials, Program};
use cuo_coordination::lease::{self, Leadership, Place, campaign};
use cuo_coordination::ledger;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::{Bench, NAMESPACE, SOON};

/// One permission: group, resource, name, verb.
type Right = (String, String, String, String);

/// What the API server says that `kubeconfig` may do in `namespace`.
async fn rights(bench: &Bench, kubeconfig: &Path, namespace: &str) -> Result<BTreeSet<Right>> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace},
    });
    let file = bench.dir.join("review.json");
    std::fs::write(&file, review.to_string())?;
    let file = file.to_string_lossy().into_owned();
    let answer = bench
        .kubectl_as(
            kubeconfig,
            &["create", "--validate=false", "-o", "json", "-f", &file],
        )
        .await?;
    let answer: Value = serde_json::from_str(&answer.map_err(anyhow::Error::msg)?)?;
    ensure!(answer["status"]["incomplete"] == json!(false), "{answer}");
    let texts = |list: &Value| -> Vec<String> {
        let texts = list
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in answer["status"]["resourceRules"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let mut names = texts(&rule["resourceNames"]);
        if names.is_empty() {
            names.push("*".into());
        }
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for name in &names {
                    for verb in texts(&rule["verbs"]) {
                        rights.insert((group.clone(), resource.clone(), name.clone(), verb));
                    }
                }
            }
        }
    }
    Ok(rights)
}

fn expand(rules: &[(&str, &str, &str, &str)]) -> BTreeSet<Right> {
    let each = rules.iter().flat_map(|(group, resource, name, verbs)| {
        verbs.split(' ').map(|verb| {
            (
                (*group).into(),
                (*resource).into(),
                (*name).into(),
                verb.into(),
            )
        })
    });
    each.collect()
}

pub async fn exactly(bench: &Bench) -> Result<()> {
    let operator = bench.account("cuo-operator").await?;
    // What every service account may do is not the manifest's.
    let anybody = bench.account("default").await?;
    let nodes = ("", "nodes", "*", "get list patch watch");
    let pools = ("cuo.coreos.com", "updatepools", "*", "list watch");
    let pauses = ("cuo.coreos.com", "updatepauses", "*", "list watch");
    let gates = ("cuo.coreos.com", "updategates", "*", "list watch");
    let status = ("cuo.coreos.com", "updatepools/status", "*", "patch");
    // What the admission policy asks for.
    let grants = ("cuo.coreos.com", "nodes", "*", "grant");
    let own = [
        nodes,
        grants,
        pools,
        pauses,
        gates,
        status,
        ("", "configmaps", "cuo-ledger", "create get patch update"),
        (
            "coordination.k8s.io",
            "leases",
            "cuo-operator",
            "create get list patch update watch",
        ),
    ];
    let events = [
        nodes,
        grants,
        pools,
        pauses,
        gates,
        status,
        ("events.k8s.io", "events", "*", "create"),
    ];
    for (namespace, expected) in [
        (NAMESPACE, &own[..]),
        ("default", &events),
        (
            "kube-system",
            &[nodes, grants, pools, pauses, gates, status],
        ),
    ] {
        let all = rights(bench, &operator, namespace).await?;
        let shared = rights(bench, &anybody, namespace).await?;
        let own: BTreeSet<_> = all.difference(&shared).cloned().collect();
        assert_eq!(own, expand(expected), "in {namespace}");
    }
    Ok(())
}

/// Makes ledger and lease as the operator does, and applies the manifest over them.
pub async fn ledger_and_lease_stay(bench: &Bench) -> Result<()> {
    let credentials = Credentials::File {
        path: bench.account("cuo-operator").await?,
        root: "/".into(),
    };
    let program = Program {
        name: "cuo-operator",
        version: "0.0.0-test",
    };
    let source = ClientSource::start(credentials, program).await;
    let empty = ledger::read(&source, NAMESPACE).await?;
    assert_eq!(empty.text(), None);
    let text = r#"{"v":1,"seq":7,"entries":{}}"#;
    let written = ledger::replace(&source, NAMESPACE, &empty, text).await?;
    let lease = led(bench, &source).await?;
    for how in [
        &["apply"][..],
        &["apply", "--server-side", "--force-conflicts"],
    ] {
        bench.manifest(how).await?;
        assert_eq!(ledger::read(&source, NAMESPACE).await?, written);
        assert_eq!(held(bench).await?, lease);
    }
    Ok(())
}

/// Leads for a moment without giving the lease back, and returns it.
async fn led(bench: &Bench, source: &ClientSource) -> Result<Value> {
    let (state, mut leading) = watch::channel(Leadership::UNKNOWN);
    let place = Place {
        namespace: NAMESPACE.to_owned(),
        name: lease::NAME,
    };
    let campaign = campaign(source.clone(), place, "test".to_owned(), state, pending());
    let task = tokio::spawn(campaign);
    let leads = leading.wait_for(|state| *state == Leadership::Leading);
    timeout(SOON, leads).await??;
    task.abort();
    held(bench).await
}

async fn held(bench: &Bench) -> Result<Value> {
    let get = format!("-n {NAMESPACE} get lease cuo-operator -o json");
    Ok(serde_json::from_str(&bench.kubectl(&get).await?)?)
}
