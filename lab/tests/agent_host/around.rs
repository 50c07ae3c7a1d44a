//! What else updates the host, and being the one that does.

use cuo_agent::rpmostree::{Checked, Staged};
use cuo_agent::survey::{Further, look};
use cuo_core::reason::Code;
use cuo_core::survey::Survey;
use cuo_lab::machine::binary;
use cuo_lab::machine::ostree::texts;
use cuo_lab::machine::systemd::Units;
use zbus::Variant;

use crate::bench::{Bench, NEW, NEWER, branch, image};
use crate::status::says;

const DRIVER: &str = "run/rpm-ostree/update-driver.gv";

async fn survey(bench: &Bench) -> Result<Survey, String> {
    let drivers = ["acme-update.timer".to_owned()];
    let further = Further {
        drivers: &drivers,
        ..Further::default()
    };
    look(bench.machine.root().path(), &bench.bus(), further).await
}

async fn rival(bench: &Bench) -> Option<String> {
    let rival = survey(bench).await.unwrap().rival()?;
    assert_eq!(rival.code, Code::OtherDriver);
    Some(rival.message)
}

fn set(bench: &Bench, unit: &str, state: &str) {
    bench.set_unit(unit, state);
}

#[tokio::test]
async fn whoever_updates_the_host_is_found_by_units_and_files() {
    let bench = Bench::new(branch()).await;
    let root = bench.machine.root();
    assert_eq!(rival(&bench).await, None);
    let policy = |policy: &str| format!("[Daemon]\nAutomaticUpdatePolicy={policy}\n");
    let off = "[updates]\nenabled = false\n";
    // Each with what ends it.
    for (unit, file, text, quiet) in [
        (
            "zincati.service",
            "etc/zincati/config.d/90-off.toml",
            "",
            off.to_owned(),
        ),
        (
            "bootc-fetch-apply-updates.timer",
            "etc/none",
            "",
            String::new(),
        ),
        ("uupd.timer", "etc/none", "", String::new()),
        ("acme-update.timer", "etc/none", "", String::new()),
        (
            "rpm-ostreed-automatic.timer",
            "etc/rpm-ostreed.conf",
            &*policy("stage"),
            policy("check"),
        ),
    ] {
        root.write(file, text).unwrap();
        set(&bench, unit, "active");
        let found = rival(&bench).await.unwrap();
        assert!(
            found.contains(&format!("systemctl disable --now {unit}")),
            "{found}"
        );
        if !quiet.is_empty() {
            root.write(file, quiet).unwrap();
            assert_eq!(
                rival(&bench).await,
                None,
                "{unit} switched off by its configuration"
            );
            root.write(file, text).unwrap();
        }
        set(&bench, unit, "inactive");
        assert_eq!(rival(&bench).await, None, "{unit} stopped");
    }
    root.write("etc/machine-config-daemon/currentconfig", "{}")
        .unwrap();
    assert!(
        rival(&bench)
            .await
            .unwrap()
            .contains("machine-config-daemon")
    );
    assert!(
        !bench.awake().await,
        "looking around has started rpm-ostreed"
    );
}

#[tokio::test]
async fn a_driver_that_only_the_configuration_knows_is_left_alone() {
    let mut bench = Bench::new(branch()).await;
    let config = "[drivers]\nunits = [\"acme-update.timer\"]\n";
    let root = bench.machine.root();
    root.write("etc/cuo-agent/config.d/50-drivers.toml", config)
        .unwrap();
    set(&bench, "acme-update.timer", "active");
    let program = binary("cuo-agent").unwrap();
    bench.machine.spawn_agent(&program, &[]).unwrap();
    says(&bench, "OtherDriver").await;
    says(&bench, "systemctl disable --now acme-update.timer").await;
}

#[tokio::test]
async fn a_systemd_that_does_not_tell_is_told() {
    let bench = Bench::new(branch()).await;
    let refusal = ("org.freedesktop.DBus.Error.AccessDenied", "not for you");
    let refuse = |units: &mut Units| units.refuse = Some((refusal.0.into(), refusal.1.into()));
    bench.machine.root().edit(refuse).unwrap();
    let why = survey(&bench).await.unwrap_err();
    assert_eq!(why, "systemd did not answer ListUnitsByNames (not for you)");
}

/// Somebody registers with rpm-ostree as driver, and stops.
#[tokio::test]
async fn a_registered_driver_counts_while_its_unit_runs() {
    let bench = Bench::new(branch()).await;
    bench.set_faults(|faults| faults.caller_unit = Some("other.service".into()));
    let options = std::collections::BTreeMap::from([("register-driver", Variant::from("Other"))]);
    let other = bench.foreign("Deploy", &("", &options)).await;
    drop(other.finish().await);
    assert_eq!(rival(&bench).await, None, "no such unit runs");
    set(&bench, "other.service", "active");
    let found = rival(&bench).await.unwrap();
    assert!(found.starts_with("Other is registered"), "{found}");
    set(&bench, "other.service", "failed");
    assert_eq!(rival(&bench).await, None);
}

#[tokio::test]
async fn the_agent_registers_itself_with_the_right_that_it_has() {
    for looks_only in [true, false] {
        registers(looks_only).await;
    }
}

async fn registers(looks_only: bool) {
    let bench = Bench::new(branch()).await;
    if looks_only {
        bench.client().check(|_| ()).await.unwrap();
    } else {
        bench.client().stage(None, |_| ()).await.unwrap();
    }
    let driver = std::fs::read(bench.machine.root().join(DRIVER)).unwrap();
    let entries = cuo_agent::gvariant::dict(&driver);
    let text = |key: &str| entries.iter().find(|(name, _)| name == key).cloned();
    let value = |text: &str| cuo_agent::gvariant::Value::Text(text.into());
    assert_eq!(text("driver-name").unwrap().1, value("cuo-agent"));
    assert_eq!(
        text("driver-sd-unit").unwrap().1,
        value("cuo-agent.service")
    );
    assert_eq!(rival(&bench).await, None, "itself");
    // Upgrade needs a right of its own in polkit, which the agent has; Deploy, the other way to register, another one.
    assert_eq!(bench.calls("Deploy"), [""; 0]);
}

/// Run by hand or in a container, say.
#[tokio::test]
async fn an_agent_outside_of_any_unit_updates_all_the_same() {
    let bench = Bench::new(branch()).await;
    bench.set_faults(|faults| faults.caller_unit = None);
    bench.client().stage(None, |_| ()).await.unwrap();
    assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
    let calls = bench.calls("Upgrade");
    assert_eq!(calls.len(), 2, "{calls:?}, refused with {}", texts::NO_UNIT);
    assert!(!bench.machine.root().join(DRIVER).exists());
    bench.publish(NEWER);
    let found = bench.client().check(|_| ()).await;
    assert_eq!(found, Ok(Checked::Update(NEWER.to_owned())));
    let calls = bench.calls("AutomaticUpdateTrigger");
    assert_eq!(calls.len(), 2, "{calls:?}");
}

/// Two hosts' worth of staging: by an administrator, and by the agent.
#[tokio::test]
async fn the_lock_of_what_is_staged_is_read_from_the_note_of_ostree() {
    for spec in [branch(), image()] {
        let bench = Bench::new(spec).await;
        assert_eq!(survey(&bench).await.unwrap().staged, None);
        bench.machine.admin_upgrade().await.unwrap();
        let pending = bench.client().host().await.unwrap().pending.unwrap();
        let at_risk = survey(&bench).await.unwrap().at_risk(&pending).unwrap();
        assert_eq!(at_risk.code, Code::StagedUnlocked);
        assert!(at_risk.message.contains(NEW), "{at_risk}");
        // Asking for a lock now is answered with success, and changes nothing.
        let none = bench.client().stage(None, |_| ()).await;
        assert_eq!(none, Ok(Staged::NoUpdate { unstaged: None }));
        assert_eq!(bench.staged(), Some((NEW.to_owned(), false)));

        // As `ostree admin lock-finalization` does, in old and new versions.
        let legacy = "run/ostree/staged-deployment-locked";
        bench.machine.root().write(legacy, "").unwrap();
        assert_eq!(survey(&bench).await.unwrap().at_risk(&pending), None);
        bench.machine.root().remove(legacy).unwrap();
        bench.set_sysroot(|sysroot| sysroot.deployments[0].locked = true);
        assert_eq!(survey(&bench).await.unwrap().at_risk(&pending), None);

        // What the agent stages over it is locked.
        bench.publish(NEWER);
        bench.client().stage(None, |_| ()).await.unwrap();
        let pending = bench.client().host().await.unwrap().pending.unwrap();
        let survey = survey(&bench).await.unwrap();
        assert!(survey.staged.as_ref().unwrap().locked);
        assert_eq!(survey.at_risk(&pending), None);
    }
}

#[tokio::test]
async fn units_that_have_to_run_are_looked_at() {
    let bench = Bench::new(branch()).await;
    let required = ["kubelet.service".to_owned(), "none.service".to_owned()];
    let look = async || {
        let further = Further {
            required: &required,
            ..Further::default()
        };
        look(bench.machine.root().path(), &bench.bus(), further)
            .await
            .unwrap()
    };
    let text = "there is no none.service";
    assert_eq!(look().await.inactive(&required).unwrap().message, text);
    set(&bench, "kubelet.service", "failed");
    let text = "kubelet.service is failed, there is no none.service";
    assert_eq!(look().await.inactive(&required).unwrap().message, text);
    assert_eq!(look().await.boot_incomplete(), None);
    set(&bench, "boot-complete.target", "inactive");
    let incomplete = look().await.boot_incomplete().unwrap();
    assert_eq!(
        incomplete.to_string(),
        "BootIncomplete: boot-complete.target is inactive"
    );
}

#[tokio::test]
async fn a_reboot_of_another_kind_is_seen_where_systemd_looks_for_it() {
    let bench = Bench::new(branch()).await;
    let root = bench.machine.root();
    let prepared = async || {
        let other = survey(&bench).await.unwrap().other_reboot();
        other.map(|reason| (reason.code, reason.message))
    };
    assert_eq!(prepared().await, None);
    root.write("sys/kernel/kexec_loaded", "0\n").unwrap();
    assert_eq!(prepared().await, None);
    let reported = |text: &str| Some((Code::RebootPrepared, text.to_owned()));
    root.write("sys/kernel/kexec_loaded", "1\n").unwrap();
    let kexec = "/sys/kernel/kexec_loaded is 1, so a reboot would boot that kernel";
    assert_eq!(prepared().await, reported(kexec));
    root.write("run/nextroot/etc/os-release", "").unwrap();
    let soft = "/run/nextroot is there, so a reboot would be a soft one";
    assert_eq!(prepared().await, reported(soft));
}
