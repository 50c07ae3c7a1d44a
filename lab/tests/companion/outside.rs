//! What is outside of the cluster: a server that speaks Prometheus' API, and a program that gets CloudEvents.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What Prometheus says.
#[derive(Debug, Clone, Default)]
pub enum Alerts {
    /// These fire.
    #[default]
    None,
    /// This one fires.
    Firing(&'static str),
    /// It does not work.
    Broken,
}

pub struct Outside {
    address: SocketAddr,
    alerts: Arc<Mutex<Alerts>>,
    events: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Outside {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (alerts, events) = (Arc::default(), Arc::<Mutex<Vec<Value>>>::default());
        let (asked, told) = (Arc::clone(&alerts), Arc::clone(&events));
        let router = Router::new()
            .route("/api/v1/query", get(async move || answer(&asked)))
            .route(
                "/hook",
                post(async move |body: String| {
                    told.lock()
                        .unwrap()
                        .push(serde_json::from_str(&body).unwrap());
                    StatusCode::ACCEPTED
                }),
            );
        let task = tokio::spawn(async move {
            // It never ends by itself.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            alerts,
            events,
            task,
        })
    }

    /// From now on, Prometheus says so.
    pub fn say(&self, alerts: Alerts) {
        *self.alerts.lock().unwrap() = alerts;
    }

    /// Types and titles of all CloudEvents so far.
    pub fn events(&self) -> Vec<(String, String)> {
        let events = self.events.lock().unwrap();
        let text = |event: &Value, path: &str| {
            let found = event.pointer(path).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let events = events.iter();
        events
            .map(|event| (text(event, "/type"), text(event, "/data/title")))
            .collect()
    }

    /// The companion's configuration.
    pub fn configuration(&self) -> String {
        let url = format!("http://{}", self.address);
        json!({
            "cluster": "lab",
            "gates": [
                {
                    "name": "quiet", "every": "1s", "validFor": "8s",
                    "alerts": { "prometheusURL": url, "ignore": "^Watchdog$" },
                },
                {
                    "name": "backup", "every": "1s", "validFor": "8s",
                    "resources": {
                        "apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "backup",
                        "expr": "object.data.state == 'done'",
                    },
                },
            ],
            "hooks": [
                { "name": "plain", "at": "beforeDrain", "template": pod() },
                {
                    "name": "slow", "at": "beforeDrain", "nodeSelector": "hang=yes", "timeout": "2s",
                    "onFailure": "Continue", "template": pod(),
                },
            ],
            "notifications": [
                { "name": "hook", "pause": "1s", "webhook": { "url": format!("{url}/hook") } },
            ],
        })
        .to_string()
    }
}

/// A pod that the namespace of hooks admits.
fn pod() -> Value {
    json!({ "spec": {
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [{
            "name": "work", "image": "registry.example.com/work:1",
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        }],
    }})
}

fn answer(alerts: &Mutex<Alerts>) -> (StatusCode, String) {
    let firing: &[&str] = match alerts.lock().unwrap().clone() {
        Alerts::None => &["Watchdog"],
        Alerts::Firing(name) => &["Watchdog", name],
        Alerts::Broken => return (StatusCode::SERVICE_UNAVAILABLE, "overloaded".to_owned()),
    };
    let series = firing.iter().map(|name| {
        json!({ "metric": { "alertname": name, "alertstate": "firing" }, "value": [0, "1"] })
    });
    let result: Vec<_> = series.collect();
    let answer =
        json!({ "status": "success", "data": { "resultType": "vector", "result": result } });
    (StatusCode::OK, answer.to_string())
}
