//! How each program of the control plane is run, and the files that it needs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::assets::Binaries;
use super::audit::POLICY;
use super::pki::{Authority, token_keys};
use super::supervisor::Program;
use super::{Options, kubeconfig::write};

/// etcd's socket in the control plane's folder. A socket instead of a port can't be taken by anybody else; it is named relative to
/// the folder because a socket's path must be short.
pub(super) const ETCD_SOCKET: &str = "etcd.sock";
/// etcd's data in the control plane's folder.
pub(super) const ETCD_DATA: &str = "etcd";
/// The API server's audit log in the control plane's folder.
pub(super) const AUDIT_LOG: &str = "audit.log";

const AUDIT_POLICY: &str = "audit-policy.yaml";
const CA: &str = "pki/ca.crt";
const CA_KEY: &str = "pki/ca.key";
const SERVER_CERTIFICATE: &str = "pki/apiserver.crt";
const SERVER_KEY: &str = "pki/apiserver.key";
const TOKEN_KEY: &str = "pki/sa.key";
const TOKEN_PUBLIC_KEY: &str = "pki/sa.pub";

/// Those controllers whose effect is felt by nodes and their pods. All of them together only take more memory and time.
const CONTROLLERS: &[&str] = &[
    "certificatesigningrequest-signing-controller",
    "clusterrole-aggregation-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "taint-eviction-controller",
    "validatingadmissionpolicy-status-controller",
];

/// Writes the CA, the API server's certificate, the keys for tokens and the audit policy.
pub(super) fn write_files(folder: &Path, authority: &Authority) -> Result<()> {
    let server = authority.server(&[
        "127.0.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "10.96.0.1",
    ])?;
    let (token_key, token_public_key) = token_keys()?;
    for (name, text) in [
        (CA, authority.pem().as_str()),
        (CA_KEY, &authority.key_pem()),
        (SERVER_CERTIFICATE, &server.certificate),
        (SERVER_KEY, &server.key),
        (TOKEN_KEY, &token_key),
        (TOKEN_PUBLIC_KEY, &token_public_key),
        (AUDIT_POLICY, POLICY),
    ] {
        write(&folder.join(name), text)?;
    }
    // It is there from the beginning, so that reading it before the first write is no special case.
    let audit = folder.join(AUDIT_LOG);
    fs::File::options()
        .create(true)
        .append(true)
        .open(&audit)
        .with_context(|| format!("create {}", audit.display()))?;
    Ok(())
}

/// The kubeconfig of one of the programs.
pub(super) fn kubeconfig(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.kubeconfig"))
}

pub(super) fn etcd(binaries: &Binaries, folder: &Path) -> Program {
    const PEER: &str = "unix://etcd-peer.sock";
    let client = format!("unix://{ETCD_SOCKET}");
    let arguments = [
        "--name=lab".to_owned(),
        format!("--data-dir={ETCD_DATA}"),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={PEER}"),
        format!("--initial-advertise-peer-urls={PEER}"),
        format!("--initial-cluster=lab={PEER}"),
        // The data need not outlive the machine.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    program("etcd", &binaries.etcd, arguments.into(), folder)
}

pub(super) fn apiserver(binaries: &Binaries, folder: &Path, port: u16) -> Program {
    let arguments = [
        format!("--etcd-servers=unix://{ETCD_SOCKET}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        "--advertise-address=127.0.0.1".to_owned(),
        // Endpoints of the service `kubernetes` may not be loopback addresses, and there is no pod network to reach it from.
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--profiling=false".to_owned(),
        format!("--client-ca-file={CA}"),
        format!("--tls-cert-file={SERVER_CERTIFICATE}"),
        format!("--tls-private-key-file={SERVER_KEY}"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-signing-key-file={TOKEN_KEY}"),
        format!("--service-account-key-file={TOKEN_PUBLIC_KEY}"),
        format!("--audit-policy-file={AUDIT_POLICY}"),
        format!("--audit-log-path={AUDIT_LOG}"),
        // Megabytes: it must not rotate, because it is read from the beginning.
        "--audit-log-maxsize=4096".to_owned(),
    ];
    program(
        "kube-apiserver",
        &binaries.apiserver,
        arguments.into(),
        folder,
    )
}

pub(super) fn controller_manager(binaries: &Binaries, folder: &Path, options: &Options) -> Program {
    let arguments = [
        "--secure-port=0".to_owned(),
        "--leader-elect=false".to_owned(),
        "--profiling=false".to_owned(),
        format!(
            "--kubeconfig={}",
            kubeconfig(folder, "kube-controller-manager").display()
        ),
        format!("--controllers={}", CONTROLLERS.join(",")),
        "--use-service-account-credentials=true".to_owned(),
        format!("--service-account-private-key-file={TOKEN_KEY}"),
        format!("--root-ca-file={CA}"),
        format!("--cluster-signing-cert-file={CA}"),
        format!("--cluster-signing-key-file={CA_KEY}"),
        "--node-monitor-period=1s".to_owned(),
        format!(
            "--node-monitor-grace-period={}ms",
            options.node_grace.as_millis()
        ),
        format!(
            "--node-startup-grace-period={}ms",
            options.node_grace.as_millis()
        ),
    ];
    program(
        "kube-controller-manager",
        &binaries.controller_manager,
        arguments.into(),
        folder,
    )
}

pub(super) fn scheduler(binaries: &Binaries, folder: &Path) -> Program {
    let arguments = [
        "--secure-port=0".to_owned(),
        "--leader-elect=false".to_owned(),
        "--profiling=false".to_owned(),
        format!(
            "--kubeconfig={}",
            kubeconfig(folder, "kube-scheduler").display()
        ),
    ];
    program(
        "kube-scheduler",
        &binaries.scheduler,
        arguments.into(),
        folder,
    )
}

fn program(name: &'static str, path: &Path, arguments: Vec<String>, folder: &Path) -> Program {
    Program {
        name,
        path: path.to_owned(),
        arguments,
        folder: folder.to_owned(),
        log: folder.join(format!("{name}.log")),
    }
}
