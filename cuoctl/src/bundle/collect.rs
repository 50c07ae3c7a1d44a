//! What a bundle holds.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use cuo_cluster::{ApiError, ClientSource};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{ListParams, LogParams};
use serde::Serialize;
use serde_json::{Value, json};

use super::hide::hide;
use crate::connect::Connection;
use crate::doctor;
use crate::events;
use crate::fetch::fetch;
use crate::print::Screen;
use crate::read::list;
use crate::status::Status;

/// The operator's pods have this label (`deploy/operator.yaml`).
const PODS: &str = "app.kubernetes.io/name=cuo-operator";
/// The operator serves its metrics at the container port of this name.
const PORT: &str = "http";
/// The most of a log: the end of it.
const LINES: i64 = 20_000;

/// What was collected.
#[derive(Debug, Default)]
pub struct Collected {
    /// Files by their paths in the bundle, without secrets.
    pub files: BTreeMap<String, String>,
    /// What is not among them and why, each a sentence.
    pub missing: Vec<String>,
}

impl Collected {
    fn add(&mut self, name: &str, text: &str) {
        self.files.insert(name.to_owned(), hide(text));
    }

    fn add_json(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).context(name.to_owned())?;
        self.add(name, &(text + "\n"));
        Ok(())
    }

    /// What `read` came to, or a note that it is missing.
    fn or<T>(&mut self, what: &str, read: Result<T, ApiError>) -> Option<T> {
        read.map_err(|error| self.missing.push(format!("{what}: {error}")))
            .ok()
    }

    /// A line for each file, with its size.
    pub fn listing(&self) -> String {
        let mut text = String::new();
        for (name, content) in &self.files {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{:>9}  {name}", content.len());
        }
        text
    }
}

/// Collects everything that may be read.
///
/// # Errors
/// Where the Nodes can't be read, without which there is nothing to say.
pub async fn all(source: &ClientSource, connection: &Connection) -> Result<Collected> {
    let mut found = Collected::default();
    let cluster = fetch(source, &connection.namespace).await?;
    found.missing.extend(cluster.unknown.iter().cloned());
    found.add_json("cluster.json", &cluster)?;
    match Status::of(&cluster, &[]) {
        Ok(status) => found.add("status.txt", &status.text(Screen::PLAIN, true)),
        Err(error) => found.missing.push(format!("the status: {error:#}")),
    }
    match doctor::run(source, connection, &cluster).await {
        Ok(checks) => found.add_json("doctor.json", &checks)?,
        Err(error) => found
            .missing
            .push(format!("the doctor's checks: {error:#}")),
    }
    let events = events::listed(source, None).await;
    if let Some((lines, _)) = found.or("the Events", events) {
        found.add_json("events.json", &lines)?;
    }
    if let Some(nodes) = found.or("what kubelets report", nodes(source).await) {
        found.add_json("nodes.json", &nodes)?;
    }
    let version = source.call(|client| async move { client.apiserver_version().await });
    let version = found.or("the API server's version", version.await);
    let about = json!({
        "cuoctl": env!("CARGO_PKG_VERSION"),
        "apiServer": version.map(|version| version.git_version),
    });
    found.add_json("about.json", &about)?;
    if let Some(pods) = found.or("the operator's pods", pods(source, connection).await) {
        found.operators(source, pods).await?;
    }
    found.missing.push(
        "the agents' journals are on their hosts: `journalctl -u cuo-agent -b` and `cuo-agent doctor` there"
            .to_owned(),
    );
    let missing = found.missing.join("\n") + "\n";
    found.add("missing.txt", &missing);
    Ok(found)
}

impl Collected {
    /// The operator's pods, with their logs and metrics.
    async fn operators(&mut self, source: &ClientSource, pods: Vec<Pod>) -> Result<()> {
        let shown: Vec<_> = pods.iter().map(about_pod).collect();
        self.add_json("operator/pods.json", &shown)?;
        for pod in pods {
            let Some(name) = pod.metadata.name.clone() else {
                continue;
            };
            let space = pod.metadata.namespace.clone().unwrap_or_default();
            let restarts = pod.status.as_ref().and_then(|status| {
                let containers = status.container_statuses.as_ref()?;
                containers.first().map(|one| one.restart_count)
            });
            for (previous, file) in [(false, "log"), (true, "previous.log")] {
                if previous && restarts.unwrap_or_default() == 0 {
                    continue;
                }
                let read = log(source, &space, &name, previous).await;
                if let Some(text) = self.or(&format!("the log of {name}"), read) {
                    self.add(&format!("operator/{name}.{file}"), &text);
                }
            }
            if let Some(port) = port(&pod) {
                let read = metrics(source, &space, &name, port).await;
                if let Some(text) = self.or(&format!("the metrics of {name}"), read) {
                    self.add(&format!("operator/{name}.metrics"), &text);
                }
            }
        }
        Ok(())
    }
}

/// What a kubelet says of its node; labels and CUO's annotations are in the cluster's file.
async fn nodes(source: &ClientSource) -> Result<Vec<Value>, ApiError> {
    let shown = list::<Node>(source).await?.into_iter().map(|node| {
        let (spec, status) = (
            node.spec.unwrap_or_default(),
            node.status.unwrap_or_default(),
        );
        json!({
            "name": node.metadata.name,
            "created": node.metadata.creation_timestamp,
            "unschedulable": spec.unschedulable,
            "taints": spec.taints,
            "conditions": status.conditions,
            "nodeInfo": status.node_info,
        })
    });
    Ok(shown.collect())
}

async fn pods(source: &ClientSource, connection: &Connection) -> Result<Vec<Pod>, ApiError> {
    let read = source.call(|client| async move {
        let pods = Api::<Pod>::namespaced(client, &connection.namespace);
        pods.list(&ListParams::default().labels(PODS)).await
    });
    Ok(read.await?.items)
}

/// Without environment and annotations, which may hold anything.
fn about_pod(pod: &Pod) -> Value {
    let spec = pod.spec.as_ref();
    let containers = spec.map(|spec| spec.containers.iter());
    let images = containers.map(|all| all.map(|one| one.image.clone()).collect::<Vec<_>>());
    json!({
        "name": pod.metadata.name,
        "node": spec.and_then(|spec| spec.node_name.clone()),
        "images": images,
        "status": pod.status,
    })
}

async fn log(
    source: &ClientSource,
    space: &str,
    name: &str,
    previous: bool,
) -> Result<String, ApiError> {
    let params = LogParams {
        previous,
        tail_lines: Some(LINES),
        timestamps: true,
        ..LogParams::default()
    };
    let read = source.call(|client| async move {
        let pods = Api::<Pod>::namespaced(client, space);
        pods.logs(name, &params).await
    });
    read.await
}

fn port(pod: &Pod) -> Option<i32> {
    let containers = pod.spec.as_ref()?.containers.iter();
    let mut ports = containers.flat_map(|one| one.ports.iter().flatten());
    let port = ports.find(|port| port.name.as_deref() == Some(PORT))?;
    Some(port.container_port)
}

/// By the API server, which reaches pods where the user does not.
async fn metrics(
    source: &ClientSource,
    space: &str,
    name: &str,
    port: i32,
) -> Result<String, ApiError> {
    let path = format!("/api/v1/namespaces/{space}/pods/{name}:{port}/proxy/metrics");
    let read = source.call(|client| async move {
        let request = http::Request::get(path).body(Vec::new());
        let request = request.map_err(kube::Error::HttpError)?;
        client.request_text(request).await
    });
    read.await
}
