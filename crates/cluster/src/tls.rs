//! Explains what the TLS library does not support: its own messages are for programmers. They follow in parentheses.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, InconsistentKeys};

use crate::causes::chain;

/// rustls with ring supports no other curve, and no smaller or larger key.
const KINDS: &str = "supported are RSA of 2048 to 4096 bits, ECDSA on P-256 and P-384, and Ed25519";

/// Why no client can be created with the certificate and the key of a kubeconfig.
pub(crate) fn own_in_words(error: &(dyn Error + 'static)) -> String {
    let sentence = match cause(error) {
        Some(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            "client-key does not belong to client-certificate; use the key that the certificate was issued for"
        }
        Some(rustls::Error::InvalidCertificate(why)) if is(why, OLD) => {
            "client-certificate is X.509 version 1, and only version 3 is supported; have it issued again with an extension, such as extendedKeyUsage = clientAuth"
        }
        // All that it says about a key that it can't read.
        Some(rustls::Error::General(_)) => {
            return format!(
                "client-key is of an unsupported kind, such as one on the curve P-521; {KINDS}: have key and certificate issued again ({})",
                chain(error)
            );
        }
        _ => return chain(error),
    };
    format!("{sentence} ({})", chain(error))
}

/// Why there is no connection to an API server.
pub(crate) fn servers_in_words(error: &(dyn Error + 'static)) -> String {
    let sentence = match cause(error) {
        Some(rustls::Error::InvalidCertificate(why)) if is(why, OLD) => {
            "its certificate is X.509 version 1, and only version 3 is supported; have it issued again with the extension subjectAltName"
        }
        Some(rustls::Error::InvalidCertificate(why)) if is(why, AUTHORITY) => {
            "its certificate is a CA's own, which is not accepted for a server; have the CA issue one with basicConstraints = CA:FALSE"
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        )) => {
            return format!(
                "its certificate is signed with an unsupported kind of key, such as one on the curve P-521; {KINDS}: have it issued by a CA with such a key ({})",
                chain(error)
            );
        }
        Some(rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)) => {
            return format!(
                "it shares no signature algorithm with this program, as happens when its key is on the curve P-521; {KINDS}: have its certificate issued with such a key ({})",
                chain(error)
            );
        }
        _ => return chain(error),
    };
    format!("{sentence} ({})", chain(error))
}

// Errors of webpki, which rustls passes on as errors that are not its own.
const OLD: &str = "UnsupportedCertVersion";
const AUTHORITY: &str = "CaUsedAsEndEntity";

fn is(error: &CertificateError, name: &str) -> bool {
    matches!(error, CertificateError::Other(other) if other.0.to_string() == name)
}

/// The TLS library's error. An I/O error does not return its inner error as the source.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let held = error.downcast_ref::<io::Error>();
        next = match held.and_then(io::Error::get_ref) {
            Some(held) => Some(held as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests;
