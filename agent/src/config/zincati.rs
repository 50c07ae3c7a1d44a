//! What Zincati's configuration says of the update graph, as defaults: hosts come with its fragments, and people have added their own.

use std::path::Path;

use toml::{Table, Value};

use crate::fragments;

/// Where Zincati's fragments are, later ones first in rank.
pub const DIRECTORIES: [&str; 3] = [
    "usr/lib/zincati/config.d",
    "run/zincati/config.d",
    "etc/zincati/config.d",
];

/// Which of its settings are which of `[graph]`.
const SETTINGS: [(&str, &str, &str); 4] = [
    ("cincinnati", "base_url", "url"),
    ("identity", "rollout_wariness", "rollout_wariness"),
    ("identity", "group", "group"),
    ("identity", "node_uuid", "node_uuid"),
];

/// Each fragment that says something of the graph, as a fragment of the agent. What can't be read or makes no sense is passed over: it is
/// Zincati's.
pub fn fragments(root: &Path) -> Vec<(String, Table)> {
    let (files, _) = fragments::files(root, &DIRECTORIES);
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).ok()?;
        let graph = graph(&toml::from_str(&text).ok()?)?;
        Some((path.display().to_string(), graph))
    };
    files.iter().filter_map(read).collect()
}

fn graph(zincati: &Table) -> Option<Table> {
    let mut graph = Table::new();
    for (section, from, to) in SETTINGS {
        if let Some(value) = zincati.get(section).and_then(|section| section.get(from)) {
            graph.insert(to.to_owned(), value.clone());
        }
    }
    let whole = Table::from_iter([("graph".to_owned(), Value::Table(graph.clone()))]);
    let sound = !graph.is_empty() && whole.clone().try_into::<super::sections::Config>().is_ok();
    sound.then_some(whole)
}
