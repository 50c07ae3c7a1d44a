//! The whole of it, against an API server that keeps the ConfigMap and a service that remembers what it was sent.

use std::sync::{Arc, Mutex};

use clap::Parser;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::cli::Cli;
use crate::config::Config;
use crate::double::{Api, Reply, Request, eventually};
use crate::metrics::Metrics;
use crate::web::{self, Web};

const CONFIG_MAP: &str = "/api/v1/namespaces/cuo-companion/configmaps/cuo-companion-news";

/// What the API server has.
#[derive(Debug, Default)]
struct Has {
    nodes: Vec<Value>,
    /// `data` of the ConfigMap, and its version.
    kept: Option<Value>,
    version: u64,
    /// How many writes are refused.
    conflicts: u32,
    /// Writes fail, and reads do not.
    full: bool,
}

type Shared = Arc<Mutex<Has>>;

impl Has {
    fn answer(&mut self, request: &Request) -> Reply {
        let path = request.line.split([' ', '?']).nth(1).unwrap();
        if request.line.contains("watch=true") {
            return Reply::watch([]);
        }
        match (request.method(), path) {
            ("GET", CONFIG_MAP) if self.version == 0 => {
                Reply::failure(404, "NotFound", "not found")
            }
            ("GET", CONFIG_MAP) => Reply::json(200, self.config_map()),
            ("PATCH", CONFIG_MAP) => {
                self.version = 1;
                Reply::json(200, self.config_map())
            }
            ("PUT", CONFIG_MAP) => self.write(request),
            ("GET", "/api/v1/nodes") => list(&self.nodes),
            ("GET", _) => list(&[]),
            _ => Reply::failure(405, "MethodNotAllowed", "no"),
        }
    }

    fn config_map(&self) -> Value {
        let version = self.version.to_string();
        let meta = json!({ "name": "cuo-companion-news", "resourceVersion": version });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": self.kept })
    }

    fn write(&mut self, request: &Request) -> Reply {
        let sent: Value = serde_json::from_str(&request.body).unwrap();
        let version = self.version.to_string();
        if self.full {
            return Reply::failure(500, "InternalError", "no space left");
        }
        if self.conflicts > 0 || sent["metadata"]["resourceVersion"] != version.as_str() {
            self.conflicts = self.conflicts.saturating_sub(1);
            return Reply::failure(409, "Conflict", "the object has been modified");
        }
        self.version += 1;
        self.kept = Some(sent["data"].clone());
        Reply::json(200, self.config_map())
    }

    fn memory(&self) -> Value {
        let kept = self.kept.as_ref().unwrap();
        serde_json::from_str(kept["news.json"].as_str().unwrap()).unwrap()
    }
}

fn list(items: &[Value]) -> Reply {
    Reply::json(
        200,
        json!({ "metadata": { "resourceVersion": "1" }, "items": items }),
    )
}

/// A Node whose last grant was given up.
fn aborted(number: u64) -> Value {
    let result = json!({
        "v": 1, "id": format!("{number}-07070707"), "outcome": "aborted", "code": "DrainBlocked",
        "at": "2026-11-23T21:10:03Z",
    });
    let annotations = json!({
        "cuo.coreos.com/protocol": "1", "cuo.coreos.com/reboot-result": result.to_string(),
    });
    json!({
        "metadata": { "name": "n1", "uid": "u", "resourceVersion": "1", "annotations": annotations },
    })
}

struct Bench {
    has: Shared,
    api: Api,
    service: Api,
}

impl Bench {
    async fn start(has: Has) -> Self {
        let has = Arc::new(Mutex::new(has));
        let shared = Arc::clone(&has);
        let api = Api::start(move |request| shared.lock().unwrap().answer(request)).await;
        let service = Api::start(|_| Reply::text(200, "")).await;
        Self { has, api, service }
    }

    /// A companion that runs until it is aborted.
    async fn companion(&self) -> JoinHandle<()> {
        let url = format!("http://{}/hook", self.service.address);
        let config =
            format!("notifications: [{{name: hook, pause: 1s, webhook: {{url: '{url}'}}}}]");
        let config = Config::parse("f", &config).unwrap();
        let web = Web::new(&web::authorities(None).unwrap()).unwrap();
        let cli = Cli::parse_from(["cuo-companion"]);
        let metrics = Arc::new(Metrics::new());
        let source = self.api.source().await;
        let notifier = Notifier::new(&cli, &config, source, web, metrics).unwrap();
        tokio::spawn(async move { run(&notifier).await })
    }

    fn titles(&self) -> Vec<Value> {
        let seen = self.service.seen().into_iter();
        let events = seen.map(|request| serde_json::from_str::<Value>(&request.body).unwrap());
        events.map(|event| event["data"]["title"].clone()).collect()
    }

    fn has<T>(&self, what: impl FnOnce(&mut Has) -> T) -> T {
        what(&mut self.has.lock().unwrap())
    }

    fn writes(&self) -> usize {
        let seen = self.api.seen();
        seen.iter()
            .filter(|request| request.method() == "PUT")
            .count()
    }
}

#[tokio::test]
async fn what_happened_is_told_once_across_restarts() {
    let bench = Bench::start(Has {
        nodes: vec![aborted(1)],
        ..Has::default()
    })
    .await;
    let first = bench.companion().await;
    let told = || bench.has(|has| has.kept.is_some().then(|| has.memory()["told"].clone()));
    eventually("what was there is remembered", || told().is_some()).await;
    first.abort();
    assert_eq!(bench.titles(), Vec::<Value>::new());
    assert_eq!(told(), Some(json!({ "ended": { "n1": "1-07070707" } })));

    // It happens while no companion runs; and the first try to write it down comes too late.
    bench.has(|has| {
        has.nodes = vec![aborted(2)];
        has.conflicts = 1;
    });
    let second = bench.companion().await;
    eventually("it is told", || bench.titles().len() == 1).await;
    assert_eq!(bench.titles(), ["n1 gave its update up: DrainBlocked"]);
    eventually("that it was sent is written down", || {
        bench.has(|has| has.memory()["sinks"].is_null())
    })
    .await;
    second.abort();

    // Only what is new since then is told: one write queues it, and one more says that it was sent.
    let writes = bench.writes();
    bench.has(|has| has.nodes = vec![aborted(3)]);
    let third = bench.companion().await;
    eventually("it is told, and written down", || {
        bench.writes() == writes + 2
    })
    .await;
    third.abort();
    assert_eq!(bench.titles().len(), 2);
    assert!(bench.has(|has| has.memory()["sinks"].is_null()));
}

#[tokio::test]
async fn what_was_not_sent_before_a_crash_is_sent_after_it() {
    let news = json!({
        "id": 7, "at": cuo_core::time::Time::from(jiff::Timestamp::now()), "kind": "Paused", "text": "All nodes",
    });
    let memory = json!({
        "v": 1, "last": 7, "told": {}, "sinks": { "hook": { "waiting": [news] } },
    });
    let bench = Bench::start(Has {
        kept: Some(json!({ "news.json": memory.to_string() })),
        version: 5,
        ..Has::default()
    })
    .await;
    let companion = bench.companion().await;
    eventually("it is told", || !bench.titles().is_empty()).await;
    let after = json!({ "v": 1, "last": 7, "told": {} });
    eventually("that it was sent is written down", || {
        bench.has(|has| has.memory() == after)
    })
    .await;
    companion.abort();
    assert_eq!(bench.titles(), ["Updates are paused"]);
}

#[tokio::test]
async fn what_was_sent_is_not_sent_again_while_that_can_not_be_written_down() {
    let news = json!({
        "id": 7, "at": cuo_core::time::Time::from(jiff::Timestamp::now()), "kind": "Paused", "text": "All nodes",
    });
    let memory = json!({
        "v": 1, "last": 7, "told": {}, "sinks": { "hook": { "waiting": [news] } },
    });
    let bench = Bench::start(Has {
        kept: Some(json!({ "news.json": memory.to_string() })),
        version: 5,
        full: true,
        ..Has::default()
    })
    .await;
    let companion = bench.companion().await;
    // It is read again in between.
    eventually("it is tried to write it down again", || bench.writes() >= 2).await;
    bench.has(|has| has.full = false);
    let after = json!({ "v": 1, "last": 7, "told": {} });
    eventually("that it was sent is written down", || {
        bench.has(|has| has.memory() == after)
    })
    .await;
    companion.abort();
    assert_eq!(bench.titles(), ["Updates are paused"]);
}

#[tokio::test]
async fn a_memory_that_is_not_understood_is_left_as_it_is() {
    let bench = Bench::start(Has {
        nodes: vec![aborted(1)],
        kept: Some(json!({ "news.json": "{\"v\":9}" })),
        version: 5,
        ..Has::default()
    })
    .await;
    let companion = bench.companion().await;
    let reads = || {
        let seen = bench.api.seen();
        let read = |request: &&Request| request.line.starts_with(&format!("GET {CONFIG_MAP}"));
        seen.iter().filter(read).count()
    };
    eventually("it is read", || reads() == 1).await;
    companion.abort();
    // Once somebody has deleted it, what is there is remembered.
    bench.has(|has| (has.version, has.kept) = (0, None));
    let again = bench.companion().await;
    eventually("it is written", || bench.writes() == 1).await;
    again.abort();
    let told = json!({ "ended": { "n1": "1-07070707" } });
    assert_eq!(bench.has(|has| has.memory()["told"].clone()), told);
    assert_eq!(bench.titles(), Vec::<Value>::new());
}
