//! From an empty host to an update that was proved.

use std::time::Duration;

use cuo_core::node::NodeView;
use cuo_lab::host::{Host, VALIDITY};
use cuo_lab::machine::ostree::Sysroot;
use cuo_lab::wait::until;

use crate::yard::Yard;
use crate::{V1, V2};

/// Calls a method of rpm-ostreed that makes a transaction, which nobody starts, as a user without rights.
async fn call(host: &Host, call: &str) -> Result<String, String> {
    let bus = "org.projectatomic.rpmostree1";
    let script = format!(
        "os=$(busctl get-property {bus} /org/projectatomic/rpmostree1/Sysroot {bus}.Sysroot Booted | cut -d'\"' -f2)
         runuser -u nobody -- busctl call {bus} $os {bus}.OS {call}"
    );
    let said = host.shell(&script).await;
    said.map_err(|error| error.to_string())
}

/// Each modifier has an action of its own: who may deploy may not rebase.
async fn refused_to_others(host: &Host) {
    let revision = "UpdateDeployment 'a{sv}a{sv}' 1 set-revision s sha256:0 0";
    let both = "UpdateDeployment 'a{sv}a{sv}' 2 set-revision s sha256:0 set-refspec s ostree-unverified-registry:a/b:c 0";
    for calls in ["Upgrade 'a{sv}' 0", revision, both] {
        let refused = call(host, calls).await.unwrap_err();
        assert!(refused.contains("Access denied"), "{calls}: {refused}");
    }
    let rules = "/etc/polkit-1/rules.d/50-lab.rules";
    let allow = "polkit.addRule(function(action, subject) {
        if (action.id == \"org.projectatomic.rpmostree1.deploy\" && subject.user == \"nobody\") { return polkit.Result.YES; }
    });";
    let write = format!("mkdir -p /etc/polkit-1/rules.d && echo '{allow}' > {rules}");
    host.shell(&write).await.unwrap();
    let deploys = async || Ok(call(host, revision).await.is_ok().then_some(()));
    until("the rule", Duration::from_secs(30), deploys)
        .await
        .unwrap();
    let refused = call(host, both).await.unwrap_err();
    assert!(refused.contains("Access denied"), "{refused}");
    host.shell(&format!("rm {rules}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_join_with_the_package_and_are_updated_one_at_a_time() {
    let Some(yard) = Yard::start(3).await else {
        return;
    };
    yard.install().await;
    yard.settled(V1).await;
    for host in &yard.hosts {
        let failed = host
            .run(&["systemctl", "--failed", "--no-legend"])
            .await
            .unwrap();
        assert_eq!(failed, "", "units that failed on {}", host.name());
        let changed = host
            .shell("rpm --verify --nomtime cuo-agent || true")
            .await
            .unwrap();
        assert_eq!(changed, "", "files that differ from the package's");
    }

    // polkit is asked for each of the agent's calls, and refuses them to others.
    let host = &yard.hosts[0];
    refused_to_others(host).await;

    // A new certificate of the kubelet reaches the agent's copy, which is in memory only and not for everybody.
    let copy = "/run/cuo-agent/credentials/kubeconfig";
    let old = host.shell(&format!("sha256sum {copy}")).await.unwrap();
    host.renew_certificate(&yard.bench.plane, VALIDITY).unwrap();
    let renewed = async || Ok(host.shell(&format!("sha256sum {copy}")).await? != old);
    yard.comes("a copy of the new certificate", renewed).await;
    let rights = host
        .run(&["stat", "--format=%a %U %G", copy])
        .await
        .unwrap();
    assert_eq!(rights.trim(), "440 root cuo-agent");

    yard.bench.recorder.reset();
    let before: Vec<_> = yard
        .hosts
        .iter()
        .map(|host| host.boot_id().unwrap())
        .collect();
    yard.publish(V2);
    yard.settled(V2).await;
    assert_eq!(yard.bench.recorder.most_granted(), 1);
    assert_eq!(yard.bench.recorder.most_down(), 1);
    for (host, before) in yard.hosts.iter().zip(before) {
        assert_eq!(host.boots(), 2, "{}", host.name());
        assert_ne!(host.boot_id().unwrap(), before);
        let boots = host
            .run(&["journalctl", "--list-boots", "--quiet", "--no-pager"])
            .await
            .unwrap();
        assert_eq!(boots.trim().lines().count(), 2, "{boots}");
    }

    // What is booted already by choice of an administrator needs no finalizing: the agent itself asks logind, and polkit lets it.
    let host = &yard.hosts[0];
    looks_no_more(&yard, host).await;
    let roll_back = |sysroot: &mut Sysroot| sysroot.deployments.swap(0, 1);
    host.root().edit(roll_back).unwrap();
    let back = |node: &NodeView| {
        let booted = node.agent.booted.value();
        booted.is_some_and(|booted| booted.version == V1) && node.agent.progress.is_absent()
    };
    yard.sees(host, "the version before", back).await;
    let journal = host.journal("cuo-agent").await.unwrap();
    assert!(!journal.contains("does not allow"), "{journal}");
    yard.bench.judge(1).unwrap();
}

/// A look that has begun would stage the newest on what an administrator has just gone back to.
async fn looks_no_more(yard: &Yard, host: &Host) {
    let calm = "printf '[check]\\nperiod = \"1h\"\\n' > /etc/cuo-agent/config.d/60-calm.toml && systemctl reload cuo-agent";
    host.shell(calm).await.unwrap();
    let far = async || {
        let status = host.shell("cuo-agent status --output json").await?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        let next = status["check"]["next"].as_str().unwrap_or_default();
        let next: jiff::Timestamp = next.parse()?;
        Ok(next > jiff::Timestamp::now() + jiff::SignedDuration::from_mins(10))
    };
    yard.comes("the last look", far).await;
}
