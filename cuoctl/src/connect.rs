//! The connection: with the kubeconfig that kubectl would use, and the rights of its user.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use cuo_cluster::node::whoami;
use cuo_cluster::{ClientSource, Program};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

const PROGRAM: Program = Program {
    name: "cuoctl",
    version: env!("CARGO_PKG_VERSION"),
};

/// Which cluster, and as whom.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of each command")]
pub struct Connection {
    /// Kubeconfig to use, in place of $KUBECONFIG and ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// User to act as.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub act_as: Option<String>,
    /// Group to act as a member of; may be given several times.
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub groups: Vec<String>,
    /// Namespace that the operator runs in.
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAME",
        default_value = "cuo-system"
    )]
    pub namespace: String,
}

/// The name of the user who calls, as the API server knows it, for what tells others who did something; `None` if it has none.
///
/// # Errors
/// Where the API server does not say.
pub async fn caller(source: &ClientSource) -> Result<Option<String>> {
    let user = whoami(source).await.context("who you are")?.user;
    Ok(Some(user).filter(|user| !user.is_empty()))
}

impl Connection {
    /// Reads the kubeconfig and connects.
    ///
    /// # Errors
    /// Where there is no usable kubeconfig, with its path.
    pub async fn open(&self) -> Result<ClientSource> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let (found, origin) = match &self.kubeconfig {
            Some(path) => (Kubeconfig::read_from(path), path.display().to_string()),
            None => (Kubeconfig::read(), "the kubeconfig".to_owned()),
        };
        let config =
            match found {
                Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .with_context(|| format!("{origin} can't be used"))?,
                Err(error) => self.pod_account().map_or_else(
                    || {
                        Err(error).with_context(|| {
                    format!("{origin} can't be read; --kubeconfig or $KUBECONFIG names another one")
                })
                    },
                    Ok,
                )?,
            };
        let config = self.impersonating(config);
        Ok(ClientSource::fixed(config, PROGRAM, &origin).await?)
    }

    /// The service account of the pod that this runs in, unless a kubeconfig was asked for.
    fn pod_account(&self) -> Option<Config> {
        let asked = self.kubeconfig.is_some() || self.context.is_some();
        (!asked).then(Config::incluster).and_then(Result::ok)
    }

    fn impersonating(&self, mut config: Config) -> Config {
        if let Some(user) = &self.act_as {
            config.auth_info.impersonate = Some(user.clone());
        }
        if !self.groups.is_empty() {
            config.auth_info.impersonate_groups = Some(self.groups.clone());
        }
        config
    }
}
