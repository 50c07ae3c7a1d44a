use std::collections::BTreeSet;
use std::fs;

use super::*;
use crate::root;

/// What is on every machine that has cargo, or is started only where it was found to be there.
const GIVEN: &[&str] = &[
    "apt-get", "cargo", "go", "promtool", "rpm", "rustc", "sh", "sleep", "tar", "timeout",
];

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn whatever_the_lab_starts_is_installed_where_it_is_missing() {
    let listed: BTreeSet<_> = [LAB, RPM, PACKAGING, HOSTS]
        .concat()
        .iter()
        .map(|(program, _)| *program)
        .chain(GIVEN.iter().copied())
        .collect();
    let mut all = Vec::new();
    sources(&root().join("lab"), &mut all);
    sources(&root().join("xtask/src"), &mut all);
    let starts = ["Command::new", "bound", "output"].map(|start| format!("{start}(\""));
    let mut started = BTreeSet::new();
    for text in &all {
        for start in &starts {
            let rest = text.split(start.as_str()).skip(1);
            started.extend(rest.filter_map(|rest| rest.split('"').next()));
        }
    }
    assert!(started.contains("gdbus"), "{started:?}");
    let missing: Vec<_> = started.difference(&listed).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_control_plane_is_built_by_the_go_that_is_asked_for() {
    for module in ["etcd", "kubernetes"] {
        let path = root().join("lab/assets").join(module).join("go.mod");
        let text = fs::read_to_string(&path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("go "));
        assert!(
            line.unwrap().starts_with(GO),
            "{}: {line:?}",
            path.display()
        );
    }
}
