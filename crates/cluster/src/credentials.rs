//! Where credentials come from: which kubeconfig, which files it names, and whether any of them changed.

use std::path::PathBuf;

use jiff::Timestamp;

mod address;
mod current;
mod error;
mod files;
mod flat;
mod found;
mod life;
mod material;
mod places;

pub use error::CredentialsError;
pub(crate) use found::{FileIdentity, Found};
pub use life::Life;
pub use places::{PLACES, PassedOver, passed_over};

/// Which credentials to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// This kubeconfig and no other.
    File {
        /// Where it is, as seen by this process.
        path: PathBuf,
        /// Where the host's file system is: files that the kubeconfig names are also looked for under it.
        root: PathBuf,
    },
    /// The best of [`PLACES`] under `root`: those that can't be used are passed over, and so is what has ended or is older than another one.
    Host {
        /// Where the host's file system is, `/` unless in a test bench.
        root: PathBuf,
    },
    /// The service account of the pod that this program runs in.
    Pod,
}

impl Credentials {
    /// Finds and reads the kubeconfig, if there is to be one.
    pub(crate) fn find(&self) -> Result<Found, CredentialsError> {
        match self {
            Self::Pod => Ok(Found {
                origin: "service account".to_owned(),
                files: Vec::new(),
                flat: None,
            }),
            Self::File { path, root } => Found::at(path, root),
            Self::Host { root } => Ok(places::discover(root, Timestamp::now())?.0),
        }
    }
}

/// The kubeconfig that `credentials` lead to, in JSON with the contents of all files it names in place of their paths, so that a
/// program that may read none of them can use it.
///
/// # Errors
/// As for finding it; and when it asks for a program to be run.
pub fn flatten(credentials: &Credentials) -> Result<String, CredentialsError> {
    let Some(flat) = credentials.find()?.flat else {
        let message = "a service account has no kubeconfig".to_owned();
        return Err(CredentialsError::Pod { message });
    };
    flat.refuse_programs()?;
    flat.text()
}

#[cfg(test)]
mod tests;
