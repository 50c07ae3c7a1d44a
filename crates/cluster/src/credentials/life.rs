//! The validity period of a client certificate.
//!
//! A certificate that can't be parsed is not judged: the API server does that.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser;

/// The fraction of its validity after which a certificate should have been renewed: kubelets renew at 90 % at the latest.
const LATE: f64 = 0.95;

/// The validity period of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its beginning.
    pub begin: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

impl Life {
    /// The period of the first certificate in PEM, which is the client's own; the others belong to its issuers.
    pub(super) fn in_pem(pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        in_der(&der)
    }

    /// Whether it should have been renewed by now.
    pub fn ends_soon(&self, now: Timestamp) -> bool {
        let life = self.end.duration_since(self.begin).as_secs_f64();
        now.duration_since(self.begin).as_secs_f64() > life * LATE
    }
}

fn in_der(der: &[u8]) -> Option<Life> {
    // Only the two times are needed, so an unknown extension does not matter.
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    let (_, certificate) = parser.parse(der).ok()?;
    let validity = certificate.validity();
    Some(Life {
        begin: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
        end: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
    })
}

#[cfg(test)]
mod tests;
