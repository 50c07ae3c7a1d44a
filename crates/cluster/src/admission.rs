//! Admission webhooks and policies that refused a write, as opposed to the API server itself.
//!
//! The API server names them only in messages. These are from Kubernetes 1.37 (`k8s.io/apiserver`, `pkg/admission/plugin/webhook/errors`
//! and `pkg/admission/plugin/policy/validating`), and unchanged since webhooks exist; a test checks each against a real one.

use std::fmt;

/// What refused a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// The webhook of this name denied it.
    Denied(String),
    /// The webhook of this name could not be called, and its configuration forbids writes without it (`failurePolicy: Fail`).
    Silent(String),
    /// The ValidatingAdmissionPolicy of this name denied it.
    Policy(String),
}

impl Admission {
    /// What the message of a refusal names, if anything.
    pub fn named(message: &str) -> Option<Self> {
        let between = |before: &str, end: char| {
            let (_, rest) = message.split_once(before)?;
            let (name, _) = rest.split_once(end)?;
            Some(name.to_owned())
        };
        let silent = between("failed calling webhook \"", '"').map(Self::Silent);
        let denied = || between("admission webhook \"", '"').map(Self::Denied);
        let policy = || between("ValidatingAdmissionPolicy '", '\'').map(Self::Policy);
        silent.or_else(denied).or_else(policy)
    }

    /// What a person can do, as one sentence.
    pub fn remedy(&self) -> String {
        match self {
            Self::Denied(name) => {
                format!(
                    "Let the admission webhook {name} allow what CUO writes to Nodes, or leave Nodes out of its rules."
                )
            }
            Self::Silent(name) => format!(
                "Get the admission webhook {name} to answer, or leave Nodes out of its rules: its own pods may have been drained from this node."
            ),
            Self::Policy(name) => {
                format!("Let the ValidatingAdmissionPolicy {name} allow what CUO writes to Nodes.")
            }
        }
    }
}

impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(name) => write!(f, "the admission webhook {name} refuses it"),
            Self::Silent(name) => write!(f, "the admission webhook {name} does not answer"),
            Self::Policy(name) => write!(f, "the ValidatingAdmissionPolicy {name} refuses it"),
        }
    }
}

#[cfg(test)]
mod tests;
