//! A container image of one layer, written by hand: two JSON documents and a tar file, each named by its digest.
//!
//! The same tree gives the same bytes: no time, owner or order of a directory gets in. The layer is not compressed; registries' clients
//! compress what they push.
//!
//! No library makes this shorter. `ocidir` 0.8 writes such layouts, but links OpenSSL, which `deny.toml` forbids, and leaves the tar file to
//! its caller. `oci-spec` 0.10 has types for the documents: their builders take more lines than the documents here, bring 17 crates that
//! nothing else needs, and neither digests nor the file for `docker load` come with them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::files::digits;

/// What is said about the image.
#[derive(Debug)]
pub struct Image {
    /// Registry, repository and tag.
    pub name: String,
    /// Version of what is inside.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// The program in the tree.
    pub entrypoint: String,
    /// User and group to run it as.
    pub user: u32,
    /// TCP port that it listens on.
    pub port: u16,
}

/// What was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// The manifest's digest, by which the image can be pulled.
    pub digest: String,
    /// Bytes of all parts together.
    pub size: u64,
}

/// One part of an image.
struct Blob {
    digest: String,
    size: u64,
}

/// Writes `tree` as an image to the folder `layout`, and that folder as one file to `archive`. Both are replaced.
pub fn write(image: &Image, tree: &Path, layout: &Path, archive: &Path) -> Result<Written> {
    if layout.exists() {
        fs::remove_dir_all(layout).with_context(|| format!("remove {}", layout.display()))?;
    }
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("create {}", blobs.display()))?;
    let layer = blob(&blobs, &tar(tree)?)?;
    let config = blob(&blobs, &text(&config(image, &layer)))?;
    let manifest = blob(&blobs, &text(&manifest(&config, &layer)))?;
    let documents = [
        ("oci-layout", json!({"imageLayoutVersion": "1.0.0"})),
        ("index.json", index(image, &manifest)),
        ("manifest.json", docker_manifest(image, &config, &layer)),
    ];
    for (name, document) in documents {
        let path = layout.join(name);
        fs::write(&path, text(&document)).with_context(|| format!("write {}", path.display()))?;
    }
    fs::write(archive, tar(layout)?).with_context(|| format!("write {}", archive.display()))?;
    Ok(Written {
        size: layer.size + config.size + manifest.size,
        digest: manifest.digest,
    })
}

/// What a runtime has to know.
fn config(image: &Image, layer: &Blob) -> Value {
    let user = image.user;
    json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "User": format!("{user}:{user}"),
            "Entrypoint": [image.entrypoint],
            "ExposedPorts": {format!("{}/tcp", image.port): {}},
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": image.name.rsplit('/').next().and_then(|last| last.split(':').next()),
                "org.opencontainers.image.description": image.description,
                "org.opencontainers.image.version": image.version,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        "history": [{"created_by": "cargo xtask image"}],
    })
}

fn manifest(config: &Blob, layer: &Blob) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    })
}

fn index(image: &Image, manifest: &Blob) -> Value {
    let mut only = descriptor("application/vnd.oci.image.manifest.v1+json", manifest);
    only["platform"] = json!({"architecture": architecture(), "os": "linux"});
    only["annotations"] = json!({
        "org.opencontainers.image.ref.name": image.version,
        "io.containerd.image.name": image.name,
    });
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [only],
    })
}

/// What `docker load` reads where it knows nothing of OCI layouts.
fn docker_manifest(image: &Image, config: &Blob, layer: &Blob) -> Value {
    let path = |blob: &Blob| format!("blobs/{}", blob.digest.replace(':', "/"));
    json!([{"Config": path(config), "RepoTags": [image.name], "Layers": [path(layer)]}])
}

fn descriptor(media_type: &str, blob: &Blob) -> Value {
    json!({"mediaType": media_type, "digest": blob.digest, "size": blob.size})
}

/// The processor, by the name that container images give it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn text(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

/// Writes one part under the name of its digest.
fn blob(folder: &Path, bytes: &[u8]) -> Result<Blob> {
    let digits = digits(bytes);
    let path = folder.join(&digits);
    fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
    Ok(Blob {
        digest: format!("sha256:{digits}"),
        size: bytes.len() as u64,
    })
}

/// Everything in `folder` as a tar file: sorted, owned by root, without times.
fn tar(folder: &Path) -> Result<Vec<u8>> {
    let mut out = tar::Builder::new(Vec::new());
    let mut paths = Vec::new();
    walk(folder, &mut paths).with_context(|| format!("list {}", folder.display()))?;
    for path in paths {
        let named = path.strip_prefix(folder)?;
        add(&mut out, &path, named).with_context(|| format!("pack {}", path.display()))?;
    }
    out.into_inner().context("end the tar file")
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut here = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    here.sort();
    for path in here {
        let directory = path.is_dir();
        found.push(path.clone());
        if directory {
            walk(&path, found)?;
        }
    }
    Ok(())
}

fn add(out: &mut tar::Builder<impl Write>, path: &Path, named: &Path) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    let (kind, mode, bytes) = if path.is_dir() {
        (tar::EntryType::Directory, 0o755, Vec::new())
    } else {
        // Whatever the umask made of it, it can be read by all, and run where it is a program.
        let mode = if is_program(path)? { 0o755 } else { 0o644 };
        (tar::EntryType::Regular, mode, fs::read(path)?)
    };
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    out.append_data(&mut header, named, bytes.as_slice())
}

fn is_program(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::metadata(path)?.permissions().mode() & 0o100 != 0)
}

#[cfg(test)]
mod tests;
