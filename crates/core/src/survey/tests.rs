use super::*;

fn unit(name: &str, state: &str) -> Unit {
    Unit {
        name: name.into(),
        found: true,
        state: state.into(),
    }
}

#[test]
fn only_what_runs_and_updates_is_a_rival() {
    let running = |name: &str| Survey {
        units: vec![unit(name, "active")],
        ..Survey::default()
    };
    let policy = |policy: &str| Survey {
        policy: policy.into(),
        ..running(AUTOMATIC)
    };
    let driver = |state: &str, off| Survey {
        units: vec![unit("other.service", state), unit(ZINCATI, state)],
        driver: Some(Driver {
            name: "Other".into(),
            unit: if off { ZINCATI } else { "other.service" }.into(),
        }),
        zincati_off: true,
        ..Survey::default()
    };
    let cases = [
        ("nothing", Survey::default(), None),
        (
            "zincati",
            running(ZINCATI),
            Some("disable --now zincati.service"),
        ),
        (
            "zincati, switched off",
            Survey {
                zincati_off: true,
                ..running(ZINCATI)
            },
            None,
        ),
        (
            "zincati, about to run",
            Survey {
                units: vec![unit(ZINCATI, "activating")],
                ..Survey::default()
            },
            Some("zincati"),
        ),
        (
            "zincati, stopped",
            Survey {
                units: vec![unit(ZINCATI, "inactive")],
                ..Survey::default()
            },
            None,
        ),
        (
            "bootc",
            running(BOOTC),
            Some("disable --now bootc-fetch-apply-updates.timer"),
        ),
        (
            "uupd",
            running("uupd.timer"),
            Some("disable --now uupd.timer"),
        ),
        (
            "its predecessor",
            running("ublue-update.timer"),
            Some("disable --now ublue-update.timer"),
        ),
        (
            "the first of uCore's two moves",
            Survey {
                units: vec![unit("ucore-unsigned-autorebase.service", "activating")],
                ..Survey::default()
            },
            Some("disable --now ucore-unsigned-autorebase.service"),
        ),
        (
            "the second",
            Survey {
                units: vec![unit("ucore-signed-autorebase.service", "activating")],
                ..Survey::default()
            },
            Some("ucore-signed-autorebase.service moves this host to another image"),
        ),
        (
            "a move that is over",
            Survey {
                units: vec![unit("ucore-signed-autorebase.service", "inactive")],
                ..Survey::default()
            },
            None,
        ),
        (
            "what only counts hosts",
            running("rpm-ostree-countme.timer"),
            None,
        ),
        ("what nobody named", running("acme-update.timer"), None),
        (
            "what the configuration names",
            Survey {
                drivers: vec!["acme-boot.service".into(), "acme-update.timer".into()],
                ..running("acme-update.timer")
            },
            Some("disable --now acme-update.timer"),
        ),
        ("the timer alone", running(AUTOMATIC), None),
        ("the timer to look", policy("check"), None),
        (
            "the timer to stage",
            policy("stage"),
            Some("AutomaticUpdatePolicy=stage"),
        ),
        (
            "the timer to reboot",
            policy("apply"),
            Some("AutomaticUpdatePolicy=apply"),
        ),
        (
            "the policy without the timer",
            Survey {
                policy: "apply".into(),
                ..Survey::default()
            },
            None,
        ),
        (
            "a driver",
            driver("active", false),
            Some("disable --now other.service"),
        ),
        ("a driver that is gone", driver("inactive", false), None),
        (
            "a driver that is switched off",
            driver("active", true),
            None,
        ),
        (
            "OpenShift",
            Survey {
                machine_config: true,
                ..Survey::default()
            },
            Some("machine-config-daemon"),
        ),
    ];
    for (what, survey, expected) in cases {
        let rival = survey.rival();
        assert_eq!(rival.is_some(), expected.is_some(), "{what}: {rival:?}");
        if let (Some(rival), Some(expected)) = (rival, expected) {
            assert_eq!(rival.code, Code::OtherDriver, "{what}");
            assert!(rival.message.contains(expected), "{what}: {rival}");
        }
    }
}

#[test]
fn only_active_units_count_and_a_missing_target_does_not() {
    let survey = |units: &[(&str, &str)]| Survey {
        units: units
            .iter()
            .map(|(name, state)| unit(name, state))
            .collect(),
        ..Survey::default()
    };
    for (state, complete) in [
        ("active", true),
        ("inactive", false),
        ("activating", false),
        ("failed", false),
    ] {
        let incomplete = survey(&[(BOOTED, state)]).boot_incomplete();
        assert_eq!(incomplete.is_none(), complete, "{state}");
    }
    let mut old = survey(&[(BOOTED, "inactive")]);
    old.units[0].found = false;
    assert_eq!(
        (old.boot_incomplete(), Survey::default().boot_incomplete()),
        (None, None)
    );

    let survey = survey(&[("a.service", "active"), ("b.service", "failed")]);
    let required = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(survey.inactive(&required(&["a.service"])), None);
    let text = "b.service is failed, there is no c.service";
    assert_eq!(
        survey.inactive(&required(&["a.service", "b.service", "c.service"])),
        Some(Reason::new(Code::UnitsInactive, text))
    );
}

#[test]
fn only_what_is_noted_as_unlocked_is_at_risk() {
    let identity = crate::ids::ReleaseId::Commit([1; 32]);
    let pending = |staged| Deployment {
        id: "fedora-coreos-aa.0".into(),
        identity,
        checksum: "aa".into(),
        version: "v".into(),
        staged,
        published: 0,
    };
    let noted = |name: &str, locked| Survey {
        staged: Some(StagedNote {
            name: name.into(),
            locked,
        }),
        ..Survey::default()
    };
    let unread = |staged| Survey {
        unread: Some("no right".into()),
        staged,
        ..Survey::default()
    };
    assert!(noted("aa.0", false).at_risk(&pending(true)).is_some());
    let reported = unread(None).at_risk(&pending(true)).unwrap();
    assert!(
        reported.message.ends_with("not known: no right"),
        "{reported}"
    );
    assert_eq!(unread(None).at_risk(&pending(false)), None);
    for (survey, staged) in [
        (noted("aa.0", true), true),
        (noted("aa.0", false), false),
        (noted("aa.1", false), true),
        (Survey::default(), true),
    ] {
        assert_eq!(survey.at_risk(&pending(staged)), None, "{survey:?}");
    }
}
