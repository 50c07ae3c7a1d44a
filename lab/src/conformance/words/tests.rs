use super::*;

#[test]
fn what_is_of_one_host_becomes_a_word() {
    let names = vec![
        ("127.0.0.1:8972".to_owned(), "<registry>".to_owned()),
        ("a".repeat(64), "<commit 1>".to_owned()),
    ];
    let sum = "0123456789abcdef".repeat(4);
    for (line, expected) in [
        (
            "Message 9 metadata, 5 content objects fetched; 10 KiB transferred in 0 seconds; 225.5 kB content written".to_owned(),
            "Message N metadata, N content objects fetched; N B transferred in N seconds; N B content written",
        ),
        (
            "Message 1 metadata, 0 content objects fetched; 907 B transferred in 0 seconds; 0 bytes content written".to_owned(),
            "Message N metadata, N content objects fetched; N B transferred in N seconds; N B content written",
        ),
        (
            "Message Freed: 229.0\u{a0}kB (pkgcache branches: 0)".to_owned(),
            "Message Freed: N B (pkgcache branches: N)",
        ),
        (
            "TaskBegin [1/1] Fetching ostree chunk 0cfa93f465273719956 (1.1 MB)".to_owned(),
            "TaskBegin [N/N] Fetching ostree chunk <sum> (N B)",
        ),
        // Numbers elsewhere are what is meant.
        (
            "Finished false Server returned HTTP 500".to_owned(),
            "Finished false Server returned HTTP 500",
        ),
        (
            format!("{} and {sum} of 127.0.0.1:8972/fcos", "a".repeat(64)),
            "<commit 1> and <sum> of <registry>/fcos",
        ),
        ("a cafe that is defaced".to_owned(), "a cafe that is defaced"),
    ] {
        assert_eq!(worded(&line, &names), expected);
    }
}
