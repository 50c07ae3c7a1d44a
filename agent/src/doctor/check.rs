//! What was found about one thing that the agent depends on.

use serde::Serialize;

/// How it is with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, or is not known, but somebody should look at it.
    Warning,
    /// The agent can't do its work like this.
    Failed,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which one.
    pub name: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// The particulars, in words.
    pub found: String,
    /// What a person can do, unless it is as it should be.
    pub remedy: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Ok,
            found: found.into(),
            remedy: None,
        }
    }

    pub(super) fn warning(
        name: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Warning,
            remedy: Some(remedy.into()),
            ..Self::ok(name, found)
        }
    }

    pub(super) fn failed(
        name: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Failed,
            ..Self::warning(name, found, remedy)
        }
    }

    /// It depends on something that failed.
    pub(super) fn not_looked_at(name: &'static str, needs: &str) -> Self {
        Self::warning(
            name,
            format!("not looked at, because it needs {needs}"),
            "See above.",
        )
    }
}
