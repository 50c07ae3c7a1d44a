//! Values of the configuration that are parsed while it is read.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The shortest [`Span`], which limits how often something is repeated.
const LEAST: SignedDuration = SignedDuration::from_secs(1);

/// A time span of at least a second, as people write it: `90s`, `10m`, `6h`, `1h 30m`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Span(pub SignedDuration);

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#}", self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = parse(&text)?;
        if span < LEAST {
            return Err(wrong(&text, &"shorter than a second"));
        }
        Ok(Self(span))
    }
}

/// A delay, which may be zero: `0s`, or any [`Span`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Delay(pub SignedDuration);

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Span(self.0).fmt(f)
    }
}

impl Serialize for Delay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Span(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = parse(&text)?;
        if !span.is_zero() && span < LEAST {
            return Err(wrong(&text, &"neither 0s nor a second at least"));
        }
        Ok(Self(span))
    }
}

fn parse<E: serde::de::Error>(text: &str) -> Result<SignedDuration, E> {
    text.parse()
        .map_err(|error: jiff::Error| wrong(text, &error))
}

fn wrong<E: serde::de::Error>(text: &str, why: &dyn fmt::Display) -> E {
    E::custom(format_args!(
        "expected a time span such as \"90s\", \"10m\" or \"1h 30m\", found {text:?}: {why}"
    ))
}

/// The path of a file on the host, which begins with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostPath(pub String);

impl<'de> Deserialize<'de> for HostPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.starts_with('/') && !text.ends_with('/') {
            true => Ok(Self(text)),
            false => Err(serde::de::Error::custom(format_args!(
                "expected the path of a file that begins with `/`, found {text:?}"
            ))),
        }
    }
}

impl HostPath {
    /// Where the file is on a host whose files are below `root`.
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(self.0.trim_start_matches('/'))
    }
}

/// The path of a file for node_exporter's textfile collector, which reads the files whose names end with `.prom`; empty for none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Textfile(Option<HostPath>);

impl Textfile {
    /// Where the file is on a host whose files are below `root`, if there is to be one.
    pub fn below(&self, root: &Path) -> Option<PathBuf> {
        self.0.as_ref().map(|path| path.below(root))
    }
}

impl Serialize for Textfile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let path = self.0.as_ref().map_or("", |path| &path.0);
        serializer.serialize_str(path)
    }
}

impl<'de> Deserialize<'de> for Textfile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // A name that is nothing but `.prom` has no extension.
        let named = Path::new(&text).extension().is_some();
        match text.starts_with('/') && text.ends_with(".prom") && named {
            true => Ok(Self(Some(HostPath(text)))),
            false if text.is_empty() => Ok(Self(None)),
            false => Err(serde::de::Error::custom(format_args!(
                "expected the path of a file that begins with `/` and ends with `.prom`, or \"\" for no file, found {text:?}"
            ))),
        }
    }
}

/// The name of a systemd unit, with its suffix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitName(pub String);

/// systemd.unit(5) has these, and no others.
const SUFFIXES: [&str; 11] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "slice",
    "scope",
];

impl<'de> Deserialize<'de> for UnitName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        let parts = text.rsplit_once('.');
        let known = parts.is_some_and(|(name, suffix)| {
            let template = name.ends_with('@');
            !name.is_empty() && !template && SUFFIXES.contains(&suffix)
        });
        if known && text.len() < 256 && text.chars().all(allowed) {
            return Ok(Self(text));
        }
        Err(serde::de::Error::custom(format_args!(
            "expected the name of a unit such as \"crio.service\", found {text:?}"
        )))
    }
}
