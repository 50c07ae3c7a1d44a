//! The result of one check of `cuo-agent doctor`.

use serde::Serialize;

/// The verdict of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything is in order.
    Ok,
    /// The agent works, or the state is not known, but somebody should look at it.
    Warning,
    /// The agent can't do its work.
    Failed,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// The details, for people.
    pub found: String,
    /// What a person can do, unless everything is in order.
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

    /// A check that was left out because another one failed.
    pub(super) fn not_looked_at(name: &'static str, needs: &str) -> Self {
        Self::warning(
            name,
            format!("not checked, because it needs {needs}"),
            "See above.",
        )
    }
}
