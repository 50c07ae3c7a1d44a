//! The package is upgraded while the agent drains its node, and removed.

use cuo_core::values::Phase;
use cuo_lab::host::PACKAGES;

use crate::yard::Yard;
use crate::{V1, V2};

/// A pod that takes its time to go.
const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {lab.cuo/terminate-after: 1h}}
    spec: {terminationGracePeriodSeconds: 7200, containers: [{name: web, image: none}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_on_with_the_drain_and_a_removal_leaves_what_the_documentation_says() {
    let Some(yard) = Yard::start(1).await else {
        return;
    };
    let (host, plane) = (yard.host(), &yard.bench.plane);
    yard.install().await;
    yard.settled(V1).await;
    yard.bench.apply("web.yaml", WEB).await.unwrap();
    let ready = async || {
        let query = [
            "get",
            "deployment",
            "web",
            "--output=jsonpath={.status.readyReplicas}",
        ];
        Ok(plane.kubectl(&query).await? == "1")
    };
    yard.comes("the pod", ready).await;

    yard.publish(V2);
    let draining = |node: &cuo_core::node::NodeView| {
        let status = node.agent.status.value();
        status.is_some_and(|status| status.phase == Phase::Draining)
            && node
                .agent
                .reason
                .value()
                .is_some_and(|reason| reason.message.contains("web"))
    };
    let before = yard.sees(host, "a drain", draining).await;
    let first = host.property("cuo-agent", "MainPID").await.unwrap();
    let said = host
        .shell(&format!("rpm --upgrade {PACKAGES}/newer.rpm 2>&1"))
        .await
        .unwrap();
    assert_eq!(said, "");
    let restarted = async || {
        let second = host.property("cuo-agent", "MainPID").await?;
        let state = host.property("cuo-agent", "ActiveState").await?;
        Ok(second != first && second != "0" && state == "active")
    };
    yard.comes("the new agent", restarted).await;
    let release = host
        .shell("rpm --query --queryformat '%{release}' cuo-agent")
        .await
        .unwrap();
    assert_eq!(release, "1.2");
    let after = yard.sees(host, "the drain", draining).await;
    assert_eq!(after.agent.progress, before.agent.progress);
    assert!(after.unschedulable && host.boots() == 1);
    plane
        .kubectl(&[
            "delete",
            "pods",
            "--selector=app=web",
            "--grace-period=0",
            "--force",
            "--wait=false",
        ])
        .await
        .unwrap();
    yard.settled(V2).await;
    assert_eq!(host.boots(), 2);

    let said = host.shell("rpm --erase cuo-agent 2>&1").await.unwrap();
    println!("erasing says: {said:?}");
    let units = "cuo-agent.service cuo-agent-credentials.service cuo-agent-credentials.path";
    for unit in units.split(' ') {
        assert_eq!(
            host.property(unit, "ActiveState").await.unwrap(),
            "inactive",
            "{unit}"
        );
        assert_eq!(
            host.property(unit, "LoadState").await.unwrap(),
            "not-found",
            "{unit}"
        );
    }
    let left = host
        .shell(
            "systemctl --failed --no-legend; pgrep cuo-agent || true; getent passwd cuo-agent | cut -d: -f1; \
             find / -xdev -path /proc -prune -o -path /packages -prune -o -name '*cuo*' -print | sort",
        )
        .await
        .unwrap();
    println!("left behind:\n{left}");
    let expected = [
        "cuo-agent",
        "/etc/cuo-agent",
        "/etc/systemd/system/cuo-agent.service.d",
        "/var/lib/cuo-agent",
    ];
    assert_eq!(left.lines().collect::<Vec<_>>(), expected);
    yard.bench.judge(1).unwrap();
}
