//! The two halves of the lab stay apart.

use std::fs;
use std::path::Path;

/// The modules of this crate that the files below `folder` name, each with the file.
fn named(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            named(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for rest in text.split("crate::").skip(1) {
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_');
            let name = name.into_iter().next().unwrap_or_default();
            found.push((name.to_owned(), path.display().to_string()));
        }
    }
}

#[test]
fn neither_half_knows_the_other_or_where_they_meet() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for half in ["cluster", "machine"] {
        let mut found = Vec::new();
        named(&source.join(half), &mut found);
        assert!(found.iter().any(|(name, _)| name == half), "{half}");
        found.retain(|(name, _)| ![half, "cache", "process", "wait"].contains(&name.as_str()));
        assert_eq!(found, [], "{half} uses what is not its own");
    }
}
