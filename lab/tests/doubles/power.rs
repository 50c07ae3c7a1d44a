//! Finalization, rollbacks and what each way of going down makes of the deployments.

use std::fs;
use std::time::SystemTime;

use cuo_lab::machine::logind::{Inhibitors, Lock, RebootRequest};
use cuo_lab::machine::ostree::{Effect, Fault, Faults, Release, Stage, texts};
use cuo_lab::machine::{HostSpec, Machine, Reboot};

use super::client::{Client, DEADLINE, Dictionary, Host, OS, Options, V1, V2, V3, options};

async fn stage(client: &Client, locked: bool) {
    let lock = options([("lock-finalization", locked.into())]);
    assert_eq!(client.outcome("Upgrade", &(lock,)).await, "Finished true");
    client.wait_free().await;
}

fn deploy_mtime(machine: &Machine) -> SystemTime {
    let deploy = fs::metadata(machine.root().join("ostree/deploy")).unwrap();
    deploy.modified().unwrap()
}

#[tokio::test]
async fn finalization_wants_the_right_checksum() {
    let two = Release::new(V2);
    let (commit, digest) = (two.commit(), two.digest());
    for (spec, right, wrong) in [
        (HostSpec::ostree(V1), &commit, "deadbeef"),
        (HostSpec::container(V1), &digest, &two.merge_commit()),
    ] {
        let host = Host::new(spec).await;
        host.machine.publish(V2).unwrap();
        let client = host.client().await;
        let finalize = async |entries: Options| {
            let outcome = client.outcome("FinalizeDeployment", &(entries,)).await;
            client.wait_free().await;
            outcome
        };
        let checksum = |text: &str| options([("checksum", text.to_owned().into())]);
        let any = || options([("allow-missing-checksum", true.into())]);

        assert_eq!(
            finalize(checksum(right)).await,
            format!("Finished false {}", texts::NOTHING_STAGED)
        );
        stage(&client, true).await;
        assert_eq!(
            finalize(Options::new()).await,
            "Finished false Missing expected checksum"
        );
        let text =
            format!("Finished false Expected staged base checksum {wrong}, but found {right}");
        assert_eq!(finalize(checksum(wrong)).await, text);

        // A lock of mode block stops it, others don't; the deployment stays locked.
        let inhibit = |mode: &str| {
            let lock = Lock::on_shutdown("some-app", "holding the node", mode);
            let change = |inhibitors: &mut Inhibitors| {
                inhibitors.delay_max = 100;
                inhibitors.locks = vec![lock];
            };
            host.machine.root().edit(change).unwrap();
        };
        inhibit("block");
        let text = "Finished false Reboot blocked by a systemd inhibitor lock in `block` mode\nHeld by: some-app\nReason: holding the node";
        assert_eq!(finalize(checksum(right)).await, text);
        assert!(host.machine.sysroot().unwrap().staged().unwrap().locked);
        assert_eq!(host.machine.reboot_request().unwrap(), None);
        inhibit("delay");

        let before = deploy_mtime(&host.machine);
        assert_eq!(finalize(any()).await, "Finished true");
        assert!(!host.machine.sysroot().unwrap().staged().unwrap().locked);
        assert!(deploy_mtime(&host.machine) > before);
        let request = host.machine.wait_reboot_request(DEADLINE).await.unwrap();
        assert_eq!(
            (request.method.as_str(), request.flags),
            ("RebootWithFlags", 0)
        );
        let refused = client.begin("Upgrade", &(Options::new(),)).await;
        assert_eq!(
            refused,
            Err(format!("{}: {}", texts::FAILED, texts::REBOOT_INITIATED))
        );
        client.reload().await;
    }
}

#[tokio::test]
async fn what_is_unlocked_is_finalized_only_if_allowed() {
    let host = Host::new(HostSpec::container(V1)).await;
    host.machine.publish(V2).unwrap();
    // Without a reboot, so that the same daemon can be asked twice.
    let no_reboot = Fault::once(
        "FinalizeDeployment",
        Stage::Reboot,
        Effect::Fail(String::new()),
    );
    host.machine.inject(no_reboot).unwrap();
    let client = host.client().await;
    stage(&client, false).await;
    // Locking what is staged already does not work.
    stage(&client, true).await;
    assert!(!host.machine.sysroot().unwrap().staged().unwrap().locked);
    let digest = Release::new(V2).digest();
    let checksum = options([("checksum", digest.clone().into())]);
    let outcome = client.outcome("FinalizeDeployment", &(checksum,)).await;
    assert_eq!(outcome, "Finished false Staged deployment already unlocked");
    client.wait_free().await;
    let allowed = options([("checksum", digest.into()), ("allow-unlocked", true.into())]);
    assert_eq!(
        client.outcome("FinalizeDeployment", &(allowed,)).await,
        "Finished true"
    );
    client.wait_free().await;
    // The reboot was asked for and never happens: the daemon refuses until it is restarted.
    let refused = Err(format!("{}: {}", texts::FAILED, texts::REBOOT_INITIATED));
    assert_eq!(client.begin("Upgrade", &(Options::new(),)).await, refused);
    host.machine.kill_rpm_ostreed().await.unwrap();
    client.wait_free().await;
    assert_eq!(
        client.outcome("Upgrade", &(Options::new(),)).await,
        "Finished true"
    );
    assert_eq!(host.machine.reboot_request().unwrap(), None);
    assert_eq!(host.machine.root().load::<Faults>().unwrap().rules, []);
}

#[tokio::test]
async fn without_logind_there_is_no_finalization() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    host.machine.publish(V2).unwrap();
    let client = host.client().await;
    stage(&client, true).await;
    host.machine
        .root()
        .remove("lab/services/org.freedesktop.login1.service")
        .unwrap();
    let any = options([("allow-missing-checksum", true.into())]);
    let outcome = client.outcome("FinalizeDeployment", &(any,)).await;
    let expected = "Finished false Checking systemd inhibitor locks: GDBus.Error:org.freedesktop.DBus.Error.ServiceUnknown: The name \
                    org.freedesktop.login1 was not provided by any .service files";
    assert_eq!(outcome, expected);
}

/// Versions in boot order; the booted one in brackets, a staged one with a star.
fn order(machine: &Machine) -> String {
    let sysroot = machine.sysroot().unwrap();
    let names = sysroot.deployments.iter().map(|one| {
        let star = if one.staged { "*" } else { "" };
        let version = one.release.version.split('.').nth(1).unwrap();
        let name = format!("{version}{star}");
        if one.booted {
            format!("[{name}]")
        } else {
            name
        }
    });
    names.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn each_way_down_leaves_its_own_deployments() {
    let (old, new) = ("[20240101]", "20240201* [20240101]");
    let updated = "[20240201] 20240101";
    let cases = [
        (Reboot::Clean, false, updated),
        (Reboot::Clean, true, old),
        (Reboot::PowerCut, false, old),
        (Reboot::FinalizeFailed, false, old),
        (Reboot::Fallback, false, "20240201 [20240101]"),
        (Reboot::Fallback, true, old),
        (Reboot::RolledBack, false, "[20240101] 20240201"),
    ];
    for (kind, locked, expected) in cases {
        let what = format!("{kind:?} locked {locked}");
        let mut host = Host::new(HostSpec::container(V1)).await;
        host.machine.publish(V2).unwrap();
        let client = host.client().await;
        stage(&client, locked).await;
        assert_eq!(order(&host.machine), new, "{what}");
        let before = host.machine.boot_id().unwrap();
        host.machine.reboot(kind).await.unwrap();
        assert_ne!(host.machine.boot_id().unwrap(), before, "{what}");
        assert_eq!(order(&host.machine), expected, "{what}");
        let root = host.machine.root();
        assert!(
            !root.join("run/ostree/staged-deployment").exists(),
            "{what}"
        );
        let release = fs::read_to_string(root.join("etc/os-release")).unwrap();
        let booted = host.machine.booted_version().unwrap();
        assert!(
            release.contains(&format!("OSTREE_VERSION='{booted}'")),
            "{what}"
        );
        // The daemon says so too, and a cached update of another boot is gone.
        let client = host.client().await;
        let deployment: Dictionary = client.property(OS, "BootedDeployment").await;
        assert_eq!(
            deployment["version"].to_string(),
            format!("\"{booted}\""),
            "{what}"
        );
        let cached: Dictionary = client.property(OS, "CachedUpdate").await;
        assert_eq!(cached.is_empty(), booted == V2, "{what}");
    }
}

#[tokio::test]
async fn a_lost_deployment_comes_back_under_another_id() {
    let mut host = Host::new(HostSpec::ostree(V1)).await;
    host.machine.publish(V2).unwrap();
    let id = |serial| format!("fedora-coreos-{}.{serial}", Release::new(V2).commit());
    for serial in [0, 1] {
        let client = host.client().await;
        stage(&client, true).await;
        let default: Dictionary = client.property(OS, "DefaultDeployment").await;
        assert_eq!(default["id"].to_string(), format!("\"{}\"", id(serial)));
        host.machine.power_cut().await.unwrap();
        // It names what is lost.
        let cached: Dictionary = host.client().await.property(OS, "CachedUpdate").await;
        assert_eq!(
            cached["deployment"].to_string(),
            format!("\"{}\"", id(serial))
        );
    }
}

#[tokio::test]
async fn administrators_do_what_they_want() {
    for spec in [HostSpec::ostree(V1), HostSpec::container(V1)] {
        let mut host = Host::new(spec).await;
        let machine = &mut host.machine;
        machine.publish(V2).unwrap();
        machine.publish(V3).unwrap();
        let error = machine.admin_rollback().await.unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "Rollback: No rollback deployment found"
        );
        machine.admin_deploy(V2).await.unwrap();
        assert_eq!(order(machine), "20240201* [20240101]");
        let error = machine.admin_rollback().await.unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "Rollback: Staged deployment (remove with cleanup -p)"
        );
        machine.admin_cleanup_pending().await.unwrap();
        assert_eq!(order(machine), "[20240101]");
        machine.admin_upgrade().await.unwrap();
        machine.reboot(Reboot::Clean).await.unwrap();
        assert_eq!(order(machine), "[20240301] 20240101");
        machine.admin_rollback().await.unwrap();
        assert_eq!(order(machine), "20240101 [20240301]");
        machine.reboot(Reboot::Clean).await.unwrap();
        assert_eq!(order(machine), "[20240101] 20240301");
    }
}

#[tokio::test]
async fn layered_packages_survive_updates() {
    let mut spec = HostSpec::ostree(V1);
    spec.layered = vec!["htop".to_owned()];
    let mut host = Host::new(spec).await;
    host.machine.publish(V2).unwrap();
    let client = host.client().await;
    stage(&client, true).await;
    let two = Release::new(V2).commit();
    let default: Dictionary = client.property(OS, "DefaultDeployment").await;
    assert_eq!(default["base-checksum"].to_string(), format!("\"{two}\""));
    assert_ne!(default["checksum"], default["base-checksum"]);
    let checksum = options([("checksum", two.into())]);
    assert_eq!(
        client.outcome("FinalizeDeployment", &(checksum,)).await,
        "Finished true"
    );
    let request: RebootRequest = host.machine.wait_reboot_request(DEADLINE).await.unwrap();
    assert_eq!(request.flags, 0);
    host.machine.reboot(Reboot::Clean).await.unwrap();
    assert_eq!(
        host.machine.sysroot().unwrap().booted().unwrap().packages,
        ["htop"]
    );
}
