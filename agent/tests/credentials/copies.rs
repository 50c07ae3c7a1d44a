//! Runs of the program, and what is in the copy then.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::{fs, thread};

use super::layouts::{KUBEADM, LAYOUTS, base64, lay_out, put};
use cuo_cluster::credentials::PLACES;
use cuo_cluster::{ClientSource, Credentials, Program};

pub const COPY: &str = "run/cuo-agent/credentials/kubeconfig";

pub fn agent(root: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cuo-agent"));
    command.arg("--root").arg(root).arg("credentials");
    command.output().unwrap()
}

pub fn copied(root: &Path) -> String {
    fs::read_to_string(root.join(COPY)).unwrap()
}

async fn usable(root: &Path) {
    let credentials = Credentials::File {
        path: root.join(COPY),
        // Not the host's: nothing but the copy may be needed.
        root: root.join(COPY),
    };
    let program = Program {
        name: "test",
        version: "0",
    };
    let status = ClientSource::start(credentials, program).await.status();
    assert_eq!((status.generation, status.problem), (1, None));
}

#[tokio::test]
async fn every_layout_becomes_one_private_file_that_makes_a_client() {
    let hosts: Vec<_> = LAYOUTS
        .iter()
        .map(|layout| {
            let root = tempfile::tempdir().unwrap();
            let key = lay_out(layout, root.path());
            (layout, root, key)
        })
        .collect();
    let outputs: Vec<Output> = thread::scope(|scope| {
        let runs: Vec<_> = hosts
            .iter()
            .map(|(_, root, _)| scope.spawn(|| agent(root.path())))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for ((layout, root, key), output) in hosts.iter().zip(outputs) {
        let name = layout.kubeconfig.0;
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let copy = root.path().join(COPY);
        assert_eq!(
            said,
            format!("the credentials are in {}\n", copy.display()),
            "{name}"
        );
        assert!(output.status.success(), "{name}");
        let mode = fs::metadata(&copy).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o440, "{name}");
        assert_eq!(
            fs::read_dir(copy.parent().unwrap()).unwrap().count(),
            1,
            "{name}"
        );
        let flat: serde_json::Value = serde_json::from_str(&copied(root.path())).unwrap();
        let user = &flat["users"][0]["user"];
        if layout.kubeconfig.1.contains("tokenFile") {
            let expected = serde_json::json!({"token": "a-secret-token"});
            assert_eq!(*user, expected, "{name}");
        } else {
            let pair = layout.files.iter().any(|(_, text)| *text == "PAIR");
            let data = user["client-key-data"].as_str().unwrap();
            assert_eq!(pair, data != base64(key), "{name}");
            let fields: Vec<_> = user.as_object().unwrap().keys().collect();
            let expected = ["client-certificate-data", "client-key-data"];
            assert_eq!(fields, expected, "{name}");
        }
        let cluster = flat["clusters"][0]["cluster"].as_object().unwrap();
        let fields: Vec<_> = cluster.keys().collect();
        assert_eq!(fields, ["certificate-authority-data", "server"], "{name}");
        usable(root.path()).await;
    }
}

#[test]
fn every_place_has_its_layout() {
    let tried = |place: &&str| {
        LAYOUTS
            .iter()
            .any(|layout| layout.kubeconfig.0 == place.trim_start_matches('/'))
    };
    assert!(PLACES.iter().all(tried));
}

#[tokio::test]
async fn a_renewed_certificate_replaces_the_copy_and_nothing_else_does() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    lay_out(&KUBEADM, root);
    assert!(agent(root).status.success());
    let first = copied(root);

    let pki = root.join("var/lib/kubelet/pki");
    fs::write(pki.join("kubelet-server-2026.pem"), "not the agent's").unwrap();
    assert!(agent(root).status.success());
    assert_eq!(copied(root), first);

    let made = rcgen::generate_simple_self_signed(["system:node:n1".to_owned()]).unwrap();
    let renewed = "kubelet-client-2026-09-05-10-00-00.pem";
    let pair = made.cert.pem() + &made.signing_key.serialize_pem();
    fs::write(pki.join(renewed), &pair).unwrap();
    symlink(renewed, pki.join("new")).unwrap();
    fs::rename(pki.join("new"), pki.join("kubelet-client-current.pem")).unwrap();
    assert!(agent(root).status.success());
    assert!(copied(root).contains(&base64(&pair)));
    usable(root).await;

    // A renewal that went wrong leaves the last good copy.
    fs::remove_file(pki.join(renewed)).unwrap();
    let output = agent(root);
    assert_eq!(output.status.code(), Some(1));
    assert!(copied(root).contains(&base64(&pair)));
}

#[test]
fn what_is_wrong_is_said_without_a_secret() {
    let plugin = "apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'https://192.0.2.1'}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, args: [a-secret]}}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
";
    let missing = plugin.replace(
        "exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, args: [a-secret]}",
        "token-file: x, client-key: /a/key",
    );
    let cases = [
        (
            plugin,
            "/var/lib/kubelet/kubeconfig: user \"u\" gets its credentials from the plugin \"aws\", which is not run here; name a kubeconfig with a certificate or a token\n",
        ),
        (
            missing.as_str(),
            "can't read /a/key: not there; let this program's user read it, or name another kubeconfig\n",
        ),
        (
            "users: [{name: u, user: {token: a-secret\n",
            "failed to parse kubeconfig YAML: error: line 1 column 25: unclosed bracket '{'\n",
        ),
        (
            "users: [{name: u, user: {token: [a-secret]}}]",
            "failed to parse kubeconfig YAML: error: line 1 column 33: expected string scalar\n",
        ),
    ];
    for (kubeconfig, expected) in cases {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "var/lib/kubelet/kubeconfig", kubeconfig);
        let output = agent(root.path());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.starts_with("cuo-agent: no credentials were copied to "),
            "{said}"
        );
        assert!(said.ends_with(expected), "{said}");
        assert!(!said.contains("a-secret"), "{said}");
        assert!(!root.path().join(COPY).exists());
    }
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "etc/cuo-agent/config.d/50.toml",
        "kubeconfig = \"/nonexistent\"",
    );
    let said = String::from_utf8(agent(root.path()).stderr).unwrap();
    assert!(
        said.contains("can't read /nonexistent: not there"),
        "{said}"
    );
}
