use cuo_core::ids::ReleaseId;

use super::*;

fn deployment(id: &str) -> Deployment {
    Deployment {
        id: id.into(),
        identity: ReleaseId::Commit([1; 32]),
        checksum: "c".into(),
        version: "v".into(),
        staged: false,
        published: 0,
    }
}

#[test]
fn only_what_rpm_ostree_would_choose_is_gone_back_to() {
    let elsewhere = |text: &str| Place::Elsewhere(text.to_owned());
    let cases = [
        (None, vec!["old"], Place::Next),
        (None, vec!["old", "older"], Place::Next),
        (Some("old"), vec![], Place::First),
        (
            None,
            vec!["older", "old"],
            elsewhere("it would go back to older"),
        ),
        (None, vec![], elsewhere("there is nothing to go back to")),
        (
            Some("newer"),
            vec!["old"],
            elsewhere("newer would be booted next"),
        ),
    ];
    for (pending, others, expected) in cases {
        let host = Host {
            booted: deployment("booted"),
            pending: pending.map(deployment),
            others: others.into_iter().map(deployment).collect(),
        };
        assert_eq!(stands(&host, &deployment("old")), expected, "{host:?}");
    }
}
