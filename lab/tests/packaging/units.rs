//! The units and the user, as systemd's own tools judge them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cuo_cluster::credentials::PLACES;
use cuo_lab::machine::binary;
use serde_json::Value;

use crate::{Said, repository, said};

const AGENT: &str = "cuo-agent.service";
const CREDENTIALS: &str = "cuo-agent-credentials.service";
const PATH: &str = "cuo-agent-credentials.path";
const TIMER: &str = "cuo-agent-credentials.timer";
/// Targets that the units name, from the systemd of this machine.
const TARGETS: [&str; 8] = [
    "basic.target",
    "boot-complete.target",
    "network-online.target",
    "paths.target",
    "shutdown.target",
    "sysinit.target",
    "time-set.target",
    "timers.target",
];
const SYSTEM: &str = "usr/lib/systemd/system";

fn unit(name: &str) -> PathBuf {
    repository().join("systemd").join(name)
}

/// The values of `key` in a unit, in order.
fn values(name: &str, key: &str) -> Vec<String> {
    let text = fs::read_to_string(unit(name)).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(found, _)| *found == key)
        .map(|(_, value)| value.to_owned())
        .collect()
}

/// A host with the units and the programs that they start.
fn host(root: &Path) {
    let system = root.join(SYSTEM);
    fs::create_dir_all(&system).unwrap();
    for target in TARGETS {
        fs::copy(
            Path::new("/").join(SYSTEM).join(target),
            system.join(target),
        )
        .unwrap();
    }
    for name in [AGENT, CREDENTIALS, PATH, TIMER] {
        fs::copy(unit(name), system.join(name)).unwrap();
    }
    let bin = root.join("usr/bin");
    fs::create_dir_all(&bin).unwrap();
    fs::copy(binary("cuo-agent").unwrap(), bin.join("cuo-agent")).unwrap();
    fs::copy("/usr/bin/kill", bin.join("kill")).unwrap();
}

fn verify(root: &Path) -> Said {
    let mut command = Command::new("systemd-analyze");
    command
        .arg("verify")
        .arg("--root")
        .arg(root)
        .arg("--man=no");
    said(command.args([AGENT, CREDENTIALS, PATH, TIMER]))
}

#[test]
fn systemd_finds_nothing_wrong() {
    let root = tempfile::tempdir().unwrap();
    host(root.path());
    let silent = Said {
        success: true,
        stdout: String::new(),
        stderr: String::new(),
    };
    assert_eq!(verify(root.path()), silent);

    // It would: success alone says nothing.
    let path = root.path().join(SYSTEM).join(AGENT);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("WatchdogSec=", "WatchdogSeconds=")).unwrap();
    assert!(verify(root.path()).stderr.contains("WatchdogSeconds"));
}

/// Whatever else wants processor and disk goes first, and yet rpm-ostreed always gets on.
#[test]
fn rpm_ostreed_has_less_than_others_and_never_nothing() {
    const DROP_IN: &str = "rpm-ostreed.conf";
    for (key, value) in [
        ("CPUWeight", "20"),
        ("IOWeight", "20"),
        ("IOSchedulingClass", "best-effort"),
        ("IOSchedulingPriority", "7"),
    ] {
        assert_eq!(values(DROP_IN, key), [value], "{key}");
    }
    let root = tempfile::tempdir().unwrap();
    host(root.path());
    let system = root.path().join(SYSTEM);
    let service = "[Service]\nType=oneshot\nExecStart=/usr/bin/cuo-agent\n";
    fs::write(system.join("rpm-ostreed.service"), service).unwrap();
    let folder = system.join("rpm-ostreed.service.d");
    fs::create_dir(&folder).unwrap();
    fs::copy(unit(DROP_IN), folder.join("50-cuo-agent.conf")).unwrap();
    let judged = || {
        let mut command = Command::new("systemd-analyze");
        command.arg("verify").arg("--root").arg(root.path());
        said(command.args(["--man=no", "rpm-ostreed.service"]))
    };
    assert_eq!((judged().success, judged().stderr), (true, String::new()));
    let text = fs::read_to_string(unit(DROP_IN)).unwrap();
    let wrong = text.replace("IOWeight=", "IOWeights=");
    fs::write(folder.join("50-cuo-agent.conf"), wrong).unwrap();
    assert!(judged().stderr.contains("IOWeights"));
}

/// Without it the unit could write no metrics, and with a mistake in it there would be no agent.
#[test]
fn the_documented_drop_in_for_metrics_names_the_documented_folder() {
    let page = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let block = |fence: &str| {
        let (_, rest) = page.split_once(&format!("{fence}\n")).unwrap();
        rest.split_once("```\n").unwrap().0.to_owned()
    };
    let drop_in = block("```ini");
    let (_, folder) = drop_in.split_once("ReadWritePaths=-").unwrap();
    let file = format!("textfile = \"{}/cuo.prom\"\n", folder.trim());
    assert_eq!(block("```toml\n[metrics]"), file);

    let root = tempfile::tempdir().unwrap();
    host(root.path());
    let place = root.path().join("etc/systemd/system/cuo-agent.service.d");
    fs::create_dir_all(&place).unwrap();
    let place = place.join("override.conf");
    fs::write(&place, &drop_in).unwrap();
    assert_eq!(verify(root.path()).stderr, "");
    fs::write(&place, drop_in.replace("Paths", "Path")).unwrap();
    assert!(verify(root.path()).stderr.contains("ReadWritePath"));
}

/// Runs `systemd-analyze security` on a unit file.
fn security(name: &str, arguments: &[&str]) -> Said {
    let mut command = Command::new("systemd-analyze");
    command
        .args(["security", "--offline=true", "--no-pager"])
        .args(arguments);
    said(command.arg(unit(name)))
}

/// What the unit leaves open, as systemd names it.
fn open(name: &str) -> BTreeSet<String> {
    let table = security(name, &["--json=short"]).stdout;
    let table: Vec<Value> = serde_json::from_str(&table).unwrap();
    let open = table.iter().filter(|row| row["exposure"].is_string());
    open.map(|row| row["json_field"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_can_be_locked_is_locked() {
    for name in [AGENT, CREDENTIALS] {
        // In tenths.
        let judged = security(name, &["--threshold=15"]);
        assert!(judged.success, "{}{}", judged.stdout, judged.stderr);
    }
    let names = |all: &[&str]| {
        all.iter()
            .map(|&name| name.to_owned())
            .collect::<BTreeSet<_>>()
    };
    // The comments of each unit say why. The clock is a device for systemd, and ProtectClock= allows to read it.
    let agent = [
        "DeviceAllow",
        "IPAddressDeny",
        "PrivateNetwork",
        "ProcSubset",
        "RestrictAddressFamilies_AF_INET_INET6",
        "RestrictAddressFamilies_AF_NETLINK",
        "RestrictAddressFamilies_AF_UNIX",
        "RootDirectoryOrRootImage",
        "SupplementaryGroups",
    ];
    assert_eq!(open(AGENT), names(&agent));
    let credentials = [
        "CapabilityBoundingSet_CAP_DAC_FOWNER_IPC_OWNER",
        "DeviceAllow",
        "PrivateUsers",
        "ProtectHome",
        "RootDirectoryOrRootImage",
        "UserOrDynamicUser",
    ];
    assert_eq!(open(CREDENTIALS), names(&credentials));
}

#[test]
fn the_user_is_a_system_user_without_a_shell() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let mut command = Command::new("systemd-sysusers");
    command.arg("--root").arg(root.path());
    let made = said(command.arg(unit("cuo-agent.sysusers")));
    assert!(made.success, "{}", made.stderr);
    let passwd = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let fields: Vec<_> = passwd.trim_end().split(':').collect();
    let ["cuo-agent", "x", uid, gid, "CUO agent", "/", shell] = fields[..] else {
        panic!("{passwd}");
    };
    assert!(uid == gid && shell.ends_with("/nologin"), "{passwd}");
    assert!((1..1000).contains(&uid.parse::<u32>().unwrap()), "{passwd}");
}

#[test]
fn units_and_program_mean_the_same_paths() {
    let run = |path: &str| path.replace("%t/", "run/");
    let start = values(AGENT, "ExecStart").concat();
    let (_, kubeconfig) = start.split_once(" run --kubeconfig ").unwrap();
    assert_eq!(run(kubeconfig), cuo_agent::credentials::COPY);
    assert_eq!(
        values(CREDENTIALS, "ExecStart"),
        ["/usr/bin/cuo-agent credentials"]
    );
    let folder = values(CREDENTIALS, "RuntimeDirectory").concat();
    assert_eq!(
        format!("run/{folder}/kubeconfig"),
        cuo_agent::credentials::COPY
    );

    let root = tempfile::tempdir().unwrap();
    let store = cuo_agent::store::Store::new(root.path());
    store.write_pid().unwrap();
    store
        .save(&cuo_core::agent::state::State::default())
        .unwrap();
    let runtime = values(AGENT, "RuntimeDirectory").concat();
    assert!(root.path().join("run").join(runtime).join("pid").is_file());
    let state = values(AGENT, "StateDirectory").concat();
    assert!(
        root.path()
            .join("var/lib")
            .join(state)
            .join("state.json")
            .is_file()
    );
}

#[test]
fn every_place_of_a_kubeconfig_is_watched() {
    let watched = values(PATH, "PathChanged");
    let is_watched = |place: &Path| {
        let near = place.ancestors().take(2);
        near.into_iter()
            .any(|path| watched.iter().any(|watched| Path::new(watched) == path))
    };
    // Where the certificates are that those name.
    let renewed = [
        "/var/lib/kubelet/pki/kubelet-client-current.pem",
        "/etc/kubernetes/pki/ca.crt",
        "/var/lib/k0s/kubelet/pki/kubelet-client-current.pem",
        "/var/lib/rancher/k3s/agent/client-kubelet.crt",
        "/var/lib/rancher/rke2/agent/client-kubelet.crt",
    ];
    for place in PLACES.iter().chain(&renewed) {
        assert!(is_watched(Path::new(place)), "{place}");
    }
}
