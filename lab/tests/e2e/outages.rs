//! The API server goes away in the middle of an update, or takes a certificate no longer: agents wait for it and go on.
//!
//! One node at a time has a grant, and is held at a step when the API server goes. The other one wants a reboot, too, or is held at a step
//! that takes no grant. Several clusters at once, because an outage is mostly waiting.

use std::collections::BTreeSet;
use std::time::Duration;

use cuo_agent::steps::Named;
use cuo_core::values::Phase;
use cuo_lab::bench::{Bench, OperatorSpec, Site};
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use crate::look::{held, seen, settled, shows, steps_of_updates};
use crate::{PATIENCE, V1, V2, cluster, web};

/// How long the API server is away.
const OUTAGE: Duration = Duration::from_secs(30);
/// A certificate that ends while it is in use.
const SHORT: Duration = Duration::from_secs(60);

/// Where the agent of the one node is, which has a grant, and that of the other, which has none; `None`: it waits for one.
type Round = (Named, Option<Named>);

const BEFORE_THE_DRAIN: &[Round] = &[
    (Named::Preflight, None),
    (Named::Accept, Some(Named::Stage)),
    (Named::Cordon, Some(Named::Publish)),
    (Named::Reboot, None),
];
const UP_TO_THE_REBOOT: &[Round] = &[
    (Named::Evict, Some(Named::Check)),
    (Named::Rebooting, None),
    (Named::Finalize, None),
];
const AROUND_THE_BOOT: &[Round] = &[
    (Named::Confirm, None),
    (Named::Verifying, None),
    (Named::Release, None),
];

#[test]
fn no_step_is_without_an_outage() {
    let rounds = [BEFORE_THE_DRAIN, UP_TO_THE_REBOOT, AROUND_THE_BOOT].concat();
    let steps = rounds
        .iter()
        .flat_map(|(step, other)| [Some(*step), *other]);
    let steps: BTreeSet<_> = steps.flatten().collect();
    assert_eq!(steps, steps_of_updates());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_goes_before_a_drain() {
    outages(BEFORE_THE_DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_goes_before_a_reboot() {
    outages(UP_TO_THE_REBOOT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_goes_around_a_boot() {
    outages(AROUND_THE_BOOT).await;
}

async fn outages(rounds: &[Round]) {
    let (_folder, bench) = cluster(2).await;
    web(&bench, 2, 0).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset();
    for (number, (step, other)) in rounds.iter().copied().enumerate() {
        let version = format!("42.2026{:02}01.3.0", number + 2);
        let mut sites: Vec<_> = bench.sites().map(AsRef::as_ref).collect();
        sites.rotate_left(number % 2);
        println!(
            "{} at {step:?}, {} at {other:?}",
            sites[0].name(),
            sites[1].name()
        );
        let held_at = arrange(&bench, &sites, (step, other), &version).await;
        // The grant has been confirmed by then.
        let goes = matches!(step, Named::Finalize | Named::Reboot);
        sites[0].may_reboot_unseen(goes);
        outage(&bench, &sites, &held_at, goes).await;
        sites[0].may_reboot_unseen(false);
        if step == Named::Verifying {
            sites[0].kubelet_after_boot(true);
            sites[0].start_kubelet().await.unwrap();
        }
        if other == Some(Named::Check) {
            sites[1].configure("60-mode.toml", None).await.unwrap();
            sites[1].hang_up().await.unwrap();
        }
        bench.publish(&version).await.unwrap();
        settled(&bench, &version).await;
    }
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
}

/// Where the agent is held at `step`: before the act.
fn gate(step: Named) -> String {
    let moments = step.moments();
    step.gate(if moments.contains(&"before") {
        "before"
    } else {
        "decided"
    })
}

/// Brings both nodes to their steps; returns the gates that hold them.
async fn arrange(
    bench: &Bench,
    sites: &[&Site],
    round: Round,
    version: &str,
) -> Vec<(String, String)> {
    let (one, two) = (sites[0], sites[1]);
    let mut gates = vec![(one.name().to_owned(), gate(round.0))];
    one.gate().shut(&gate(round.0)).unwrap();
    one.kubelet_after_boot(round.0 != Named::Verifying);
    if round.0 == Named::Reboot {
        // What is written already is booted through logind. rpm-ostree does one thing at a time, and agents look for updates, too.
        seen(bench, "a rollback", async || {
            let machine = one.machine.lock().await;
            machine.admin_rollback().await.map(Some)
        })
        .await;
    } else {
        one.publish(version).await.unwrap();
    }
    held(bench, one.name(), &gate(round.0)).await;
    if let Some(step) = round.1 {
        gates.push((two.name().to_owned(), gate(step)));
        two.gate().shut(&gate(step)).unwrap();
    }
    if round.1 == Some(Named::Check) {
        let mode = two
            .configure("60-mode.toml", Some("mode = \"check\"\n"))
            .await;
        mode.unwrap();
        two.hang_up().await.unwrap();
    } else {
        two.publish(version).await.unwrap();
    }
    match round.1 {
        Some(step) => held(bench, two.name(), &gate(step)).await,
        None => shows(bench, two.name(), Phase::Waiting, None).await,
    }
    gates
}

/// Which process the agent is, and how often its host has rebooted or was asked to.
async fn life(site: &Site) -> (Option<u32>, u32, bool) {
    let mut machine = site.machine.lock().await;
    let pid = machine.agent_pid().filter(|_| machine.agent_running());
    let asked = machine.reboot_request().unwrap().is_some();
    (pid, site.reboots(), asked)
}

/// Takes the API server away while the agents go on from where they are held. No host may go down meanwhile but the first one, if it
/// `goes`.
async fn outage(bench: &Bench, sites: &[&Site], gates: &[(String, String)], goes: bool) {
    let mut before = Vec::new();
    for site in sites {
        before.push(life(site).await);
    }
    bench.plane.stop_api().await.unwrap();
    for (name, gate) in gates {
        bench.site(name).unwrap().gate().open(gate).unwrap();
    }
    tokio::time::sleep(OUTAGE).await;
    for (number, (site, before)) in sites.iter().zip(before).enumerate() {
        let after = life(site).await;
        let picture = async || bench.portrait(site).await;
        assert!(after.0.is_some(), "no agent{}", picture().await);
        let log = site.agent_log(40).await;
        assert!(!log.contains(" ERROR "), "an outage is no error: {log}");
        if goes && number == 0 {
            assert_eq!(after.1, before.1 + 1, "{}", picture().await);
        } else {
            assert_eq!(after, before, "{}", picture().await);
        }
    }
    bench.plane.start_api().await.unwrap();
}

/// A certificate that is still good is replaced in time on one node; on the other the agent finds it refused before there is a new one.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_takes_up_a_new_certificate_in_the_middle_of_an_update() {
    let (_folder, bench) = cluster(2).await;
    let mut paths = Vec::new();
    for site in bench.sites() {
        let machine = site.machine.lock().await;
        paths.push(machine.root().join("var/lib/kubelet/kubeconfig"));
    }
    let rotate = |number: usize, validity| {
        let name = format!("n{}", number + 1);
        let turned = bench
            .plane
            .rotate_node_cert(&name, &paths[number], validity);
        turned.unwrap();
    };
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    // Nobody but the agent uses this one.
    rotate(0, SHORT);
    let old = bench.plane.client(&paths[0]).await.unwrap();
    let step = "agent-before-cordon";
    for site in bench.sites() {
        site.gate().shut(step).unwrap();
    }
    bench.start_agents().await.unwrap();
    let site = bench.site("n1").unwrap();
    site.publish(V2).await.unwrap();
    held(&bench, "n1", step).await;
    let before = life(site).await;

    let pods: Api<Pod> = Api::all(old);
    let own = ListParams::default().fields("spec.nodeName=n1");
    until(
        "the end of the certificate",
        PATIENCE,
        async || match pods.list(&own).await {
            Err(kube::Error::Api(status)) if status.code == 401 => Ok(Some(())),
            answer => Ok(answer.map(|_| None)?),
        },
    )
    .await
    .unwrap();
    site.gate().open(step).unwrap();
    let refused = async || {
        let log = site.agent_log(40).await;
        Ok(log
            .contains("does not accept the credentials")
            .then_some(()))
    };
    if let Err(error) = until("the agent to be refused", PATIENCE, refused).await {
        panic!("{error:#}{}", bench.portrait(site).await);
    }
    assert_eq!(life(site).await, before, "{}", bench.portrait(site).await);
    rotate(0, PATIENCE * 10);

    bench.publish(V2).await.unwrap();
    held(&bench, "n2", step).await;
    rotate(1, PATIENCE * 10);
    bench.site("n2").unwrap().gate().open(step).unwrap();
    bench.settled(V2, PATIENCE).await.unwrap();
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
}
