//! Bad input: each is a clear error that names its place, and the agent stays up where a restart would not help.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use cuo_core::keys;
use cuo_core::reason::Code;
use cuo_core::values::{Field, Phase};
use cuo_lab::bench::{Bench, OperatorSpec, Site};
use cuo_lab::machine::binary;
use cuo_lab::wait::until;

use crate::look::{gives_up, held, is_free, node, pause, publish_to, settled};
use crate::{PATIENCE, V1, V2, V3, cluster};

async fn reason(bench: &Bench, code: Option<Code>, text: &str) {
    let look = async || {
        let found = bench.node("n1")?.agent.reason;
        let fits = match (&found, code) {
            (Field::Value(reason), Some(code)) => {
                reason.code == code && reason.message.contains(text)
            }
            (Field::Absent, None) => true,
            _ => false,
        };
        Ok(fits.then_some(()))
    };
    if let Err(error) = until(format!("the reason {code:?} with {text:?}"), PATIENCE, look).await {
        let log = bench.site("n1").unwrap().agent_log(30).await;
        panic!("{error:#}\n{:#?}\n{log}", bench.node("n1"));
    }
}

async fn log_says(site: &Site, text: &str) {
    let look = async || Ok(site.agent_log(400).await.contains(text).then_some(()));
    let waited = until(
        format!("{text:?} in the agent's log"),
        Duration::from_secs(60),
        look,
    )
    .await;
    if let Err(error) = waited {
        panic!("{error:#}\n{}", site.agent_log(60).await);
    }
}

async fn restart(site: &Site) {
    site.kill_agent().await.unwrap();
    site.start_agent().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_holds_and_names_file_and_line() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let file = site
        .machine
        .lock()
        .await
        .root()
        .join("etc/cuo-agent/config.d/60-broken.toml");
    for (text, place) in [
        ("hold = yes\n", "60-broken.toml:1"),
        ("\n[check]\nperiodd = \"1h\"\n", "60-broken.toml:3"),
    ] {
        std::fs::write(&file, text).unwrap();
        restart(site).await;
        reason(&bench, Some(Code::ConfigInvalid), place).await;
        log_says(site, place).await;
        assert!(site.machine.lock().await.agent_running());
    }
    // Nobody may read it; root could, so for root it is something that can't be read at all.
    std::fs::remove_file(&file).unwrap();
    let why = format!("60-broken.toml: {}", unreadable(&file));
    restart(site).await;
    reason(&bench, Some(Code::ConfigInvalid), &why).await;
    log_says(site, &why).await;
    assert!(site.machine.lock().await.agent_running());
    remove(&file);
    let root = site.machine.lock().await.root().join("");
    let mut check = tokio::process::Command::new(binary("cuo-agent").unwrap());
    let done = check
        .arg("--root")
        .arg(root)
        .arg("check")
        .status()
        .await
        .unwrap();
    assert!(done.success());
    reason(&bench, None, "").await;
    bench.settled(V1, PATIENCE).await.unwrap();
    bench.judge(1).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_kubeconfig_is_named_and_taken_up_once_it_is_good() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let path = site
        .machine
        .lock()
        .await
        .root()
        .join("var/lib/kubelet/kubeconfig");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, "apiVersion: v1\nkind: [").unwrap();
    site.start_agent().await.unwrap();
    log_says(site, "var/lib/kubelet/kubeconfig").await;
    std::fs::remove_file(&path).unwrap();
    restart(site).await;
    log_says(site, "no kubeconfig on this host").await;
    assert!(site.machine.lock().await.agent_running());
    let why = unreadable(&path);
    restart(site).await;
    log_says(site, why).await;
    assert!(site.machine.lock().await.agent_running());
    remove(&path);
    std::fs::write(&path, good).unwrap();
    bench.settled(V1, PATIENCE).await.unwrap();
    bench.judge(1).unwrap();
}

/// Puts something at `path` that can't be read; returns what the system says of it.
fn unreadable(path: &Path) -> &'static str {
    if rustix::process::geteuid().is_root() {
        std::fs::create_dir(path).unwrap();
        "Is a directory"
    } else {
        std::fs::write(path, "").unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
        "Permission denied"
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        std::fs::remove_dir(path).unwrap();
    } else {
        std::fs::remove_file(path).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bus_or_rpm_ostree_is_told_on_the_node() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let service = site
        .machine
        .lock()
        .await
        .root()
        .join("lab/services/org.projectatomic.rpmostree1.service");
    let good = std::fs::read(&service).unwrap();
    std::fs::remove_file(&service).unwrap();
    site.reboot(cuo_lab::machine::Reboot::Clean).await.unwrap();
    reason(
        &bench,
        Some(Code::RpmOstreeUnavailable),
        "was not provided by any .service files",
    )
    .await;
    assert!(site.machine.lock().await.agent_running());

    std::fs::write(&service, good).unwrap();
    let socket = site
        .machine
        .lock()
        .await
        .root()
        .join("run/dbus/system_bus_socket");
    let aside = socket.with_extension("aside");
    std::fs::rename(&socket, &aside).unwrap();
    restart(site).await;
    reason(
        &bench,
        Some(Code::RpmOstreeUnavailable),
        "the system bus can't be reached",
    )
    .await;
    assert!(site.machine.lock().await.agent_running());
    std::fs::rename(&aside, &socket).unwrap();
    bench.settled(V1, PATIENCE).await.unwrap();
    bench.judge(1).unwrap();
}

/// The agent puts its own keys right; the operator's are a reason to hold until a person removes them; neither falls over.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_every_annotation_is_put_right_or_told() {
    let (_folder, bench) = cluster(2).await;
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.start_agents().await.unwrap();
    bench.settled(V1, PATIENCE).await.unwrap();
    let mut change = vec!["annotate", "--overwrite", "node", "n1"];
    let values: Vec<_> = keys::TABLE
        .iter()
        .map(|key| format!("{}={{\"garbage", key.name))
        .collect();
    change.extend(values.iter().map(String::as_str));
    bench.plane.kubectl(&change).await.unwrap();
    // Labels can't hold everything; what they hold may be nonsense, too.
    let mut change = vec!["label", "--overwrite", "node", "n1"];
    let labels = keys::TABLE.iter().filter(|key| key.kind.contains("label"));
    let values: Vec<_> = labels.map(|key| format!("{}=nonsense", key.name)).collect();
    change.extend(values.iter().map(String::as_str));
    bench.plane.kubectl(&change).await.unwrap();
    reason(&bench, Some(Code::MalformedAnnotation), keys::REBOOT_OK).await;
    let agent = bench.node("n1").unwrap().agent;
    assert!(
        agent.booted.value().is_some()
            && agent.needed.is_absent()
            && agent.progress.is_absent()
            && agent.owned.is_absent()
    );
    bench.publish(V2).await.unwrap();
    for key in [keys::REBOOT_OK, keys::REBOOT_RESERVED, keys::RELEASE] {
        reason(&bench, Some(Code::MalformedAnnotation), key).await;
        bench
            .plane
            .kubectl(&["annotate", "node", "n1", &format!("{key}-")])
            .await
            .unwrap();
    }
    bench.settled(V2, PATIENCE).await.unwrap();
    bench.judge(1).unwrap();
    let log = std::fs::read_to_string(operator.log()).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

/// Nothing of this is malformed, and none of it can be true. A node that claims to be under way counts as that until its agent puts its
/// keys right; and however high the numbers are that it knows of, there are others for everybody else.
#[tokio::test(flavor = "multi_thread")]
async fn absurd_values_are_put_right_and_cost_no_more_than_a_slot() {
    let (_folder, bench) = cluster(2).await;
    let n1 = bench.site("n1").unwrap();
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    n1.kill_agent().await.unwrap();
    let (boot, time) = (
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "9999-12-30T00:00:00Z",
    );
    let (most, identity) = ("18446744073709551615-ffffffff", "f".repeat(64));
    let values = [
        (keys::STATUS, format!("waiting since {time}")),
        (keys::REASON, "Hold: ".to_owned()),
        (keys::REBOOT_NEEDED, identity.clone()),
        (
            keys::BOOTED,
            format!(
                "{{\"v\":1,\"identity\":\"{identity}\",\"version\":\"\",\"boot\":\"{boot}\",\"since\":\"{time}\"}}"
            ),
        ),
        (
            keys::REBOOT_IN_PROGRESS,
            format!(
                "{{\"v\":1,\"id\":\"{most}\",\"identity\":\"{identity}\",\"boot\":\"{boot}\",\"accepted\":\"{time}\"}}"
            ),
        ),
        (keys::AGENT_MADE_UNSCHEDULABLE, most.to_owned()),
        (
            keys::REBOOT_RESULT,
            format!("{{\"v\":1,\"id\":\"{most}\",\"outcome\":\"done\",\"at\":\"{time}\"}}"),
        ),
        (
            keys::FAILED,
            format!(
                "{{\"v\":1,\"identities\":[{{\"identity\":\"{identity}\",\"code\":\"Hold\",\"at\":\"{time}\"}}]}}"
            ),
        ),
    ];
    let mut change = vec!["annotate", "--overwrite", "node", "n1"];
    let values: Vec<_> = values
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    change.extend(values.iter().map(String::as_str));
    bench.plane.kubectl(&change).await.unwrap();
    node(&bench, "n1", "to be absurd", |node| {
        node.agent.result.value().is_some() && node.agent.owned.value().is_some()
    })
    .await;
    let spec = OperatorSpec {
        flags: vec!["--max-unavailable=2".into()],
        ..OperatorSpec::default()
    };
    let operator = bench.operator(spec).await.unwrap();
    // Two grants in the same boot.
    let n2 = bench.site("n2").unwrap();
    n2.gate().shut("agent-before-accept").unwrap();
    publish_to(&bench, &["n2"], V2).await;
    held(&bench, "n2", "agent-before-accept").await;
    pause(&bench, "n2", true).await;
    node(&bench, "n2", "to lose its grant", is_free).await;
    n2.gate().open("agent-before-accept").unwrap();
    gives_up(&bench, "n2").await;
    pause(&bench, "n2", false).await;
    bench.settled_on(&["n2"], V2, PATIENCE).await.unwrap();

    n1.start_agent().await.unwrap();
    publish_to(&bench, &["n1"], V2).await;
    settled(&bench, V2).await;
    bench.judge(2).unwrap();
    let log = std::fs::read_to_string(operator.log()).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn an_operator_with_a_bad_flag_says_which_and_how_it_should_be() {
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["--window", "Mon 22:00"],
            &[
                "--window",
                "Mon 22:00",
                "the length is missing",
                "Europe/Berlin",
            ],
        ),
        (&["--window", "23:61 1h"], &["--window", "23:61"]),
        (&["--window", "14"], &["--window", "14"]),
        (&["--window", "14:00 -1h"], &["--window", "14:00 -1h"]),
        (&["--window", "22:00 1h Mars/Base"], &["no IANA time zone"]),
        (&["--max-unavailable", "0"], &["--max-unavailable"]),
        (&["--drain-timeout", "soon"], &["--drain-timeout", "soon"]),
        (&["--nonsense"], &["--nonsense"]),
    ];
    for (flags, expected) in cases {
        let output = tokio::process::Command::new(binary("cuo-operator").unwrap())
            .args(*flags)
            .output()
            .await
            .unwrap();
        let reported = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {reported}");
        for text in *expected {
            assert!(
                reported.contains(text),
                "{flags:?}: {text:?} is not in: {reported}"
            );
        }
    }
}

/// It is tried again by itself, nothing is done meanwhile, and each thing is reported once. Where even the folder is gone, only the service
/// manager can make it anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_can_not_be_written_holds_and_one_without_a_folder_ends_the_agent() {
    let (_folder, bench) = cluster(1).await;
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    let site = bench.site("n1").unwrap();
    bench.start_agents().await.unwrap();
    bench.settled(V1, PATIENCE).await.unwrap();
    let folder = site.machine.lock().await.root().join("var/lib/cuo-agent");
    // As with a full disk: the new file can't be made.
    let block = folder.join(".state.json.new");
    let blocked = async || match std::fs::create_dir(&block) {
        // The agent is just writing one.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(None),
        made => Ok(Some(made?)),
    };
    until("the new file to be gone", PATIENCE, blocked)
        .await
        .unwrap();
    bench.publish(V2).await.unwrap();
    reason(&bench, Some(Code::StateUnwritable), "state.json").await;
    // By whether the update was staged before: it is held then, since no grant of it could be accepted.
    let found = bench.node("n1").unwrap().agent.status;
    let phase = found.value().unwrap().phase;
    assert!(matches!(phase, Phase::Idle | Phase::Held), "{phase}");
    std::fs::remove_dir(&block).unwrap();
    bench.settled(V2, PATIENCE).await.unwrap();
    let log = site.agent_log(10_000).await;
    for text in [
        "the state can't be written, so nothing is done",
        "the state can be written again",
        "accepts grant",
    ] {
        assert_eq!(log.matches(text).count(), 1, "{text}\n{log}");
    }

    std::fs::remove_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/nonexistent/folder", &folder).unwrap();
    bench.publish(V3).await.unwrap();
    log_says(site, "the folder of the state is gone").await;
    let ended = async || Ok((!site.machine.lock().await.agent_running()).then_some(()));
    until("the end of the agent", PATIENCE, ended)
        .await
        .unwrap();
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    site.kill_agent().await.unwrap();
    site.start_agent().await.unwrap();
    bench.settled(V3, PATIENCE).await.unwrap();
    bench.judge(1).unwrap();
}
