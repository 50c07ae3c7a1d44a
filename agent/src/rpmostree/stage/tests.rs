use cuo_core::ids::ReleaseId;

use super::*;
use crate::testing::deployment;

#[test]
fn only_the_default_deployment_proves_that_something_was_staged() {
    let host = |pending| Host {
        booted: deployment("booted", false),
        pending,
        others: vec![],
    };
    let (one, two) = (
        || Some(deployment("one", true)),
        || Some(deployment("two", true)),
    );
    let new = |replaced| Staged::New {
        deployment: deployment("two", true),
        replaced,
    };
    let same = || Staged::NoUpdate {
        unstaged: Some("2".into()),
    };
    let old = || Some(deployment("old", false));
    let table = [
        (None, two(), new(None)),
        (one(), two(), new(one())),
        (None, None, same()),
        (one(), one(), same()),
        (one(), None, Staged::Foreign { pending: None }),
        (None, old(), Staged::Foreign { pending: old() }),
    ];
    for (before, now, expected) in table {
        let staged = compare(&host(before.clone()), host(now.clone()), Some("2".into()));
        assert_eq!(staged, expected, "{before:?} {now:?}");
    }
}

#[test]
fn what_is_asked_for_is_written_as_rpm_ostree_reads_it() {
    let (commit, image) = (ReleaseId::Commit([1; 32]), ReleaseId::Image([2; 32]));
    let revision = |revision| Deploy {
        revision: Some(revision),
        reference: None,
        downgrade: false,
    };
    let reference = "ostree-image-signed:docker://quay.io/a/b:c";
    let cases = [
        (
            revision(Revision::Release(commit)),
            vec![("set-revision", format!("revision={commit}"))],
        ),
        (
            revision(Revision::Release(image)),
            vec![("set-revision", image.to_string())],
        ),
        (
            revision(Revision::Version("43.2".into())),
            vec![("set-revision", "version=43.2".into())],
        ),
        (
            Deploy {
                reference: Some(reference.into()),
                ..revision(Revision::Release(image))
            },
            vec![
                ("set-refspec", reference.to_owned()),
                ("set-revision", image.to_string()),
            ],
        ),
        (
            Deploy {
                revision: None,
                reference: Some(reference.into()),
                downgrade: true,
            },
            vec![("set-refspec", reference.to_owned())],
        ),
    ];
    for (deploy, expected) in cases {
        let call = call(Some(&deploy));
        let modifiers = call.modifiers.unwrap_or_default();
        let found: Vec<_> = modifiers
            .iter()
            .map(|(key, value)| (*key, String::try_from(value.try_clone().unwrap()).unwrap()))
            .collect();
        assert_eq!(found, expected);
        let flag = |key: &str| bool::try_from(call.options[key].try_clone().unwrap()).unwrap();
        assert_eq!(
            (
                call.method,
                flag("allow-downgrade"),
                flag("lock-finalization")
            ),
            ("UpdateDeployment", deploy.downgrade, true)
        );
    }
    let upgrade = call(None);
    assert_eq!(
        (upgrade.method, upgrade.modifiers.is_none()),
        ("Upgrade", true)
    );
}
