//! Who is told, and with what.

use std::sync::Arc;

use anyhow::Result;
use cuo_cluster::ClientSource;

use super::message::Words;
use super::sink::Post;
use crate::cli::Cli;
use crate::config::{Config, Sink};
use crate::metrics::Metrics;
use crate::web::{self, Web};

/// A sink, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// What is configured.
    pub sink: Sink,
    /// Its templates.
    pub words: Words,
}

/// Tells all sinks.
#[derive(Debug, Clone)]
pub struct Notifier {
    pub(super) source: ClientSource,
    pub(super) namespace: String,
    pub(super) post: Post,
    pub(super) recipients: Vec<Recipient>,
    pub(super) metrics: Arc<Metrics>,
}

/// All sinks of `config`.
///
/// # Errors
/// Where a template can't be filled in.
pub fn recipients(config: &Config) -> Result<Vec<Recipient>> {
    let all = config.notifications.iter().map(|sink| {
        let words = Words::of(sink, config.cluster.as_deref())?;
        let sink = sink.clone();
        Ok(Recipient { sink, words })
    });
    all.collect()
}

/// What services are reached with.
///
/// # Errors
/// Where the file with CAs can't be used.
pub fn post(config: &Config, web: Web) -> Result<Post> {
    let authorities = web::authorities(config.ca_file.as_deref())?;
    Ok(Post { web, authorities })
}

impl Notifier {
    /// Tells the sinks of `config`.
    ///
    /// # Errors
    /// Where a template or the file with CAs can't be used.
    pub fn new(
        cli: &Cli,
        config: &Config,
        source: ClientSource,
        web: Web,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        Ok(Self {
            source,
            namespace: cli.namespace.clone(),
            post: post(config, web)?,
            recipients: recipients(config)?,
            metrics,
        })
    }
}
