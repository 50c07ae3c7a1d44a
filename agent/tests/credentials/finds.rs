//! Which kubeconfig of several is found, and what is said of the others.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::copies::{COPY, agent, copied};
use super::layouts::{K0S, K0S_BALANCED, KUBEADM, lay_out, put};

/// What the copy has for the address of the API server.
fn server(root: &Path) -> String {
    let copy: Value = serde_json::from_str(&copied(root)).unwrap();
    let server = &copy["clusters"][0]["cluster"]["server"];
    server.as_str().unwrap().to_owned()
}

/// The doctor on a host without a system bus, in the environment of a program that downloads through a proxy.
fn doctor(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cuo-agent"));
    command.arg("--root").arg(root);
    command.args(["doctor", "--output", "json"]).args(arguments);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    let proxy = [("HTTPS_PROXY", "no address"), ("NO_PROXY", "localhost,")];
    command.envs(proxy).output().unwrap()
}

/// Verdict, finding and remedy of the check of the kubeconfig, and that it was the doctor who ended.
fn kubeconfig(output: &Output) -> [Value; 3] {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut checks = report["checks"].as_array().unwrap().iter();
    let check = checks.find(|check| check["name"] == "kubeconfig").unwrap();
    ["verdict", "found", "remedy"].map(|field| check[field].clone())
}

fn check(verdict: &str, found: String, remedy: Option<&str>) -> [Value; 3] {
    [verdict.into(), found.into(), remedy.into()]
}

#[test]
fn the_balanced_kubeconfig_of_k0s_is_used_and_the_other_is_told_of() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    lay_out(&K0S, root);
    assert!(agent(root).status.success());
    assert_eq!(server(root), "https://192.0.2.10:6443");

    let (path, text) = K0S_BALANCED.kubeconfig;
    let direct = fs::read_to_string(root.join(K0S.kubeconfig.0)).unwrap();
    let (_, after) = direct.split_once("authority-data: ").unwrap();
    put(
        root,
        path,
        &text.replace("CA64", after.lines().next().unwrap()),
    );
    let output = agent(root);
    assert_eq!(server(root), "https://[::1]:7443");
    let said = String::from_utf8(output.stdout).unwrap();
    let expected = format!(
        "the credentials are in {}\npassed over {}: {} comes before it\n",
        root.join(COPY).display(),
        root.join(K0S.kubeconfig.0).display(),
        root.join(path).display(),
    );
    assert_eq!(said, expected);

    let others = format!(
        "; passed over: {} ({} comes before it)",
        root.join(K0S.kubeconfig.0).display(),
        root.join(path).display(),
    );
    let copy = root.join(COPY).display().to_string();
    let expected = check("ok", copy + &others, None);
    assert_eq!(kubeconfig(&doctor(root, &[])), expected);
}

#[test]
fn the_doctor_says_what_was_passed_over_and_that_nothing_is_left_to_copy() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    lay_out(&KUBEADM, root);
    fs::create_dir_all(root.join("var/lib/kubelet/kubeconfig")).unwrap();
    let directory = root.join("var/lib/kubelet/kubeconfig");
    let used = root.join(KUBEADM.kubeconfig.0).display().to_string();
    let why = "Is a directory (os error 21)";
    let others = format!("; passed over: {} ({why})", directory.display());
    let expected = check("ok", used + &others, None);
    assert_eq!(kubeconfig(&doctor(root, &[])), expected);

    assert!(agent(root).status.success());
    let copy = root.join(COPY).display().to_string();
    let expected = check("ok", copy.clone() + &others, None);
    assert_eq!(kubeconfig(&doctor(root, &[])), expected);

    fs::remove_file(root.join(KUBEADM.kubeconfig.0)).unwrap();
    let found = format!(
        "{copy}, which is no longer renewed: can't read {}: {why}; let this program's user read it, or name another kubeconfig",
        directory.display()
    );
    let remedy = "`systemctl restart cuo-agent-credentials` copies it as soon as there is one that can be used.";
    let expected = check("warning", found, Some(remedy));
    assert_eq!(kubeconfig(&doctor(root, &[])), expected);
}

#[test]
fn an_address_without_a_scheme_is_refused_in_a_sentence() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let text = "apiVersion: v1
kind: Config
current-context: c
clusters:
- name: k
  cluster: {server: \"10.0.0.1:6443\", insecure-skip-tls-verify: true}
contexts:
- name: c
  context: {cluster: k, user: u}
users:
- name: u
  user: {token: abc}
";
    put(root, "kubeconfig", text);
    let path = root.join("kubeconfig").display().to_string();
    let why = format!(
        "{path}: cluster \"k\": server \"10.0.0.1:6443\" does not begin with https:// or http://"
    );
    let remedy = "See `systemctl status cuo-agent-credentials`; run this as root to check the kubelet's own.";
    let expected = check("failed", why.clone(), Some(remedy));
    let output = doctor(root, &["--kubeconfig", &path]);
    assert_eq!(kubeconfig(&output), expected);

    put(root, "etc/kubernetes/kubelet.conf", text);
    let output = agent(root);
    let said = String::from_utf8(output.stderr).unwrap();
    let why = why.replace(
        &path,
        &root
            .join("etc/kubernetes/kubelet.conf")
            .display()
            .to_string(),
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(said.ends_with(&format!("{why}\n")), "{said}");
}
