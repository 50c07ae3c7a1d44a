//! Merges a kubeconfig and the files that it refers to.

use std::path::{Path, PathBuf};

use kube::client::ConfigExt;
use kube::config::{
    AuthInfo, ExecAuthCluster, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret;

use super::current::{Current, Names};
use super::material::{self, Wrong};
use super::{CredentialsError, Life, address};
use crate::causes::chain;
use crate::tls;

/// A kubeconfig that contains all files it referred to. As far as can be checked here, a client can be created from it.
#[derive(Debug)]
pub(crate) struct Flat {
    path: PathBuf,
    current: Current,
    /// The client's configuration, still without a credential plugin's view of the cluster.
    config: kube::Config,
    /// The validity of the client certificate, if there is one that can be parsed.
    pub life: Option<Life>,
}

impl Flat {
    /// Reads the files that `current`, the kubeconfig at `path`, refers to.
    pub fn of(path: &Path, mut current: Current) -> Result<Self, CredentialsError> {
        let Names { cluster, user, .. } = current.names.clone();
        let wrong = |place: String| {
            move |wrong: Wrong| match wrong {
                Wrong::File(error) => error,
                Wrong::Here(why) => malformed(path, format!("{place}: {why}")),
            }
        };
        let mut config =
            cluster_config(&mut current).map_err(wrong(format!("cluster {cluster:?}")))?;
        let life = user_config(&mut current.user).map_err(wrong(format!("user {user:?}")))?;
        config.auth_info = current.user.clone();
        let flat = Self {
            path: path.to_owned(),
            current,
            config,
            life,
        };
        flat.try_out()?;
        Ok(flat)
    }

    /// Checks that certificates and keys are usable for the client.
    fn try_out(&self) -> Result<(), CredentialsError> {
        if self.program().is_some() {
            // It would be run.
            return Ok(());
        }
        let mut config = self.config.clone();
        // The system's own certificates are not checked here.
        config.root_cert.get_or_insert_default();
        match config.rustls_client_config() {
            Ok(_) => Ok(()),
            Err(error) => Err(malformed(&self.path, tls::own_in_words(&error))),
        }
    }

    /// The credential plugin, a program to be run, if the user has one.
    fn program(&self) -> Option<&str> {
        let user = &self.current.user;
        match (&user.exec, &user.auth_provider) {
            (Some(exec), _) => Some(exec.command.as_deref().unwrap_or("exec")),
            (None, Some(provider)) => Some(&provider.name),
            (None, None) => None,
        }
    }

    /// Refuses credential plugins: the program that copies has more rights than the one that uses the copy.
    pub fn refuse_programs(&self) -> Result<(), CredentialsError> {
        let (user, Some(program)) = (&self.current.names.user, self.program()) else {
            return Ok(());
        };
        let why = format!(
            "user {user:?} gets its credentials from the plugin {program:?}, which is not run here; name a kubeconfig with a certificate or a token"
        );
        Err(malformed(&self.path, why))
    }

    /// Refuses a kubeconfig without credentials: it can't be a kubelet's, and another one may be.
    pub fn refuse_anonymous(&self) -> Result<(), CredentialsError> {
        let user = &self.current.user;
        let token = user.token.as_ref().map(ExposeSecret::expose_secret);
        let has_token = token.is_some_and(|token| !token.trim().is_empty());
        let has_password = user.username.is_some() && user.password.is_some();
        if user.client_certificate_data.is_some() || has_token || has_password {
            return Ok(());
        }
        let who = match self.current.names.user.as_str() {
            "" => "the current context names no user, and".to_owned(),
            user => format!("user {user:?}"),
        };
        let why = format!(
            "{who} has no certificate, token or password, so the API server would not know who asks"
        );
        Err(malformed(&self.path, why))
    }

    /// The kubeconfig's text with the current context only: whoever reads the copy needs no other secrets.
    pub fn text(self) -> Result<String, CredentialsError> {
        let Current {
            names,
            context,
            cluster,
            user,
        } = self.current;
        let kubeconfig = Kubeconfig {
            api_version: Some("v1".to_owned()),
            kind: Some("Config".to_owned()),
            current_context: Some(names.context.clone()),
            contexts: vec![NamedContext {
                name: names.context,
                context: Some(context),
                ..NamedContext::default()
            }],
            clusters: vec![NamedCluster {
                name: names.cluster,
                cluster: Some(cluster),
                ..NamedCluster::default()
            }],
            auth_infos: vec![NamedAuthInfo {
                name: names.user,
                auth_info: Some(user),
                ..NamedAuthInfo::default()
            }],
            ..Kubeconfig::default()
        };
        // Through a value, which sorts fields: equal credentials give equal text.
        serde_json::to_value(&kubeconfig)
            .and_then(|value| serde_json::to_string_pretty(&value))
            .map_err(|error| malformed(&self.path, error.to_string()))
    }

    /// The client's configuration.
    pub fn config(self) -> Result<kube::Config, CredentialsError> {
        let mut config = self.config;
        if let Some(exec) = &mut config.auth_info.exec
            && exec.provide_cluster_info
        {
            let cluster = ExecAuthCluster::try_from(&self.current.cluster);
            exec.cluster = Some(cluster.map_err(|error| malformed(&self.path, chain(&error)))?);
        }
        Ok(config)
    }
}

fn malformed(path: &Path, message: String) -> CredentialsError {
    CredentialsError::Malformed {
        path: path.to_owned(),
        message,
    }
}

/// The client's settings for the cluster. Written out because the library also reads HTTPS_PROXY and NO_PROXY from the environment, which a
/// host sets for its downloads and not for its own cluster.
fn cluster_config(current: &mut Current) -> Result<kube::Config, Wrong> {
    let cluster = &mut current.cluster;
    let server = cluster.server.as_deref().unwrap_or_default();
    let server = address::server(server).map_err(|why| format!("server {why}"))?;
    let proxy = cluster.proxy_url.as_deref().map(address::proxy).transpose();
    let proxy = proxy.map_err(|why| format!("proxy-url {why}"))?;
    if let Some(name) = &cluster.tls_server_name {
        ServerName::try_from(name.as_str())
            .map_err(|error| format!("tls-server-name {name:?} is no name: {error}"))?;
    }
    let mut config = kube::Config::new(server);
    config.proxy_url = proxy;
    config.root_cert = material::authorities(cluster)?;
    config.tls_server_name = cluster.tls_server_name.clone();
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or_default();
    if let Some(namespace) = &current.context.namespace {
        config.default_namespace.clone_from(namespace);
    }
    Ok(config)
}

/// Replaces the user's files by their contents.
fn user_config(user: &mut AuthInfo) -> Result<Option<Life>, Wrong> {
    let life = material::identity(user)?;
    material::token(user)?;
    Ok(life)
}
