//! Why there are no usable credentials.

use std::fmt;
use std::path::PathBuf;

/// The reason for a file that does not exist.
pub(super) const NOT_THERE: &str = "not there";

/// Why there are no usable credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// None of the places has a kubeconfig that can be used.
    #[error("{}; join the node to a cluster or name one with --kubeconfig", Tried(.0))]
    NotFound(Vec<(PathBuf, String)>),
    /// A file that was named explicitly, or by a kubeconfig, can't be read.
    #[error("can't read {}: {message}; let this program's user read it, or name another kubeconfig", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error message.
        message: String,
    },
    /// A kubeconfig, or a file that it refers to, has invalid content.
    #[error("{}: {message}", path.display())]
    Malformed {
        /// The kubeconfig.
        path: PathBuf,
        /// What is wrong, with the line if known.
        message: String,
    },
    /// There is no service account to use.
    #[error(
        "no service account of a pod: {message}; outside of a cluster name a kubeconfig with --kubeconfig"
    )]
    Pod {
        /// What is missing.
        message: String,
    },
}

struct Tried<'a>(&'a [(PathBuf, String)]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = self.0.iter().all(|(_, why)| why == NOT_THERE);
        let usable = if missing { "" } else { " can be used" };
        write!(f, "no kubeconfig on this host{usable}; tried ")?;
        for (index, (path, why)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{} ({why})", path.display())?;
        }
        Ok(())
    }
}
