//! Fragments of configuration: `*.toml` files in several directories, where a file in a later one replaces that of the same name in an
//! earlier one. Hidden files are ignored, as by Zincati: editors and file managers leave them beside the file being edited.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A directory that can't be read, and why.
pub type Unreadable = (PathBuf, io::Error);

/// The fragments in effect, sorted by name, and the directories that can't be read.
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

/// The fragments in `directory` by name; empty if it does not exist.
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
