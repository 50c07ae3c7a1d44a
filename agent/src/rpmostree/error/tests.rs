use super::*;

const CODE: &str = "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code";

fn of(name: &str, text: &str) -> Error {
    Error::of_answer("Upgrade".into(), name, text.into())
}

#[test]
fn a_conflict_names_what_was_requested() {
    let failed = |text: &str| Error::Failed {
        what: "Upgrade".into(),
        text: text.into(),
    };
    let conflict = |requested: &[&str]| {
        let requested: Vec<_> = requested.iter().map(ToString::to_string).collect();
        failed("Packages not found: a").with_requests(&requested)
    };
    let reported = |names: &str| {
        format!(
            "Upgrade of rpm-ostreed failed, with {names} requested on this host: Packages not found: a"
        )
    };
    assert_eq!(conflict(&["a", "b"]).to_string(), reported("a, b"));
    let many = ["a", "b", "c", "d", "e", "f", "g", "h"];
    assert_eq!(
        conflict(&many).to_string(),
        reported("a, b, c, d, e, f and 2 more")
    );
    assert_eq!(conflict(&["a"]).code(), Code::LayeringConflict);
    assert_eq!(conflict(&[]), failed("Packages not found: a"));
    let other = failed("No space left on device");
    assert_eq!(other.clone().with_requests(&["a".into()]), other);
}

/// Names and texts seen with rpm-ostree 2026.2 and systemd 257.
#[test]
fn answers_are_told_apart() {
    let standard = |name: &str| format!("org.freedesktop.DBus.Error.{name}");
    let what = || "Upgrade".to_owned();
    let busy = |who: &str| Error::Busy { who: who.into() };
    let lock = "another program that holds ostree's lock, such as `ostree` or `bootc`";
    let table = [
        (
            format!("{CODE}26"),
            "Transaction in progress: upgrade\n You can cancel the current transaction with `rpm-ostree cancel`",
            busy("the transaction \"upgrade\""),
        ),
        (
            // Versions before the code for busy was used.
            format!("{CODE}0"),
            "Transaction in progress: (null)",
            busy("the transaction \"(null)\""),
        ),
        (
            format!("{CODE}26"),
            "System transaction in progress",
            busy(lock),
        ),
        (format!("{CODE}26"), "Later words", busy("Later words")),
        (
            format!("{CODE}0"),
            "Reboot initiated, cannot start new transaction",
            Error::Rebooting,
        ),
        (
            format!("{CODE}0"),
            "Missing expected checksum",
            Error::Failed {
                what: what(),
                text: "Missing expected checksum".into(),
            },
        ),
        (
            standard("ServiceUnknown"),
            "t",
            Error::Unavailable("t".into()),
        ),
        (
            standard("Spawn.ChildExited"),
            "t",
            Error::Unavailable("t".into()),
        ),
        (
            "org.freedesktop.systemd1.UnitMasked".into(),
            "t",
            Error::Unavailable("t".into()),
        ),
        (
            standard("NoReply"),
            "t",
            Error::Lost {
                what: what(),
                how: "t".into(),
            },
        ),
        (
            standard("AccessDenied"),
            "t",
            Error::Denied {
                what: what(),
                text: "t".into(),
            },
        ),
        (
            standard("UnknownMethod"),
            "t",
            Error::Protocol {
                what: what(),
                why: "t".into(),
            },
        ),
    ];
    for (name, text, expected) in table {
        assert_eq!(of(&name, text), expected, "{name} {text}");
    }
}
