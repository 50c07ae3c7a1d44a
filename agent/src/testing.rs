//! What several unit tests need: a root with files, and a deployment.

use std::path::Path;

use cuo_core::host::Deployment;

/// A directory with these files below it.
pub fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        put(root.path(), path, text);
    }
    root
}

/// Writes a file and the directories above it.
pub fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

pub fn deployment(id: &str, staged: bool) -> Deployment {
    let commit = "0941d40c0f136423cd968a12f552d3027dfa43a6e854722eafa4565c4b7c1589";
    Deployment {
        id: id.into(),
        identity: commit.parse().unwrap(),
        checksum: commit.into(),
        version: "v".into(),
        staged,
        published: 0,
    }
}
