//! Prometheus, Alertmanager, and a person with a webhook.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use cuo_lab::process::{bound, spawn_logged};
use cuo_lab::wait::until;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::time::timeout;

/// For a server to be there, and for one query.
const SOON: Duration = Duration::from_secs(60);

/// Runs a program that finds the files of its package where they would be if it were installed.
const SHARE: &str = r#"
share=$1/usr/share; shift
mount -t overlay -o "lowerdir=$share:/usr/share" overlay /usr/share && exec "$@"
"#;

/// What Alertmanager has sent.
#[derive(Debug, Clone, Default)]
pub struct Inbox(Arc<Mutex<Vec<Value>>>);

impl Inbox {
    pub fn messages(&self) -> Vec<Value> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes messages on loopback until the runtime ends.
    async fn open(&self) -> Result<SocketAddr> {
        let inbox = self.clone();
        let take = move |body: Bytes| async move {
            // What is no JSON is missed by whoever waits for it.
            if let Ok(message) = serde_json::from_slice(&body) {
                let mut messages = inbox.0.lock().unwrap_or_else(PoisonError::into_inner);
                messages.push(message);
            }
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(address)
    }
}

/// All of it; dropping it ends it.
pub struct Stack {
    pub inbox: Inbox,
    promtool: PathBuf,
    prometheus: SocketAddr,
    folder: PathBuf,
    _running: [Child; 2],
}

impl Stack {
    /// Starts it with `rules`, all of which fire at once, and the operator at `operator` as the only thing to scrape.
    pub async fn start(
        programs: &Path,
        folder: &Path,
        rules: &Path,
        operator: &str,
    ) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let rules = fs::read_to_string(rules)?;
        let at_once = rules
            .lines()
            .map(|line| match line.trim_start().starts_with("for: ") {
                true => "        for: 0s\n".to_owned(),
                false => format!("{line}\n"),
            });
        fs::write(folder.join("rules.yaml"), at_once.collect::<String>())?;
        let inbox = Inbox::default();
        let person = inbox.open().await?;
        let (prometheus, alertmanager) = (free().await?, free().await?);
        let routes = format!(
            "route: {{receiver: person, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
- name: person
  webhook_configs: [{{url: 'http://{person}/', send_resolved: true}}]
"
        );
        fs::write(folder.join("alertmanager.yaml"), routes)?;
        let scrapes = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yaml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}
scrape_configs:
- job_name: cuo-operator
  static_configs: [{{targets: ['{operator}']}}]
"
        );
        fs::write(folder.join("prometheus.yaml"), scrapes)?;
        let run = |program: &str, name: &str, address: SocketAddr, more: &[&str]| {
            let mut command = bound("unshare");
            command
                .args(["--mount", "sh", "-c", SHARE, "sh"])
                .arg(programs)
                .arg(programs.join("usr/bin").join(program))
                .arg(format!("--config.file={name}.yaml"))
                .arg(format!("--web.listen-address={address}"))
                .args(more)
                .current_dir(folder);
            spawn_logged(&mut command, &folder.join(format!("{name}.log")))
        };
        let running = [
            run(
                "prometheus-alertmanager",
                "alertmanager",
                alertmanager,
                &["--storage.path=alerts", "--cluster.listen-address="],
            )?,
            run(
                "prometheus",
                "prometheus",
                prometheus,
                &["--storage.tsdb.path=series"],
            )?,
        ];
        let stack = Self {
            inbox,
            promtool: programs.join("usr/bin/promtool"),
            prometheus,
            folder: folder.to_owned(),
            _running: running,
        };
        let scraped = async || Ok((!stack.query("cuo_nodes").await?.is_empty()).then_some(()));
        until("the operator's metrics in Prometheus", SOON, scraped)
            .await
            .with_context(|| stack.picture())?;
        Ok(stack)
    }

    /// What Prometheus finds, a line for each series.
    pub async fn query(&self, query: &str) -> Result<String> {
        let mut promtool = bound(&self.promtool);
        promtool
            .args(["query", "instant"])
            .arg(format!("http://{}", self.prometheus))
            .arg(query);
        let output = timeout(SOON, promtool.output()).await??;
        ensure!(
            output.status.success(),
            "{query}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What was sent, and the logs.
    pub fn picture(&self) -> String {
        let log = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        format!(
            "{:#?}\n--- Prometheus\n{}\n--- Alertmanager\n{}",
            self.inbox.messages(),
            log("prometheus.log"),
            log("alertmanager.log")
        )
    }
}

/// A port that nobody has right now.
async fn free() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    listener.local_addr().context("a free port")
}
