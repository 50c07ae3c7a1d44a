//! The services: each is told of a message in its own format. Nothing is decided here.

mod discord;
mod email;
mod matrix;
mod ntfy;
mod slack;
mod teams;
mod webhook;

use std::time::Duration;

use reqwest::RequestBuilder;
use reqwest::header::CONTENT_TYPE;
use rustls::pki_types::CertificateDer;
use serde_json::Value;

use super::message::Message;
use crate::config::{Address, Secret, SecretError, Service, Sink, web_url};
use crate::text::short;
use crate::web::{self, Web, WebError};

/// Why a message was not sent. No text of it has a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The server can't be reached, or refused.
    #[error(transparent)]
    Web(#[from] WebError),
    /// The address that is a secret can't be used.
    #[error("`url` can't be used: {0}")]
    Address(String),
    /// The service answered in its own way that it did not take it.
    #[error("the service refused: {0}")]
    Refused(String),
    /// The message that was to be changed is not there any more.
    #[error("the message is not there any more")]
    Gone,
    /// The mail server can't be reached, or refused.
    #[error("the mail server: {0}")]
    Mail(String),
}

impl SendError {
    /// How long the service wants to be left alone.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Web(WebError::Refused { wait, .. }) => *wait,
            Self::Secret(_)
            | Self::Web(_)
            | Self::Address(_)
            | Self::Refused(_)
            | Self::Gone
            | Self::Mail(_) => None,
        }
    }

    /// Whether the service will say the same of this message another time, as far as its status tells.
    pub fn is_permanent(&self) -> bool {
        matches!(self.status(), Some(400 | 404 | 410 | 413 | 422))
    }

    /// The HTTP status of a refusal.
    fn status(&self) -> Option<u16> {
        match self {
            Self::Web(WebError::Refused { status, .. }) => Some(*status),
            Self::Web(_)
            | Self::Secret(_)
            | Self::Address(_)
            | Self::Refused(_)
            | Self::Gone
            | Self::Mail(_) => None,
        }
    }
}

/// What services are reached with.
#[derive(Debug, Clone)]
pub struct Post {
    /// Over HTTP.
    pub web: Web,
    /// CAs that mail servers are verified with, besides those of the system.
    pub authorities: Vec<CertificateDer<'static>>,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// Behind all others.
    New,
    /// In place of the one that the service calls so.
    Of(&'a str),
}

impl Post {
    /// Sends `message` to the service of `sink`. Returns what the service calls it, where it can be changed.
    ///
    /// # Errors
    /// Any [`SendError`].
    pub async fn send(
        &self,
        sink: &Sink,
        message: &Message,
        place: Place<'_>,
    ) -> Result<Option<String>, SendError> {
        let web = &self.web;
        // One without a service is refused when the configuration is read.
        match sink.service().map_err(SendError::Refused)? {
            Service::Webhook(to) => webhook::send(web, to, message).await.map(|()| None),
            Service::Slack(to) => slack::send(web, to, message, place).await.map(Some),
            Service::Teams(to) => teams::send(web, to, message).await.map(|()| None),
            Service::Discord(to) => discord::send(web, to, message, place).await.map(Some),
            Service::Matrix(to) => matrix::send(web, to, message, place).await.map(Some),
            Service::Ntfy(to) => ntfy::send(web, to, message).await.map(|()| None),
            Service::Email(to) => {
                let sent = email::send(&self.authorities, to, message).await;
                sent.map(|()| None)
            }
        }
    }
}

/// A request with this JSON.
fn json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .body(body.to_string())
}

/// The address that is a secret, as of now.
fn address(to: &Address) -> Result<reqwest::Url, SendError> {
    secret_url(&to.url)
}

fn secret_url(url: &Secret) -> Result<reqwest::Url, SendError> {
    web_url(&url.read()?).map_err(SendError::Address)
}

/// The answer as JSON.
async fn answer(request: RequestBuilder) -> Result<Value, SendError> {
    let body = web::send(request).await?;
    serde_json::from_str(&body)
        .map_err(|error| SendError::Refused(format!("its answer is no JSON ({error})")))
}

/// The text in the field of an answer.
fn text<'a>(answer: &'a Value, field: &str) -> Result<&'a str, SendError> {
    answer[field]
        .as_str()
        .ok_or_else(|| SendError::Refused(format!("its answer has no {field}")))
}

#[cfg(test)]
mod tests;
