use super::*;
use crate::raw::NodePatch;
use crate::values::Phase;

#[path = "../../tests/explore/published.rs"]
pub(crate) mod published;

fn raw() -> RawNode {
    RawNode {
        name: "n1".into(),
        uid: "u".into(),
        resource_version: "7".into(),
        ready: true,
        boot_id: "0f3a9b2c-1111-4222-8333-abcdefabcdef".into(),
        ..RawNode::default()
    }
}

fn write(raw: &mut RawNode, patch: &NodePatch) {
    for (map, changes) in [
        (&mut raw.annotations, &patch.annotations),
        (&mut raw.labels, &patch.labels),
    ] {
        for (key, value) in changes {
            match value {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(key),
            };
        }
    }
    raw.unschedulable = patch.unschedulable.unwrap_or(raw.unschedulable);
}

fn published() -> Published {
    let identity = ReleaseId::Commit([7; 32]);
    let boot = BootId::from_bytes([3; 16]);
    let id = GrantId { seq: 4, salt: 9 };
    let at = crate::time::Time::EPOCH;
    Published {
        status: Status {
            phase: Phase::Draining,
            since: at,
        },
        reason: Some(Reason::new(crate::reason::Code::Draining, "default/web")),
        features: "drain-mode,preflight".parse().unwrap(),
        control_plane_pods: Names::default(),
        needed: Some(identity),
        needed_version: Some("41.1".into()),
        following: Some(Following {
            source: crate::release::Source::Graph,
            reference: "fedora:fedora/x86_64/coreos/stable".into(),
            goal: Some(crate::release::NamedRelease {
                identity: ReleaseId::Commit([8; 32]),
                version: Some("41.2".into()),
            }),
            behind: Some(1),
        }),
        dead_end: true,
        reboots: crate::values::PlainReboots {
            wanted: Some("requested by alice".into()),
            done: Some(id),
        },
        booted: Some(Booted {
            identity,
            version: "41.1".into(),
            boot,
            since: "2026-11-23T21:00:00Z".parse().unwrap(),
        }),
        progress: Some(Progress {
            id,
            identity,
            boot,
            accepted: at,
        }),
        owned: Some(id),
        result: None,
        failed: Failures::default(),
        system: SystemLabels {
            id: Some("fedora".into()),
            version: Some("41.1".into()),
            group: None,
        },
        unschedulable: Some(true),
    }
}

#[test]
fn what_is_written_is_read_back_and_then_nothing_is_left_to_write() {
    let mut raw = raw();
    let before = NodeView::parse(&raw).unwrap();
    let patch = published().patch(&before).unwrap();
    assert_eq!(patch.resource_version, "7");
    write(&mut raw, &patch);
    let after = NodeView::parse(&raw).unwrap();
    assert_eq!(published().patch(&after), None);
    let mut applied = before;
    published::publish(&published(), &mut applied);
    assert_eq!(applied, after);
}

#[test]
fn the_operators_keys_are_read_back_too() {
    let mut raw = raw();
    raw.annotations
        .insert("example.com/check".into(), "true".into());
    let before = NodeView::parse(&raw).unwrap();
    let allotted = Allotted {
        reserved: Some(Reservation {
            id: GrantId { seq: 4, salt: 9 },
            identity: ReleaseId::Image([7; 32]),
            boot: BootId::from_bytes([3; 16]),
        }),
        before: true,
        reset: vec!["example.com/check".into()],
        ..Allotted::default()
    };
    assert!(before.check_passed("example.com/check"));
    write(&mut raw, &allotted.patch(&before).unwrap());
    let after = NodeView::parse(&raw).unwrap();
    assert!(!after.check_passed("example.com/check"));
    assert_eq!(allotted.patch(&after), None);
    let mut applied = before;
    allotted.apply(&mut applied);
    assert_eq!(applied, after);
}

#[test]
fn garbage_under_every_key_is_a_field_that_says_so() {
    let mut raw = raw();
    for key in keys::TABLE {
        raw.annotations
            .insert(key.name.into(), "\u{0}garbage".into());
        raw.labels.insert(key.name.into(), "garbage".into());
    }
    raw.boot_id = "garbage".into();
    let view = NodeView::parse(&raw).unwrap();
    let AgentFields {
        status,
        reason,
        needed,
        booted,
        progress,
        owned,
        result,
        failed,
        ..
    } = &view.agent;
    let OperatorFields {
        reserved, grant, ..
    } = &view.operator;
    fn bad<T>(field: &Field<T>) -> bool {
        matches!(field, Field::Malformed(_))
    }
    assert!(bad(status) && bad(reason) && bad(needed) && bad(booted) && bad(progress));
    assert!(
        bad(owned)
            && bad(result)
            && bad(failed)
            && bad(reserved)
            && bad(grant)
            && bad(&view.protocol)
    );
    assert_eq!((view.paused, view.kubelet_boot), (false, None));
    raw.annotations.insert(keys::PROTOCOL.into(), "2".into());
    assert_eq!(
        NodeView::parse(&raw).unwrap().protocol,
        Field::OtherVersion(2)
    );
}

/// Labels of the protocol are never what a pool selects by, or an agent could choose its pool.
#[test]
fn what_is_not_of_the_protocol_is_kept_apart() {
    let mut raw = raw();
    let (zone, check) = ("topology.kubernetes.io/zone", "example.com/check");
    raw.labels.insert(zone.into(), "a".into());
    raw.labels.insert(keys::GROUP.into(), "stable".into());
    raw.annotations.insert(check.into(), "true".into());
    raw.annotations.insert(keys::STATUS.into(), "x".into());
    let view = NodeView::parse(&raw).unwrap();
    assert_eq!(view.labels, [(zone.into(), "a".into())].into());
    assert_eq!(view.others, [(check.into(), "true".into())].into());
}

#[test]
fn what_failed_is_suspected_where_it_can_not_be_read() {
    let (commit, image) = (ReleaseId::Commit([7; 32]), ReleaseId::Image([9; 32]));
    let entry = |identity: &ReleaseId, code: &str| {
        format!(r#"{{"identity":"{identity}","code":"{code}","at":"2026-11-23T21:00:00Z"}}"#)
    };
    let known = format!(
        r#"{{"v":1,"identities":[{}]}}"#,
        entry(&commit, "RolledBack")
    );
    let both = [entry(&commit, "RolledBack"), entry(&image, "melted down")].join(",");
    let new_code = format!(r#"{{"v":1,"identities":[{both}]}}"#);
    let cases = [
        (known.clone(), vec![]),
        (new_code, vec![commit, image]),
        (known.replace("\"v\":1", "\"v\":2"), vec![commit]),
        (
            format!("{image} broke, and so did {commit}"),
            vec![image, commit],
        ),
        (known[..known.len() - 9].to_owned(), vec![commit]),
        ("everything broke".to_owned(), vec![]),
    ];
    for (text, expected) in cases {
        let mut raw = raw();
        raw.annotations.insert(keys::FAILED.into(), text.clone());
        let agent = NodeView::parse(&raw).unwrap().agent;
        assert_eq!(agent.suspected, expected, "{text}");
        assert_eq!(
            agent.failed.value().is_some(),
            expected.is_empty() && text == known
        );
    }
}

#[test]
fn a_kubelet_is_elsewhere_if_both_its_boot_and_its_machine_id_are_others() {
    const BOOT: &str = "0f3a9b2c-1111-4222-8333-abcdefabcdef";
    const BEFORE: &str = "0f3a9b2c-1111-4222-8333-abcdefabcdee";
    const OTHER: &str = "00000000-1111-4222-8333-abcdefabcdef";
    const HERE: &str = "0f3a9b2c111142228333abcdefabcdef";
    const THERE: &str = "00000000111142228333abcdefabcdef";
    let boots = [BOOT, BEFORE].map(|boot| boot.parse().unwrap());
    let reported = format!("the kubelet of n1 runs on another host, whose machine id is {THERE}");
    let cases = [
        (OTHER, THERE, Some(reported.as_str())),
        // Not reported yet.
        (OTHER, HERE, None),
        // A kubelet with a machine id of its own.
        (BOOT, THERE, None),
        (BEFORE, THERE, None),
        (BOOT, HERE, None),
        // Nothing that tells hosts apart.
        (OTHER, "", None),
        (OTHER, "n1", None),
        ("", THERE, None),
    ];
    for (boot, machine, expected) in cases {
        let raw = RawNode {
            boot_id: boot.into(),
            machine_id: machine.into(),
            ..raw()
        };
        let found = NodeView::parse(&raw)
            .unwrap()
            .elsewhere(&boots, HERE.parse().unwrap());
        assert_eq!(found.as_deref(), expected, "{boot} {machine}");
    }
}
