//! The doubles as clients see them that share no code with them: `busctl`, `gdbus`, `dbus-send` and a bare socket.

use std::collections::BTreeMap;

use cuo_lab::machine::HostSpec;
use cuo_lab::machine::ostree::Release;
use cuo_lab::wait::until;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::client::{DEADLINE, Host, OS, Options, SYSROOT, V1, V2, output};

const NAME: &str = "org.projectatomic.rpmostree1";

async fn busctl(host: &Host, path: &str, property: &str) -> Value {
    let address = format!("--address={}", host.machine.root().bus_address());
    let interface = if path == SYSROOT { "Sysroot" } else { "OS" };
    let interface = format!("{NAME}.{interface}");
    let arguments = [
        &address,
        "--json=short",
        "get-property",
        NAME,
        path,
        &interface,
        property,
    ];
    serde_json::from_str(&output("busctl", &arguments).await).unwrap()
}

/// The types of the values of an `a{sv}` property, by key.
async fn types(host: &Host, property: &str) -> BTreeMap<String, String> {
    let value = busctl(host, OS, property).await;
    assert_eq!(value["type"], "a{sv}");
    let entries = value["data"].as_object().unwrap().iter();
    let entries =
        entries.map(|(key, value)| (key.clone(), value["type"].as_str().unwrap().to_owned()));
    entries.collect()
}

fn table<const N: usize>(rows: [(&str, &str); N]) -> BTreeMap<String, String> {
    let rows = rows.into_iter();
    rows.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Keys of every deployment.
fn common() -> BTreeMap<String, String> {
    table([
        ("base-commit-meta", "a{sv}"),
        ("base-local-replacements", "a(vv)"),
        ("base-remote-replacements", "a{sv}"),
        ("base-removals", "av"),
        ("booted", "b"),
        ("checksum", "s"),
        ("id", "s"),
        ("osname", "s"),
        ("packages", "as"),
        ("pinned", "b"),
        ("regenerate-initramfs", "b"),
        ("requested-base-local-replacements", "as"),
        ("requested-base-removals", "as"),
        ("requested-local-fileoverride-packages", "as"),
        ("requested-local-packages", "as"),
        ("requested-packages", "as"),
        ("serial", "i"),
        ("staged", "b"),
        ("timestamp", "t"),
        ("unlocked", "s"),
        ("version", "s"),
    ])
}

#[tokio::test]
async fn deployments_have_the_observed_keys_and_types() {
    let ostree = table([("gpg-enabled", "b"), ("origin", "s")]);
    let layered = table([
        ("base-checksum", "s"),
        ("base-timestamp", "t"),
        ("base-version", "s"),
        ("layered-commit-meta", "a{sv}"),
    ]);
    let container = table([
        ("container-image-reference", "s"),
        ("container-image-reference-digest", "s"),
    ]);
    let spec = |mut spec: HostSpec, packages: &[&str]| {
        spec.layered = packages.iter().map(|name| (*name).to_owned()).collect();
        spec
    };
    let cases = [
        (HostSpec::ostree(V1), vec![&ostree]),
        (
            spec(HostSpec::ostree(V1), &["htop"]),
            vec![&ostree, &layered],
        ),
        (HostSpec::container(V1), vec![&container]),
        (
            spec(HostSpec::container(V1), &["htop"]),
            vec![&container, &layered],
        ),
    ];
    for (spec, additional) in cases {
        let host = Host::new(spec).await;
        let mut expected = common();
        expected.extend(
            additional
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        assert_eq!(types(&host, "BootedDeployment").await, expected);
        assert_eq!(types(&host, "DefaultDeployment").await, expected);
        assert_eq!(types(&host, "RollbackDeployment").await, BTreeMap::new());
        assert_eq!(types(&host, "CachedUpdate").await, BTreeMap::new());
    }
}

#[tokio::test]
async fn the_sysroot_looks_as_observed() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    let rows = [
        (
            "Booted",
            r#"{"type":"o","data":"/org/projectatomic/rpmostree1/fedora_coreos"}"#,
        ),
        ("Path", r#"{"type":"s","data":"/"}"#),
        ("ActiveTransaction", r#"{"type":"(sss)","data":["","",""]}"#),
        ("ActiveTransactionPath", r#"{"type":"s","data":""}"#),
        ("AutomaticUpdatePolicy", r#"{"type":"s","data":"none"}"#),
    ];
    for (property, expected) in rows {
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(
            busctl(&host, SYSROOT, property).await,
            expected,
            "{property}"
        );
    }
    let deployments = busctl(&host, SYSROOT, "Deployments").await;
    assert_eq!(deployments["type"], "aa{sv}");
    let id = &deployments["data"][0]["id"]["data"];
    assert_eq!(
        *id,
        format!("fedora-coreos-{}.0", Release::new(V1).commit())
    );
    assert_eq!(
        busctl(&host, OS, "HasCachedUpdateRpmDiff").await["data"],
        false
    );
    assert_eq!(busctl(&host, OS, "Name").await["data"], "fedora-coreos");
}

#[tokio::test]
async fn cached_updates_have_the_observed_keys_and_types() {
    let both = [
        ("checksum", "s"),
        ("origin", "s"),
        ("osname", "s"),
        ("ref-has-new-commit", "b"),
        ("timestamp", "t"),
        ("update-sha256", "s"),
    ];
    let with = |rows: &[(&str, &str)]| {
        let mut all = table(both);
        all.extend(
            rows.iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        all
    };
    let cases = [
        (
            HostSpec::ostree(V1),
            with(&[
                ("gpg-enabled", "b"),
                ("rpm-diff", "a{sv}"),
                ("version", "s"),
            ]),
            with(&[
                ("deployment", "s"),
                ("gpg-enabled", "b"),
                ("rpm-diff", "a{sv}"),
                ("version", "s"),
            ]),
        ),
        (
            HostSpec::container(V1),
            with(&[("manifest-diff", "a{sv}"), ("version", "s")]),
            // Staging an image takes the version away.
            with(&[("deployment", "s"), ("rpm-diff", "a{sv}")]),
        ),
    ];
    for (spec, checked, staged) in cases {
        let host = Host::new(spec).await;
        host.machine.publish(V2).unwrap();
        let client = host.client().await;
        let address = client.check().await;
        let peer = super::client::Peer::connect(&address).await;
        assert!(peer.start().await);
        assert_eq!(peer.until_the_end().await.1, "Finished true");
        client.wait_free().await;
        client.reload().await;
        assert_eq!(types(&host, "CachedUpdate").await, checked);
        assert_eq!(
            client.outcome("Upgrade", &(Options::new(),)).await,
            "Finished true"
        );
        assert_eq!(types(&host, "CachedUpdate").await, staged);
    }
}

/// `gdbus` leaves the bus after its call, so nobody can start its transaction: the slot is free again, the socket file gone.
#[tokio::test]
async fn gdbus_gets_an_address_and_leaves() {
    let host = Host::new(HostSpec::container(V1)).await;
    let address = host.machine.root().bus_address();
    let method = format!("{NAME}.OS.Upgrade");
    let arguments = [
        "call",
        "--address",
        &address,
        "-d",
        NAME,
        "-o",
        OS,
        "-m",
        &method,
        "{'reboot': <false>}",
    ];
    let socket = host.machine.root().join("run/rpm-ostree-transaction.sock");
    let expected = format!("('unix:path={}',)\n", socket.display());
    assert_eq!(output("gdbus", &arguments).await, expected);
    until("the end of the socket", DEADLINE, async || {
        Ok((!socket.exists()).then_some(()))
    })
    .await
    .unwrap();
    host.client().await.wait_free().await;
}

/// Neither `busctl` nor `gdbus` can talk without a bus, `dbus-send` can; it leaves before there are signals, so a bare socket listens.
#[tokio::test]
async fn libdbus_starts_a_transaction_and_a_bare_socket_sees_its_end() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    host.machine.publish(V2).unwrap();
    let client = host.client().await;
    let address = client.begin("Upgrade", &(Options::new(),)).await.unwrap();

    let path = address.strip_prefix("unix:path=").unwrap();
    let mut listener = UnixStream::connect(path).await.unwrap();
    listener.write_all(b"\0AUTH\r\n").await.unwrap();
    let mut answer = vec![0; 256];
    let length = timeout(DEADLINE, listener.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(
        answer[..length].starts_with(b"REJECTED EXTERNAL"),
        "{:?}",
        &answer[..length]
    );
    listener.write_all(b"AUTH EXTERNAL 30\r\n").await.unwrap();
    let length = timeout(DEADLINE, listener.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(
        answer[..length].starts_with(b"OK "),
        "{:?}",
        &answer[..length]
    );
    listener.write_all(b"BEGIN\r\n").await.unwrap();

    let peer = format!("--peer={address}");
    let transaction = format!("{NAME}.Transaction");
    let title = "org.freedesktop.DBus.Properties.Get";
    let who = format!("string:{transaction}");
    let arguments = [
        &peer,
        "--print-reply=literal",
        "/",
        title,
        &who,
        "string:Title",
    ];
    assert_eq!(
        output("dbus-send", &arguments).await.trim(),
        "variant       new-deployment"
    );
    let start = format!("{transaction}.Start");
    let arguments = [&peer, "--print-reply=literal", "/", &start];
    assert_eq!(output("dbus-send", &arguments).await.trim(), "boolean true");

    let mut seen = Vec::new();
    let finished = async {
        while !contains(&seen, b"Finished") {
            let mut buffer = vec![0; 4096];
            let length = listener.read(&mut buffer).await.unwrap();
            assert_ne!(length, 0, "closed before Finished");
            seen.extend_from_slice(&buffer[..length]);
        }
    };
    timeout(DEADLINE, finished).await.unwrap();
    for text in [
        "PropertiesChanged",
        "upgrade",
        "ProgressEnd",
        "TaskBegin",
        "Staging deployment",
        "TaskEnd",
    ] {
        assert!(contains(&seen, text.as_bytes()), "{text}");
    }
    // The bare socket is still there, so the slot is.
    assert_eq!(client.active().await.0, "Upgrade");
    drop(listener);
    client.wait_free().await;
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
