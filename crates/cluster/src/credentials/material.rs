//! Replaces references to certificates, keys and tokens in a kubeconfig by their contents.
//!
//! If there are two sources of one thing, this follows client-go: a token's file precedes the token; for the rest, both are an error.

use http::HeaderValue;
use k8s_openapi::ByteString;
use kube::config::{AuthInfo, Cluster};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, from_value, to_value};

use super::{CredentialsError, Life, files};

/// Why a reference can't be replaced.
#[derive(Debug)]
pub(super) enum Wrong {
    /// A file can't be read.
    File(CredentialsError),
    /// The kubeconfig is wrong.
    Here(String),
}

impl From<CredentialsError> for Wrong {
    fn from(error: CredentialsError) -> Self {
        Self::File(error)
    }
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self::Here(message)
    }
}

/// Puts the CA certificates that the cluster refers to into it, and returns them.
pub(super) fn authorities(cluster: &mut Cluster) -> Result<Option<Vec<Vec<u8>>>, Wrong> {
    const WHAT: &str = "certificate-authority";
    let data = cluster.certificate_authority_data.take();
    let Some(pem) = bytes(WHAT, cluster.certificate_authority.take(), data)? else {
        return Ok(None);
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| format!("{WHAT} is no PEM: {error}"))?;
    if certificates.is_empty() {
        return Err(format!("{WHAT} has no certificate in PEM").into());
    }
    cluster.certificate_authority_data = Some(base64(pem)?);
    let all = certificates.iter().map(|certificate| certificate.to_vec());
    Ok(Some(all.collect()))
}

/// Puts the user's certificate and key into it; returns the certificate's validity, if it can be parsed.
pub(super) fn identity(user: &mut AuthInfo) -> Result<Option<Life>, Wrong> {
    let data = user.client_certificate_data.take();
    let certificate = bytes("client-certificate", user.client_certificate.take(), data)?;
    let data = user.client_key_data.take();
    let data = data.map(|data| data.expose_secret().to_owned());
    let key = bytes("client-key", user.client_key.take(), data)?;
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => {
            return Err("client-certificate comes without client-key"
                .to_owned()
                .into());
        }
        (None, Some(_)) => {
            return Err("client-key comes without client-certificate"
                .to_owned()
                .into());
        }
    };
    if is_encrypted(&key) {
        let why = "client-key is encrypted, and nobody is there to type a password; store it without one, by `openssl pkey -in KEY -out NEW`";
        return Err(why.to_owned().into());
    }
    let life = Life::in_pem(&certificate);
    user.client_certificate_data = Some(base64(certificate)?);
    user.client_key_data = Some(SecretString::from(base64(key)?));
    Ok(life)
}

/// Whether the key is encrypted, as PKCS #8 marks it, and as OpenSSL did before.
fn is_encrypted(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.contains("Proc-Type: 4,ENCRYPTED")
}

/// Puts the user's token into it. If the file can't be read or is empty, the token beside it is used.
pub(super) fn token(user: &mut AuthInfo) -> Result<(), Wrong> {
    if let Some(file) = user.token_file.take() {
        match (from_file(&file), &user.token) {
            (Ok(token), _) => user.token = Some(token),
            (Err(_), Some(_)) => {}
            (Err(wrong), None) => return Err(wrong),
        }
    }
    if let Some(token) = &user.token {
        check_token("token", token.expose_secret())?;
    }
    // The library makes a header of these as well.
    let provider = user.auth_provider.iter();
    for (name, token) in provider.flat_map(|provider| &provider.config) {
        if matches!(name.as_str(), "id-token" | "access-token") {
            check_token(name, token)?;
        }
    }
    Ok(())
}

fn from_file(file: &str) -> Result<SecretString, Wrong> {
    let bytes = files::read(file.as_ref())?;
    let text = String::from_utf8(bytes).map_err(|_| format!("tokenFile {file} is no text"))?;
    match text.trim() {
        "" => Err(format!("tokenFile {file} is empty").into()),
        token => Ok(SecretString::from(token)),
    }
}

/// The client library aborts the program if a token is no valid header.
fn check_token(name: &str, token: &str) -> Result<(), String> {
    let header = HeaderValue::try_from(format!("Bearer {token}"));
    header.map(drop).map_err(|_| {
        format!("{name} has a character that no header can carry, such as a line break")
    })
}

/// The content of `file`, or `data` decoded from base64.
fn bytes(what: &str, file: Option<String>, data: Option<String>) -> Result<Option<Vec<u8>>, Wrong> {
    match (file, data) {
        (None, None) => Ok(None),
        (Some(file), None) => Ok(Some(files::read(file.as_ref())?)),
        (None, Some(data)) => match plain(data) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(format!("{what}-data is no base64").into()),
        },
        (Some(_), Some(_)) => {
            let why = format!(
                "has both {what} and {what}-data; leave one of them out, as kubectl asks for too"
            );
            Err(why.into())
        }
    }
}

/// Decodes base64 as the API's own byte strings are, ignoring line breaks.
fn plain(base64: String) -> Option<Vec<u8>> {
    let text = base64.replace(['\r', '\n'], "");
    let ByteString(bytes) = from_value(Value::String(text)).ok()?;
    Some(bytes)
}

fn base64(bytes: Vec<u8>) -> Result<String, String> {
    match to_value(ByteString(bytes)) {
        Ok(Value::String(text)) => Ok(text),
        Ok(other) => Err(format!("base64 of bytes became {other}")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
