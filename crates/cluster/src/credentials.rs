//! Where credentials come from: which kubeconfig, which files it names, and whether any of them changed.

use std::fmt;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::error::chain;

mod flat;
mod life;

pub use flat::flatten;
pub use life::Life;

/// Kubeconfigs that a host may have, in the order in which they are tried: CUO's own, then the kubelet's in the places where
/// installers put it.
pub const PLACES: &[&str] = &[
    "/etc/cuo-agent/kubeconfig",
    "/var/lib/kubelet/kubeconfig",
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
    "/var/lib/k0s/kubelet.conf",
];

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
    /// The first of [`PLACES`] under `root` that can be read.
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
    /// None of the places has a kubeconfig.
    #[error("no kubeconfig on this host; tried {}; join the node to a cluster or name one with --kubeconfig", Tried(.0))]
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
    kubeconfig: Option<(PathBuf, Kubeconfig)>,
}

impl Credentials {
    /// Finds and reads the kubeconfig, if there is to be one.
    pub(crate) fn find(&self) -> Result<Found, CredentialsError> {
        let (path, root) = match self {
            Self::Pod => {
                return Ok(Found {
                    origin: "service account".to_owned(),
                    files: Vec::new(),
                    kubeconfig: None,
                });
            }
            Self::File { path, root } => (path.clone(), root),
            Self::Host { root } => (discover(root)?, root),
        };
        let kubeconfig_file = FileIdentity::of(&path);
        let mut kubeconfig = read(&path)?;
        let mut files = vec![kubeconfig_file];
        for named in named_files(&mut kubeconfig) {
            *named = locate(named, root);
            files.push(FileIdentity::of(Path::new(named)));
        }
        Ok(Found {
            origin: path.display().to_string(),
            files,
            kubeconfig: Some((path, kubeconfig)),
        })
    }
}

impl Found {
    /// The client's configuration. Certificates, keys and CA are read here, once.
    pub(crate) async fn config(self) -> Result<kube::Config, CredentialsError> {
        let Some((path, kubeconfig)) = self.kubeconfig else {
            return kube::Config::incluster().map_err(|error| CredentialsError::Pod {
                message: chain(&error),
            });
        };
        let own_proxy = kubeconfig
            .clusters
            .iter()
            .filter_map(|named| named.cluster.as_ref())
            .any(|cluster| cluster.proxy_url.is_some());
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| CredentialsError::Malformed {
                path,
                message: chain(&error),
            })?;
        if !own_proxy {
            // kube also takes HTTPS_PROXY from the environment, which a host sets for its downloads and not for its own cluster.
            config.proxy_url = None;
        }
        Ok(config)
    }
}

fn discover(root: &Path) -> Result<PathBuf, CredentialsError> {
    let mut tried = Vec::new();
    for place in PLACES {
        let path = under(root, Path::new(place));
        match std::fs::File::open(&path) {
            Ok(_) => return Ok(path),
            Err(error) => tried.push((path, error_text(&error))),
        }
    }
    Err(CredentialsError::NotFound(tried))
}

fn error_text(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "not there".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> CredentialsError {
    CredentialsError::Unreadable {
        path: path.to_owned(),
        message: error_text(error),
    }
}

fn read(path: &Path) -> Result<Kubeconfig, CredentialsError> {
    Kubeconfig::read_from(path).map_err(|error| match error {
        kube::config::KubeconfigError::ReadConfig(error, path) => unreadable(&path, &error),
        error => CredentialsError::Malformed {
            path: path.to_owned(),
            message: without_excerpt(&chain(&error)),
        },
    })
}

/// The parser also shows the lines around the place, which may hold a token or a key.
fn without_excerpt(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

/// The paths in a kubeconfig. Those that were relative are relative to its directory already.
fn named_files(kubeconfig: &mut Kubeconfig) -> impl Iterator<Item = &mut String> {
    let clusters = kubeconfig.clusters.iter_mut();
    let authorities =
        clusters.filter_map(|named| named.cluster.as_mut()?.certificate_authority.as_mut());
    let users = kubeconfig.auth_infos.iter_mut();
    let own = users
        .filter_map(|named| named.auth_info.as_mut())
        .flat_map(|user| {
            [
                &mut user.client_certificate,
                &mut user.client_key,
                &mut user.token_file,
            ]
            .into_iter()
            .flatten()
        });
    authorities.chain(own)
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
