use super::*;

#[test]
fn the_journal_is_used_only_where_it_reads_along() {
    let text = |colour| Destination::Text { colour };
    let cases = [
        (Format::Auto, true, false, Destination::Journal),
        (Format::Auto, false, true, text(true)),
        (Format::Auto, false, false, text(false)),
        (Format::Journal, false, true, Destination::Journal),
        (Format::Text, true, false, text(false)),
        (Format::Text, false, true, text(true)),
        (Format::Json, true, true, Destination::Json),
    ];
    for (format, journal, colour, expected) in cases {
        assert_eq!(
            choose(format, journal, colour),
            expected,
            "{format} {journal} {colour}"
        );
    }
}

#[test]
fn the_variable_must_name_this_very_output() {
    let stat = rustix::fs::fstat(std::io::stderr()).unwrap();
    let (device, inode) = (stat.st_dev, stat.st_ino);
    let cases = [
        (Some(format!("{device}:{inode}")), true),
        (Some(format!("{device}:{}", inode + 1)), false),
        (Some(String::new()), false),
        (None, false),
    ];
    for (stream, expected) in cases {
        assert_eq!(is_journal(stream.as_deref()), expected, "{stream:?}");
    }
}

#[test]
fn formats_keep_their_names() {
    for name in Format::NAMES {
        assert_eq!(name.parse::<Format>().unwrap().to_string(), name);
    }
    assert_eq!(
        "xml".parse::<Format>(),
        Err("expected one of auto, journal, text, json".into())
    );
}

#[test]
fn the_variable_adds_to_the_default_and_takes_precedence() {
    let directives = |added| -> Vec<String> {
        let filter = filter(added).unwrap().to_string();
        let mut all: Vec<_> = filter.split(',').map(str::to_owned).collect();
        all.sort();
        all
    };
    let mut default: Vec<_> = DEFAULT_FILTER.split(',').map(str::to_owned).collect();
    default.sort();
    assert_eq!(directives(None), default);
    assert_eq!(directives(Some("")), default);

    let mut louder = directives(Some("debug,kube_client=trace"));
    let mut expected = default;
    for (quiet, loud) in [("info", "debug"), ("kube_client=warn", "kube_client=trace")] {
        expected
            .iter_mut()
            .filter(|d| *d == quiet)
            .for_each(|d| *d = loud.to_owned());
    }
    expected.sort();
    louder.sort();
    assert_eq!(louder, expected);

    assert!(filter(Some("cuo=loud")).is_err());
}
