use cuo_cluster::ApiError;
use cuo_core::gate::Gate as Found;

use super::*;

fn object(name: &str, open: bool) -> GateObject {
    GateObject {
        name: name.to_owned(),
        found: Ok(Found {
            open,
            until: None,
            reason: None,
        }),
    }
}

#[test]
fn only_what_is_different_wakes_the_gates() {
    let all = |gates: &[(&str, bool)]| -> Known {
        let gates = gates.iter().map(|(name, open)| {
            let object = object(name, *open);
            (object.name, object.found)
        });
        Some(gates.collect())
    };
    let reset = || Change::Reset(vec![object("a", true)]);
    let lost = || {
        Change::Disconnected(ApiError::Unreachable {
            message: "away".into(),
        })
    };
    let table = [
        (None, lost(), false, None),
        (None, reset(), true, all(&[("a", true)])),
        (None, Change::Reset(vec![]), true, all(&[])),
        (all(&[("a", true)]), reset(), false, all(&[("a", true)])),
        (all(&[("a", true)]), lost(), false, all(&[("a", true)])),
        (
            all(&[("a", true)]),
            Change::Changed(object("a", true)),
            false,
            all(&[("a", true)]),
        ),
        (
            all(&[("a", true)]),
            Change::Changed(object("a", false)),
            true,
            all(&[("a", false)]),
        ),
        (
            all(&[("a", true)]),
            Change::Gone("a".into()),
            true,
            all(&[]),
        ),
        (
            all(&[("a", true)]),
            Change::Gone("b".into()),
            false,
            all(&[("a", true)]),
        ),
    ];
    for (known, event, different, after) in table {
        let mut now = known.clone();
        let text = format!("{event:?}");
        assert_eq!(
            (hear(&mut now, event), now),
            (different, after),
            "{known:?} {text}"
        );
    }
}
