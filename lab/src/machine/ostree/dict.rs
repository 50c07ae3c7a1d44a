//! The dictionaries of the bus, with the key sets and types of rpm-ostree 2026.2 (both origins; layered packages from its source).

use std::collections::HashMap;

use zbus::{Array, Signature, Structure, Variant};

use super::origin::Origin;
use super::state::{CachedUpdate, Deployed, Sysroot};

/// `a{sv}`. The order is that of a hash table, as in the daemon.
pub(super) type Entries = HashMap<String, Variant<'static>>;

fn put(entries: &mut Entries, key: &str, value: impl Into<Variant<'static>>) {
    entries.insert(key.to_owned(), value.into());
}

fn texts(values: &[String]) -> Variant<'static> {
    Variant::from(values.to_vec())
}

/// One deployment; a missing one is the empty dictionary.
pub(super) fn deployment(sysroot: &Sysroot, one: Option<&Deployed>) -> Entries {
    let mut entries = Entries::new();
    let Some(one) = one else {
        return entries;
    };
    let layered = !one.packages.is_empty();
    let timestamp = one.release.timestamp + if layered { 3_600 } else { 0 };
    let out = &mut entries;
    put(out, "id", one.id(&sysroot.osname));
    put(out, "osname", sysroot.osname.clone());
    put(out, "checksum", one.checksum());
    put(out, "serial", one.serial);
    put(out, "version", one.release.version.clone());
    put(out, "timestamp", timestamp);
    put(out, "booted", one.booted);
    put(out, "staged", one.staged);
    put(out, "pinned", one.pinned);
    put(out, "unlocked", "none");
    put(out, "regenerate-initramfs", false);
    put(out, "packages", texts(&one.packages));
    put(out, "requested-packages", texts(&one.packages));
    for key in [
        "requested-local-packages",
        "requested-local-fileoverride-packages",
        "requested-base-removals",
        "requested-base-local-replacements",
    ] {
        put(out, key, texts(&[]));
    }
    put(out, "base-removals", Vec::<Variant<'static>>::new());
    let pair = Signature::structure([Signature::Variant, Signature::Variant]);
    put(out, "base-local-replacements", Array::new(&pair));
    put(out, "base-remote-replacements", Entries::new());
    put(out, "base-commit-meta", commit_meta(one));
    if layered {
        put(out, "base-checksum", one.base_checksum());
        put(out, "base-version", one.release.version.clone());
        put(out, "base-timestamp", one.release.timestamp);
        put(out, "layered-commit-meta", layered_meta(one));
    }
    match &one.origin {
        Origin::Ostree { refspec } => {
            put(out, "origin", refspec.clone());
            ostree_origin(out, sysroot, one);
        }
        Origin::Container { reference } => {
            put(out, "container-image-reference", reference.clone());
            put(
                out,
                "container-image-reference-digest",
                one.release.digest(),
            );
        }
    }
    entries
}

fn ostree_origin(out: &mut Entries, sysroot: &Sysroot, one: &Deployed) {
    put(out, "gpg-enabled", sysroot.signed);
    if sysroot.signed {
        put(out, "signatures", vec![Variant::from(signature())]);
    }
    let pulled = sysroot.local_ref.as_ref();
    if let Some(pulled) = pulled.filter(|pulled| pulled.version != one.release.version) {
        put(out, "pending-base-checksum", pulled.commit());
        put(out, "pending-base-version", pulled.version.clone());
        put(out, "pending-base-timestamp", pulled.timestamp);
    }
}

/// One verified signature: `(bbbbbsxxsssssxx)`.
pub(super) fn signature() -> Structure<'static> {
    const KEY: &str = "ECC0B5BF03299872D473AA9DA8147E43AA824056";
    let (made, expires) = (1_795_420_549_i64, 1_858_492_527_i64);
    let bits = (true, false, false, false, false);
    let texts = ("RSA", "SHA512", "Lab Signer", "lab@localhost", KEY);
    let (algorithm, hash, user, mail, primary) = texts;
    Structure::from((
        bits.0, bits.1, bits.2, bits.3, bits.4, KEY, made, 0_i64, algorithm, hash, user, mail,
        primary, expires, expires,
    ))
}

fn commit_meta(one: &Deployed) -> Entries {
    match &one.origin {
        Origin::Ostree { .. } => branch_meta(one),
        Origin::Container { .. } => image_meta(one),
    }
}

fn branch_meta(one: &Deployed) -> Entries {
    let mut meta = Entries::new();
    let version = &one.release.version;
    put(&mut meta, "ostree.linux", kernel(version));
    put(&mut meta, "version", version.clone());
    put(&mut meta, "ostree.bootable", true);
    let bound = vec![one.origin.name().to_owned()];
    put(&mut meta, "ostree.ref-binding", bound);
    if let Some(stream) = one.origin.stream() {
        put(&mut meta, "coreos-assembler.basearch", "x86_64");
        put(&mut meta, "fedora-coreos.stream", stream.to_owned());
    }
    meta
}

fn image_meta(one: &Deployed) -> Entries {
    let mut meta = Entries::new();
    let mut annotations = serde_json::json!({
        "containers.bootc": "1",
        "org.opencontainers.image.version": one.release.version,
        "ostree.bootable": "true",
        "ostree.commit": one.release.commit(),
    });
    let mut labels = annotations.clone();
    if let Some(stream) = one.origin.stream() {
        annotations["fedora-coreos.stream"] = stream.into();
        labels["com.coreos.stream"] = stream.into();
    }
    let manifest = serde_json::json!({"annotations": annotations, "schemaVersion": 2});
    let config = serde_json::json!({"architecture": "amd64", "config": {"Labels": labels}});
    put(&mut meta, "ostree.manifest-digest", one.release.digest());
    put(&mut meta, "ostree.manifest", manifest.to_string());
    let key = "ostree.container.image-config";
    put(&mut meta, key, config.to_string());
    put(&mut meta, "ostree.importer.version", "0.15.3");
    meta
}

fn layered_meta(one: &Deployed) -> Entries {
    let mut meta = Entries::new();
    put(&mut meta, "rpmostree.clientlayer", true);
    put(&mut meta, "rpmostree.packages", texts(&one.packages));
    put(&mut meta, "version", one.release.version.clone());
    meta
}

fn kernel(version: &str) -> String {
    format!("6.9.1-{version}.x86_64")
}

/// `CachedUpdate`; none is the empty dictionary.
pub(super) fn cached_update(sysroot: &Sysroot, cached: Option<&CachedUpdate>) -> Entries {
    let mut entries = Entries::new();
    let Some(cached) = cached else {
        return entries;
    };
    let out = &mut entries;
    put(out, "update-sha256", cached.update_sha256.clone());
    put(out, "checksum", cached.checksum.clone());
    put(out, "origin", cached.origin.clone());
    put(out, "osname", sysroot.osname.clone());
    put(out, "timestamp", cached.timestamp);
    put(out, "ref-has-new-commit", cached.ref_has_new_commit);
    if let Some(version) = &cached.version {
        put(out, "version", version.clone());
    }
    if let Some(gpg_enabled) = cached.gpg_enabled {
        put(out, "gpg-enabled", gpg_enabled);
    }
    if let Some(id) = &cached.deployment {
        put(out, "deployment", id.clone());
    }
    if cached.manifest_diff {
        put(out, "manifest-diff", manifest_diff());
    } else {
        put(out, "rpm-diff", rpm_diff());
    }
    entries
}

fn manifest_diff() -> Entries {
    let mut diff = Entries::new();
    for (key, value) in [
        ("total", 1_u64),
        ("total-size", 1_094_976),
        ("n-removed", 1),
        ("removed-size", 1_093_939),
        ("n-added", 1),
        ("added-size", 1_094_976),
    ] {
        put(&mut diff, key, value);
    }
    diff
}

type Package = (u32, String, (String, String), (String, String));

fn rpm_diff() -> Entries {
    let mut diff = Entries::new();
    let version = |evr: &str| (evr.to_owned(), "noarch".to_owned());
    let package =
        |name: &str, from: &str, to: &str| (0, name.to_owned(), version(from), version(to));
    let upgraded: Vec<Package> = vec![
        package("kernel", "6.9.1-200.fc40", "6.9.2-200.fc40"),
        package("lab-foo", "1.1-1.fc40", "1.2-1.fc40"),
    ];
    put(&mut diff, "upgraded", upgraded);
    put(&mut diff, "downgraded", Vec::<Package>::new());
    let added = vec![(
        0_u32,
        "lab-new".to_owned(),
        "0.1-1.fc40".to_owned(),
        "noarch".to_owned(),
    )];
    put(&mut diff, "added", added);
    put(
        &mut diff,
        "removed",
        Vec::<(u32, String, String, String)>::new(),
    );
    diff
}
