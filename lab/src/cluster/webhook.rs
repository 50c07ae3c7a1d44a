//! Admission webhooks: what other people's software says to the API server about each request.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::Response;
use axum::serve::Listener;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::cluster::controlplane::ControlPlane;
use crate::cluster::tls::Tls;

/// More than any request has.
const LARGEST: usize = 8 << 20;

/// A request that the API server asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// `request.namespace`; empty for what has none.
    pub namespace: String,
    /// `request.name`.
    pub name: String,
    /// `request.dryRun`: nothing is to come of it.
    pub dry: bool,
    /// `request.userInfo.username`.
    pub user: String,
}

/// What is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// No, with this HTTP status and these words.
    Deny(u16, String),
}

/// A webhook; it serves until it is dropped.
#[derive(Debug)]
pub struct Webhook {
    address: SocketAddr,
    ca: String,
    task: JoinHandle<()>,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Webhook {
    /// Serves what `answer` says. Nothing is asked before a webhook configuration names it.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start<F>(
        plane: &ControlPlane,
        answer: impl Fn(Review) -> F + Send + Sync + 'static,
    ) -> Result<Self>
    where
        F: Future<Output = Verdict> + Send,
    {
        let tls = Tls::listen(plane).await?;
        let address = tls.local_addr()?;
        let answer = Arc::new(answer);
        let router = axum::Router::new().fallback(async move |request: Request| {
            let answered = converse(request, answer.as_ref()).await;
            answered.unwrap_or_else(|error| Response::new(format!("{error:#}").into()))
        });
        let task = tokio::spawn(async move {
            // It never ends by itself.
            let _ = axum::serve(tls, router).await;
        });
        let ca = plane.ca_pem();
        Ok(Self { address, ca, task })
    }

    /// `clientConfig` of the webhook configuration.
    pub fn client(&self) -> WebhookClientConfig {
        WebhookClientConfig {
            ca_bundle: Some(ByteString(self.ca.clone().into_bytes())),
            url: Some(format!("https://{}/", self.address)),
            service: None,
        }
    }
}

/// As admission.k8s.io/v1 has it.
async fn converse<F>(request: Request, answer: impl Fn(Review) -> F) -> Result<Response>
where
    F: Future<Output = Verdict>,
{
    let body = to_bytes(request.into_body(), LARGEST).await;
    let body: Value = serde_json::from_slice(&body.context("read the review")?)?;
    let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or("");
    let review = Review {
        namespace: text("/request/namespace").to_owned(),
        name: text("/request/name").to_owned(),
        dry: body.pointer("/request/dryRun") == Some(&Value::Bool(true)),
        user: text("/request/userInfo/username").to_owned(),
    };
    let mut said = json!({"uid": text("/request/uid"), "allowed": true});
    if let Verdict::Deny(code, message) = answer(review).await {
        said["allowed"] = false.into();
        said["status"] = json!({"code": code, "message": message});
    }
    let kind = ("apiVersion", "admission.k8s.io/v1");
    let said = json!({kind.0: kind.1, "kind": "AdmissionReview", "response": said});
    let answer = Response::builder().header("Content-Type", "application/json");
    Ok(answer.body(said.to_string().into())?)
}
