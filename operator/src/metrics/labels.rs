//! Labels that several metrics have.

use std::collections::BTreeMap;

use cuo_core::pool::FoundPool;

/// One label with one of a few values.
pub type Label = [(&'static str, &'static str); 1];
/// Labels of which the first is a pool.
pub type PoolLabels = Vec<(&'static str, String)>;

/// The label of the built-in pool, of all nodes that no other one selects. No pool can have this name.
pub const BUILT_IN: &str = "(built-in)";
/// The phase of nodes whose agent shows none.
pub const NO_PHASE: &str = "none";

/// Names of the pools that select a node with these labels, separated by commas, for a label.
pub fn pools(pools: &[FoundPool], labels: &BTreeMap<String, String>) -> String {
    let names = pools.iter().filter_map(|found| found.selecting(labels));
    let names: Vec<_> = names.map(|name| name.as_str()).collect();
    match names.is_empty() {
        true => BUILT_IN.to_owned(),
        false => names.join(","),
    }
}
