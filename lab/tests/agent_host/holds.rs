//! What keeps an agent from a reboot that waits: told with who and why, and no reason to wake rpm-ostreed.

use cuo_lab::machine::logind::Lock;
use cuo_lab::machine::systemd::FINALIZER;
use cuo_lab::wait::until;
use serde_json::{Value, json};

use crate::bench::{Bench, PATIENCE, branch, image};
use crate::period::says;
use crate::service::{check, start};

/// Waits until the agent waits for a grant, or holds because of `reason`.
async fn tells(bench: &Bench, reason: Option<&str>) -> Value {
    let phase = if reason.is_some() { "held" } else { "waiting" };
    let is = |answer: &Value| answer["phase"] == phase && answer["reason"] == json!(reason);
    says(bench, &format!("{phase} {reason:?}"), is).await
}

fn lock(bench: &Bench, why: Option<&str>) {
    let lock = why.map(|why| Lock::on_shutdown("some-app", why, "block"));
    bench.set_logind(|logind| logind.locks = lock.into_iter().collect());
}

fn starts(bench: &Bench) -> usize {
    bench.log().matches("ostree::serve: ready").count()
}

#[tokio::test]
async fn what_is_in_the_way_of_a_reboot_is_told_and_wakes_nobody() {
    for spec in [branch(), image()] {
        let mut bench = Bench::new(spec).await;
        bench.set_faults(|faults| faults.pace.idle_exit = 300);
        bench.client().stage(None, |_| ()).await.unwrap();
        start(&mut bench, &[]);
        tells(&bench, None).await;

        lock(&bench, Some("first"));
        check(&bench).await;
        let holds = |why: &str| format!("Inhibited: some-app blocks shutdown: {why}");
        let answer = tells(&bench, Some(&holds("first"))).await;
        let next = json!({"what": "ask for the reboot once nothing holds", "at": null});
        assert_eq!(answer["next"], next);
        bench.wait_asleep().await;
        let before = starts(&bench);
        for why in ["second", "third"] {
            lock(&bench, Some(why));
            tells(&bench, Some(&holds(why))).await;
        }
        lock(&bench, None);
        tells(&bench, None).await;
        assert_eq!((starts(&bench), bench.awake().await), (before, false));

        let finalizer = |state: &str| bench.set_unit(FINALIZER, state);
        finalizer("inactive");
        check(&bench).await;
        let text = "FinalizerInactive: ostree-finalize-staged.service is inactive";
        tells(&bench, Some(text)).await;
        finalizer("active");
        check(&bench).await;
        tells(&bench, None).await;
        assert_eq!(bench.machine.reboot_request().unwrap(), None);
    }
}

/// Nothing tells that the folder is gone or the kernel unloaded, and the next look for an update is hours away.
#[tokio::test]
async fn a_reboot_of_another_kind_that_is_no_longer_prepared_holds_nothing() {
    let mut bench = Bench::new(branch()).await;
    bench.client().stage(None, |_| ()).await.unwrap();
    let root = bench.machine.root().clone();
    root.write("sys/kernel/kexec_loaded", "1\n").unwrap();
    start(&mut bench, &[]);
    let text = "RebootPrepared: /sys/kernel/kexec_loaded is 1, so a reboot would boot that kernel";
    tells(&bench, Some(text)).await;
    root.write("sys/kernel/kexec_loaded", "0\n").unwrap();
    let waits = async || {
        let text = std::fs::read_to_string(root.join("run/cuo-agent/agent/status.json"))?;
        let answer: Value = serde_json::from_str(&text)?;
        Ok((answer["phase"] == "waiting" && answer["reason"].is_null()).then_some(()))
    };
    // It is looked at twice a minute.
    until("the end of the hold", 2 * PATIENCE, waits)
        .await
        .unwrap();
    assert_eq!(
        bench.calls("Upgrade").len(),
        1,
        "it took a look for an update"
    );
}
