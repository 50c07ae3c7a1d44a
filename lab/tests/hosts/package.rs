//! The package is installed as the documentation says, upgraded while the agent drains its node, and removed.

use std::fs;

use cuo_core::values::Phase;
use cuo_lab::host::PACKAGES;

use crate::yard::{WEB, Yard, commands, repository};
use crate::{V1, V2};

/// The host after the reboot that ends `commands` of the documentation, or stands in their middle.
async fn as_documented(yard: &Yard, commands: &str) {
    let host = yard.host();
    let (before, after) = commands.split_once("systemctl reboot\n").unwrap();
    let boots = host.boots();
    host.shell(before).await.unwrap();
    // It takes the shell with it.
    let _ = host.run(&["systemctl", "reboot"]).await;
    host.booted(boots + 1).await.unwrap();
    host.shell(after).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_on_with_the_drain_and_a_removal_leaves_what_the_documentation_says() {
    let Some(yard) = Yard::start(1).await else {
        return;
    };
    let (host, plane) = (yard.host(), &yard.bench.plane);
    let page = fs::read_to_string(repository().join("docs/install.md")).unwrap();
    let install = commands(&page, "From a repository:")
        .replace(
            "https://packages.example.com/cuo/$basearch",
            &format!("file://{PACKAGES}/repository"),
        )
        .replace(
            "https://packages.example.com/cuo/key",
            &format!("file://{PACKAGES}/key"),
        );
    as_documented(&yard, &install).await;
    yard.settled(V1).await;
    assert_eq!(host.boots(), 2);
    yard.bench.apply("web.yaml", WEB).await.unwrap();
    yard.runs_web().await;

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
    let upgrade = async |from: &str, to: &str| {
        let commands = format!(
            "sed -i s,{PACKAGES}/{from},{PACKAGES}/{to}, /etc/yum.repos.d/cuo.repo
            rpm-ostree upgrade --refresh cuo-agent 2>&1"
        );
        host.shell(&commands).await
    };
    let refused = upgrade("repository", "forged").await.unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("GPG check FAILED"), "{refused}");
    assert_eq!(
        host.property("cuo-agent", "MainPID").await.unwrap(),
        first,
        "what somebody else signed is not installed"
    );
    println!(
        "upgrading says: {:?}",
        upgrade("forged", "newer").await.unwrap()
    );
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
    assert!(after.unschedulable && host.boots() == 2);
    yard.web_goes().await;
    yard.settled(V2).await;
    assert_eq!(host.boots(), 3);

    // Removed as an image would be without it, to see what the package itself takes away; the documentation's commands follow.
    let said = host
        .shell("rpm-ostree uninstall cuo-agent 2>&1")
        .await
        .unwrap();
    println!("removing says: {said:?}");
    let units = [
        "cuo-agent.service",
        "cuo-agent-credentials.service",
        "cuo-agent-credentials.path",
        "cuo-agent-credentials.timer",
    ];
    for unit in units {
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
             find / /run -xdev -path /proc -prune -o -path /packages -prune -o -path /var/cache/dnf -prune -o -name '*cuo*' -print | sort",
        )
        .await
        .unwrap();
    println!("left behind:\n{left}");
    let expected = [
        "cuo-agent",
        "/etc/cuo-agent",
        "/etc/systemd/system/cuo-agent.service.d",
        "/etc/yum.repos.d/cuo.repo",
        "/var/lib/cuo-agent",
    ];
    assert_eq!(left.lines().collect::<Vec<_>>(), expected);
    yard.bench.judge(1).unwrap();

    // Installed once more, from a file, and removed as the documentation says, down to the Node.
    let copy = format!("cd /root; cp {PACKAGES}/newer/agent.rpm cuo-agent-0.rpm");
    let install = commands(&page, "From a file:");
    as_documented(&yard, &format!("{copy}\n{install}")).await;
    yard.settled(V2).await;
    let uninstall = commands(&page, "## Uninstall");
    let (first, rest) = uninstall.split_once("rpm-ostree").unwrap();
    host.shell(first).await.unwrap();
    let secrets = host
        .shell("ls /run/cuo-agent/credentials 2>&1 || true")
        .await
        .unwrap();
    assert!(secrets.contains("No such file"), "{secrets}");
    as_documented(&yard, &format!("rpm-ostree{rest}")).await;
    let left = host
        .shell("ls -d /etc/cuo-agent /var/lib/cuo-agent /run/cuo-agent 2>/dev/null || true")
        .await
        .unwrap();
    assert_eq!(left, "");
    let node = plane
        .kubectl(&["get", "node", "n1", "--output=yaml"])
        .await
        .unwrap();
    assert!(node.contains("cuo.coreos.com/"), "{node}");
    let page = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let removal = commands(&page, "generated: removal of all keys").replace("\\\n", "");
    // The operator is gone before, as the page says; here it would write again.
    yard.stop_operator().await;
    for line in removal.lines() {
        let words: Vec<_> = line.split_whitespace().skip(1).collect();
        plane.kubectl(&words).await.unwrap();
    }
    let node = plane
        .kubectl(&["get", "node", "n1", "--output=yaml"])
        .await
        .unwrap();
    assert!(!node.contains("cuo.coreos.com/"), "{node}");
}
