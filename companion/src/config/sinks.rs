//! `notifications[]`.

use std::collections::BTreeSet;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::values::{EXPOSED, Name, Secret, ServerUrl, Span};

/// One place that messages go to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sink {
    /// Its name, in the log and in metrics.
    pub name: Name,
    /// Only what is at least that serious is sent.
    #[serde(default)]
    pub severity: Severity,
    /// Only what is about one of these pools is sent; `(built-in)` stands for nodes of no pool. Without any, everything is.
    #[serde(default)]
    pub pools: BTreeSet<String>,
    /// Only what has one of these codes is sent: a kind of news, or the code of a reason. Without any, everything is.
    #[serde(default)]
    pub codes: BTreeSet<String>,
    /// The least time between two messages. What comes up meanwhile goes into one.
    #[serde(default = "pause")]
    pub pause: Span,
    /// The template of the first line.
    pub title: Option<Template>,
    /// The template of the rest.
    pub text: Option<Template>,
    /// A program of yours, which gets a CloudEvent.
    pub webhook: Option<Webhook>,
    /// Slack.
    pub slack: Option<Slack>,
    /// Microsoft Teams.
    pub teams: Option<Address>,
    /// Discord.
    pub discord: Option<Address>,
    /// Matrix.
    pub matrix: Option<Matrix>,
    /// ntfy.
    pub ntfy: Option<Ntfy>,
    /// E-mail.
    pub email: Option<Email>,
}

fn pause() -> Span {
    Span::seconds(5)
}

/// How serious something is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize, serde::Serialize,
)]
pub enum Severity {
    /// Everything goes as planned.
    #[default]
    Info,
    /// Something is held or was given up, and is tried again by itself.
    Warning,
    /// A person has to look.
    Error,
}

impl Severity {
    /// The severity as it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "Info",
            Self::Warning => "Warning",
            Self::Error => "Error",
        }
    }
}

/// Which service a sink speaks to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Service<'a> {
    /// A program of the administrator's.
    Webhook(&'a Webhook),
    /// Slack.
    Slack(&'a Slack),
    /// Microsoft Teams.
    Teams(&'a Address),
    /// Discord.
    Discord(&'a Address),
    /// Matrix.
    Matrix(&'a Matrix),
    /// ntfy.
    Ntfy(&'a Ntfy),
    /// E-mail.
    Email(&'a Email),
}

impl Sink {
    /// Which service it speaks to.
    ///
    /// # Errors
    /// Where it is none, or more than one.
    pub fn service(&self) -> Result<Service<'_>, String> {
        let all = [
            self.webhook.as_ref().map(Service::Webhook),
            self.slack.as_ref().map(Service::Slack),
            self.teams.as_ref().map(Service::Teams),
            self.discord.as_ref().map(Service::Discord),
            self.matrix.as_ref().map(Service::Matrix),
            self.ntfy.as_ref().map(Service::Ntfy),
            self.email.as_ref().map(Service::Email),
        ];
        let mut found = all.into_iter().flatten();
        match (found.next(), found.next()) {
            (Some(service), None) => Ok(service),
            (None, _) | (Some(_), Some(_)) => Err(
                "expected one of `webhook`, `slack`, `teams`, `discord`, `matrix`, `ntfy` and `email`"
                    .to_owned(),
            ),
        }
    }
}

impl Sink {
    /// What makes no sense of its fields together.
    pub(super) fn wrong(&self) -> Option<String> {
        let exposed = |exposes: bool| exposes.then(|| EXPOSED.to_owned());
        match self.service() {
            Ok(Service::Webhook(to)) => to.url.wrong_url(),
            Ok(Service::Teams(to) | Service::Discord(to)) => to.url.wrong_url(),
            Ok(Service::Slack(to)) => exposed(to.api.exposes()),
            Ok(Service::Matrix(to)) => exposed(to.homeserver.exposes()),
            // Its topic may be a secret.
            Ok(Service::Ntfy(to)) => exposed(to.server.exposes()),
            Ok(Service::Email(to)) => to.wrong().map(str::to_owned),
            Err(why) => Some(why),
        }
    }
}

/// An address that is a secret, as those of incoming webhooks are: who knows it may write there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The address.
    pub url: Secret,
}

/// `webhook`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The address.
    pub url: Secret,
    /// A bearer token for it.
    pub token: Option<Secret>,
}

/// `slack`: a bot, which keeps one message for each roll-out up to date.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// The bot's token, with the scope `chat:write`.
    pub token: Secret,
    /// The channel's id, or its name.
    pub channel: String,
    /// The API's address.
    #[serde(default = "slack")]
    pub api: ServerUrlOr,
}

/// The address of an API that has a usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerUrlOr {
    /// The usual one.
    Usual(&'static str),
    /// Another one.
    Other(ServerUrl),
}

impl ServerUrlOr {
    /// Whether everybody on the way to it can read what is sent.
    pub(super) fn exposes(&self) -> bool {
        match self {
            Self::Usual(_) => false,
            Self::Other(url) => url.exposes(),
        }
    }

    /// The address of `path` below it, as text.
    pub fn below(&self, path: &str) -> String {
        match self {
            Self::Usual(base) => format!("{base}/{path}"),
            Self::Other(url) => url.below(path).into(),
        }
    }
}

impl<'de> Deserialize<'de> for ServerUrlOr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ServerUrl::deserialize(deserializer).map(Self::Other)
    }
}

fn slack() -> ServerUrlOr {
    ServerUrlOr::Usual("https://slack.com/api")
}

/// `matrix`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// The home server.
    pub homeserver: ServerUrl,
    /// The room's id, such as `!abc:example.com`.
    pub room: String,
    /// An access token of a user that is in the room.
    pub token: Secret,
}

/// `ntfy`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ntfy {
    /// The server.
    #[serde(default = "ntfy")]
    pub server: ServerUrlOr,
    /// The topic, which is a secret where the server lets everybody read it.
    pub topic: Secret,
    /// An access token.
    pub token: Option<Secret>,
}

fn ntfy() -> ServerUrlOr {
    ServerUrlOr::Usual("https://ntfy.sh")
}

/// `email`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// The server's name or address.
    pub host: String,
    /// Its port; by default the usual one for `tls`.
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: MailTls,
    /// The user to log in as.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// Who it is from.
    pub from: Mailbox,
    /// Who gets it.
    pub to: Vec<Mailbox>,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum MailTls {
    /// By STARTTLS, or there is none. Usual port 587.
    #[default]
    StartTls,
    /// From the first byte. Usual port 465.
    Implicit,
    /// Not at all. Usual port 25; a password is not sent this way.
    None,
}

impl MailTls {
    /// Its usual port.
    pub const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }
}

impl Email {
    /// What makes no sense of its fields together.
    fn wrong(&self) -> Option<&'static str> {
        match (&self.user, &self.password, self.tls) {
            (Some(_), None, _) | (None, Some(_), _) => {
                Some("email: `user` and `password` go together")
            }
            (Some(_), Some(_), MailTls::None) => {
                Some("email: a password is not sent without TLS; set `tls` to StartTls or Implicit")
            }
            _ if self.to.is_empty() => Some("email: `to` names nobody"),
            (Some(_), Some(_), MailTls::StartTls | MailTls::Implicit) | (None, None, _) => None,
        }
    }
}

/// An address for e-mail, such as `CUO <cuo@example.com>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox(pub lettre::message::Mailbox);

impl<'de> Deserialize<'de> for Mailbox {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| {
            D::Error::custom(format_args!(
                "expected an address such as cuo@example.com, found {text:?}: {error}"
            ))
        })
    }
}

/// A template, as Jinja has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match minijinja::Environment::new().template_from_str(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(D::Error::custom(format_args!(
                "expected a template: {error}"
            ))),
        }
    }
}
