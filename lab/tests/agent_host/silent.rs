//! An rpm-ostreed that does not start, or that dies of each question: told with the reason, and asked less and less.

use std::fs;

use cuo_core::reason::Code;
use cuo_lab::machine::ostree::{Effect, Fault, Faults, NAME, Stage};
use cuo_lab::machine::systemd::Units;
use cuo_lab::wait::until;
use serde_json::{Value, json};

use crate::bench::{Bench, NEW, PATIENCE, branch};
use crate::period::says;
use crate::service::start;

/// Seconds until the agent asks again, by its own word.
fn left(answer: &Value) -> i64 {
    assert_eq!(answer["next"]["what"], "ask rpm-ostree again", "{answer:#}");
    let at = answer["next"]["at"].as_str().unwrap();
    let at = at.parse::<jiff::Timestamp>().unwrap();
    (at - jiff::Timestamp::now())
        .total(jiff::Unit::Second)
        .unwrap() as i64
}

#[tokio::test]
async fn a_service_that_does_not_start_is_told_with_why() {
    let mut bench = Bench::down(branch());
    let service = format!("lab/services/{NAME}.service");
    let sound = fs::read_to_string(bench.machine.root().join(&service)).unwrap();
    let broken = format!("[D-BUS Service]\nName={NAME}\nExec=/bin/false\n");
    bench.machine.root().write(&service, broken).unwrap();
    bench.machine.boot().await.unwrap();
    let failed = |units: &mut Units| {
        let unit = "rpm-ostreed.service".to_owned();
        units.results.insert(unit.clone(), "start-limit-hit".into());
        units.states.insert(unit, "failed".into());
    };
    bench.machine.root().edit(failed).unwrap();
    start(&mut bench, &[]);
    let answer = says(&bench, "that rpm-ostree does not answer", |answer| {
        !answer["reason"].is_null()
    })
    .await;
    let sentence = format!(
        "RpmOstreeUnavailable: rpm-ostreed can't be reached (Process {NAME} exited with status 1; \
         rpm-ostreed.service has failed: start-limit-hit); see `systemctl status rpm-ostreed`, \
         and install rpm-ostree where there is no such unit"
    );
    let seen = [&answer["phase"], &answer["reason"]];
    assert_eq!(seen, [&json!("idle"), &json!(sentence)]);
    assert!((1..=20).contains(&left(&answer)), "{answer:#}");

    bench.machine.root().write(&service, sound).unwrap();
    bench.restart_bus().await;
    start(&mut bench, &[]);
    let waits = |answer: &Value| answer["phase"] == "waiting" && answer["reason"].is_null();
    says(&bench, "that an update is staged", waits).await;
    assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
}

/// That it appears on the bus is what the agent's own question makes of it, and no news.
#[tokio::test]
async fn a_service_that_dies_of_each_question_is_not_asked_over_and_over() {
    let mut bench = Bench::new(branch()).await;
    let dies = Fault::always("Reload", Stage::Call, Effect::Crash);
    bench.machine.inject(dies).unwrap();
    start(&mut bench, &[]);
    let silent = |answer: &Value| {
        let reason = answer["reason"].as_str().unwrap_or_default();
        reason.starts_with(Code::RpmOstreeUnavailable.as_str())
    };
    says(&bench, "that rpm-ostree does not answer", silent).await;
    // Each question is put twice: the first answer may have been lost to an idle exit.
    let questions = || bench.calls("Reload").len();
    for asked in [1, 2, 3] {
        if asked > 1 {
            let (code, ..) = bench.command(&["check"]).await;
            assert_eq!(code, 0);
        }
        let look = async || Ok((questions() >= 2 * asked).then_some(()));
        until("another question", PATIENCE, look).await.unwrap();
        assert_eq!(
            questions(),
            2 * asked,
            "{}",
            bench.machine.agent_log_end(20)
        );
    }
    bench.set_faults(|faults: &mut Faults| faults.rules.clear());
    let (code, ..) = bench.command(&["check"]).await;
    assert_eq!(code, 0);
    let waits = |answer: &Value| answer["phase"] == "waiting" && answer["reason"].is_null();
    says(&bench, "that an update is staged", waits).await;
}
