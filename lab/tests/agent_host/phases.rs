//! What the running agent shows while rpm-ostree stages: the update is there, and asked for, once that is over.

use cuo_lab::machine::HostSpec;
use cuo_lab::machine::ostree::{Effect, Stage};
use cuo_lab::machine::systemd::Finalizer;
use serde_json::Value;

use crate::bench::{Bench, NEW, branch, image, layered};
use crate::period::says;
use crate::service::start;

/// Each phase that was reported, with its reason, in order.
fn reported(bench: &Bench) -> Vec<String> {
    let log = bench.machine.agent_log_end(200);
    let phase = |line: &str| {
        let (_, fields) = line.split_once(" phase=")?;
        let mut words = fields.split(' ');
        let phase = words.next()?.to_owned();
        let reason = words.find_map(|word| word.strip_prefix("reason="));
        Some(reason.map_or(phase.clone(), |reason| format!("{phase} {reason}")))
    };
    log.lines().filter_map(phase).collect()
}

/// The note is there from 0.2 to 1.8 s before the end, and longer on a slow disk; the unit that writes the update follows the note.
#[tokio::test]
async fn an_update_is_asked_for_once_and_nothing_is_missed_before() {
    let from_boot = |spec| HostSpec {
        finalizer: Finalizer::FromBoot,
        ..spec
    };
    for (spec, delay, expected) in [
        (branch(), 0, &["idle", "waiting"][..]),
        (image(), 0, &["idle", "waiting"]),
        (layered(branch()), 0, &["idle", "waiting"]),
        (from_boot(image()), 0, &["idle", "waiting"]),
        (image(), 6_000, &["idle", "staging", "waiting"]),
    ] {
        let mut bench = Bench::new(spec.clone()).await;
        bench.inject("Upgrade", Stage::Staged, Effect::Delay(delay));
        start(&mut bench, &[]);
        let waits = |answer: &Value| answer["phase"] == "waiting";
        says(&bench, "that it waits", waits).await;
        assert_eq!(reported(&bench), expected, "{spec:?} {delay}");
        assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
    }
}
