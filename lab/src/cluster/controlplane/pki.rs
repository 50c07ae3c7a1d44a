//! The cluster's own certificate authority.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

/// Clocks of a cluster differ a little, so a certificate is valid from a little earlier.
const BACKDATED: Duration = Duration::from_secs(60);

/// A certificate and its key, both PEM.
pub(super) struct Identity {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Signs the certificates of one cluster.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name("kubernetes", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate().context("make the key of the cluster's CA")?;
        let issuer = CertifiedIssuer::self_signed(params, key).context("make the cluster's CA")?;
        Ok(Self(issuer))
    }

    /// The CA's certificate, PEM.
    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// The CA's key, PEM.
    pub(super) fn key_pem(&self) -> String {
        self.0.key().serialize_pem()
    }

    /// A server's certificate for these host names and addresses.
    pub(super) fn server(&self, hosts: &[&str]) -> Result<Identity> {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params =
            CertificateParams::new(hosts).context("names of a server's certificate")?;
        params.distinguished_name = name("kube-apiserver", None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.signed(params)
    }

    /// A client's certificate: the API server takes the common name as the user, the organization as the group.
    pub(super) fn client(
        &self,
        user: &str,
        group: Option<&str>,
        validity: Duration,
    ) -> Result<Identity> {
        let now = SystemTime::now();
        let mut params = CertificateParams::default();
        params.distinguished_name = name(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = (now - BACKDATED).into();
        params.not_after = (now + validity).into();
        self.signed(params)
    }

    fn signed(&self, mut params: CertificateParams) -> Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().context("make a key")?;
        let certificate = params
            .signed_by(&key, &self.0)
            .context("sign a certificate")?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// A pair of keys that signs the tokens of service accounts: private and public, both PEM.
pub(super) fn token_keys() -> Result<(String, String)> {
    let key = KeyPair::generate().context("make the key that signs tokens")?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn name(common: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common);
    name
}
