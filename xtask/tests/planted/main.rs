//! Faults that are planted on purpose: tests that found none of them would find nothing.
//!
//! That each can be planted is looked at in every run, so that the list stays true to the code. Planting them means to build as many times, and
//! is for `cargo xtask test --all`, or for `cargo test --workspace --test planted -- --ignored --nocapture`, with a part of a test's name in
//! `CUO_PLANTED` for those faults alone.

// Tells clippy that helpers outside of test functions are tests as well, so they may unwrap.
#![cfg(test)]

mod faults;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use cuo_lab::process::cargo;
use faults::{FAULTS, Fault};

/// The repository's root.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap().to_owned()
}

/// Where the faults are planted: the sources and what is built of them, kept so that only what changes is built again.
fn scratch() -> PathBuf {
    root().join("target/planted")
}

/// The text of a file with the fault in it.
fn planted(fault: &Fault, text: &str) -> String {
    text.replacen(fault.old, fault.new, 1)
}

#[test]
fn each_fault_can_be_planted_in_exactly_one_place() {
    for fault in FAULTS {
        let text = fs::read_to_string(root().join(fault.file)).unwrap();
        let places = text.matches(fault.old).count();
        assert_eq!(places, 1, "{}: {:?}", fault.file, fault.old);
        assert_ne!(planted(fault, &text), text, "{fault:?}");
    }
}

#[tokio::test]
#[ignore = "builds once for each fault; `cargo xtask test --all` runs it"]
async fn each_planted_fault_is_found_by_its_test() {
    copy_sources();
    let mut missed = Vec::new();
    let wanted = std::env::var("CUO_PLANTED").unwrap_or_default();
    for fault in FAULTS.iter().filter(|one| one.test.contains(&wanted)) {
        let path = scratch().join("source").join(fault.file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, planted(fault, &text)).unwrap();
        let start = Instant::now();
        let said = run_test(fault).await;
        fs::write(&path, text).unwrap();
        let found = said.contains(&format!("test {} ... FAILED", fault.test));
        println!(
            "{} after {:.0?}: {} ({})",
            if found { "found" } else { "MISSED" },
            start.elapsed(),
            fault.why,
            fault.test
        );
        if !found {
            missed.push(format!("{fault:#?}:\n{said}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Brings the copy of the sources up to date; what is the same keeps its time, so that it is not built again.
fn copy_sources() {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others"])
        .arg("--exclude-standard")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let copy = scratch().join("source");
    let mut copied = BTreeSet::new();
    let names = String::from_utf8(listed.stdout).unwrap();
    for name in names.split_terminator('\0') {
        // One that was deleted is listed until that is committed.
        let Ok(content) = fs::read(root().join(name)) else {
            continue;
        };
        let to = copy.join(name);
        if !fs::read(&to).is_ok_and(|there| there == content) {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(&to, content).unwrap();
        }
        copied.insert(to);
    }
    remove_others(&copy, &copied);
}

/// Removes the files below `folder` that are not `copied`: a module that has moved would be there twice.
fn remove_others(folder: &Path, copied: &BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            remove_others(&path, copied);
        } else if !copied.contains(&path) {
            fs::remove_file(path).unwrap();
        }
    }
}

/// What cargo and the test say.
async fn run_test(fault: &Fault) -> String {
    let ran = cargo()
        .args(["test", "--locked", "--lib", "--package", fault.package])
        // The unit tests are quick without it, and building is not with it.
        .args(["--config", "profile.dev.package.cuo-core.opt-level=0"])
        .args(["--", "--exact", fault.test])
        .current_dir(scratch().join("source"))
        .env("CARGO_TARGET_DIR", scratch().join("target"))
        .output()
        .await
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    said(&ran.stdout) + &said(&ran.stderr)
}
