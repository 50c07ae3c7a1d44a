//! `cuoctl approve`: adds a release to those that a pool approves.

use anyhow::{Context, Result, bail};
use clap::Args;
use cuo_cluster::ClientSource;
use cuo_cluster::paths::POOLS;
use cuo_coordination::pool::list_values;
use cuo_core::ids::ReleaseId;
use serde_json::{Value, json};

use crate::put::change;

/// Options of `approve`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The pool.
    pub pool: String,
    /// The release: its version, or its id (a commit, or sha256:… of an image).
    pub release: String,
}

/// How an approval ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approved {
    /// It is on the list now.
    Now,
    /// It was on the list already, so nothing was written.
    Before,
}

/// Adds the release to `spec.approved`, beside all that are there.
///
/// # Errors
/// Where the pool does not exist, does not want approvals, or was changed by somebody else at the same moment.
pub async fn approve(source: &ClientSource, options: &Options) -> Result<Approved> {
    let pools = list_values(source, POOLS)
        .await
        .context("the UpdatePools can't be read")?;
    let named = |pool: &&Value| pool.pointer("/metadata/name") == Some(&json!(options.pool));
    let pool = pools.iter().find(named);
    let pool = pool.with_context(|| format!("there is no pool {:?}", options.pool))?;
    let Some(list) = added(pool, &options.release)? else {
        return Ok(Approved::Before);
    };
    let written = change(source, POOLS, pool, json!({ "approved": list })).await;
    written.with_context(|| format!("pool {} can't be changed", options.pool))?;
    Ok(Approved::Now)
}

/// The pool's list with `release` on it; `None` if it is there.
fn added(pool: &Value, release: &str) -> Result<Option<Vec<Value>>> {
    let approval = pool.pointer("/spec/approval").and_then(Value::as_str);
    if approval != Some("Manual") {
        bail!("its pool wants no approvals: `approval` is not `Manual`");
    }
    let one = match release.parse::<ReleaseId>() {
        Ok(identity) => json!({ "identity": identity.to_string() }),
        Err(_) => json!({ "version": release }),
    };
    let list = pool.pointer("/spec/approved").and_then(Value::as_array);
    let mut list = list.cloned().unwrap_or_default();
    if list.contains(&one) {
        return Ok(None);
    }
    list.push(one);
    Ok(Some(list))
}

#[cfg(test)]
mod tests;
