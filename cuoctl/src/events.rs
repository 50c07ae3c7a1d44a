//! `cuoctl events`: what the operator and the agents said, in order.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use clap::Args;
use cuo_cluster::{ApiError, ClientSource};
use cuo_core::time::Time;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde::Serialize;

use crate::print::{Output, note, say};

/// Events about Nodes and pools, which have no namespace, are in this one.
const NAMESPACE: &str = "default";
/// How long the API server is asked to keep a watch.
const WATCH_SECONDS: u32 = 290;

/// Options of `events`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only those about this node or pool.
    pub name: Option<String>,
    /// Go on with those that come.
    #[arg(short, long)]
    pub follow: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// An Event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Line {
    /// When.
    pub at: Option<Time>,
    /// Who said it: `cuo-operator` or `cuo-agent`.
    pub by: String,
    /// What it is about, as `node/NAME`.
    pub about: String,
    /// Its reason.
    pub reason: String,
    /// What it says.
    pub message: String,
}

/// What `event` says, if it is one of CUO's about what is asked for.
fn line(event: Event, name: Option<&str>) -> Option<Line> {
    let by = event.reporting_controller?;
    let by = by.strip_prefix(cuo_core::keys::PREFIX)?.to_owned();
    let about = event.regarding.unwrap_or_default();
    let (kind, about) = (
        about.kind.unwrap_or_default(),
        about.name.unwrap_or_default(),
    );
    if name.is_some_and(|name| name != about) {
        return None;
    }
    Some(Line {
        at: event.event_time.map(|time| Time::from(time.0)),
        by,
        about: format!("{}/{about}", kind.to_lowercase()),
        reason: event.reason.unwrap_or_default(),
        message: event.note.unwrap_or_default(),
    })
}

fn text(line: &Line) -> String {
    let at = line.at.map(|at| at.to_string()).unwrap_or_default();
    format!(
        "{at} {} {} {}: {}\n",
        line.by, line.about, line.reason, line.message
    )
}

/// Between two tries.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(2);

/// Prints the Events that there are, and with `--follow` those that come.
///
/// # Errors
/// Where they can't be read.
pub async fn run(source: &ClientSource, options: &Options) -> Result<()> {
    let name = options.name.as_deref();
    let (mut shown, mut listed_before) = (BTreeSet::new(), false);
    loop {
        let (lines, version) = match listed(source, name).await {
            Ok(found) => found,
            // Whoever follows waits until the API server is back.
            Err(error) if options.follow && listed_before => {
                note(&format!("the Events can't be read: {error}"));
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error).context("the Events can't be read"),
        };
        listed_before = true;
        if !options.follow {
            if !options.output.machine(&lines)? {
                say(&lines.iter().map(text).collect::<String>())?;
            }
            return Ok(());
        }
        // After the watch has ended, only what is new of the list is news.
        for line in lines {
            tell(&mut shown, line, options.output)?;
        }
        if let Err(error) = followed(source, &version, options, &mut shown).await {
            note(&format!("the Events can't be watched: {error}"));
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn tell(shown: &mut BTreeSet<Line>, line: Line, output: Output) -> Result<()> {
    if !shown.insert(line.clone()) {
        return Ok(());
    }
    match output {
        Output::Table | Output::Wide => say(&text(&line)),
        // One object a line, so that a program can read it as it comes.
        Output::Json => say(&(serde_json::to_string(&line).context("as JSON")? + "\n")),
        Output::Yaml => {
            say("---\n")?;
            output.machine(&line).map(drop)
        }
    }
}

/// All Events of CUO that there are, those about `name` if one is given; and the version of the list, from which a watch can go on.
///
/// # Errors
/// Any [`ApiError`].
pub async fn listed(
    source: &ClientSource,
    name: Option<&str>,
) -> Result<(Vec<Line>, String), ApiError> {
    let read = source.call(|client| async move {
        let events = Api::<Event>::namespaced(client, NAMESPACE);
        events.list(&ListParams::default()).await
    });
    let list = read.await?;
    let lines: BTreeSet<_> = list
        .items
        .into_iter()
        .filter_map(|event| line(event, name))
        .collect();
    let version = list.metadata.resource_version.unwrap_or_default();
    Ok((lines.into_iter().collect(), version))
}

async fn followed(
    source: &ClientSource,
    version: &str,
    options: &Options,
    shown: &mut BTreeSet<Line>,
) -> Result<()> {
    let name = options.name.as_deref();
    let params = WatchParams::default().timeout(WATCH_SECONDS);
    let opened = source.call(|client| async move {
        let events = Api::<Event>::namespaced(client, NAMESPACE);
        let watch = events.watch(&params, version).await?;
        Ok(watch.boxed())
    });
    let mut watch = opened.await?;
    while let Some(event) = watch.try_next().await? {
        match event {
            WatchEvent::Added(event) | WatchEvent::Modified(event) => {
                if let Some(line) = line(event, name) {
                    tell(shown, line, options.output)?;
                }
            }
            WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => anyhow::bail!("{}", status.message),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
