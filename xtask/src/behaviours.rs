//! Some pages name tests; this looks whether they exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::root;

const PAGES: [&str; 2] = ["docs/behaviours.md", "docs/security.md"];
/// Where tests are.
const FOLDERS: [&str; 6] = ["agent", "crates", "cuoctl", "lab", "operator", "xtask"];

/// Fails with the names of tests that a page has and the code has not.
pub fn check() -> Result<()> {
    let mut tests = BTreeSet::new();
    for folder in FOLDERS {
        collect(&root().join(folder), &mut tests)?;
    }
    for page in PAGES {
        let text = fs::read_to_string(root().join(page)).with_context(|| format!("read {page}"))?;
        let missing: Vec<_> = named(&text)
            .into_iter()
            .filter(|name| !tests.contains(*name))
            .collect();
        ensure!(
            missing.is_empty(),
            "{page} names tests that do not exist: {}",
            missing.join(", ")
        );
    }
    Ok(())
}

/// The tests in the last column of the tables of `page`, and those in parentheses in its text.
fn named(page: &str) -> BTreeSet<&str> {
    let rows = page.lines().filter_map(|line| line.strip_suffix(" |"));
    let cells = rows.filter_map(|row| row.rsplit(" | ").next());
    let listed = cells
        .flat_map(|cell| cell.split(", "))
        .filter_map(|name| name.strip_prefix('`')?.strip_suffix('`'));
    let aside = page.split("(`").skip(1);
    let aside = aside.filter_map(|rest| Some(rest.split_once("`)")?.0));
    let word = |c: char| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit();
    let aside = aside.filter(|name| name.contains('_') && name.chars().all(word));
    listed.chain(aside).collect()
}

/// Adds the names of all tests in the Rust files below `folder`.
fn collect(folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("list {}", folder.display()))?
            .path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            found.extend(tests(&text));
        }
    }
    Ok(())
}

/// The functions in `code` that stand below an attribute which makes them tests.
fn tests(code: &str) -> Vec<String> {
    let (mut found, mut marked) = (Vec::new(), false);
    for line in code.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((before, rest)) = line.split_once("fn ").filter(|_| marked) {
            let name = rest.split('(').next().unwrap_or(rest);
            if matches!(before, "" | "async ") {
                found.push(name.to_owned());
            }
            marked = false;
        }
    }
    found
}

#[cfg(test)]
mod tests;
