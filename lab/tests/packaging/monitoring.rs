//! `deploy/monitoring`: each alert is complete, described and tested, and the other files agree with what is deployed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cuo_lab::debian;
use regex::Regex;
use serde_json::Value;

use crate::{names, repository, said, text, yaml};

const FOLDER: &str = "deploy/monitoring";
const RUNBOOKS: &str = "docs/runbooks";

/// The alerts in rules.yaml.
fn alerts() -> Vec<Value> {
    let [rules] = &yaml(&format!("{FOLDER}/rules.yaml"))[..] else {
        panic!("rules.yaml is one document");
    };
    let groups = rules["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    rules.cloned().collect()
}

fn name(alert: &Value) -> String {
    alert["alert"].as_str().unwrap().to_owned()
}

#[test]
fn each_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on() {
    let mut urls = BTreeSet::new();
    for alert in alerts() {
        let name = name(&alert);
        let severity = alert["labels"]["severity"].as_str();
        assert!(
            matches!(severity, Some("critical" | "warning")),
            "{name}: {severity:?}"
        );
        let annotation = |key: &str| {
            let text = alert["annotations"][key].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{name}: {key}");
            text.to_owned()
        };
        annotation("summary");
        annotation("description");
        let url = annotation("runbook_url");
        let (folder, page) = url.rsplit_once('/').unwrap();
        // Where pages are published they may end in something.
        assert_eq!(page.split('.').next(), Some(name.as_str()), "{url}");
        urls.insert(folder.to_owned());
    }
    assert_eq!(urls.len(), 1, "{urls:?}");
}

#[test]
fn each_alert_has_a_page_and_each_page_an_alert() {
    let alerts = alerts();
    let mut all: Vec<_> = alerts
        .iter()
        .map(|alert| format!("{}.md", name(alert)))
        .collect();
    all.push("README.md".to_owned());
    all.sort();
    assert_eq!(names(RUNBOOKS), all);
    for name in alerts.iter().map(name) {
        let page = text(&format!("{RUNBOOKS}/{name}.md"));
        assert_eq!(page.lines().next(), Some(format!("# {name}").as_str()));
    }
    let row = Regex::new(r"(?m)^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|").unwrap();
    let index = text(&format!("{RUNBOOKS}/README.md"));
    let listed: Vec<_> = row
        .captures_iter(&index)
        .map(|row| {
            let [shown, page, severity] = row.extract().1.map(str::to_owned);
            (shown, page, severity)
        })
        .collect();
    let expected: Vec<_> = alerts
        .iter()
        .map(|alert| {
            let severity = alert["labels"]["severity"].as_str().unwrap().to_owned();
            (name(alert), name(alert), severity)
        })
        .collect();
    assert_eq!(listed, expected, "{RUNBOOKS}/README.md");
}

/// In which tests each alert fires.
fn cases() -> BTreeMap<String, usize> {
    let alertname = Regex::new(r#"alertname="(\w+)""#).unwrap();
    let mut found = BTreeMap::new();
    let folder = format!("{FOLDER}/tests");
    for file in names(&folder) {
        let tests = yaml(&format!("{folder}/{file}"));
        let tests = tests
            .iter()
            .flat_map(|file| file["tests"].as_array().unwrap());
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for test in tests {
            let rules = list(&test["alert_rule_test"]).into_iter();
            let rules = rules.filter(|rule| !list(&rule["exp_alerts"]).is_empty());
            let rules = rules.map(|rule| rule["alertname"].as_str().unwrap().to_owned());
            let queries = list(&test["promql_expr_test"]).into_iter();
            let samples = queries.flat_map(|query| list(&query["exp_samples"]));
            let samples = samples.filter_map(|sample| {
                let labels = sample["labels"].as_str()?;
                Some(alertname.captures(labels)?[1].to_owned())
            });
            for name in rules.chain(samples) {
                *found.entry(name).or_default() += 1;
            }
        }
    }
    found
}

#[test]
fn each_alert_fires_in_a_test() {
    let all: BTreeSet<_> = alerts().iter().map(name).collect();
    let cases = cases();
    let tested: BTreeSet<_> = cases.keys().cloned().collect();
    assert_eq!(tested, all, "{cases:?}");
}

#[tokio::test]
async fn promtool_finds_nothing_wrong() {
    let programs = debian::unpacked(debian::MONITORING, |line| eprintln!("{line}")).await;
    let programs = match programs {
        Ok(programs) => programs,
        Err(error) => {
            eprintln!("SKIPPED: needs promtool: {error:#}");
            return;
        }
    };
    let promtool = |arguments: &[&str]| {
        let mut promtool = Command::new(programs.join("usr/bin/promtool"));
        said(
            promtool
                .args(arguments)
                .current_dir(repository().join(FOLDER)),
        )
    };
    let checked = promtool(&["check", "rules", "rules.yaml"]);
    assert!(checked.success, "{}{}", checked.stdout, checked.stderr);
    let tests: Vec<_> = names(&format!("{FOLDER}/tests"))
        .iter()
        .map(|name| format!("tests/{name}"))
        .collect();
    let tests = tests.iter().map(String::as_str);
    let arguments: Vec<_> = ["test", "rules"].into_iter().chain(tests).collect();
    let tested = promtool(&arguments);
    assert!(tested.success, "{}{}", tested.stdout, tested.stderr);
}

/// Every object in `value` that has this key, and the value of that.
fn with_key<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields
                .values()
                .for_each(|value| with_key(value, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| with_key(item, key, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_tells_its_panels_apart_and_asks_the_chosen_prometheus() {
    let dashboard = text(&format!("{FOLDER}/dashboard.json"));
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut ids = Vec::new();
    with_key(&dashboard["panels"], "gridPos", &mut ids);
    let panels = ids.len();
    let mut lists = vec![&dashboard["panels"]];
    with_key(&dashboard["panels"], "panels", &mut lists);
    let all = lists.into_iter().flat_map(|list| list.as_array().unwrap());
    let ids: BTreeSet<_> = all.map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(
        ids.len(),
        panels,
        "each panel has an id of its own: {ids:?}"
    );

    let mut sources = Vec::new();
    with_key(&dashboard, "datasource", &mut sources);
    let chosen = serde_json::json!({"type": "prometheus", "uid": "${datasource}"});
    assert!(sources.len() > panels / 2, "{sources:?}");
    assert!(
        sources.iter().all(|source| **source == chosen),
        "{sources:#?}"
    );
}

#[test]
fn its_policy_of_the_network_differs_from_the_deployed_one_in_who_gets_in() {
    let [mut policy] =
        <[Value; 1]>::try_from(yaml(&format!("{FOLDER}/networkpolicy.yaml"))).unwrap();
    let deployed = yaml("deploy/operator.yaml");
    let same = |object: &&Value| {
        object["kind"] == policy["kind"] && object["metadata"]["name"] == policy["metadata"]["name"]
    };
    let deployed = deployed.iter().find(same).unwrap();
    let rules = policy["spec"]["ingress"].as_array_mut().unwrap();
    for rule in rules {
        let from = rule.as_object_mut().unwrap().remove("from");
        assert!(
            from.is_some_and(|from| from != serde_json::json!([])),
            "{rule}"
        );
    }
    assert_eq!(policy, *deployed);
}
