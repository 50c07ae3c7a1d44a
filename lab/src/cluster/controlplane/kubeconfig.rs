//! Credentials as files: kubeconfigs, and a kubelet's rotating certificate.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::ByteString;

use super::pki::Identity;

/// How a kubeconfig proves who its user is.
pub(super) enum Proof<'a> {
    /// Certificate and key inside of the kubeconfig.
    Embedded(&'a Identity),
    /// One file, relative to the kubeconfig, with certificate and key.
    File(&'a str),
    /// A bearer token inside of the kubeconfig.
    Token(&'a str),
}

/// The text of a kubeconfig, in the form that kubeadm writes.
pub(super) fn render(server: &str, ca: &str, user: &str, proof: &Proof<'_>) -> Result<String> {
    let ca = base64(ca)?;
    let proof = match proof {
        Proof::Embedded(identity) => format!(
            "client-certificate-data: {}\n    client-key-data: {}",
            base64(&identity.certificate)?,
            base64(&identity.key)?
        ),
        Proof::File(path) => format!("client-certificate: {path}\n    client-key: {path}"),
        Proof::Token(token) => format!("token: {token}"),
    };
    Ok(format!(
        "apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster:
    certificate-authority-data: {ca}
    server: {server}
contexts:
- name: {user}@kubernetes
  context:
    cluster: kubernetes
    user: {user}
current-context: {user}@kubernetes
preferences: {{}}
users:
- name: {user}
  user:
    {proof}
"
    ))
}

/// The client certificate of a kubelet, beside its kubeconfig.
pub(super) const CURRENT: &str = "kubelet-client-current.pem";

/// Puts a new certificate into `folder` as a kubelet does: certificate and key in one file with the time in its name, and the
/// symlink [`CURRENT`] turned to it in one step, so that a reader always finds one or the other.
pub(super) fn turn(folder: &Path, identity: &Identity) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let name = format!(
        "kubelet-client-{}.pem",
        jiff::Timestamp::now().strftime("%Y-%m-%d-%H-%M-%S-%N")
    );
    write(
        &folder.join(&name),
        &format!("{}{}", identity.certificate, identity.key),
    )?;
    let next = folder.join(format!("{name}.link"));
    symlink(&name, &next).with_context(|| format!("link {}", next.display()))?;
    let current = folder.join(CURRENT);
    fs::rename(&next, &current).with_context(|| format!("turn {} to {name}", current.display()))
}

/// Writes a file that only its owner reads, complete from the moment it is there.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path
        .parent()
        .with_context(|| format!("{} has no folder", path.display()))?;
    let described = || format!("write {}", path.display());
    fs::create_dir_all(folder).with_context(described)?;
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    fs::write(&next, text).with_context(described)?;
    fs::set_permissions(&next, Permissions::from_mode(0o600)).with_context(described)?;
    fs::rename(&next, path).with_context(described)
}

/// Kubernetes' own encoding of bytes in JSON.
fn base64(text: &str) -> Result<String> {
    let encoded = serde_json::to_string(&ByteString(text.into())).context("encode a credential")?;
    Ok(encoded.trim_matches('"').to_owned())
}
