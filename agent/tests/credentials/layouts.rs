//! Hosts as installers leave them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A host: its kubeconfig, and the files that it names. CA, CERT, KEY and PAIR stand for PEM; CA64, CERT64 and KEY64 for it in base64.
pub struct Layout {
    pub kubeconfig: (&'static str, &'static str),
    pub files: &'static [(&'static str, &'static str)],
    pub link: Option<(&'static str, &'static str)>,
}

pub const KUBEADM: Layout = Layout {
    kubeconfig: (
        "etc/kubernetes/kubelet.conf",
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: CA64
    server: https://192.0.2.10:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: system:node:n1
  name: system:node:n1@kubernetes
current-context: system:node:n1@kubernetes
kind: Config
preferences: {}
users:
- name: system:node:n1
  user:
    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem
    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem
",
    ),
    files: &[(
        "var/lib/kubelet/pki/kubelet-client-2026-01-05-10-00-00.pem",
        "PAIR",
    )],
    link: Some((
        "/var/lib/kubelet/pki/kubelet-client-2026-01-05-10-00-00.pem",
        "var/lib/kubelet/pki/kubelet-client-current.pem",
    )),
};

/// By hand or by an installer of one's own, with paths beside it.
const KUBELET: Layout = Layout {
    kubeconfig: (
        "var/lib/kubelet/kubeconfig",
        "apiVersion: v1
kind: Config
clusters:
- name: local
  cluster:
    certificate-authority: pki/ca.crt
    server: https://api.example.com:6443
users:
- name: kubelet
  user:
    client-certificate: pki/kubelet.crt
    client-key: pki/kubelet.key
contexts:
- name: service-account-context
  context: {cluster: local, user: kubelet}
current-context: service-account-context
",
    ),
    files: &[
        ("var/lib/kubelet/pki/ca.crt", "CA"),
        ("var/lib/kubelet/pki/kubelet.crt", "CERT"),
        ("var/lib/kubelet/pki/kubelet.key", "KEY"),
    ],
    link: None,
};

const K3S: Layout = Layout {
    kubeconfig: (
        "var/lib/rancher/k3s/agent/kubelet.kubeconfig",
        "apiVersion: v1
clusters:
- cluster:
    server: https://127.0.0.1:6444
    certificate-authority: /var/lib/rancher/k3s/agent/server-ca.crt
  name: local
contexts:
- context:
    cluster: local
    namespace: default
    user: user
  name: Default
current-context: Default
kind: Config
preferences: {}
users:
- name: user
  user:
    client-certificate: /var/lib/rancher/k3s/agent/client-kubelet.crt
    client-key: /var/lib/rancher/k3s/agent/client-kubelet.key
",
    ),
    files: &[
        ("var/lib/rancher/k3s/agent/server-ca.crt", "CA"),
        ("var/lib/rancher/k3s/agent/client-kubelet.crt", "CERT"),
        ("var/lib/rancher/k3s/agent/client-kubelet.key", "KEY"),
    ],
    link: None,
};

const RKE2: Layout = Layout {
    kubeconfig: (
        "var/lib/rancher/rke2/agent/kubelet.kubeconfig",
        "apiVersion: v1
clusters:
- cluster:
    server: https://127.0.0.1:6443
    certificate-authority: /var/lib/rancher/rke2/agent/server-ca.crt
  name: local
contexts:
- context: {cluster: local, user: user}
  name: Default
current-context: Default
kind: Config
users:
- name: user
  user:
    client-certificate: /var/lib/rancher/rke2/agent/client-kubelet.crt
    client-key: /var/lib/rancher/rke2/agent/client-kubelet.key
",
    ),
    files: &[
        ("var/lib/rancher/rke2/agent/server-ca.crt", "CA"),
        ("var/lib/rancher/rke2/agent/client-kubelet.crt", "CERT"),
        ("var/lib/rancher/rke2/agent/client-kubelet.key", "KEY"),
    ],
    link: None,
};

pub const K0S: Layout = Layout {
    kubeconfig: (
        "var/lib/k0s/kubelet.conf",
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: CA64
    server: https://192.0.2.10:6443
  name: default-cluster
contexts:
- context:
    cluster: default-cluster
    namespace: default
    user: default-auth
  name: default-context
current-context: default-context
kind: Config
users:
- name: default-auth
  user:
    client-certificate: /var/lib/k0s/kubelet/pki/kubelet-client-current.pem
    client-key: /var/lib/k0s/kubelet/pki/kubelet-client-current.pem
",
    ),
    files: &[(
        "var/lib/k0s/kubelet/pki/kubelet-client-2026-01-05-10-00-00.pem",
        "PAIR",
    )],
    link: Some((
        "kubelet-client-2026-01-05-10-00-00.pem",
        "var/lib/k0s/kubelet/pki/kubelet-client-current.pem",
    )),
};

/// Beside the one above, where k0s balances the load on each node.
pub const K0S_BALANCED: Layout = Layout {
    kubeconfig: (
        "run/k0s/nllb/kubeconfig.yaml",
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: CA64
    server: https://[::1]:7443
  name: default-cluster
contexts:
- context:
    cluster: default-cluster
    namespace: default
    user: default-auth
  name: default-context
current-context: default-context
kind: Config
users:
- name: default-auth
  user:
    client-certificate: /var/lib/k0s/kubelet/pki/kubelet-client-current.pem
    client-key: /var/lib/k0s/kubelet/pki/kubelet-client-current.pem
",
    ),
    ..K0S
};

const MICROSHIFT: Layout = Layout {
    kubeconfig: (
        "var/lib/microshift/resources/kubelet/kubeconfig",
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: CA64
    server: https://127.0.0.1:16443
  name: microshift
contexts:
- context: {cluster: microshift, namespace: default, user: user}
  name: microshift
current-context: microshift
kind: Config
users:
- name: user
  user: {client-certificate-data: CERT64, client-key-data: KEY64}
",
    ),
    files: &[],
    link: None,
};

/// One's own, everything inside.
const EMBEDDED: Layout = Layout {
    kubeconfig: (
        "etc/cuo-agent/kubeconfig",
        "apiVersion: v1
kind: Config
clusters:
- name: c
  cluster: {server: 'https://api.example.com:6443', certificate-authority-data: CA64}
users:
- name: u
  user: {client-certificate-data: CERT64, client-key-data: KEY64}
contexts:
- name: c
  context: {cluster: c, user: u}
current-context: c
",
    ),
    files: &[],
    link: None,
};

/// One's own, with a token in a file beside it.
const TOKEN: Layout = Layout {
    kubeconfig: (
        "etc/cuo-agent/kubeconfig",
        "apiVersion: v1
kind: Config
clusters:
- name: c
  cluster: {server: 'https://api.example.com:6443', certificate-authority-data: CA64}
users:
- name: u
  user: {tokenFile: token}
contexts:
- name: c
  context: {cluster: c, user: u}
current-context: c
",
    ),
    files: &[("etc/cuo-agent/token", "a-secret-token\n")],
    link: None,
};

pub const LAYOUTS: &[&Layout] = &[
    &KUBEADM,
    &KUBELET,
    &K3S,
    &RKE2,
    &K0S,
    &K0S_BALANCED,
    &MICROSHIFT,
    &EMBEDDED,
    &TOKEN,
];

pub fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub fn base64(text: &str) -> String {
    let json = serde_json::to_value(k8s_openapi::ByteString(text.as_bytes().to_vec())).unwrap();
    json.as_str().unwrap().to_owned()
}

/// Writes the host's files; gives the PEM of its key.
pub fn lay_out(layout: &Layout, root: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["system:node:n1".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    // Longest first: CA is a part of CA64.
    let values = [
        ("CA64", base64(&certificate)),
        ("CERT64", base64(&certificate)),
        ("KEY64", base64(&key)),
        ("PAIR", format!("{certificate}{key}")),
        ("CERT", certificate.clone()),
        ("KEY", key.clone()),
        ("CA", certificate.clone()),
    ];
    let file = |text: &str| {
        let found = values.iter().find(|(name, _)| *name == text);
        found.map_or(text, |(_, value)| value).to_owned()
    };
    for (path, text) in layout.files {
        put(root, path, &file(text));
    }
    if let Some((target, path)) = layout.link {
        // In a test the host's root is another one, so an absolute link would lead out of it.
        let name = Path::new(target).file_name().unwrap();
        symlink(name, root.join(path)).unwrap();
    }
    let (path, text) = layout.kubeconfig;
    let text = values[..3]
        .iter()
        .fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        });
    put(root, path, &text);
    key
}
