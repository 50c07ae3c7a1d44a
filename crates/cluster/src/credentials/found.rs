//! Credentials that were found, and the files that they were read from.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::current::Current;
use super::error::CredentialsError;
use super::flat::Flat;
use super::life::Life;
use crate::causes::chain;

/// The identity of a file at one time, symbolic links followed; `None` if it did not exist.
///
/// The kubelet renews its certificate by pointing a link at a new file, so the link's path alone is not enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    pub(super) path: PathBuf,
    pub(super) file: Option<[i64; 7]>,
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
    /// Every file that the client is created from. Recorded before reading, so that no later change is missed.
    pub files: Vec<FileIdentity>,
    /// Their content; `None` for a service account.
    pub(super) flat: Option<Flat>,
}

impl Found {
    /// Reads the kubeconfig at `path`, and the files that it refers to.
    pub(super) fn at(path: &Path, root: &Path) -> Result<Self, CredentialsError> {
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

    /// The validity of the client certificate, if there is one that can be parsed.
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

/// `named` unchanged, or under `root` if it exists only there.
fn locate(named: &str, root: &Path) -> String {
    let below = under(root, Path::new(named));
    if !Path::new(named).exists() && below.exists() {
        below.to_string_lossy().into_owned()
    } else {
        named.to_owned()
    }
}

pub(super) fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
