//! An API server that answers with failures: agents get over each of them, and tell it once.

use std::time::Duration;

use cuo_core::values::Phase;
use cuo_lab::bench::{Bench, OperatorSpec, Site};
use cuo_lab::cluster::proxy::{Fault, Proxy};
use futures::future::join_all;

use crate::look::{seen, settled, shows};
use crate::{PATIENCE, V1, V2, cluster};

/// What a full API server asks for here.
const PAUSE: u32 = 5;

fn refused(code: u16, message: &'static str) -> Fault {
    Fault::Refused {
        code,
        message,
        retry_after: (code == 429).then_some(PAUSE),
    }
}

/// One node for each kind of failure, which its agent meets when it has an update to announce.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_over_whatever_the_api_server_answers() {
    let faults: [&[Fault]; 4] = [
        &[refused(
            403,
            "nodes \"n1\" is forbidden: somebody changed the rules",
        )],
        &[refused(429, "too many requests, please try again later")],
        &[
            refused(500, "etcdserver: leader changed"),
            refused(503, "apiserver is shutting down"),
        ],
        &[Fault::Expired],
    ];
    let (_folder, bench) = cluster(faults.len()).await;
    let mut proxies = Vec::new();
    for site in bench.sites() {
        let root = site.machine.lock().await.root().join("");
        let kubeconfig = root.join("var/lib/kubelet/kubeconfig");
        proxies.push(Proxy::start(&bench.plane, &kubeconfig).await.unwrap());
    }
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    // Nobody is granted anything until all have announced it.
    drop(operator);
    let nodes = bench.sites().zip(&proxies).zip(faults);
    join_all(nodes.map(|((site, proxy), faults)| meet(&bench, site, proxy, faults))).await;
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
}

async fn meet(bench: &Bench, site: &Site, proxy: &Proxy, faults: &[Fault]) {
    let pid = site.machine.lock().await.agent_pid();
    let gate = "agent-before-publish";
    site.gate().shut(gate).unwrap();
    site.publish(V2).await.unwrap();
    if let Err(error) = site.gate().hit(gate, PATIENCE).await {
        panic!("{error:#}{}", bench.portrait(site).await);
    }
    for fault in faults {
        let before = proxy.refused().len();
        proxy.fail(Some(fault.clone()));
        // The watch meets it as well, but where the pauses between writes are to be seen.
        let watches = !matches!(fault, Fault::Refused { code: 429, .. });
        if watches {
            proxy.cut();
        }
        site.gate().open(gate).unwrap();
        let again = async || Ok((proxy.refused().len() >= before + 2).then_some(()));
        seen(
            bench,
            &format!("{} to meet {fault:?} again", site.name()),
            again,
        )
        .await;
        let met = proxy.refused().split_off(before);
        let [first, second] = [met[0].1, met[1].1];
        if !watches {
            let pause = second.duration_since(first);
            assert!(
                pause >= Duration::from_secs(PAUSE.into()),
                "{pause:?}: {met:?}"
            );
        }
        let log = site.agent_log(usize::MAX).await;
        if let Fault::Refused { message, .. } = fault {
            // Once for itself, and once more where the end of the watch was reported in between.
            let reported = log.matches(message).count();
            assert!((1..=2).contains(&reported), "{reported} times: {log}");
        }
    }
    proxy.fail(None);
    shows(bench, site.name(), Phase::Waiting, None).await;
    let log = site.agent_log(usize::MAX).await;
    assert!(!log.contains(" ERROR "), "{log}");
    assert_eq!(site.machine.lock().await.agent_pid(), pid, "{log}");
    assert!(site.machine.lock().await.agent_running(), "{log}");
}
