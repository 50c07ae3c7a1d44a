//! What is known of a cluster: read from its API server, or from a file that was written earlier.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use cuo_coordination::gate::gate;
use cuo_coordination::pause::pause;
use cuo_coordination::pool::{PoolObject, of_value};
use cuo_core::field::Field;
use cuo_core::gate::FoundGate;
use cuo_core::ledger::Ledger;
use cuo_core::node::NodeView;
use cuo_core::pause::FoundPause;
use cuo_core::plan::{Policy, Snapshot, Writes};
use cuo_core::raw::RawNode;
use cuo_core::time::Time;
use cuo_operator::config::Config;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::durations::Took;

/// The only format of files so far.
const FORMAT: u32 = 1;

/// A cluster at one moment. It holds no secrets: of Nodes only what CUO reads and their labels, of the operator its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// The format of the file, 1.
    pub format: u32,
    /// When it was read.
    pub at: Time,
    /// The operator's settings; absent where no Deployment was found.
    pub operator: Option<Settings>,
    /// The Deployment could not be read, so it is not known whether there is one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub operator_unread: bool,
    /// The node that the leading operator runs on.
    pub own_node: Option<String>,
    /// The ledger's text.
    pub ledger: Option<String>,
    /// All `UpdatePool`s.
    pub pools: Vec<Value>,
    /// All `UpdatePause`s.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Value>,
    /// All `UpdateGate`s.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Value>,
    /// All Nodes.
    pub nodes: Vec<RawNode>,
    /// By node, how long its last update took that is still known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub took: BTreeMap<String, Took>,
    /// What could not be read, each a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Some of it is unknown only because the API server did not answer.
    #[serde(skip)]
    pub unanswered: bool,
}

/// How the operator's Deployment starts it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Its image.
    pub image: String,
    /// Its flags.
    pub arguments: Vec<String>,
    /// Those of its environment variables that are settings.
    pub environment: BTreeMap<String, String>,
    /// Settings whose values its Deployment does not say: they come from a ConfigMap, for instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<String>,
    /// How many of its pods are ready.
    pub ready: i32,
}

impl Settings {
    /// The operator's configuration.
    ///
    /// # Errors
    /// What the operator itself would say of its flags.
    pub fn config(&self) -> Result<Config> {
        let program = OsString::from("cuo-operator");
        let arguments = self.arguments.iter().map(OsString::from);
        let config = Config::with_environment([program].into_iter().chain(arguments), |name| {
            self.environment.get(name).map(OsString::from)
        });
        config.context("the operator's flags, as its Deployment has them")
    }
}

impl Cluster {
    /// A cluster of which nothing is known yet.
    pub fn unknown(at: Time) -> Self {
        Self {
            format: FORMAT,
            at,
            operator: None,
            operator_unread: false,
            own_node: None,
            ledger: None,
            pools: Vec::new(),
            pauses: Vec::new(),
            gates: Vec::new(),
            nodes: Vec::new(),
            took: BTreeMap::new(),
            unknown: Vec::new(),
            unanswered: false,
        }
    }

    /// As far as is known, no operator is there that could grant anything.
    pub fn lacks_operator(&self) -> bool {
        let operator = self.operator.as_ref();
        !self.operator_unread && operator.is_none_or(|operator| operator.ready < 1)
    }

    /// Reads a file that [`Cluster::write`] wrote.
    ///
    /// # Errors
    /// With the path and the line.
    pub fn read(path: &Path) -> Result<Self> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(name)?;
        let found: Self = serde_json::from_str(&text).with_context(name)?;
        ensure!(
            found.format == FORMAT,
            "{}: it has format {}, and this cuoctl knows {FORMAT}",
            name(),
            found.format
        );
        Ok(found)
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// With the path.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("the cluster as JSON")?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())
    }

    /// The pools, parsed.
    ///
    /// # Errors
    /// Where one is no `UpdatePool` at all.
    pub fn pools(&self) -> Result<Vec<PoolObject>> {
        let pools = self.pools.iter().cloned().map(of_value);
        Ok(pools.collect::<Result<_, _>>()?)
    }

    /// The pauses, parsed.
    fn pauses(&self) -> Vec<FoundPause> {
        let pauses = self.pauses.iter().map(named);
        pauses.map(|(name, spec)| pause(name, spec)).collect()
    }

    /// The gates, parsed, by name.
    fn gates(&self) -> BTreeMap<String, FoundGate> {
        let gates = self.gates.iter().map(named);
        let gates = gates.map(|(name, spec)| (name.to_owned(), gate(name, spec)));
        gates.collect()
    }

    /// What the operator would be configured to do; its defaults where its Deployment is not known.
    ///
    /// # Errors
    /// See [`Settings::config`].
    pub fn config(&self) -> Result<Config> {
        self.operator.clone().unwrap_or_default().config()
    }

    /// What the planner sees.
    ///
    /// # Errors
    /// Where some of it can't be parsed.
    pub fn seen(&self) -> Result<Snapshot> {
        let pools = self.pools()?;
        let own_node = self.own_node.as_ref().map(|name| name.parse());
        let views = self.nodes.iter().map(|raw| {
            let view = NodeView::parse(raw)?;
            Ok((view.name.clone(), view))
        });
        Ok(Snapshot {
            nodes: views.collect::<Result<_>>()?,
            ledger: Field::<Ledger>::json(self.ledger.as_ref()),
            live: BTreeMap::new(),
            own_node: own_node.transpose()?,
            rollouts: pools
                .iter()
                .map(|pool| (pool.name.clone(), pool.rollout()))
                .collect(),
            pools: pools.into_iter().map(|pool| pool.found).collect(),
            pools_busy: Default::default(),
            pauses: self.pauses(),
            gates: self.gates(),
            pools_live: true,
            writes: Writes::default(),
        })
    }

    /// What the operator would decide by.
    ///
    /// # Errors
    /// See [`Settings::config`].
    pub fn policy(&self) -> Result<Policy> {
        Ok(self.config()?.policy())
    }

    /// Replaces, or adds, the pools of `text`, which is YAML or JSON, as `kubectl apply` would.
    ///
    /// # Errors
    /// With what is wrong in it.
    pub fn apply(&mut self, text: &str) -> Result<()> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
        let mut known = 0;
        for document in documents {
            if document.get("kind").and_then(Value::as_str) != Some("UpdatePool") {
                continue;
            }
            known += 1;
            self.apply_pool(document)?;
        }
        if known == 0 {
            bail!("it has no UpdatePool");
        }
        Ok(())
    }

    fn apply_pool(&mut self, document: Value) -> Result<()> {
        let name = document.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.context("an UpdatePool without a name")?.to_owned();
        let named = |pool: &Value| pool.pointer("/metadata/name") == Some(&Value::from(&*name));
        let spec = document.get("spec").cloned().unwrap_or(Value::Null);
        match self.pools.iter_mut().find(|pool| named(pool)) {
            Some(Value::Object(pool)) => drop(pool.insert("spec".to_owned(), spec)),
            _ => self.pools.push(serde_json::json!({
                "metadata": { "name": name, "uid": "", "resourceVersion": "0" },
                "spec": spec,
            })),
        }
        Ok(())
    }
}

/// Name and `spec` of an object.
fn named(object: &Value) -> (&str, &Value) {
    let name = object.pointer("/metadata/name").and_then(Value::as_str);
    (name.unwrap_or_default(), &object["spec"])
}

#[cfg(test)]
mod tests;
