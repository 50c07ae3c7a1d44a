//! Where credentials come from: which kubeconfig, which files it names, and whether any of them changed.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::error::chain;

mod address;
mod current;
mod files;
mod flat;
mod life;
mod material;
mod places;

use current::Current;
use flat::Flat;
pub use flat::flatten;
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

/// Why there are no usable credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// None of the places has a kubeconfig that can be used.
    #[error("{}; join the node to a cluster or name one with --kubeconfig", Tried(.0))]
    NotFound(Vec<(PathBuf, String)>),
    /// A file that is named explicitly, or by a kubeconfig, can't be read.
    #[error("can't read {}: {message}; let this program's user read it, or name another kubeconfig", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        message: String,
    },
    /// A kubeconfig, or a file that it names, holds something else than it should.
    #[error("{}: {message}", path.display())]
    Malformed {
        /// The kubeconfig.
        path: PathBuf,
        /// What is wrong, with the line where that is known.
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
        let missing = self.0.iter().all(|(_, why)| why == files::NOT_THERE);
        let usable = if missing { "" } else { " can be used" };
        write!(f, "no kubeconfig on this host{usable}; tried ")?;
        for (index, (path, why)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{} ({why})", path.display())?;
        }
        Ok(())
    }
}

/// What one file was when it was looked at, symbolic links followed; `None` if it was not there.
///
/// The kubelet renews its certificate by pointing a link at a new file, so the link's path alone says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    path: PathBuf,
    file: Option<[i64; 7]>,
}

impl FileIdentity {
    fn of(path: &Path) -> Self {
        let file = std::fs::metadata(path).ok().map(|meta| {
            [
                meta.dev().cast_signed(),
                meta.ino().cast_signed(),
                meta.size().cast_signed(),
                meta.mtime(),
                meta.mtime_nsec(),
                meta.ctime(),
                meta.ctime_nsec(),
            ]
        });
        Self {
            path: path.to_owned(),
            file,
        }
    }
}

/// Credentials that were found and read, but not tried yet.
#[derive(Debug)]
pub(crate) struct Found {
    /// For people: the kubeconfig's path, or `service account`.
    pub origin: String,
    /// Every file that the client is made from. Taken before reading, so that a later change is never missed.
    pub files: Vec<FileIdentity>,
    /// What is in them; none for a service account.
    flat: Option<Flat>,
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

impl Found {
    /// Reads the kubeconfig at `path`, and what it names.
    fn at(path: &Path, root: &Path) -> Result<Self, CredentialsError> {
        let mut files = vec![FileIdentity::of(path)];
        let mut current = Current::read(path)?;
        for named in current.files() {
            *named = locate(named, root);
            files.push(FileIdentity::of(Path::new(named)));
        }
        Ok(Self {
            origin: path.display().to_string(),
            files,
            flat: Some(Flat::of(path, current)?),
        })
    }

    /// How long the client certificate is good, if there is one that is understood.
    pub(crate) fn life(&self) -> Option<Life> {
        self.flat.as_ref()?.life
    }

    /// The client's configuration.
    pub(crate) fn config(self) -> Result<kube::Config, CredentialsError> {
        match self.flat {
            Some(flat) => flat.config(),
            None => kube::Config::incluster().map_err(|error| CredentialsError::Pod {
                message: chain(&error),
            }),
        }
    }
}

/// `named` as it is, or under `root` if it is only there.
fn locate(named: &str, root: &Path) -> String {
    let below = under(root, Path::new(named));
    if !Path::new(named).exists() && below.exists() {
        below.to_string_lossy().into_owned()
    } else {
        named.to_owned()
    }
}

fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
