//! The API server goes away in the middle of an update, or takes a certificate no longer: agents wait for it and go on.

use std::time::Duration;

use cuo_lab::bench::{Bench, OperatorSpec, Site};
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use crate::{PATIENCE, V1, V2, V3, V4, cluster, web};

/// How long the API server is away.
const OUTAGE: Duration = Duration::from_secs(30);
/// A certificate that ends while it is in use.
const SHORT: Duration = Duration::from_secs(60);

/// Waits until each agent is held at its step.
async fn held(bench: &Bench, steps: &[(&str, &str)]) {
    for (name, step) in steps {
        let site = bench.site(name).unwrap();
        if let Err(error) = site.gate().hit(step, PATIENCE).await {
            panic!("{error:#}{}", bench.portrait(site).await);
        }
    }
}

fn shut(bench: &Bench, steps: &[(&str, &str)]) {
    for (name, step) in steps {
        bench.site(name).unwrap().gate().shut(step).unwrap();
    }
}

/// Which process the agent is, and how often its host has rebooted or was asked to.
async fn life(site: &Site) -> (Option<u32>, u32, bool) {
    let mut machine = site.machine.lock().await;
    let pid = machine.agent_pid().filter(|_| machine.agent_running());
    let asked = machine.reboot_request().unwrap().is_some();
    (pid, site.reboots(), asked)
}

/// Takes the API server away while the agents go on from `steps`, where they are held. Nothing may reboot but `confirmed`, where the grant
/// was confirmed before.
async fn outage(bench: &Bench, steps: &[(&str, &str)], confirmed: Option<&str>) {
    held(bench, steps).await;
    let mut before = Vec::new();
    for site in bench.sites() {
        before.push(life(site).await);
    }
    bench.plane.stop_api().await.unwrap();
    for (name, step) in steps {
        bench.site(name).unwrap().gate().open(step).unwrap();
    }
    tokio::time::sleep(OUTAGE).await;
    for (site, before) in bench.sites().zip(before) {
        let after = life(site).await;
        let picture = async || bench.portrait(site).await;
        assert!(after.0.is_some(), "no agent{}", picture().await);
        let log = site.agent_log(40).await;
        assert!(!log.contains(" ERROR "), "an outage is no error: {log}");
        if confirmed == Some(site.name()) {
            assert_eq!(after.1, before.1 + 1, "{}", picture().await);
        } else {
            assert_eq!(after, before, "{}", picture().await);
        }
    }
    bench.plane.start_api().await.unwrap();
}

/// Three nodes at once, so that one outage meets three steps.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_waits_for_the_api_server_at_each_step() {
    let (_folder, bench) = cluster(3).await;
    web(&bench, 3, 0).await;
    bench.start_agents().await.unwrap();
    bench.settled(V1, PATIENCE).await.unwrap();
    let operator = OperatorSpec {
        flags: vec!["--max-unavailable=3".into()],
        ..OperatorSpec::default()
    };
    let _operator = bench.operator(operator).await.unwrap();

    let steps = [
        ("n1", "agent-before-accept"),
        ("n2", "agent-before-cordon"),
        ("n3", "agent-before-evict"),
    ];
    shut(&bench, &steps);
    bench.publish(V2).await.unwrap();
    outage(&bench, &steps, None).await;
    bench.settled(V2, PATIENCE).await.unwrap();

    let steps = [
        ("n1", "agent-decided-confirm"),
        ("n2", "agent-before-verifying"),
        ("n3", "agent-before-release"),
    ];
    shut(&bench, &steps);
    let verifying = bench.site("n2").unwrap();
    verifying.kubelet_after_boot(false);
    bench.publish(V3).await.unwrap();
    outage(&bench, &steps, None).await;
    verifying.kubelet_after_boot(true);
    verifying.start_kubelet().await.unwrap();
    bench.settled(V3, PATIENCE).await.unwrap();

    let steps = [
        ("n1", "agent-before-finalize"),
        ("n2", "agent-decided-confirm"),
        ("n3", "agent-before-rebooting"),
    ];
    shut(&bench, &steps);
    // What is written already is booted through logind.
    until("a rollback", PATIENCE, async || {
        let machine = bench.site("n2")?.machine.lock().await;
        machine.admin_rollback().await.map(Some)
    })
    .await
    .unwrap();
    bench.publish(V4).await.unwrap();
    outage(&bench, &steps, Some("n1")).await;
    bench.settled(V4, PATIENCE).await.unwrap();
    bench.judge(3).unwrap();
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
    let steps = [("n1", "agent-before-cordon"), ("n2", "agent-before-cordon")];
    shut(&bench, &steps);
    bench.start_agents().await.unwrap();
    let site = bench.site("n1").unwrap();
    site.publish(V2).await.unwrap();
    held(&bench, &steps[..1]).await;
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
    site.gate().open(steps[0].1).unwrap();
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
    held(&bench, &steps[1..]).await;
    rotate(1, PATIENCE * 10);
    bench.site("n2").unwrap().gate().open(steps[1].1).unwrap();
    bench.settled(V2, PATIENCE).await.unwrap();
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
}
