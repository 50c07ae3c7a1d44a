use cuo_core::agent::state::State;
use cuo_core::agent::{Act, DrainNews};
use cuo_core::drain::Blocked;
use cuo_core::values::Phase;

use super::*;
use crate::journal::Event;

fn entry(event: Event, code: Option<Code>, text: &'static str, blocked: &[&str]) -> (Entry, Step) {
    let pods = blocked.iter().map(|pod| Blocked {
        pod: (*pod).into(),
        why: text.into(),
    });
    let step = Step {
        state: State::default(),
        act: Act::Wait,
        wake: None,
        phase: Phase::Draining,
        reason: code.map(|code| Reason::new(code, text)),
        drain: DrainNews {
            blocked: pods.collect(),
            newcomers: vec![],
        },
        happened: vec![],
        course: vec![],
    };
    (Entry::of(event, code, text), step)
}

#[test]
fn a_drain_is_told_when_it_begins_when_other_pods_block_it_and_when_it_ends() {
    let draining = Some(Code::Draining);
    let warning = |code, text: &str| Some((Severity::Warning, Reason::new(code, text)));
    let normal = |code, text: &str| Some((Severity::Normal, Reason::new(code, text)));
    let plain = |event, code, text| entry(event, code, text, &[]);
    let waits = |text, blocked| entry(Event::DrainWaits, draining, text, blocked);
    let cases = [
        (
            plain(Event::DrainBegun, None, "a"),
            normal(Code::Draining, "a"),
        ),
        (
            plain(Event::DrainBegun, Some(Code::PreflightBlocked), "d/a: no"),
            warning(Code::PreflightBlocked, "d/a: no"),
        ),
        (waits("no", &["d/a"]), warning(Code::Draining, "d/a: no")),
        // The same pod, for another reason.
        (waits("not now", &["d/a"]), None),
        (
            waits("no", &["d/a", "d/b"]),
            warning(Code::Draining, "d/a: no; d/b: no"),
        ),
        (
            plain(Event::DrainWaits, Some(Code::VolumesInUse), "v"),
            warning(Code::VolumesInUse, "v"),
        ),
        (
            plain(Event::DrainGaveUp, Some(Code::DrainBlocked), "b"),
            warning(Code::DrainBlocked, "b"),
        ),
        (
            plain(Event::Refused, Some(Code::PreflightBlocked), "c"),
            warning(Code::PreflightBlocked, "c"),
        ),
        (plain(Event::Refused, Some(Code::GrantExpired), "d"), None),
        (
            plain(Event::DrainOver, None, "e"),
            normal(Code::Drained, "e"),
        ),
        (plain(Event::Done, None, "f"), None),
    ];
    let mut announcer = Announcer::default();
    for ((entry, step), expected) in cases {
        assert_eq!(announcer.news(&entry, &step), expected, "{entry:?}");
    }
}
