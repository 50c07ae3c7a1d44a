//! Values of the configuration that are parsed while it is read.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use regex::Regex;
use reqwest::Url;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The shortest [`Span`]: nothing here is asked or sent more often than once a second.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);
/// The longest one.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// As many bytes of a secret's file are read: far more than any token has.
const SECRET: u64 = 64 * 1024;
/// What is wrong with an address that would carry a secret for everybody on the way to read.
pub(super) const EXPOSED: &str = "a secret is not sent over http:// to another place than this host or this cluster; write https://, or the whole name of the service, such as NAME.NAMESPACE.svc";
/// What is expected where a secret is.
const EXPECTED: &str = "a text, or `file` with the absolute path of a file";

/// A time span from a second to seven days, as people write it: `90s`, `10m`, `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(SignedDuration);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(SignedDuration::from_secs(seconds))
    }

    /// For sums with times.
    pub fn signed(self) -> SignedDuration {
        self.0
    }

    /// For timers.
    pub fn unsigned(self) -> Duration {
        self.0.unsigned_abs()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |why: &dyn fmt::Display| {
            D::Error::custom(format_args!(
                "expected a time span from 1s to 168h, such as 90s, 10m or 1h 30m, found {text:?}: {why}"
            ))
        };
        let span: SignedDuration = text.parse().map_err(|error: jiff::Error| wrong(&error))?;
        match span < SHORTEST || span > LONGEST {
            true => Err(wrong(&"out of range")),
            false => Ok(Self(span)),
        }
    }
}

/// A name for logs, metrics and objects: a DNS-1123 label of at most 40 characters, so that more fits behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let bytes = text.as_bytes();
        let edges =
            bytes.first().is_some_and(|c| plain(*c)) && bytes.last().is_some_and(|c| plain(*c));
        match edges && bytes.len() <= 40 && bytes.iter().all(|c| plain(*c) || *c == b'-') {
            true => Ok(Self(text)),
            false => Err(D::Error::custom(format_args!(
                "expected a name of at most 40 characters (a-z, 0-9 and '-', no '-' at its ends), found {text:?}"
            ))),
        }
    }
}

/// A regular expression that has to match somewhere in a text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Whether it matches somewhere in `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match Regex::new(&text) {
            Ok(regex) => Ok(Self(regex)),
            Err(error) => Err(D::Error::custom(format_args!(
                "expected a regular expression, found {text:?}: {error}"
            ))),
        }
    }
}

/// The address of a server, which may be shown: without credentials, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(Url);

impl ServerUrl {
    /// Whether everybody on the way to it can read what is sent.
    pub(super) fn exposes(&self) -> bool {
        exposes(&self.0)
    }

    /// The address of `path` below this one.
    pub fn below(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let path = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.as_str().trim_end_matches('/'))
    }
}

impl<'de> Deserialize<'de> for ServerUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The text may hold a password, so it is not shown.
        let wrong = |why: &str| {
            D::Error::custom(format_args!(
                "expected the address of a server such as https://prometheus.example.com, without credentials, query and fragment: {why}"
            ))
        };
        let url = any_url(&text).map_err(|why| wrong(&why))?;
        match url.username().is_empty() && url.password().is_none() {
            false => Err(wrong("it holds credentials; `token` is the place for them")),
            true if url.query().is_some() || url.fragment().is_some() => {
                Err(wrong("it has a query or a fragment"))
            }
            true => Ok(Self(url)),
        }
    }
}

/// Parses an address that is a secret, and is asked over HTTP.
///
/// # Errors
/// What is wrong with it, without any part of it.
pub fn web_url(text: &str) -> Result<Url, String> {
    let url = any_url(text)?;
    match exposes(&url) {
        true => Err(EXPOSED.to_owned()),
        false => Ok(url),
    }
}

/// Whether everybody on the way to `url` can read what is sent: it goes without TLS, and neither to this host nor to a Service of the cluster.
fn exposes(url: &Url) -> bool {
    if url.scheme() != "http" {
        return false;
    }
    // An IPv6 address is in brackets.
    let name = url.host_str().unwrap_or_default();
    let name = name.trim_matches(['[', ']']).trim_end_matches('.');
    match name.parse::<IpAddr>() {
        Ok(address) => !address.is_loopback(),
        Err(_) => {
            let within = [".svc", ".cluster.local", ".localhost"];
            name.contains('.') && !within.iter().any(|end| name.ends_with(end))
        }
    }
}

fn any_url(text: &str) -> Result<Url, String> {
    let url: Url = text
        .parse()
        .map_err(|error: <Url as std::str::FromStr>::Err| error.to_string())?;
    match (url.scheme(), url.has_host()) {
        ("http" | "https", true) => Ok(url),
        _ => Err("it does not begin with https:// or http:// and a host".to_owned()),
    }
}

/// Something that nobody is shown: a text of the configuration, or the content of a file, which is read each time it is used, so that a
/// mounted Secret may be replaced.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The secret itself, where the whole configuration is a Secret.
    Text(String),
    /// The file with it; line breaks around it do not count.
    File(PathBuf),
}

/// Why there is no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The file can't be read.
    #[error("{path} can't be read: {why}; mount the Secret there, or change `file`")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's error.
        why: String,
    },
    /// There is nothing in it.
    #[error("{path} is empty; see that the key of the Secret has a value")]
    Empty {
        /// The file.
        path: String,
    },
}

impl Secret {
    /// What is wrong with it as an address, as far as it is known yet: what is in files is looked at when they are read.
    pub(super) fn wrong_url(&self) -> Option<String> {
        match self {
            Self::Text(text) => web_url(text).err().map(|why| format!("url: {why}")),
            Self::File(_) => None,
        }
    }

    /// The secret as of now.
    ///
    /// # Errors
    /// What is wrong with its file.
    pub fn read(&self) -> Result<String, SecretError> {
        let path = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::File(path) => path,
        };
        let shown = path.display().to_string();
        let text = read_short(path).map_err(|error| SecretError::Unreadable {
            path: shown.clone(),
            why: error.to_string(),
        })?;
        match text.trim() {
            "" => Err(SecretError::Empty { path: shown }),
            text => Ok(text.to_owned()),
        }
    }
}

/// Reads a file that is small, or not at all.
fn read_short(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read;

    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(SECRET).read_to_string(&mut text)?;
    Ok(text)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Secret(…)"),
            Self::File(path) => write!(f, "Secret({})", path.display()),
        }
    }
}

/// Errors of it show nothing of what is there: it may be the secret.
struct SecretVisitor;

/// A secret without quotes that is no text in YAML.
fn unquoted<E: Error>() -> E {
    E::custom("expected a text; put it in quotes")
}

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        match text.trim() {
            "" => Err(E::custom("expected a secret, found an empty text")),
            text => Ok(Secret::Text(text.to_owned())),
        }
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Err(unquoted())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Err(unquoted())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Err(unquoted())
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Secret, E> {
        Err(unquoted())
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Secret, E> {
        Err(unquoted())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Err(unquoted())
    }

    fn visit_unit<E: Error>(self) -> Result<Secret, E> {
        Err(unquoted())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let wrong = || A::Error::custom(format_args!("expected {EXPECTED}, and nothing else"));
        let mut file = None;
        while let Some(key) = map.next_key::<String>().map_err(|_| wrong())? {
            if key != "file" || file.is_some() {
                return Err(wrong());
            }
            file = Some(map.next_value::<PathBuf>().map_err(|_| wrong())?);
        }
        let file = file.ok_or_else(wrong)?;
        match file.is_absolute() {
            true => Ok(Secret::File(file)),
            false => Err(A::Error::custom(format_args!(
                "expected an absolute path, found {:?}",
                file.display().to_string()
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}
