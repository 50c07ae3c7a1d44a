//! Boots that do not bring what was granted, and boots that nobody granted.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::ensure;
use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_core::values::{Outcome, Phase};
use cuo_lab::bench::{Bench, OperatorSpec, SiteSpec};
use cuo_lab::machine::ostree::{Effect, Fault, Release, Stage};
use cuo_lab::machine::{HostSpec, Reboot};

use crate::look::{
    answers, boots, held, is_free, no_slot, node, publish_to, seen, settled, shows, verdict,
};
use crate::{V1, V2, V3, V4, cluster, start};

/// The commands of the documentation that begin so, without quotes.
fn documented(beginning: &str) -> Vec<String> {
    let docs = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/operations.md"
    ));
    let commands = docs
        .lines()
        .filter_map(|line| line.strip_prefix("kubectl "));
    let commands = commands.filter(|command| command.starts_with(beginning));
    commands.map(|command| command.replace('\'', "")).collect()
}

/// The rows that `kubectl` prints for all commands of the documentation that begin so.
async fn printed(bench: &Bench, beginning: &str) -> anyhow::Result<Vec<String>> {
    let mut rows = Vec::new();
    for command in documented(beginning) {
        let words: Vec<_> = command.split(' ').collect();
        let text = bench.plane.kubectl(&words).await?;
        rows.extend(text.lines().map(str::to_owned));
    }
    Ok(rows)
}

/// The bad version is to be seen wherever people look: in the columns of the Nodes, in their Events, and in the journal of the host.
async fn is_told(bench: &Bench, code: Code) {
    let node_columns = "get nodes -o custom-columns='NAME:";
    let node_events = "get events --field-selector involvedObject.kind=Node";
    let look = async || {
        let columns = printed(bench, node_columns).await?;
        let events = printed(bench, node_events).await?;
        let row = |row: &str, words: &[&str]| words.iter().all(|word| row.contains(word));
        let code = code.as_str();
        let held = ["n1 ", "held", "IdentityFailed: "];
        ensure!(columns.iter().any(|one| row(one, &held)), "{columns:#?}");
        ensure!(
            columns.iter().any(|one| row(one, &["n1 ", code])),
            "{columns:#?}"
        );
        ensure!(
            events.iter().any(|one| row(one, &["node/n1 ", code])),
            "{events:#?}"
        );
        let others = ["IdentityFailed", "failed on node n1", code];
        let other = |one: &str| row(one, &others) && !one.contains("node/n1 ");
        ensure!(events.iter().any(|one| other(one)), "{events:#?}");
        Ok(Some(()))
    };
    seen(bench, "the bad version in kubectl", look).await;
    let journal = bench.site("n1").unwrap().agent_log(2000).await;
    let failed = format!(" failed: {code}: granted ");
    assert!(journal.contains(&failed), "{journal}");
}

/// The first node shows that a version is bad, in one way or the other; none tries it any more, and the next version goes to all.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_version_stops_at_the_first_node_until_the_next_one() {
    // Two have packages of their own, which makes no other version of it.
    let host = |name: &str| HostSpec {
        layered: match name {
            "n2" | "n3" => vec!["htop".into()],
            _ => vec![],
        },
        ..HostSpec::ostree(V1)
    };
    let others = ["n2", "n3", "n4", "n5"];
    let names = ["n1"].into_iter().chain(others);
    let sites = names.map(|name| SiteSpec::worker(name, host(name)));
    let (_folder, bench) = start(sites.collect()).await;
    let sites: Vec<_> = bench.sites().collect();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset();
    for (version, kind, code) in [
        (V2, Reboot::Fallback, Code::BootedFallback),
        (V3, Reboot::RolledBack, Code::RolledBack),
    ] {
        sites[0].next_reboot(kind);
        publish_to(&bench, &["n1"], version).await;
        let granted = |node: &NodeView| !node.operator.grant.is_absent();
        node(&bench, "n1", "to be granted", granted).await;
        publish_to(&bench, &others, version).await;
        answers(&bench, "n1", Outcome::Failed, Some(code)).await;
        for name in others {
            shows(&bench, name, Phase::Waiting, None).await;
        }
        node(&bench, "n1", "to be free", is_free).await;
        no_slot(&bench).await;
        // It is still the newest, so n1 has it staged again, or would boot it next, and holds it.
        verdict(&bench, &operator, Code::IdentityFailed, 5).await;
        shows(&bench, "n1", Phase::Held, Some(Code::IdentityFailed)).await;
        assert!(!bench.node("n1").unwrap().unschedulable);
        is_told(&bench, code).await;
        for site in &sites {
            let booted = bench.node(site.name()).unwrap().agent.booted;
            assert_eq!(
                booted.value().map(|booted| booted.version.as_str()),
                Some(V1)
            );
        }
    }
    bench.publish(V4).await.unwrap();
    settled(&bench, V4).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
    let reboots: Vec<_> = sites.iter().map(|site| site.reboots()).collect();
    assert_eq!(reboots, [3, 1, 1, 1, 1]);
}

/// rpm-ostreed dies when it has staged an update and not yet said so. The update is the agent's all the same: the next one takes its
/// place, until there is a grant for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_takes_the_place_of_a_staged_one_until_the_grant() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let needs = async |version: &str| {
        let wanted = Release::new(version).commit();
        node(&bench, "n1", &format!("to need {version}"), |node| {
            let needed = node.agent.needed.value();
            needed.is_some_and(|identity| identity.to_string() == wanted)
        })
        .await;
    };
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    let fault = Fault::once("Upgrade", Stage::Finish, Effect::Crash);
    site.machine.lock().await.inject(fault).unwrap();
    site.publish(V2).await.unwrap();
    needs(V2).await;
    site.publish(V3).await.unwrap();
    needs(V3).await;

    // The period is over several times while the node is being drained for.
    site.gate().shut("agent-after-cordon").unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    held(&bench, "n1", "agent-after-cordon").await;
    site.publish(V4).await.unwrap();
    site.gate().shut("agent-before-finalize").unwrap();
    site.gate().open("agent-after-cordon").unwrap();
    held(&bench, "n1", "agent-before-finalize").await;
    needs(V3).await;
    site.gate().open("agent-before-finalize").unwrap();
    boots(&bench, "n1", V3).await;
    settled(&bench, V4).await;
    assert_eq!(site.reboots(), 2);
    bench.judge(1).unwrap();
}

/// What ostree says of an update that it could not write, and a journal that has it and notes who looks.
const UNWRITTEN: &str = "Installing kernel: regfile copy: No space left on device";
const JOURNALCTL: &str = "#!/bin/sh
root=${0%/usr/bin/journalctl}
echo \"$@\" >> $root/lab/journalctl.log
case \"$*\" in
*\" --boot=0 _SYSTEMD_UNIT=ostree-boot-complete.service \"*)
    echo \"error: ostree-finalize-staged.service failed on previous boot: $(cat $root/lab/unwritten)\";;
esac
";

/// Reboots that lose what was staged, with a grant and without one, before the update was finalized and after that: none of them is
/// taken for the update, which is staged again and goes through.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_a_reboot_lost_is_staged_again() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let root = site.machine.lock().await.root().clone();
    root.write("lab/unwritten", UNWRITTEN).unwrap();
    root.write("usr/bin/journalctl", JOURNALCTL).unwrap();
    let program = Permissions::from_mode(0o755);
    fs::set_permissions(root.join("usr/bin/journalctl"), program).unwrap();
    let log = root.join("lab/journalctl.log");
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;

    // Without a grant.
    bench.publish(V2).await.unwrap();
    for kind in [Reboot::Clean, Reboot::PowerCut] {
        shows(&bench, "n1", Phase::Waiting, None).await;
        let before = bench.node("n1").unwrap().kubelet_boot;
        site.reboot(kind).await.unwrap();
        node(&bench, "n1", "to have booted", |node| {
            let booted = node.agent.booted.value();
            node.kubelet_boot != before
                && booted.map(|booted| Some(booted.boot)) == Some(node.kubelet_boot)
        })
        .await;
        let found = bench.node("n1").unwrap();
        assert_eq!(
            found
                .agent
                .booted
                .value()
                .map(|booted| booted.version.as_str()),
            Some(V1)
        );
        assert!(
            found.agent.result.is_absent() && is_free(&found),
            "{found:#?}"
        );
    }

    // Somebody reboots while it is being drained.
    shows(&bench, "n1", Phase::Waiting, None).await;
    site.gate().shut("agent-after-cordon").unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    held(&bench, "n1", "agent-after-cordon").await;
    site.gate().shut("agent-before-finalize").unwrap();
    site.reboot(Reboot::PowerCut).await.unwrap();
    site.gate().open("agent-after-cordon").unwrap();
    answers(&bench, "n1", Outcome::Aborted, Some(Code::ForeignReboot)).await;
    assert!(!bench.node("n1").unwrap().unschedulable);

    // The update is finalized, and the boot does not have it.
    held(&bench, "n1", "agent-before-finalize").await;
    assert!(!log.exists(), "the journal was read for nothing");
    site.next_reboot(Reboot::FinalizeFailed);
    site.gate().open("agent-before-finalize").unwrap();
    let failed = Some(Code::FinalizationFailed);
    answers(&bench, "n1", Outcome::Aborted, failed).await;
    let reported = site.agent_log(2000).await;
    assert!(reported.contains(UNWRITTEN), "{reported}");
    settled(&bench, V2).await;
    no_slot(&bench).await;
    answers(&bench, "n1", Outcome::Done, None).await;
    let looks = fs::read_to_string(&log).unwrap();
    assert_eq!(looks.lines().count(), 1, "once in that boot: {looks}");
    bench.judge(1).unwrap();
    assert_eq!(site.reboots(), 5);
}
