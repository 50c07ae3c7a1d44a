//! What a check comes to.

use serde::Serialize;

/// How well it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It could not be found out.
    Unknown,
    /// It works, but not as it should, or not for all.
    Warning,
    /// It does not work, or is not safe.
    Failed,
}

impl Level {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// How well it is.
    pub level: Level,
    /// What was looked at.
    pub about: &'static str,
    /// What was found.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// All is well.
    pub fn ok(about: &'static str, found: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            about,
            found: found.into(),
            remedy: None,
        }
    }

    /// It could not be found out.
    pub fn unknown(about: &'static str, why: impl Into<String>) -> Self {
        Self {
            level: Level::Unknown,
            ..Self::ok(about, why)
        }
    }

    /// Not as it should be.
    pub fn warning(about: &'static str, found: impl Into<String>, remedy: &str) -> Self {
        Self {
            level: Level::Warning,
            remedy: Some(remedy.to_owned()),
            ..Self::ok(about, found)
        }
    }

    /// Broken, or not safe.
    pub fn failed(about: &'static str, found: impl Into<String>, remedy: &str) -> Self {
        Self {
            level: Level::Failed,
            ..Self::warning(about, found, remedy)
        }
    }
}

/// At most five of these names.
pub fn some(names: &[String]) -> String {
    const MOST: usize = 5;
    match names.len() {
        count if count > MOST => format!("{} and {} more", names[..MOST].join(", "), count - MOST),
        _ => names.join(", "),
    }
}
