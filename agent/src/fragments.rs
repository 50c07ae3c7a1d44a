//! Fragments of configuration: `*.toml` in several directories, of which a later one's file replaces an earlier one's of that name.
//! Hidden files are none, as for Zincati: editors and file managers leave such beside the file that they are at.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A directory that can't be read.
pub type Unreadable = (PathBuf, io::Error);

/// The fragments that count, in the order of their names, and what can't be read.
pub fn files(root: &Path, directories: &[&str]) -> (Vec<PathBuf>, Vec<Unreadable>) {
    let (mut files, mut errors) = (BTreeMap::new(), Vec::new());
    for directory in directories.iter().map(|directory| root.join(directory)) {
        match list(&directory) {
            Ok(found) => files.extend(found),
            Err(error) => errors.push((directory, error)),
        }
    }
    (files.into_values().collect(), errors)
}

/// The fragments in `directory` by name; none if it does not exist.
fn list(directory: &Path) -> io::Result<Vec<(OsString, PathBuf)>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let hidden = name.as_bytes().starts_with(b".");
        if !hidden && path.extension().is_some_and(|end| end == "toml") {
            found.push((name, path));
        }
    }
    Ok(found)
}
