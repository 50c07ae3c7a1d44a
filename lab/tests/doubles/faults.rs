//! What a test can let go wrong.

use std::io::ErrorKind;
use std::time::Duration;

use cuo_lab::machine::HostSpec;
use cuo_lab::machine::ostree::{Effect, Fault, Faults, Stage, texts};
use cuo_lab::wait::until;
use tokio::time::{Instant, sleep, timeout};

use super::client::{DEADLINE, Dictionary, Host, OS, Options, Peer, SYSROOT, V1, V2, options};

async fn host(fault: Fault) -> Host {
    let host = Host::new(HostSpec::container(V1)).await;
    host.machine.publish(V2).unwrap();
    host.machine.inject(fault).unwrap();
    host
}

fn staged(host: &Host) -> Option<String> {
    let sysroot = host.machine.sysroot().unwrap();
    sysroot.staged().map(|one| one.release.version.clone())
}

fn rules(host: &Host) -> usize {
    host.machine.root().load::<Faults>().unwrap().rules.len()
}

#[tokio::test]
async fn work_ends_early_at_every_stage() {
    let fail = || Effect::Fail("Out of luck".to_owned());
    let failed = "Finished false Out of luck";
    let cases = [
        (Stage::Running, fail(), failed, None),
        (Stage::Pull, fail(), failed, None),
        (Stage::Deploy, fail(), failed, None),
        (Stage::Finish, fail(), failed, Some(V2)),
        (Stage::Running, Effect::Crash, "EOF", None),
        (Stage::Pull, Effect::Crash, "EOF", None),
        (Stage::Deploy, Effect::Crash, "EOF", None),
        (Stage::Finish, Effect::Crash, "EOF", Some(V2)),
        (Stage::Deploy, Effect::Nothing, "Finished true", None),
        (Stage::Running, Effect::Delay(50), "Finished true", Some(V2)),
        (Stage::Pull, Effect::Burst(300), "Finished true", Some(V2)),
    ];
    for (stage, effect, end, left) in cases {
        let what = format!("{stage:?} {effect:?}");
        let host = host(Fault::once("Upgrade", stage, effect.clone())).await;
        let client = host.client().await;
        let address = client.begin("Upgrade", &(Options::new(),)).await.unwrap();
        let mut peer = Peer::connect(&address).await;
        peer.start_anyhow();
        let (signals, seen) = peer.finish().await;
        assert_eq!(seen, end, "{what}");
        let burst = signals
            .iter()
            .filter(|signal| signal.starts_with("Message burst"))
            .count();
        assert_eq!(
            burst,
            if effect == Effect::Burst(300) { 300 } else { 0 },
            "{what}"
        );
        assert_eq!(staged(&host).as_deref(), left, "{what}");
        assert_eq!(rules(&host), 0, "{what}");
        peer.leave().await;
        // It happened once: afterwards the host gets there, from a new process if need be.
        client.wait_free().await;
        assert_eq!(
            client.outcome("Upgrade", &(Options::new(),)).await,
            "Finished true",
            "{what}"
        );
        assert_eq!(staged(&host).as_deref(), Some(V2), "{what}");
    }
}

#[tokio::test]
async fn calls_are_refused_for_ever() {
    let effect = Effect::Refuse {
        name: texts::ACCESS_DENIED.to_owned(),
        text: texts::not_allowed("Upgrade"),
    };
    let host = host(Fault::always("Upgrade", Stage::Call, effect)).await;
    let client = host.client().await;
    for _ in 0..2 {
        let refused = client.begin("Upgrade", &(Options::new(),)).await;
        let expected = "org.freedesktop.DBus.Error.AccessDenied: rpmostreed OS operation Upgrade not allowed for user";
        assert_eq!(refused, Err(expected.to_owned()));
    }
    assert_eq!(rules(&host), 1);
}

#[tokio::test]
async fn a_call_is_never_answered() {
    let host = host(Fault::once("Upgrade", Stage::Call, Effect::Hang)).await;
    let client = host.client().await;
    let empty = (Options::new(),);
    let call = client.begin("Upgrade", &empty);
    assert!(timeout(Duration::from_millis(500), call).await.is_err());
    assert_eq!(client.outcome("Upgrade", &empty).await, "Finished true");
}

#[tokio::test]
async fn hanging_work_is_cancelled_or_not() {
    for (effect, ends) in [(Effect::Hang, true), (Effect::HangForever, false)] {
        let host = host(Fault::once("Upgrade", Stage::Running, effect)).await;
        let client = host.client().await;
        let address = client.begin("Upgrade", &(Options::new(),)).await.unwrap();
        let mut peer = Peer::connect(&address).await;
        assert!(peer.start().await);
        assert!(peer.next().await.starts_with("PropertiesChanged"));
        peer.cancel().await;
        let end = timeout(Duration::from_secs(2), peer.next()).await.ok();
        let expected = ends.then(|| "Finished false Operation was cancelled".to_owned());
        assert_eq!(end, expected);
    }
}

#[tokio::test]
async fn a_download_has_progress_and_can_be_cancelled() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    host.machine.publish(V2).unwrap();
    let slow = |faults: &mut Faults| {
        faults.pace.pull = 60_000;
        faults.pace.progress = 50;
    };
    host.machine.root().edit(slow).unwrap();
    let client = host.client().await;
    let address = client.begin("Upgrade", &(Options::new(),)).await.unwrap();
    let peer = Peer::connect(&address).await;
    // Before it began: it ends as soon as it is started.
    peer.cancel().await;
    assert!(peer.start().await);
    let end = peer.until_the_end().await.1;
    assert_eq!(end, "Finished false Operation was cancelled");
    client.wait_free().await;
    let address = client.begin("Upgrade", &(Options::new(),)).await.unwrap();
    let mut peer = Peer::connect(&address).await;
    assert!(peer.start().await);
    assert!(peer.next().await.starts_with("PropertiesChanged"));
    for _ in 0..2 {
        let counts = "(uint32 3, uint32 0) (uint32 10, uint32 5, uint32 2) (uint32 0, uint32 0, uint32 0, uint64 0) (uint32 5, uint32 9)";
        let expected = format!(
            "DownloadProgress (uint64 3807890314, uint64 0) {counts} (uint64 913, uint64 913)"
        );
        assert_eq!(peer.next().await, expected);
    }
    peer.cancel().await;
    let end = peer.until_the_end().await.1;
    assert_eq!(
        end,
        "Finished false While pulling fedora/stable/x86_64/iot: Operation was cancelled"
    );
}

#[tokio::test]
async fn signals_overtake_the_answer_to_start() {
    let host = host(Fault::once("Upgrade", Stage::Start, Effect::Delay(3_000))).await;
    let client = host.client().await;
    let address = client.begin("Upgrade", &(Options::new(),)).await.unwrap();
    let mut peer = Peer::connect(&address).await;
    let begun = Instant::now();
    peer.start_anyhow();
    assert_eq!(peer.finish().await.1, "Finished true");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_crash_before_start_leaves_a_stale_socket() {
    for stage in [Stage::Opened, Stage::Start] {
        let host = host(Fault::once("Upgrade", stage, Effect::Crash)).await;
        let client = host.client().await;
        let address = client.begin("Upgrade", &(Options::new(),)).await.unwrap();
        if stage == Stage::Start {
            let mut peer = Peer::connect(&address).await;
            peer.start_anyhow();
            assert_eq!(peer.next().await, "EOF");
        }
        until(
            "a refused connection",
            DEADLINE,
            async || match Peer::try_connect(&address).await {
                Err(zbus::Error::Connection(error, _)) => {
                    Ok((error.kind() == ErrorKind::ConnectionRefused).then_some(()))
                }
                _ => Ok(None),
            },
        )
        .await
        .unwrap();
        let socket = host.machine.root().join("run/rpm-ostree-transaction.sock");
        assert!(socket.exists());
        client.wait_free().await;
        assert_eq!(
            client.outcome("Upgrade", &(Options::new(),)).await,
            "Finished true"
        );
    }
}

#[tokio::test]
async fn the_known_crashes_happen() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    let client = host.client().await;
    let gone = "org.freedesktop.DBus.Error.NoReply: Message recipient disconnected from message bus without replying";
    let empty: Result<zbus::OwnedObjectPath, _> = client.call(SYSROOT, "GetOS", &("",)).await;
    assert_eq!(empty, Err(gone.to_owned()));
    let unknown: Result<zbus::OwnedObjectPath, _> = client.call(SYSROOT, "GetOS", &("nope",)).await;
    assert_eq!(
        unknown,
        Err(format!("{}: OS name \"nope\" not found", texts::NOT_FOUND))
    );
    let known: zbus::OwnedObjectPath = client
        .call(SYSROOT, "GetOS", &("fedora-coreos",))
        .await
        .unwrap();
    assert_eq!(known.as_str(), OS);

    let asserted = options([("mode", "check".into()), ("cache-only", true.into())]);
    let (_, address): (bool, String) = client
        .call(OS, "AutomaticUpdateTrigger", &(asserted,))
        .await
        .unwrap();
    let mut peer = Peer::connect(&address).await;
    peer.start_anyhow();
    assert_eq!(peer.next().await, "EOF");
}

#[tokio::test]
async fn an_idle_daemon_leaves_and_comes_back() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    host.machine.publish(V2).unwrap();
    host.machine
        .root()
        .edit(|faults: &mut Faults| faults.pace.idle_exit = 500)
        .unwrap();
    let client = host.client().await;
    let id = options([("id", "lab".into())]);
    let gone = async || {
        until("idle exit", DEADLINE, async || {
            Ok((!host.machine.rpm_ostreed_runs()).then_some(()))
        })
        .await
        .unwrap();
    };
    client
        .call::<_, ()>(SYSROOT, "RegisterClient", &(id.clone(),))
        .await
        .unwrap();
    sleep(Duration::from_millis(1_200)).await;
    assert!(
        host.machine.rpm_ostreed_runs(),
        "registered clients keep it"
    );
    client
        .call::<_, ()>(SYSROOT, "UnregisterClient", &(id,))
        .await
        .unwrap();
    gone().await;
    // What it knew is still there.
    assert_eq!(
        client.outcome("Upgrade", &(Options::new(),)).await,
        "Finished true"
    );
    gone().await;
    let default: Dictionary = client.property(OS, "DefaultDeployment").await;
    assert_eq!(default["version"].to_string(), format!("\"{V2}\""));
}
