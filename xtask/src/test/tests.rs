//! Which parts there are.

use std::collections::BTreeSet;
use std::fs;

use super::parts::Task;
use super::*;

#[test]
fn every_target_of_tests_is_a_part() {
    let mut packages = ["agent", "lab", "operator", "xtask"]
        .map(|one| root().join(one))
        .to_vec();
    let crates = fs::read_dir(root().join("crates")).unwrap();
    packages.extend(crates.map(|one| one.unwrap().path()));
    let targets = packages
        .iter()
        .flat_map(|one| fs::read_dir(one.join("tests")));
    let names = targets
        .flatten()
        .map(|one| one.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<_> = names.collect();
    let named = |part: &Part| match part.task {
        Task::Tests(target, _) => Some(target.to_owned()),
        Task::Cargo(_) | Task::Xtask(_) => None,
    };
    let all = FIRST.iter().chain(PARTS);
    let parts: BTreeSet<_> = all.filter_map(named).collect();
    assert_eq!(there, parts);
}

fn names(quick: bool, all: bool) -> BTreeSet<&'static str> {
    let (chosen, skipped) = choose(PARTS, &Arguments { quick, all }, &[]);
    assert_eq!(chosen.len() + skipped.len(), PARTS.len());
    chosen.iter().map(|part| part.name).collect()
}

#[test]
fn each_choice_holds_the_smaller_one() {
    let (quick, full, all) = (names(true, false), names(false, false), names(false, true));
    assert!(quick.is_subset(&full) && quick.contains("model") && !quick.contains(HOSTS));
    assert!(full.is_subset(&all) && full.contains(HOSTS));
    for part in PARTS {
        assert!(all.contains(part.name), "{}", part.name);
    }
}

#[test]
fn what_can_not_be_here_is_left_out_with_its_reason() {
    let impossible = Impossible {
        part: HOSTS,
        lacks: "on hosts",
        why: "no root".to_owned(),
    };
    let arguments = Arguments {
        quick: false,
        all: true,
    };
    let (chosen, skipped) = choose(PARTS, &arguments, &[impossible]);
    assert!(chosen.iter().all(|part| part.name != HOSTS));
    let hosts = skipped.iter().find(|(name, _)| *name == HOSTS);
    let why = "nothing was tested on hosts: no root".to_owned();
    assert_eq!(hosts, Some(&(HOSTS, why)));
}
