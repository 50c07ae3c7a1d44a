//! Workflows of continuous integration: what they run is pinned, and they hold no more permissions than they need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use regex::Regex;
use serde_json::{Value, json};

use crate::{names, repository, said, text, yaml};

const FOLDER: &str = ".github/workflows";

/// All workflows, by their paths.
fn workflows() -> BTreeMap<String, Value> {
    let paths = names(FOLDER)
        .into_iter()
        .map(|name| format!("{FOLDER}/{name}"));
    let one = |path: String| {
        let [workflow] = <[Value; 1]>::try_from(yaml(&path)).unwrap();
        (path, workflow)
    };
    paths.map(one).collect()
}

/// The jobs of a workflow, by name.
fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().unwrap().iter()
}

fn steps(job: &Value) -> &[Value] {
    job["steps"].as_array().map_or(&[], Vec::as_slice)
}

/// A tag can be moved to another commit, a hash can't. Versions are what the bot that renews them goes by.
#[test]
fn actions_are_pinned_to_one_commit_each() {
    let line = Regex::new(r"(?m)^[ -]*uses: +(\S+)(.*)$").unwrap();
    let pinned = Regex::new(r"^([\w./-]+)@([0-9a-f]{40})$").unwrap();
    let version = Regex::new(r"^ # v\d+\.\d+\.\d+$").unwrap();
    let mut commits = BTreeMap::<String, BTreeSet<String>>::new();
    for path in workflows().keys() {
        let text = text(path);
        for line in line.captures_iter(&text) {
            let [action, comment] = line.extract().1;
            if action.starts_with("./") {
                continue;
            }
            let action = pinned
                .captures(action)
                .filter(|_| version.is_match(comment));
            let action = action.unwrap_or_else(|| panic!("{path}: {}", &line[0]));
            // One repository may hold several actions.
            let name: Vec<_> = action[1].split('/').take(2).collect();
            let commit = format!("{}{comment}", &action[2]);
            commits.entry(name.join("/")).or_default().insert(commit);
        }
    }
    assert!(commits.contains_key("actions/checkout"), "{commits:?}");
    let several: Vec<_> = commits
        .iter()
        .filter(|(_, commits)| commits.len() > 1)
        .collect();
    assert!(several.is_empty(), "{several:#?}");
}

#[test]
fn each_job_names_its_permissions_and_ends() {
    for (path, workflow) in workflows() {
        assert_eq!(workflow["permissions"], json!({}), "{path}");
        assert!(workflow["concurrency"]["group"].is_string(), "{path}");
        for (name, job) in jobs(&workflow) {
            assert!(
                job["permissions"].is_object(),
                "{path}, {name}: permissions"
            );
            // A called workflow has limits of its own.
            let limited = job["timeout-minutes"].is_u64() || job["uses"].is_string();
            assert!(limited, "{path}, {name}: timeout-minutes");
        }
    }
}

/// Whatever a template puts into a script is run as a part of it.
#[test]
fn steps_keep_no_credentials_and_put_no_text_into_scripts() {
    for (path, workflow) in workflows() {
        for (name, job) in jobs(&workflow) {
            for step in steps(job) {
                let uses = step["uses"].as_str().unwrap_or_default();
                let keeps = step["with"]["persist-credentials"] != json!(false);
                let checkout = uses.starts_with("actions/checkout@");
                assert!(!(checkout && keeps), "{path}, {name}: {step:#}");
                let run = step["run"].as_str().unwrap_or_default();
                assert!(!run.contains("${{"), "{path}, {name}: {run}");
            }
        }
    }
}

/// Code of dependencies, such as build scripts, never runs where something can be published.
#[test]
fn what_publishes_builds_nothing() {
    let cargo = Regex::new(r"\bcargo\b|\.ci/run\b").unwrap();
    let mut write = Vec::new();
    for (path, workflow) in workflows() {
        for (name, job) in jobs(&workflow) {
            let permissions = job["permissions"].as_object().unwrap();
            if permissions.values().any(|level| level == "write") {
                write.push((path.clone(), name.clone()));
                assert!(job["uses"].is_null(), "{path}, {name}: {job:#}");
                let runs = steps(job).iter().filter_map(|step| step["run"].as_str());
                let runs: Vec<_> = runs.filter(|run| cargo.is_match(run)).collect();
                assert!(runs.is_empty(), "{path}, {name}: {runs:#?}");
            }
        }
    }
    write.sort();
    let release = format!("{FOLDER}/release.yml");
    let expected = ["announce", "publish"].map(|name| (release.clone(), name.to_owned()));
    assert_eq!(write, expected);
}

#[test]
fn scripts_that_are_called_are_there() {
    const PACKIT: &str = ".packit.yaml";
    let script = Regex::new(r"\.ci/[a-z][a-z-]*").unwrap();
    let mut called = BTreeSet::new();
    for path in workflows().into_keys().chain([PACKIT.to_owned()]) {
        let text = text(&path);
        called.extend(
            script
                .find_iter(&text)
                .map(|found| found.as_str().to_owned()),
        );
    }
    assert!(called.contains(".ci/version"), "{called:?}");
    let can_run = |script: &&String| {
        let file = fs::metadata(repository().join(script));
        file.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 == 0o111)
    };
    let missing: Vec<_> = called.iter().filter(|script| !can_run(script)).collect();
    assert!(missing.is_empty(), "{missing:?}");

    let version = said(&mut Command::new(repository().join(".ci/version")));
    let expected = format!("{}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (version.success, version.stdout),
        (true, expected),
        "{}",
        version.stderr
    );
}

#[test]
fn everything_that_the_lab_builds_from_go_modules_is_renewed() {
    let [bot] = <[Value; 1]>::try_from(yaml(".github/dependabot.yml")).unwrap();
    let updates = bot["updates"].as_array().unwrap().iter();
    let go = updates.filter(|update| update["package-ecosystem"] == "gomod");
    let listed = go.flat_map(|update| update["directories"].as_array().unwrap());
    let listed: BTreeSet<_> = listed
        .map(|folder| folder.as_str().unwrap().to_owned())
        .collect();
    let assets = "lab/assets";
    let modules = names(assets)
        .into_iter()
        .map(|name| format!("{assets}/{name}"));
    let modules = modules.filter(|folder| repository().join(folder).join("go.mod").is_file());
    let modules: BTreeSet<_> = modules.map(|folder| format!("/{folder}")).collect();
    assert_eq!(listed, modules);
}
