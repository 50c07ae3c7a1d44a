//! The order in which a staging shows on the host, as it was seen with rpm-ostree 2026.2 and libostree 2025.2.

use std::time::Duration;

use cuo_lab::machine::HostSpec;
use cuo_lab::machine::ostree::{Effect, Fault, Faults, Stage};
use cuo_lab::machine::systemd::{FINALIZER, Units};
use cuo_lab::wait::until;
use tokio::time::Instant;

use super::client::{Client, DEADLINE, Dictionary, Host, OS, Options, Peer, V1, V2};

/// What can be seen of a staging that is under way.
#[derive(Debug, PartialEq)]
struct Moment {
    noted: bool,
    shown: String,
    finalizer: String,
    active: String,
    cached: bool,
}

async fn moment(host: &Host, client: &Client) -> Moment {
    let root = host.machine.root();
    let units: Units = root.load().unwrap();
    let default: Dictionary = client.property(OS, "DefaultDeployment").await;
    let cached: Dictionary = client.property(OS, "CachedUpdate").await;
    Moment {
        noted: root.join("run/ostree/staged-deployment").exists(),
        shown: format!("{} staged {}", *default["version"], *default["staged"]),
        finalizer: units.states[FINALIZER].clone(),
        active: client.active().await.0,
        cached: cached.contains_key("deployment"),
    }
}

fn layered(spec: HostSpec) -> HostSpec {
    let layered = vec!["htop".to_owned()];
    HostSpec { layered, ..spec }
}

#[tokio::test]
async fn note_dictionary_and_finalizer_are_there_while_the_transaction_is_at_work() {
    for spec in [HostSpec::ostree(V1), HostSpec::container(V1)] {
        for spec in [spec.clone(), layered(spec)] {
            let host = Host::new(spec).await;
            host.machine.publish(V2).unwrap();
            let client = host.client().await;
            let before = Moment {
                noted: false,
                shown: format!("\"{V1}\" staged false"),
                finalizer: "inactive".to_owned(),
                active: String::new(),
                cached: false,
            };
            assert_eq!(moment(&host, &client).await, before);

            let hang = Fault::once("Upgrade", Stage::Staged, Effect::Hang);
            host.machine.inject(hang).unwrap();
            let mut changes = client.watch_properties().await;
            let address = client.begin("Upgrade", &(Options::new(),)).await.unwrap();
            let mut peer = Peer::connect(&address).await;
            assert!(peer.start().await);
            let active = "ActiveTransaction ActiveTransactionPath";
            assert_eq!(changes.next().await, active);
            // Of a branch that was pulled, what runs tells too.
            let os = changes.next().await;
            let os = os.strip_prefix("BootedDeployment ").unwrap_or(&os);
            assert_eq!(os, "DefaultDeployment");
            assert_eq!(changes.next().await, "Deployments");
            let during = Moment {
                noted: true,
                shown: format!("\"{V2}\" staged true"),
                finalizer: "active".to_owned(),
                active: "Upgrade".to_owned(),
                cached: false,
            };
            // Nothing orders the unit and the dictionary.
            let struck = async || {
                let left = host.machine.root().load::<Faults>()?.rules.len();
                Ok((left == 0).then_some(()))
            };
            until("the moment after", DEADLINE, struck).await.unwrap();
            assert_eq!(moment(&host, &client).await, during);

            peer.cancel().await;
            let (signals, end) = peer.finish().await;
            assert_eq!(signals.last().unwrap(), "TaskBegin Staging deployment");
            assert_eq!(end, "Finished false Operation was cancelled");
            assert_eq!(moment(&host, &client).await, during, "it stays staged");
        }
    }
}

#[tokio::test]
async fn the_end_comes_long_after_the_note_and_last_with_layers() {
    for (spec, least) in [
        (HostSpec::ostree(V1), 200),
        (HostSpec::container(V1), 200),
        (layered(HostSpec::ostree(V1)), 1_800),
        (layered(HostSpec::container(V1)), 1_800),
    ] {
        let host = Host::new(spec).await;
        host.machine.publish(V2).unwrap();
        let client = host.client().await;
        let note = host.machine.root().join("run/ostree/staged-deployment");
        let address = client.begin("Upgrade", &(Options::new(),)).await.unwrap();
        let mut peer = Peer::connect(&address).await;
        let begun = Instant::now();
        assert!(peer.start().await);
        let mut seen = Vec::new();
        loop {
            let signal = peer.next().await;
            let word = signal.split(' ').next().unwrap().to_owned();
            match word.as_str() {
                "TaskBegin" | "TaskEnd" => seen.push((signal, note.exists())),
                "Finished" => break,
                _ => {}
            }
        }
        let ends = ("TaskEnd done".to_owned(), true);
        assert_eq!(seen.last().unwrap(), &ends);
        assert!(begun.elapsed() >= Duration::from_millis(least));
        assert!(moment(&host, &client).await.cached);
    }
}
