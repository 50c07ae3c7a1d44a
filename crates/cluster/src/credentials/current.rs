//! A kubeconfig as client-go reads it: only the current context matters, and empty fields are absent.

use std::path::Path;

use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo};
use secrecy::{ExposeSecret, SecretString};

use super::{CredentialsError, files};

/// The current context of a kubeconfig, with its cluster and its user.
#[derive(Debug, Clone)]
pub(super) struct Current {
    pub names: Names,
    pub context: Context,
    pub cluster: Cluster,
    pub user: AuthInfo,
}

/// The names of a kubeconfig's parts, for error messages.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub context: String,
    pub cluster: String,
    pub user: String,
}

impl Current {
    /// Reads the kubeconfig at `path`, and makes paths in it absolute. Files that it refers to are not read.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let bytes = files::read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&bytes, folder).map_err(|message| CredentialsError::Malformed {
            path: path.to_owned(),
            message,
        })
    }

    /// Parses a kubeconfig in the directory `folder`.
    pub fn parse(bytes: &[u8], folder: &Path) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| "is no kubeconfig: it is not text in UTF-8".to_owned())?;
        // Editors of other systems put a byte order mark there.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err("is empty".to_owned());
        }
        let kubeconfig = Kubeconfig::from_yaml(text)
            .map_err(|error| first_line(&crate::causes::chain(&error)))?;
        if let Some(kind) = nonempty(kubeconfig.kind.clone()).filter(|kind| kind != "Config") {
            return Err(format!("is no kubeconfig: its kind is {kind:?}"));
        }
        let mut current = Self::of(kubeconfig)?;
        current.tidy();
        current.absolute(folder);
        Ok(current)
    }

    fn of(kubeconfig: Kubeconfig) -> Result<Self, String> {
        let name = nonempty(kubeconfig.current_context)
            .ok_or("no current-context, so it is not known which credentials to use")?;
        let mut contexts = kubeconfig.contexts.into_iter();
        let context = contexts
            .find(|named| named.name == name)
            .and_then(|named| named.context)
            .ok_or_else(|| format!("there is no context {name:?}, the current one"))?;
        let mut clusters = kubeconfig.clusters.into_iter();
        let cluster = clusters
            .find(|named| named.name == context.cluster)
            .and_then(|named| named.cluster)
            .ok_or_else(|| {
                let cluster = &context.cluster;
                format!("there is no cluster {cluster:?}, which the current context names")
            })?;
        let (name_of_user, user) = user_of(&context, kubeconfig.auth_infos)?;
        Ok(Self {
            names: Names {
                context: name,
                cluster: context.cluster.clone(),
                user: name_of_user,
            },
            context,
            cluster,
            user,
        })
    }

    /// Treats empty fields as absent, as client-go does.
    fn tidy(&mut self) {
        let (cluster, user) = (&mut self.cluster, &mut self.user);
        let texts = [
            &mut self.context.namespace,
            &mut cluster.server,
            &mut cluster.certificate_authority,
            &mut cluster.certificate_authority_data,
            &mut cluster.proxy_url,
            &mut cluster.tls_server_name,
            &mut user.token_file,
            &mut user.client_certificate,
            &mut user.client_certificate_data,
            &mut user.client_key,
            &mut user.username,
            &mut user.impersonate,
            &mut user.impersonate_uid,
        ];
        for text in texts {
            *text = nonempty(text.take());
        }
        for secret in [&mut user.token, &mut user.client_key_data] {
            let found = secret.take();
            *secret = found.filter(|secret: &SecretString| !secret.expose_secret().is_empty());
        }
    }

    fn absolute(&mut self, folder: &Path) {
        for file in self.files() {
            // An absolute path replaces the directory.
            *file = folder.join(&*file).to_string_lossy().into_owned();
        }
    }

    /// All paths in the current context.
    pub fn files(&mut self) -> impl Iterator<Item = &mut String> {
        let (cluster, user) = (&mut self.cluster, &mut self.user);
        let all = [
            &mut cluster.certificate_authority,
            &mut user.client_certificate,
            &mut user.client_key,
            &mut user.token_file,
        ];
        all.into_iter().flatten()
    }
}

pub(super) fn nonempty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The context's user with its name. An empty name means anonymous, which the API server may refuse. A name of a missing user is a mistake;
/// `kubectl` treats it as anonymous, and client-go's own check of kubeconfigs (1.37) refuses it.
fn user_of(context: &Context, users: Vec<NamedAuthInfo>) -> Result<(String, AuthInfo), String> {
    let Some(name) = nonempty(context.user.clone()) else {
        return Ok(Default::default());
    };
    let mut users = users.into_iter();
    let found = users
        .find(|named| named.name == name)
        .ok_or_else(|| format!("there is no user {name:?}, which the current context names"))?;
    Ok((name, found.auth_info.unwrap_or_default()))
}

/// Drops the lines around the error that the parser quotes, which may hold a token or a key.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}
