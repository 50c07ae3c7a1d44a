//! The one client of HTTP: TLS, deadlines, bounds, and errors that hold no secret.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cuo_core::reason::line;
use reqwest::header::{AUTHORIZATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Request, RequestBuilder, Response, StatusCode};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

/// The whole answer.
const DEADLINE: Duration = Duration::from_secs(15);
/// The connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read: those of ten thousand alerts.
const LARGEST: usize = 8 << 20;
/// Most characters of a refusal that are shown.
const QUOTED: usize = 200;
/// A part of an address with as many characters may be a secret. Most words that addresses have are shorter.
const SECRET: usize = 8;
/// What is there where something was left out.
const OMITTED: &str = "…";

/// Why there is no answer that helps. No text of it has the address, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    /// The server can't be reached, or does not answer in time.
    #[error("the server can't be reached: {0}")]
    Unreachable(String),
    /// It refused.
    #[error("the server answered {status}{said}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said, with a colon before it.
        said: String,
        /// How long it wants to be left alone.
        wait: Option<Duration>,
    },
    /// The answer is too long.
    #[error("the answer has more than {LARGEST} bytes")]
    TooLong,
}

impl WebError {
    /// Whether the server could not be asked at all: it can't be reached, or fails. One that refuses, or says what is not understood, was
    /// asked.
    pub fn unasked(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => *status >= 500,
            Self::TooLong => false,
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file with CAs can't be used.
    #[error("caFile: {path}: {why}; expected a file with certificates in PEM")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// TLS can't be set up.
    #[error("TLS can't be set up: {0}")]
    Tls(String),
}

/// Certificates of the CAs that servers are verified with, besides those of the system: the file's, and Mozilla's, since an image of one
/// program has no system.
///
/// # Errors
/// What is wrong with the file.
pub fn authorities(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let mut all = webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec();
    let Some(file) = file else {
        return Ok(all);
    };
    let wrong = |why: String| SetupError::Authorities {
        path: file.display().to_string(),
        why,
    };
    let found = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    let before = all.len();
    for certificate in found {
        all.push(certificate.map_err(|error| wrong(error.to_string()))?);
    }
    match all.len() == before {
        true => Err(wrong("there is no certificate in it".to_owned())),
        false => Ok(all),
    }
}

/// A client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Web(Client);

impl Web {
    /// A client that trusts `authorities` as well.
    ///
    /// # Errors
    /// Where TLS can't be set up.
    pub fn new(authorities: &[CertificateDer<'static>]) -> Result<Self, SetupError> {
        let wrong = |error: &dyn std::error::Error| SetupError::Tls(chain(error));
        let provider = Arc::new(ring::default_provider());
        let roots = authorities.iter().cloned();
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider));
        let verifier = verifier.map_err(|error| wrong(&error))?;
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("cuo-companion/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(DEADLINE)
            // A token is for the server that it was given for.
            .redirect(Policy::none())
            .build();
        client.map(Self).map_err(|error| wrong(&error))
    }

    /// What requests are made with.
    pub fn client(&self) -> &Client {
        &self.0
    }
}

/// Sends a request, and returns the body of an answer of success.
///
/// # Errors
/// Any [`WebError`].
pub async fn send(request: RequestBuilder) -> Result<String, WebError> {
    let (client, request) = request.build_split();
    let request = request.map_err(unreachable)?;
    let secrets = secrets(&request);
    let mut answer = client.execute(request).await.map_err(unreachable)?;
    let status = answer.status();
    let wait = asked(&answer);
    let body = body(&mut answer).await;
    if status.is_success() {
        return body;
    }
    let said = match body {
        // What is said of another place may name it, which may be a secret as well.
        Ok(body) if !status.is_redirection() => without(body, &secrets),
        Ok(_) | Err(_) => String::new(),
    };
    let said: String = line(&said).chars().take(QUOTED).collect();
    Err(WebError::Refused {
        status: status.as_u16(),
        said: match said.is_empty() {
            true => String::new(),
            false => format!(": {said}"),
        },
        wait: wait.filter(|_| status == StatusCode::TOO_MANY_REQUESTS),
    })
}

/// What nobody may see of a request, the longest first. Servers echo it.
fn secrets(request: &Request) -> Vec<String> {
    let url = request.url();
    let token = request.headers().get(AUTHORIZATION);
    let token = token.and_then(|token| token.to_str().ok());
    let token = token.map(|token| token.trim_start_matches("Bearer "));
    let segments = url.path_segments().into_iter().flatten();
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    let parts = segments.map(str::to_owned).chain(values);
    let parts = parts.filter(|part| part.chars().count() >= SECRET);
    let whole = [Some(url.path()), url.query(), token];
    let whole = whole.into_iter().flatten().map(str::to_owned);
    let mut all: Vec<_> = whole.filter(|text| text.len() > 1).chain(parts).collect();
    all.sort_by_key(|text| std::cmp::Reverse(text.len()));
    all
}

/// `text` without `secrets`.
fn without(text: String, secrets: &[String]) -> String {
    let omit = |text: String, secret: &String| text.replace(secret, OMITTED);
    secrets.iter().fold(text, omit)
}

/// How long the server wants to be left alone, if it says so in seconds.
fn asked(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

async fn body(answer: &mut Response) -> Result<String, WebError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > LARGEST {
            return Err(WebError::TooLong);
        }
        bytes.extend(chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unreachable(error: reqwest::Error) -> WebError {
    WebError::Unreachable(chain(&error.without_url()))
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    let mut parts: Vec<String> = Vec::new();
    for part in all.map(ToString::to_string) {
        // Many errors have their cause in their own text.
        if !parts.iter().any(|known| known.contains(&part)) {
            parts.push(part);
        }
    }
    line(&parts.join(": "))
}

#[cfg(test)]
mod tests;
