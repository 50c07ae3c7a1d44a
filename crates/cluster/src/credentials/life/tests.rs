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
    let begin = b"260102000000Z";
    let at = der.windows(begin.len()).position(|bytes| bytes == begin);
    for wrong in [b"2601020000000", b"260102      Z", b"261302000000Z"] {
        let mut der = der.clone();
        der[at.unwrap()..][..wrong.len()].copy_from_slice(wrong);
        assert_eq!(in_der(&der), None, "{}", wrong.escape_ascii());
    }
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
