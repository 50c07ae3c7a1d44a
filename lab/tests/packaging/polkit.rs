//! The polkit rules, judged by polkitd itself: the agent's user may do what the agent does, and nothing more.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use cuo_agent::doctor;
use cuo_lab::machine::binary;
use serde_json::{Value, json};

use crate::{repository, said};

const AGENT: &str = "cuo-agent";

/// What rpm-ostreed (2026.2) and logind (257) ask polkit about, and by which methods; those that no method of these names leads to are
/// asked about in other ways.
const ACTIONS: &[(&str, &[&str])] = &[
    (
        "org.projectatomic.rpmostree1.bootconfig",
        &["KernelArgs", "SetInitramfsState", "InitramfsEtc"],
    ),
    ("org.projectatomic.rpmostree1.cancel", &[]),
    ("org.projectatomic.rpmostree1.cleanup", &["Cleanup"]),
    (
        "org.projectatomic.rpmostree1.client-management",
        &["RegisterClient", "UnregisterClient"],
    ),
    (
        "org.projectatomic.rpmostree1.deploy",
        &["Deploy", "UpdateDeployment"],
    ),
    (
        "org.projectatomic.rpmostree1.finalize-deployment",
        &["FinalizeDeployment"],
    ),
    ("org.projectatomic.rpmostree1.install-local-packages", &[]),
    (
        "org.projectatomic.rpmostree1.install-uninstall-packages",
        &["PkgChange"],
    ),
    ("org.projectatomic.rpmostree1.override", &[]),
    ("org.projectatomic.rpmostree1.rebase", &["Rebase"]),
    (
        "org.projectatomic.rpmostree1.reload-daemon",
        &["ReloadConfig"],
    ),
    (
        "org.projectatomic.rpmostree1.repo-modify",
        &["ModifyYumRepo"],
    ),
    (
        "org.projectatomic.rpmostree1.repo-refresh",
        &[
            "RefreshMd",
            "GetCachedUpdateRpmDiff",
            "GetDeploymentsRpmDiff",
        ],
    ),
    (
        "org.projectatomic.rpmostree1.rollback",
        &["Rollback", "ClearRollbackTarget"],
    ),
    (
        "org.projectatomic.rpmostree1.upgrade",
        &["Upgrade", "AutomaticUpdateTrigger"],
    ),
    ("org.freedesktop.login1.halt", &["Halt", "HaltWithFlags"]),
    ("org.freedesktop.login1.halt-ignore-inhibit", &[]),
    (
        "org.freedesktop.login1.inhibit-block-shutdown",
        &["Inhibit"],
    ),
    (
        "org.freedesktop.login1.power-off",
        &["PowerOff", "PowerOffWithFlags", "ScheduleShutdown"],
    ),
    (
        "org.freedesktop.login1.reboot",
        &["Reboot", "RebootWithFlags"],
    ),
    ("org.freedesktop.login1.reboot-ignore-inhibit", &[]),
    (
        "org.freedesktop.login1.reboot-multiple-sessions",
        &["Reboot", "RebootWithFlags"],
    ),
    (
        "org.freedesktop.login1.set-reboot-parameter",
        &["SetRebootParameter"],
    ),
    (
        "org.freedesktop.systemd1.manage-units",
        &["StartUnit", "StopUnit", "RestartUnit"],
    ),
    (
        "org.freedesktop.systemd1.manage-unit-files",
        &["MaskUnitFiles", "EnableUnitFiles"],
    ),
    ("org.freedesktop.systemd1.reload-daemon", &[]),
    ("org.freedesktop.policykit.exec", &[]),
];

/// The actions of all methods that the agent's sources name.
fn needed() -> BTreeSet<&'static str> {
    let mut sources = String::new();
    let agent = repository().join("agent/src");
    let dbus = fs::read_dir(agent.join("rpmostree")).unwrap();
    let dbus = dbus.map(|entry| entry.unwrap().path());
    // What tests say of other methods is no call; those of a module are in a folder of its name.
    let dbus = dbus.filter(|path| path.is_file() && !path.ends_with("tests.rs"));
    for path in dbus.chain([agent.join("logind.rs")]) {
        sources += &fs::read_to_string(path).unwrap();
    }
    let called = |method: &&str| sources.contains(&format!("\"{method}\""));
    let needed = ACTIONS
        .iter()
        .filter(|(_, methods)| methods.iter().any(called));
    needed.map(|(action, _)| *action).collect()
}

/// A folder for polkitd where every action is refused unless a rule allows it.
fn prepare(dir: &Path) {
    let mut policy = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/PolicyKit/1/policyconfig.dtd">
<policyconfig>
"#
    .to_owned();
    let mut ids = String::new();
    for (action, _) in ACTIONS {
        writeln!(ids, "{action}").unwrap();
        writeln!(
            policy,
            "<action id=\"{action}\"><description>{action}</description><message>{action}</message><defaults>\
             <allow_any>no</allow_any><allow_inactive>no</allow_inactive><allow_active>no</allow_active></defaults></action>"
        )
        .unwrap();
    }
    fs::create_dir(dir.join("actions")).unwrap();
    fs::create_dir(dir.join("rules")).unwrap();
    fs::write(dir.join("actions/all.policy"), policy + "</policyconfig>\n").unwrap();
    fs::write(dir.join("ids"), ids).unwrap();
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    fs::write(
        dir.join("passwd"),
        format!("{passwd}{AGENT}:x:64001:64001::/:/usr/sbin/nologin\n"),
    )
    .unwrap();
    let bus = format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
"#,
        dir.display()
    );
    fs::write(dir.join("bus.conf"), bus).unwrap();
}

/// With another reference `UpdateDeployment` is a rebase.
const REBASE: &str = "org.projectatomic.rpmostree1.rebase";

#[test]
fn the_agents_user_may_do_what_the_agent_does_and_nobody_may_do_more() {
    judged(&["cuo-agent.polkit.rules"], needed());
}

#[test]
fn what_a_host_follows_is_the_agents_to_change_once_its_rule_is_linked() {
    let mut needed = needed();
    assert!(needed.insert(REBASE), "the package's own rule has it");
    let rules = ["cuo-agent.polkit.rules", "cuo-agent-rebase.polkit.rules"];
    judged(&rules, needed);
}

/// Has polkitd judge each action under these `rules`: the agent's user may do what is `needed`, and everybody else nothing.
fn judged(rules: &[&str], needed: BTreeSet<&'static str>) {
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/lib/polkit-1/polkitd").exists() {
        eprintln!("SKIPPED: needs root, to become other users, and /usr/lib/polkit-1/polkitd");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // polkitd is not root.
    fs::set_permissions(
        dir.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    prepare(dir.path());
    for rule in rules {
        let from = repository().join("systemd").join(rule);
        fs::copy(from, dir.path().join("rules").join(rule)).unwrap();
    }
    let mut command = Command::new("timeout");
    command
        .args([
            "--signal=KILL",
            "60",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ])
        .args(["--propagation", "private", "sh", "-eu"])
        .arg(repository().join("lab/tests/packaging/polkit.sh"))
        .arg(dir.path())
        .arg(binary("cuo-agent").unwrap());
    let judged = said(&mut command);
    assert!(
        needed.contains("org.projectatomic.rpmostree1.upgrade")
            && needed.contains("org.freedesktop.login1.reboot")
    );
    let mut expected = String::new();
    for user in [AGENT, "nobody"] {
        for (action, _) in ACTIONS {
            let refused = u8::from(user != AGENT || !needed.contains(action));
            writeln!(expected, "{user} {action} {refused}").unwrap();
        }
    }
    assert_eq!(judged.stdout, expected, "{}", judged.stderr);

    // `cuo-agent doctor` asks about the same actions, and understands polkitd's answers.
    let mut asked: BTreeSet<_> = doctor::ACTIONS.into_iter().collect();
    asked.extend(needed.get(REBASE));
    assert_eq!(asked, needed);
    let verdict = |user: &str| {
        let report = fs::read_to_string(dir.path().join(format!("doctor.{user}"))).unwrap();
        let report: Value = serde_json::from_str(&report).unwrap();
        let mut checks = report["checks"].as_array().unwrap().iter();
        let polkit = checks.find(|check| check["name"] == "polkit").unwrap();
        (polkit["verdict"].clone(), polkit["found"].clone())
    };
    let found = json!("allows what the agent does");
    assert_eq!(verdict(AGENT), (json!("ok"), found));
    let found = format!(
        "does not allow the agent's user {}",
        doctor::ACTIONS.join(", ")
    );
    assert_eq!(verdict("nobody"), (json!("failed"), json!(found)));
}
