use std::os::unix::fs::PermissionsExt;

use sha2::{Digest, Sha256};

use super::*;

fn image() -> Image {
    Image {
        name: "registry.example/a/b:1.2".into(),
        version: "1.2".into(),
        description: "B.".into(),
        entrypoint: "/b".into(),
        user: 7,
        port: 80,
    }
}

fn document(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Writes the image of a small tree, whose files are made in the given order with the given mode.
fn written(order: [&str; 2], mode: u32) -> (tempfile::TempDir, Written) {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("etc")).unwrap();
    for name in order {
        fs::write(tree.join(name), name).unwrap();
    }
    fs::set_permissions(tree.join("b"), fs::Permissions::from_mode(mode)).unwrap();
    let written = write(
        &image(),
        &tree,
        &folder.path().join("oci"),
        &folder.path().join("b.tar"),
    )
    .unwrap();
    (folder, written)
}

#[test]
fn every_part_is_found_by_its_digest_and_says_what_it_should() {
    let (folder, written) = written(["b", "etc/c"], 0o700);
    let layout = folder.path().join("oci");
    let part = |descriptor: &Value| {
        let digest = descriptor["digest"]
            .as_str()
            .unwrap()
            .strip_prefix("sha256:")
            .unwrap();
        let path = layout.join("blobs/sha256").join(digest);
        let bytes = fs::read(&path).unwrap();
        let hash: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            (hash.as_str(), json!(bytes.len())),
            (digest, descriptor["size"].clone())
        );
        path
    };
    let index = document(&layout.join("index.json"));
    assert_eq!(index["manifests"][0]["digest"], json!(written.digest));
    let manifest = document(&part(&index["manifests"][0]));
    let config = document(&part(&manifest["config"]));
    let layer = part(&manifest["layers"][0]);
    assert_eq!(
        config["rootfs"]["diff_ids"],
        json!([manifest["layers"][0]["digest"]])
    );
    assert_eq!(
        config["config"],
        json!({
            "User": "7:7", "Entrypoint": ["/b"], "ExposedPorts": {"80/tcp": {}}, "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "b",
                "org.opencontainers.image.description": "B.",
                "org.opencontainers.image.version": "1.2",
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        })
    );
    let mut entries = Vec::new();
    for entry in tar::Archive::new(fs::File::open(layer).unwrap())
        .entries()
        .unwrap()
    {
        let entry = entry.unwrap();
        let header = entry.header();
        let owner = (
            header.uid().unwrap(),
            header.gid().unwrap(),
            header.mtime().unwrap(),
        );
        assert_eq!(owner, (0, 0, 0));
        entries.push((
            entry.path().unwrap().display().to_string(),
            header.mode().unwrap(),
        ));
    }
    assert_eq!(
        entries,
        [
            ("b".into(), 0o755),
            ("etc".into(), 0o755),
            ("etc/c".into(), 0o644)
        ]
    );
}

#[test]
fn the_same_tree_is_the_same_image() {
    let (one, first) = written(["b", "etc/c"], 0o755);
    let (two, second) = written(["etc/c", "b"], 0o711);
    assert_eq!(first, second);
    let archive = |folder: &tempfile::TempDir| fs::read(folder.path().join("b.tar")).unwrap();
    assert_eq!(archive(&one), archive(&two));
}
