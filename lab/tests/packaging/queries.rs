//! What alerts, their tests, runbooks and the dashboard ask Prometheus for: metrics, labels and values that CUO has.

use std::collections::{BTreeMap, BTreeSet};

use cuo_core::reason::Code;
use cuo_core::values::{Outcome, Phase};
use regex::Regex;
use serde_json::Value;

use crate::{names, text, yaml};

/// The labels that Prometheus adds to what it scrapes.
const TARGET: [&str; 2] = ["instance", "job"];
const HISTOGRAM: [&str; 3] = ["_bucket", "_count", "_sum"];

/// The labels of each metric, by the names of its samples.
type Metrics = BTreeMap<String, BTreeSet<String>>;

/// A query, and where it is.
#[derive(Debug, PartialEq, Eq)]
struct Query {
    place: String,
    text: String,
}

/// The samples in the generated tables of a page; those of agents only where the page has such a table.
fn metrics(page: &str) -> Metrics {
    let mut found = Metrics::new();
    // Which node an agent's metrics are of, the scrape says.
    for (table, target) in [
        ("operator metrics", &TARGET[..]),
        ("agent metrics", &["instance", "job", "node"]),
    ] {
        let begin = format!("<!-- generated: {table} -->");
        let end = format!("<!-- end of {table} -->");
        let Some((_, rest)) = page.split_once(&begin) else {
            continue;
        };
        let (rows, _) = rest.split_once(&end).unwrap();
        let rows = rows.lines().filter_map(|row| row.strip_prefix("| `"));
        for (metric, meaning) in rows.filter_map(|row| row.split_once('`')) {
            let (name, labels) = metric.split_once('{').unwrap_or((metric, ""));
            let labels = labels.trim_end_matches('}').split(',');
            let labels = labels
                .filter(|label| !label.is_empty())
                .chain(target.iter().copied());
            let labels: BTreeSet<_> = labels.map(str::to_owned).collect();
            if !meaning.contains(" Histogram.") {
                found.insert(name.to_owned(), labels);
                continue;
            }
            for ending in HISTOGRAM {
                let mut labels = labels.clone();
                labels.extend((ending == "_bucket").then(|| "le".to_owned()));
                found.insert(format!("{name}{ending}"), labels);
            }
        }
    }
    found
}

/// The values that a label of these names may have; none for a label that can have any.
fn values(label: &str) -> Option<BTreeSet<&'static str>> {
    let codes = || Code::ALL.iter().map(|code| code.as_str()).collect();
    match label {
        "code" | "reason" => Some(codes()),
        "phase" => Some(Phase::ALL.iter().map(|phase| phase.as_str()).collect()),
        "outcome" => Some(
            Outcome::ALL
                .iter()
                .map(|outcome| outcome.as_str())
                .collect(),
        ),
        _ => None,
    }
}

/// What a query asks for that is not there.
fn wrong(query: &Query, metrics: &Metrics) -> Vec<String> {
    let Query { place, text } = query;
    let sample = Regex::new(r"\b(cuo_[a-z0-9_]+)(?:\{([^}]*)\})?").unwrap();
    let matcher = Regex::new(r#"([a-z_]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)""#).unwrap();
    let grouped =
        Regex::new(r"\b(?:by|on|without|ignoring|group_left|group_right) ?\(([^)]*)\)").unwrap();
    let (mut all, mut found) = (BTreeSet::new(), Vec::new());
    for sample in sample.captures_iter(text) {
        let Some(labels) = metrics.get(&sample[1]) else {
            found.push(format!("{place}: no metric {}", &sample[1]));
            continue;
        };
        all.extend(labels);
        let selector = sample.get(2).map_or("", |selector| selector.as_str());
        for matcher in matcher.captures_iter(selector) {
            let (label, value) = (&matcher[1], &matcher[2]);
            if !labels.contains(label) {
                found.push(format!("{place}: {} has no label {label}", &sample[1]));
            }
            // A variable of the dashboard stands for any.
            let allowed = values(label).filter(|_| !value.contains('$'));
            let strange = allowed
                .iter()
                .flat_map(|allowed| value.split('|').filter(|one| !allowed.contains(one)));
            found.extend(strange.map(|one| format!("{place}: no {label} {one}")));
        }
    }
    if !found.is_empty() {
        return found;
    }
    let groups = grouped.captures_iter(text);
    let groups: Vec<_> = groups.map(|group| group[1].to_owned()).collect();
    let labels = groups.iter().flat_map(|group| group.split(','));
    let labels = labels.map(str::trim).filter(|label| !label.is_empty());
    let strange = labels.filter(|label| !all.iter().any(|known| known == label));
    found.extend(strange.map(|label| format!("{place}: no metric there has a label {label}")));
    found
}

#[test]
fn what_is_wrong_with_a_query_is_found() {
    let page = "<!-- generated: operator metrics -->\n| Metric | Meaning |\n| --- | --- |\n\
                | `cuo_nodes{phase}` | Nodes. |\n| `cuo_wait_seconds{pool}` | How long. Histogram. |\n<!-- end of operator metrics -->\n";
    let operator = metrics(page);
    let both = format!(
        "{page}<!-- generated: agent metrics -->\n| `cuo_agent_up` | Up. |\n<!-- end of agent metrics -->\n"
    );
    let both = metrics(&both);
    let judged = |metrics: &Metrics, text: &str| {
        let (place, text) = ("p".to_owned(), text.to_owned());
        wrong(&Query { place, text }, metrics)
    };
    for (query, expected) in [
        (
            r#"max by (phase) (cuo_nodes{phase=~"failed|held", job="a"}) > 0"#,
            vec![],
        ),
        (r#"cuo_nodes{phase="$phase"}"#, vec![]),
        (
            "sum by (le, pool) (rate(cuo_wait_seconds_bucket[5m]))",
            vec![],
        ),
        (
            "sum by (le) (cuo_wait_seconds_sum)",
            vec!["p: no metric there has a label le"],
        ),
        ("cuo_wait_seconds", vec!["p: no metric cuo_wait_seconds"]),
        ("cuo_nodes_bucket", vec!["p: no metric cuo_nodes_bucket"]),
        (
            r#"cuo_nodes{pool="a"}"#,
            vec!["p: cuo_nodes has no label pool"],
        ),
        (r#"cuo_nodes{phase!~"held|well"}"#, vec!["p: no phase well"]),
        ("cuo_agent_up", vec!["p: no metric cuo_agent_up"]),
    ] {
        assert_eq!(judged(&operator, query), expected, "{query}");
    }
    assert_eq!(judged(&both, "max by (node) (cuo_agent_up)"), [""; 0]);
}

/// What the values of these keys in `value` are, however deep they stand.
fn below(value: &Value, keys: &[&str], found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str().filter(|_| keys.contains(&key.as_str())) {
                    Some(text) => found.push(text.to_owned()),
                    None => below(value, keys, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| below(item, keys, found)),
        _ => {}
    }
}

/// Every query that is shipped or described.
fn queries() -> Vec<Query> {
    const FOLDER: &str = "deploy/monitoring";
    let mut documents = vec![(format!("{FOLDER}/rules.yaml"), vec!["expr"])];
    documents.push((format!("{FOLDER}/dashboard.json"), vec!["expr", "query"]));
    let tests = format!("{FOLDER}/tests");
    let tests = names(&tests)
        .into_iter()
        .map(|name| format!("{tests}/{name}"));
    documents.extend(tests.map(|test| (test, vec!["expr", "series"])));
    let mut found = Vec::new();
    for (place, keys) in documents {
        let mut texts = Vec::new();
        // JSON is YAML, too.
        yaml(&place)
            .iter()
            .for_each(|document| below(document, &keys, &mut texts));
        assert!(!texts.is_empty(), "{place}");
        let queries = texts.into_iter().map(|text| Query {
            place: place.clone(),
            text,
        });
        found.extend(queries);
    }
    let quoted = Regex::new(r"`([^`\n]*cuo_[^`\n]*)`").unwrap();
    let folder = "docs/runbooks";
    for place in names(folder)
        .into_iter()
        .map(|name| format!("{folder}/{name}"))
    {
        let page = text(&place);
        let queries = quoted.captures_iter(&page).map(|quoted| Query {
            place: place.clone(),
            text: quoted[1].to_owned(),
        });
        found.extend(queries);
    }
    found
}

#[test]
fn alerts_and_dashboard_ask_for_what_cuo_serves() {
    let metrics = metrics(&text("docs/operations.md"));
    assert!(metrics.contains_key("cuo_operator_leader"), "{metrics:?}");
    let found: Vec<_> = queries()
        .iter()
        .flat_map(|query| wrong(query, &metrics))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}
