//! The source of credentials: which kubeconfig, which files it refers to, and whether any of them changed.

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
        /// The kubeconfig's path, as seen by this process.
        path: PathBuf,
        /// The root of the host's file system: files that the kubeconfig refers to are also looked for under it.
        root: PathBuf,
    },
    /// The best of [`PLACES`] under `root`: those that can't be used, have expired or are older than another one are passed over.
    Host {
        /// The root of the host's file system, `/` except in tests.
        root: PathBuf,
    },
    /// The service account of the pod that this program runs in.
    Pod,
}

impl Credentials {
    /// Finds and reads the kubeconfig, if there should be one.
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

/// The kubeconfig that `credentials` lead to, as JSON that contains all files it refers to, so that a program that may not read these can
/// use it.
///
/// # Errors
/// Those of finding it; also when it refers to a program to be run.
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
