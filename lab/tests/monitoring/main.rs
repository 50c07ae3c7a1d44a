//! From the operator's metrics to a message: a real Prometheus and a real Alertmanager with the rules that are shipped.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

mod stack;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use cuo_core::reason::Code;
use cuo_lab::bench::{Bench, OperatorSpec, SiteSpec};
use cuo_lab::debian;
use cuo_lab::machine::{HostSpec, Reboot};
use cuo_lab::wait::until;
use serde_json::Value;

use stack::Stack;

const V1: &str = "42.20260101.3.0";
const V2: &str = "42.20260201.3.0";
const V3: &str = "42.20260301.3.0";
/// Long enough for a rollout over two nodes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
const POOL: &str = "
apiVersion: cuo.coreos.com/v1alpha1
kind: UpdatePool
metadata: {name: all}
spec: {nodeSelector: {}, canary: {count: 1, soak: 1s}}
";
/// What of the dashboard shows nothing here: no pod is in the way of a drain.
const EMPTY: &[&str] = &["Nodes whose pods are in the way"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The title and the queries of each panel below `panel`, with the dashboard's variables as a person has them at first.
fn queries(panel: &Value, found: &mut Vec<(String, String)>) {
    let title = panel["title"].as_str().unwrap_or_default();
    for target in panel["targets"].as_array().into_iter().flatten() {
        let query = target["expr"].as_str().unwrap_or_default();
        let variables = [
            ("$pool", ".*"),
            ("$__rate_interval", "1m"),
            ("$__range", "5m"),
        ];
        let query = variables
            .iter()
            .fold(query.to_owned(), |query, (name, value)| {
                query.replace(name, value)
            });
        found.push((title.to_owned(), query));
    }
    for inner in panel["panels"].as_array().into_iter().flatten() {
        queries(inner, found);
    }
}

/// The titles and queries of all panels of the dashboard.
fn panels() -> Vec<(String, String)> {
    let text = fs::read_to_string(repository().join("deploy/monitoring/dashboard.json")).unwrap();
    let mut all = Vec::new();
    queries(&serde_json::from_str(&text).unwrap(), &mut all);
    all
}

/// Those that have data now.
async fn shown(stack: &Stack, panels: &[(String, String)]) -> Result<BTreeSet<String>> {
    let mut shown = BTreeSet::new();
    for (title, query) in panels {
        let found = stack.query(query).await.with_context(|| title.clone())?;
        if !found.trim().is_empty() {
            shown.insert(title.clone());
        }
    }
    Ok(shown)
}

/// Waits for a message that `alert` is in the state `status`.
async fn told(stack: &Stack, alert: &str, status: &str) -> Value {
    let look = async || {
        let messages = stack.inbox.messages();
        let all = messages.iter().filter_map(|one| one["alerts"].as_array());
        let mut alerts = all
            .flatten()
            .filter(|one| one["labels"]["alertname"] == alert && one["status"] == status);
        Ok(alerts.next().cloned())
    };
    let found = until(format!("{alert} {status}"), PATIENCE, look).await;
    found.with_context(|| stack.picture()).unwrap()
}

/// A release fails on the node that tries it: somebody gets a message with a page to read, and another one when the next release is there.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_reaches_a_person_and_the_dashboard_shows_what_it_is_about() {
    let programs = debian::unpacked(debian::MONITORING, |line| eprintln!("{line}")).await;
    let programs = match programs {
        Ok(programs) => programs,
        Err(error) => {
            eprintln!("SKIPPED: needs Prometheus and Alertmanager: {error:#}");
            return;
        }
    };
    let folder = tempfile::Builder::new()
        .prefix("cuo")
        .tempdir_in("/tmp")
        .unwrap();
    let sites = ["n1", "n2"].map(|name| SiteSpec::worker(name, HostSpec::ostree(V1)));
    let bench = Bench::start(folder.path(), sites.into()).await.unwrap();
    bench.apply("pool.yaml", POOL).await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.start_agents().await.unwrap();
    bench.settled(V1, PATIENCE).await.unwrap();
    let rules = repository().join("deploy/monitoring/rules.yaml");
    let home = folder.path().join("stack");
    let stack = Stack::start(&programs, &home, &rules, operator.address());
    let stack = stack.await.unwrap();

    for site in bench.sites() {
        site.next_reboot(Reboot::RolledBack);
    }
    bench.publish(V2).await.unwrap();
    let fired = told(&stack, "CuoReleaseGivenUp", "firing").await;
    assert_eq!(fired["labels"]["severity"], "warning");
    let page = fired["annotations"]["runbook_url"]
        .as_str()
        .unwrap_or_default();
    assert!(
        page.ends_with("/runbooks/CuoReleaseGivenUp.html"),
        "{fired}"
    );
    let held = async || {
        let code = Code::IdentityFailed.as_str();
        let query = format!("cuo_agent_reasons{{code=\"{code}\"}} > 0");
        Ok((!stack.query(&query).await?.trim().is_empty()).then_some(()))
    };
    until("a node that holds the release", PATIENCE, held)
        .await
        .unwrap();
    let panels = panels();
    let mut seen = shown(&stack, &panels).await.unwrap();

    for site in bench.sites() {
        site.next_reboot(Reboot::Clean);
    }
    bench.publish(V3).await.unwrap();
    bench.settled(V3, PATIENCE).await.unwrap();
    told(&stack, "CuoReleaseGivenUp", "resolved").await;
    seen.extend(shown(&stack, &panels).await.unwrap());
    let all: BTreeSet<_> = panels.into_iter().map(|(title, _)| title).collect();
    let empty: Vec<_> = all.difference(&seen).map(String::as_str).collect();
    assert_eq!(empty, EMPTY);
}
