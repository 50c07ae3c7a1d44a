//! Credentials for those who use a control plane: kubelets and service accounts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::{TlsAcceptor, rustls};

use super::kubeconfig::{self, Proof};
use super::{ControlPlane, answered, pki};

/// The folder beside a kubeconfig that has the rotating certificate.
const PKI: &str = "pki";

/// How a node's kubeconfig holds the client certificate of its kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeCredential {
    /// Inside of the kubeconfig, as after a first `kubeadm join`.
    Embedded,
    /// In `pki/kubelet-client-current.pem` beside the kubeconfig: a symlink to a file with certificate and key, that
    /// [`ControlPlane::rotate_node_cert`] turns. The kubeconfig names it relative to itself, so the folder can be anywhere.
    Rotating,
}

impl ControlPlane {
    /// Writes the kubeconfig of the kubelet of `node` to `path`, as kubeadm does: user `system:node:NODE`, group `system:nodes`,
    /// with a certificate that ends after `validity`. Whatever is there is replaced.
    ///
    /// # Errors
    /// When a file can't be written; it is named.
    pub fn node_kubeconfig(
        &self,
        node: &str,
        path: &Path,
        credential: NodeCredential,
        validity: Duration,
    ) -> Result<()> {
        let user = format!("system:node:{node}");
        let text = match credential {
            NodeCredential::Embedded => {
                let identity = self.node_identity(node, validity)?;
                kubeconfig::render(
                    &self.server(),
                    &self.ca_pem(),
                    &user,
                    &Proof::Embedded(&identity),
                )?
            }
            NodeCredential::Rotating => {
                self.rotate_node_cert(node, path, validity)?;
                let file = format!("{PKI}/{}", kubeconfig::CURRENT);
                kubeconfig::render(&self.server(), &self.ca_pem(), &user, &Proof::File(&file))?
            }
        };
        kubeconfig::write(path, &text)
    }

    /// Writes a kubeconfig for anybody to `path`: a client certificate of user and group, good for an hour.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn client_kubeconfig(&self, user: &str, group: &str, path: &Path) -> Result<()> {
        let identity = self
            .authority
            .client(user, Some(group), Duration::from_secs(3600))?;
        let proof = Proof::Embedded(&identity);
        let text = kubeconfig::render(&self.server(), &self.ca_pem(), user, &proof)?;
        kubeconfig::write(path, &text)
    }

    /// Gives `node` a new certificate beside the kubeconfig `path`, which stays as it is ([`NodeCredential::Rotating`]). The old
    /// certificate is accepted until its own end.
    ///
    /// # Errors
    /// When a file can't be written; it is named.
    pub fn rotate_node_cert(&self, node: &str, path: &Path, validity: Duration) -> Result<()> {
        let folder = path
            .parent()
            .with_context(|| format!("{} has no folder", path.display()))?;
        kubeconfig::turn(&folder.join(PKI), &self.node_identity(node, validity)?)
    }

    /// Accepts TLS connections as the API server does, with a certificate of the cluster, and without asking who comes.
    ///
    /// # Errors
    /// When the certificate can't be made or used.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor> {
        let identity = self.authority.server(&["127.0.0.1"])?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())
            .context("the certificate that was just made")?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())
            .context("the key that was just made")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("versions of TLS")?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .context("use the certificate")?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn node_identity(&self, node: &str, validity: Duration) -> Result<pki::Identity> {
        self.authority.client(
            &format!("system:node:{node}"),
            Some("system:nodes"),
            validity,
        )
    }

    /// A token of a service account, valid for an hour.
    ///
    /// # Errors
    /// When there is no such service account, or the API server doesn't answer.
    pub async fn token(&self, namespace: &str, service_account: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin(), namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(3600),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let parameters = PostParams::default();
        let answer = answered(
            format!("a token for the service account {namespace}/{service_account}"),
            accounts.create_token_request(service_account, &parameters, &request),
        )
        .await?;
        answer
            .status
            .and_then(|status| status.token)
            .context("a TokenRequest was answered without a token")
    }

    /// Writes a kubeconfig with a token of a service account ([`Self::token`]) to `path`.
    ///
    /// # Errors
    /// As [`Self::token`], or when the file can't be written.
    pub async fn service_account_kubeconfig(
        &self,
        namespace: &str,
        service_account: &str,
        path: &Path,
    ) -> Result<()> {
        let token = self.token(namespace, service_account).await?;
        let text = kubeconfig::render(
            &self.server(),
            &self.ca_pem(),
            service_account,
            &Proof::Token(&token),
        )?;
        kubeconfig::write(path, &text)
    }
}
