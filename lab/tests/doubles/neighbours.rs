//! logind's double, and the agent's surroundings.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use cuo_lab::machine::logind::{self, Inhibitors, Lock, RebootRequest};
use cuo_lab::machine::{HostSpec, Machine, Notification};
use cuo_lab::wait::until;
use futures::StreamExt;
use zbus::{MessageStream, OwnedFd, Proxy};

use super::client::{Client, DEADLINE, Host, V1};

const MANAGER: &str = "org.freedesktop.login1.Manager";

async fn manager(client: &Client) -> Proxy<'static> {
    Proxy::new(
        &client.bus,
        logind::NAME,
        "/org/freedesktop/login1",
        MANAGER,
    )
    .await
    .unwrap()
}

/// The error is `name: text`.
async fn reboot(proxy: &Proxy<'_>, flags: u64) -> Result<(), String> {
    match proxy.call_method("RebootWithFlags", &(flags,)).await {
        Ok(_) => Ok(()),
        Err(zbus::Error::MethodError(name, text, _)) => Err(format!("{name}: {}", text.unwrap())),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn logind_lets_reboots_through_and_remembers_them() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    let client = host.client().await;
    let proxy = manager(&client).await;
    let can: String = proxy.call("CanReboot", &()).await.unwrap();
    assert_eq!(can, "yes");
    let invalid = "org.freedesktop.DBus.Error.InvalidArgs: Invalid flags parameter";
    assert_eq!(reboot(&proxy, 32).await, Err(invalid.to_owned()));
    let rule = format!("type='signal',interface='{MANAGER}',member='PrepareForShutdown'");
    let mut signals = MessageStream::for_match_rule(rule.as_str(), &client.bus, None)
        .await
        .unwrap();
    assert_eq!(reboot(&proxy, 0).await, Ok(()));
    let expected = RebootRequest {
        method: "RebootWithFlags".to_owned(),
        flags: 0,
        sender: client.bus.unique_name().unwrap().to_string(),
    };
    assert_eq!(
        host.machine.wait_reboot_request(DEADLINE).await.unwrap(),
        expected
    );
    let start: bool = signals
        .next()
        .await
        .unwrap()
        .unwrap()
        .body()
        .deserialize()
        .unwrap();
    assert!(start);
    assert!(
        proxy
            .get_property::<bool>("PreparingForShutdown")
            .await
            .unwrap()
    );
    let again = format!("{}: {}", logind::IN_PROGRESS, logind::IN_PROGRESS_TEXT);
    assert_eq!(reboot(&proxy, 0).await, Err(again));
}

#[tokio::test]
async fn locks_block_and_delay() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    let client = host.client().await;
    let proxy = manager(&client).await;
    let blocked = format!("{}: {}", logind::BLOCKED, logind::BLOCKED_TEXT);

    // Over the bus: it lasts as long as its file descriptor.
    let body = ("shutdown:sleep", "lab", "testing", "block");
    let lock: OwnedFd = proxy.call("Inhibit", &body).await.unwrap();
    let listed: Vec<(String, String, String, String, u32, u32)> =
        proxy.call("ListInhibitors", &()).await.unwrap();
    let (what, who, why, mode, uid, _) = listed.first().cloned().unwrap();
    assert_eq!(
        (
            what.as_str(),
            who.as_str(),
            why.as_str(),
            mode.as_str(),
            uid
        ),
        (body.0, body.1, body.2, body.3, 0)
    );
    assert_eq!(
        proxy
            .get_property::<String>("BlockInhibited")
            .await
            .unwrap(),
        "shutdown:sleep"
    );
    assert_eq!(reboot(&proxy, 0).await, Err(blocked.clone()));
    drop(lock);
    until("the end of the lock", DEADLINE, async || {
        let left: Vec<(String, String, String, String, u32, u32)> =
            proxy.call("ListInhibitors", &()).await?;
        Ok(left.is_empty().then_some(()))
    })
    .await
    .unwrap();

    // From the file, as another program's; flag 16 goes over it.
    let set = |mode: &str| {
        let lock = Lock::on_shutdown("kubelet", "pods", mode);
        host.machine
            .root()
            .edit(|all: &mut Inhibitors| all.locks = vec![lock])
            .unwrap();
    };
    set("block");
    assert_eq!(reboot(&proxy, 0).await, Err(blocked));
    set("delay");
    assert_eq!(reboot(&proxy, 0).await, Ok(()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        host.machine.reboot_request().unwrap(),
        None,
        "a delay lock is waited for"
    );
    host.machine
        .root()
        .edit(|all: &mut Inhibitors| all.locks.clear())
        .unwrap();
    host.machine.wait_reboot_request(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn logind_misbehaves_on_request() {
    let refusal = (
        "org.freedesktop.DBus.Error.AccessDenied",
        "Permission denied",
    );
    let refused = Inhibitors {
        refuse: Some((refusal.0.to_owned(), refusal.1.to_owned())),
        ..Inhibitors::default()
    };
    let old = Inhibitors {
        without_flags: true,
        ..Inhibitors::default()
    };
    let forgets = Inhibitors {
        forget_reboots: true,
        ..Inhibitors::default()
    };
    let impatient = Inhibitors {
        delay_max: 50,
        locks: vec![Lock::on_shutdown("kubelet", "pods", "delay")],
        ..Inhibitors::default()
    };
    let skipped = Inhibitors {
        locks: vec![Lock::on_shutdown("lab", "testing", "block")],
        ..Inhibitors::default()
    };
    let unknown = "org.freedesktop.DBus.Error.UnknownMethod: Unknown method RebootWithFlags or interface org.freedesktop.login1.Manager.";
    let cases = [
        (
            refused,
            0,
            Err(format!("{}: {}", refusal.0, refusal.1)),
            false,
        ),
        (old, 0, Err(unknown.to_owned()), false),
        (forgets, 0, Ok(()), false),
        (impatient, 0, Ok(()), true),
        (skipped, 16, Ok(()), true),
    ];
    for (settings, flags, answer, happens) in cases {
        let host = Host::new(HostSpec::ostree(V1)).await;
        host.machine.root().save(&settings).unwrap();
        let client = host.client().await;
        let proxy = manager(&client).await;
        assert_eq!(reboot(&proxy, flags).await, answer, "{settings:?}");
        if happens {
            host.machine.wait_reboot_request(DEADLINE).await.unwrap();
        } else {
            assert_eq!(host.machine.reboot_request().unwrap(), None, "{settings:?}");
            assert!(
                !proxy
                    .get_property::<bool>("PreparingForShutdown")
                    .await
                    .unwrap()
            );
        }
    }
}

/// A stand-in for the agent that says what it was given.
fn stand_in(machine: &Machine, body: &str) -> std::path::PathBuf {
    let path = machine.root().join("lab/stand-in");
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn an_agent_is_started_heard_and_killed() {
    let mut host = Host::new(HostSpec::ostree(V1)).await;
    let machine = &mut host.machine;
    let root = machine.root().path().display().to_string();
    let body = "echo \"$@ $DBUS_SYSTEM_BUS_ADDRESS $EXTRA\"; systemd-notify --ready --status='all is well'; exec sleep 600";
    let program = stand_in(machine, body);
    assert!(!machine.agent_running());
    machine.spawn_agent(&program, &[("EXTRA", "more")]).unwrap();
    machine.wait_agent_ready(DEADLINE).await.unwrap();
    assert!(machine.agent_running());
    assert_eq!(machine.agent_status().as_deref(), Some("all is well"));
    let ready = Notification {
        key: "READY".to_owned(),
        value: "1".to_owned(),
    };
    assert!(machine.notifications().contains(&ready));
    let log = format!("--root {root} unix:path={root}/run/dbus/system_bus_socket more");
    assert_eq!(machine.agent_log_end(5), log);
    let error = machine.spawn_agent(&program, &[]).unwrap_err();
    assert_eq!(error.to_string(), "an agent runs on n1 already");

    let pid = machine.agent_pid().unwrap();
    machine.kill_agent().await.unwrap();
    assert!(!machine.agent_running());
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());

    let failing = stand_in(machine, "echo no luck; exit 1");
    machine.spawn_agent(&failing, &[]).unwrap();
    until("its end", DEADLINE, async || {
        Ok((!machine.agent_running()).then_some(()))
    })
    .await
    .unwrap();
    let error = machine
        .wait_agent_ready(Duration::from_millis(100))
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("no luck"), "{error:#}");
}

#[tokio::test]
async fn roots_that_sockets_cannot_have_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let long = "n".repeat(100);
    for (name, text) in [(long.as_str(), "too long"), ("a b", "only letters")] {
        let error = Machine::create(directory.path(), name, HostSpec::ostree(V1)).unwrap_err();
        assert!(error.to_string().contains(text), "{error:#}");
    }
}

#[tokio::test]
async fn nothing_outlives_a_machine() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    let client = host.client().await;
    assert_eq!(client.active().await.0, "");
    let proxy = manager(&client).await;
    let can: String = proxy.call("CanReboot", &()).await.unwrap();
    assert_eq!(can, "yes");
    let root = host.machine.root().path().display().to_string();
    let left = || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines
            .filter(|line| String::from_utf8_lossy(line).contains(&root))
            .count()
    };
    assert_eq!(left(), 3, "bus and both doubles");
    drop(host);
    until("the end of all processes", DEADLINE, async || {
        Ok((left() == 0).then_some(()))
    })
    .await
    .unwrap();
}
