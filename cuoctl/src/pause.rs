//! `cuoctl pause` and `cuoctl resume`: makes, changes and deletes `UpdatePause`s. Each target has one, with a name that follows from it.

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use cuo_cluster::node::{Keep, get_node};
use cuo_cluster::paths::PAUSES;
use cuo_cluster::{ApiError, ClientSource};
use cuo_coordination::pause::{KIND, PauseSpec, ScopeSpec, list_pauses};
use cuo_coordination::pool::list_pools;
use cuo_core::ids::{NodeName, PoolName};
use cuo_core::pause::{FoundPause, Pause, Scope};
use cuo_core::time::Time;
use jiff::{SignedDuration, Timestamp};
use kube::api::DeleteParams;
use kube::core::Request;
use serde_json::Value;

use crate::connect::caller;
use crate::put;
use crate::span::length;

const PAUSE: put::Kind<'static> = put::Kind {
    kind: KIND,
    path: PAUSES,
    optional: &["pool", "nodes", "until", "reason", "by"],
};

/// What to pause or to resume.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub struct Target {
    /// All nodes.
    #[arg(long, conflicts_with_all = ["kind", "names"])]
    pub all: bool,
    /// What the names are of.
    #[arg(value_enum, requires = "names")]
    pub kind: Option<Kind>,
    /// The pools or nodes.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// What a name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A pool, with all of its nodes.
    Pool,
    /// A node.
    Node,
}

/// Options of `pause`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// What to pause.
    #[command(flatten)]
    pub target: Target,
    /// How long; without it, until `resume`.
    #[arg(long = "for", value_name = "TIME", value_parser = length)]
    pub length: Option<SignedDuration>,
    /// Why, which everybody is shown.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Options of `resume`.
#[derive(Debug, Clone, Args)]
pub struct ResumeOptions {
    /// What to resume.
    #[command(flatten)]
    pub target: Target,
}

impl Target {
    /// The pauses that it stands for: the names of their objects, and what each is about.
    fn pauses(&self) -> Result<Vec<(String, Scope)>> {
        if self.all {
            return Ok(vec![("all".to_owned(), Scope::All)]);
        }
        let Some(kind) = self.kind else {
            bail!("expected `--all`, `pool NAME` or `node NAME`");
        };
        let named = self.names.iter().map(|name| match kind {
            Kind::Pool => {
                let pool: PoolName = name.parse()?;
                Ok((format!("pool-{pool}"), Scope::Pool(pool)))
            }
            Kind::Node => {
                let node: NodeName = name.parse()?;
                Ok((format!("node-{node}"), Scope::Nodes([node].into())))
            }
        });
        named.collect()
    }
}

fn spec(scope: &Scope) -> PauseSpec {
    let (scope, pool, nodes) = match scope {
        Scope::All => (ScopeSpec::All, None, vec![]),
        Scope::Pool(pool) => (ScopeSpec::Pool, Some(pool.to_string()), vec![]),
        Scope::Nodes(nodes) => {
            let nodes = nodes.iter().map(ToString::to_string);
            (ScopeSpec::Nodes, None, nodes.collect())
        }
    };
    PauseSpec {
        scope,
        pool,
        nodes,
        until: None,
        reason: None,
        by: None,
    }
}

/// Pauses, and has a line said about each pause that was written.
///
/// # Errors
/// Where one can't be written; those before it were.
pub async fn pause(
    source: &ClientSource,
    options: &Options,
    said: impl Fn(&str) -> Result<()>,
) -> Result<()> {
    let by = caller(source).await?;
    let now = Time::from(Timestamp::now());
    ensure!(
        options.length.is_none_or(|length| length.is_positive()),
        "a pause of no length holds nothing"
    );
    let known = list_pauses(source).await;
    let known = known.context("the pauses can't be read")?;
    let until = options.length.map(|length| now.later(length));
    let meant = options.target.pauses()?;
    // Nothing is written where one of them would be refused.
    for (name, _) in &meant {
        let there = known.iter().find(|pause| pause.name == *name);
        if let Some(FoundPause::Valid(there)) = there.map(|pause| &pause.found)
            && shortens(there, by.as_deref().unwrap_or_default(), until, now)
        {
            bail!(
                "updatepause/{name}: already {there}, which this would end earlier; `resume` it first"
            );
        }
    }
    for (name, scope) in meant {
        let spec = PauseSpec {
            until,
            reason: options.reason.clone(),
            by: by.clone(),
            ..spec(&scope)
        };
        let written = PAUSE.put(source, &name, &spec).await;
        written.with_context(|| format!("UpdatePause {name} can't be written"))?;
        let until = until.map(|until| format!(" until {until}"));
        said(&format!(
            "updatepause/{name} paused{}",
            until.unwrap_or_default()
        ))?;
    }
    Ok(())
}

/// Whether a pause until `until` would end one of somebody else earlier than that.
fn shortens(there: &Pause, by: &str, until: Option<Time>, now: Time) -> bool {
    let others = there.by.as_deref() != Some(by);
    let earlier = match (until, there.until) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(until), Some(there)) => until < there,
    };
    others && earlier && there.holds(now)
}

/// Names of pools or nodes in the target that do not exist, as far as the user may read them: they hold nothing yet.
///
/// # Errors
/// Where a name is invalid.
pub async fn strangers(source: &ClientSource, options: &Options) -> Result<Vec<String>> {
    let pools = match options.target.kind {
        Some(Kind::Pool) => list_pools(source).await.ok(),
        Some(Kind::Node) | None => None,
    };
    let mut strange = Vec::new();
    for (_, scope) in options.target.pauses()? {
        match scope {
            Scope::All => {}
            Scope::Pool(pool) => {
                let known = pools.as_ref();
                let missing =
                    known.is_some_and(|pools| pools.iter().all(|known| known.name != pool));
                strange.extend(missing.then(|| format!("pool {pool}")));
            }
            Scope::Nodes(nodes) => {
                for node in nodes {
                    let found = get_node(source, node.as_str(), &Keep::default()).await;
                    let missing = matches!(found, Ok(None));
                    strange.extend(missing.then(|| format!("node {node}")));
                }
            }
        }
    }
    Ok(strange)
}

/// Resumes, and has a line said about each pause that was deleted, and about each that still holds some of the target.
///
/// # Errors
/// Where one can't be deleted.
pub async fn resume(
    source: &ClientSource,
    options: &ResumeOptions,
    said: impl Fn(&str) -> Result<()>,
) -> Result<()> {
    for (name, scope) in options.target.pauses()? {
        match delete(source, &name).await {
            Ok(()) => said(&format!("updatepause/{name} deleted"))?,
            Err(ApiError::NotFound { .. }) => said(&format!("there is no updatepause/{name}"))?,
            Err(error) => {
                return Err(error).with_context(|| format!("UpdatePause {name} can't be deleted"));
            }
        }
        let left = list_pauses(source)
            .await
            .context("the pauses can't be read")?;
        let now = Time::from(Timestamp::now());
        for found in left {
            if let Some(line) = still(found.found, &scope, now) {
                said(&line)?;
            }
        }
    }
    Ok(())
}

async fn delete(source: &ClientSource, name: &str) -> Result<(), ApiError> {
    let request = Request::new(PAUSES).delete(name, &DeleteParams::default())?;
    let deleted = source.call(|client| async move { client.request::<Value>(request).await });
    deleted.await.map(drop)
}

/// What still holds some of `scope`.
fn still(found: FoundPause, scope: &Scope, now: Time) -> Option<String> {
    let pause: Pause = match found {
        FoundPause::Valid(pause) => pause,
        FoundPause::Invalid { name, why } => {
            return Some(format!(
                "all nodes are still held: UpdatePause {name}: {why}"
            ));
        }
    };
    let same = match (&pause.scope, scope) {
        (Scope::All, _) | (_, Scope::All) => true,
        (Scope::Pool(one), Scope::Pool(other)) => one == other,
        (Scope::Nodes(some), Scope::Nodes(others)) => !some.is_disjoint(others),
        (Scope::Pool(_) | Scope::Nodes(_), _) => false,
    };
    (same && pause.holds(now)).then(|| format!("still {pause}"))
}

#[cfg(test)]
mod tests;
