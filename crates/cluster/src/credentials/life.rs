//! From when until when a client certificate is good.
//!
//! Of a certificate nothing but two times is needed, which are at a fixed place in it; so this takes no parser of certificates. What it
//! does not understand it does not judge: the API server does.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The part of its life after which a certificate should have been renewed: kubelets do so before, by 90 % at the latest.
const LATE: f64 = 0.95;

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// From then on.
    pub begin: Timestamp,
    /// Until then.
    pub end: Timestamp,
}

impl Life {
    /// Of the first certificate in PEM, which is the client's own; others are of who signed it.
    pub(super) fn in_pem(pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        in_der(&der)
    }

    /// It should have been renewed by now.
    pub fn ends_soon(&self, now: Timestamp) -> bool {
        let life = self.end.duration_since(self.begin).as_secs_f64();
        now.duration_since(self.begin).as_secs_f64() > life * LATE
    }
}

fn in_der(der: &[u8]) -> Option<Life> {
    let (_, certificate, _) = element(der)?;
    let (_, mut fields, _) = element(certificate)?;
    // The version may be left out; then come the serial number, the algorithm and the issuer.
    const VERSION: u8 = 0xa0;
    if fields.first() == Some(&VERSION) {
        (_, _, fields) = element(fields)?;
    }
    for _ in 0..3 {
        (_, _, fields) = element(fields)?;
    }
    let (_, validity, _) = element(fields)?;
    let (kind, begin, rest) = element(validity)?;
    let begin = time(kind, begin)?;
    let (kind, end, _) = element(rest)?;
    let end = time(kind, end)?;
    Some(Life { begin, end })
}

/// The first element of DER: its kind, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    const LONG: u8 = 0x80;
    let (kind, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < LONG {
        (usize::from(*first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first - LONG))?;
        if digits.len() > 4 {
            return None;
        }
        let length = digits
            .iter()
            .fold(0, |length, digit| (length << 8) | usize::from(*digit));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*kind, content, rest))
}

/// `UTCTime`, whose years go from 1950 to 2049, or `GeneralizedTime`.
fn time(kind: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let text = match kind {
        0x17 if text < "50" => format!("20{text}"),
        0x17 => format!("19{text}"),
        0x18 => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", &text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(years: (i32, i32)) -> (String, Vec<u8>) {
        let mut asked = rcgen::CertificateParams::new(vec![]).unwrap();
        asked.not_before = rcgen::date_time_ymd(years.0, 1, 2);
        asked.not_after = rcgen::date_time_ymd(years.1, 3, 4);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = asked.self_signed(&key).unwrap();
        (made.pem(), made.der().to_vec())
    }

    #[test]
    fn both_kinds_of_times_are_read() {
        for years in [(1999, 2049), (2026, 2050), (2050, 2100)] {
            let (pem, _) = certificate(years);
            let begin = format!("{}-01-02T00:00:00Z", years.0).parse().unwrap();
            let end = format!("{}-03-04T00:00:00Z", years.1).parse().unwrap();
            assert_eq!(Life::in_pem(pem.as_bytes()), Some(Life { begin, end }));
            // With what else a file may hold, the first one counts.
            let (other, _) = certificate((2001, 2002));
            let chain = format!("subject=x\n{pem}{other}");
            assert_eq!(Life::in_pem(chain.as_bytes()), Some(Life { begin, end }));
        }
    }

    #[test]
    fn what_is_no_certificate_is_not_judged() {
        let (pem, der) = certificate((2026, 2027));
        for length in 0..der.len() / 4 {
            assert_eq!(in_der(&der[..length]), None, "{length}");
        }
        for wrong in [
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff][..],
            &[0x30, 0xff],
            &[],
        ] {
            assert_eq!(in_der(wrong), None);
        }
        assert_eq!(Life::in_pem(pem.replace('M', "*").as_bytes()), None);
        assert_eq!(Life::in_pem(b"-----BEGIN CERTIFICATE-----"), None);
        assert_eq!(time(0x17, b"260101"), None);
    }

    #[test]
    fn a_certificate_that_is_not_renewed_in_time_ends_soon() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let life = Life {
            begin: time("2026-01-01T00:00:00Z"),
            end: time("2026-01-21T00:00:00Z"),
        };
        for (now, expected) in [
            ("2025-12-01T00:00:00Z", false),
            ("2026-01-19T23:59:59Z", false),
            ("2026-01-20T00:00:01Z", true),
            ("2026-02-01T00:00:00Z", true),
        ] {
            assert_eq!(life.ends_soon(time(now)), expected, "{now}");
        }
    }
}
