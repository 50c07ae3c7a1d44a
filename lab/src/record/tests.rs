use cuo_core::keys;

use super::*;

#[test]
fn only_what_was_spent_since_the_reset_counts() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut seen = Seen::default();
    let note = |seen: &mut Seen, phase: Phase, seconds| {
        let status = format!("{phase} since 2026-01-01T00:00:00Z");
        let annotations = [
            (keys::PROTOCOL.to_owned(), keys::VERSION.to_string()),
            (keys::STATUS.to_owned(), status),
        ];
        let raw = RawNode {
            name: "n1".into(),
            annotations: annotations.into(),
            ..RawNode::default()
        };
        seen.note(&raw, at(seconds));
    };
    note(&mut seen, Phase::Staging, 0);
    note(&mut seen, Phase::Waiting, 10);
    seen.reset(at(100));
    note(&mut seen, Phase::Draining, 103);
    note(&mut seen, Phase::Idle, 107);
    let expected = [(Phase::Waiting, 3), (Phase::Draining, 4)];
    let expected = expected.map(|(phase, seconds)| (phase, Duration::from_secs(seconds)));
    assert_eq!(seen.spent, expected.into());
}
