//! The one slot for a transaction: who holds it, who joins, who is told.

use std::io::ErrorKind;

use anyhow::{Context, Result};
use futures::FutureExt;

use crate::conformance::client::{Client, EOF, OS, Options, Peer, SYSROOT, options};
use crate::conformance::subject::Server;
use crate::conformance::{Case, Seen, V2, V3};
use crate::machine::OriginKind::Ostree;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a transaction says who asked for what",
        why: "the reason names who keeps rpm-ostree busy",
        origin: Ostree,
        look: |seen| named(seen).boxed_local(),
    },
    Case {
        name: "equal calls join, others are refused",
        why: "a call of the agent may meet its own from before a restart",
        origin: Ostree,
        look: |seen| joined(seen).boxed_local(),
    },
    Case {
        name: "a peer that stays holds the slot after the end",
        why: "the agent leaves at once, and does not believe an end that it did not start",
        origin: Ostree,
        look: |seen| held(seen).boxed_local(),
    },
    Case {
        name: "a caller that leaves before Start frees the slot",
        why: "an agent that is killed must not block the host",
        origin: Ostree,
        look: |seen| gone(seen).boxed_local(),
    },
    Case {
        name: "a started transaction outlives its caller",
        why: "an agent that is killed finds what it began",
        origin: Ostree,
        look: |seen| outlives(seen).boxed_local(),
    },
    Case {
        name: "a pull is cancelled",
        why: "what is silent for too long is cancelled",
        origin: Ostree,
        look: |seen| cancelled(seen).boxed_local(),
    },
    Case {
        name: "a daemon that dies closes the transaction without an end",
        why: "that is told from a failure, and tried again",
        origin: Ostree,
        look: |seen| killed(seen).boxed_local(),
    },
];

async fn named(seen: &mut Seen) -> Result<()> {
    for registered in [false, true] {
        if registered {
            let id = options([("id", "contract".into())]);
            let reply = seen
                .client
                .call::<_, ()>(SYSROOT, "RegisterClient", &(id,))
                .await?;
            seen.say(format!("registered {reply:?}"));
        }
        let address = begun(seen, "Upgrade").await?;
        let peer = Peer::connect(&seen.host, &address).await?;
        let properties = peer.properties().await?;
        // A program in no unit has no unit to name; the double is in one.
        let plain = |line: String| match line.split_once(" unit:") {
            Some((before, after)) => {
                let (_, after) = after.split_once(' ').unwrap_or_default();
                format!("{before} {after}")
            }
            None => line,
        };
        let dbus = seen
            .client
            .bus
            .unique_name()
            .map_or("", |name| name.as_str());
        let number = dbus.trim_start_matches(':').to_owned();
        let lines = properties.into_iter().map(plain);
        let lines = lines.map(|line| line.replace(&format!("dbus:{number}"), "dbus:<number>"));
        seen.say_all(lines);
        let active = seen.client.active().await?;
        seen.say(format!(
            "active {} of {} on {}",
            active.0, active.1, active.2
        ));
        peer.leave().await;
        seen.client.follow(&seen.host, &address).await?;
    }
    let checksum = options([("checksum", "abc".into())]);
    let address = seen
        .client
        .begin("FinalizeDeployment", &(checksum,))
        .await?;
    let address = address.map_err(anyhow::Error::msg)?;
    let peer = Peer::connect(&seen.host, &address).await?;
    let title = peer.properties().await?.pop().unwrap_or_default();
    seen.say(title);
    Ok(())
}

/// The address of a transaction without any options.
async fn begun(seen: &Seen, method: &str) -> Result<String> {
    let address = seen.client.begin(method, &(Options::new(),)).await?;
    address
        .map_err(anyhow::Error::msg)
        .context(method.to_owned())
}

async fn joined(seen: &mut Seen) -> Result<()> {
    let other = Client::connect(&seen.host).await?;
    let address = begun(seen, "Upgrade").await?;
    seen.say(format!("made {address}"));
    let empty = (Options::new(), Options::new());
    let refused = other.begin("UpdateDeployment", &empty).await?;
    seen.say(format!("{refused:?}"));
    let different = options([("allow-downgrade", true.into())]);
    let refused = other.begin("Upgrade", &(different,)).await?;
    seen.say(format!("{refused:?}"));
    let again = other.begin("Upgrade", &(Options::new(),)).await?;
    seen.say(format!("{again:?}"));
    // Whoever joined may start it.
    let mut first = Peer::connect(&seen.host, &address).await?;
    let second = Peer::connect(&seen.host, &address).await?;
    let (by_second, by_first) = (second.start().await?, first.start().await?);
    seen.say(format!("started {by_second}, then {by_first}"));
    let end = first.finish().await?.pop().unwrap_or_default();
    seen.say(end);
    second.leave().await;
    first.leave().await;
    Ok(())
}

async fn held(seen: &mut Seen) -> Result<()> {
    let other = Client::connect(&seen.host).await?;
    seen.host.publish(V2).await?;
    let address = begun(seen, "Upgrade").await?;
    let mut stays = Peer::connect(&seen.host, &address).await?;
    let started = stays.start().await?;
    let end = stays.finish().await?.pop().unwrap_or_default();
    seen.say(format!("started {started}, {end}"));
    let finalize = options([("allow-missing-checksum", true.into())]);
    let refused = other.begin("FinalizeDeployment", &(finalize,)).await?;
    seen.say(format!("{refused:?}"));
    seen.host.publish(V3).await?;
    let again = other.begin("Upgrade", &(Options::new(),)).await?;
    seen.say(format!("{again:?}"));
    let mut late = Peer::connect(&seen.host, &address).await?;
    let started = late.start().await?;
    let end = late.finish().await?;
    seen.say(format!("started {started}, {end:?}"));
    late.leave().await;
    seen.shows("DefaultDeployment", &["version"]).await?;
    // Nobody holds it without end: it took 30 s.
    let end = stays.next().await?;
    seen.say(end);
    seen.client.wait_free().await?;
    let late = Peer::try_connect(&seen.host, &address).await?;
    seen.say(match late {
        Ok(_) => "still there".to_owned(),
        Err(zbus::Error::Connection(error, _)) if error.kind() == ErrorKind::NotFound => {
            "no such socket".to_owned()
        }
        Err(error) => error.to_string(),
    });
    Ok(())
}

async fn gone(seen: &mut Seen) -> Result<()> {
    let caller = Client::connect(&seen.host).await?;
    let address = caller.begin("Upgrade", &(Options::new(),)).await?;
    let address = address.map_err(anyhow::Error::msg)?;
    // A peer that leaves changes nothing.
    Peer::connect(&seen.host, &address).await?.leave().await;
    seen.client.reload().await?;
    let active = seen.client.active().await?;
    seen.say(format!("active {}", active.0));
    drop(caller.bus.close().await);
    seen.client.wait_free().await?;
    seen.say("free");
    Ok(())
}

async fn outlives(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    let caller = Client::connect(&seen.host).await?;
    let address = caller.begin("Upgrade", &(Options::new(),)).await?;
    let address = address.map_err(anyhow::Error::msg)?;
    let peer = Peer::connect(&seen.host, &address).await?;
    let started = peer.start().await?;
    seen.say(format!("started {started}"));
    peer.leave().await;
    drop(caller.bus.close().await);
    seen.client.wait_free().await?;
    seen.shows("DefaultDeployment", &["version", "staged"])
        .await
}

async fn cancelled(seen: &mut Seen) -> Result<()> {
    // Before Start it has no effect.
    let address = begun(seen, "Upgrade").await?;
    let mut peer = Peer::connect(&seen.host, &address).await?;
    peer.cancel().await?;
    let started = peer.start().await?;
    let end = peer.finish().await?.pop().unwrap_or_default();
    seen.say(format!("started {started}, {end}"));
    peer.leave().await;
    seen.client.wait_free().await?;

    seen.host.publish(V2).await?;
    seen.host.serve(Server::Stuck).await?;
    let address = begun(seen, "Upgrade").await?;
    let mut peer = Peer::connect(&seen.host, &address).await?;
    let started = peer.start().await?;
    // Once a second, so that the pull is under way.
    peer.hear("DownloadProgress").await?;
    peer.cancel().await?;
    let end = peer.finish().await?.pop().unwrap_or_default();
    seen.say(format!("started {started}, {end}"));
    peer.leave().await;
    seen.client.wait_free().await?;
    seen.host.serve(Server::Up).await
}

async fn killed(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    seen.host.serve(Server::Stuck).await?;
    let address = begun(seen, "Upgrade").await?;
    let mut peer = Peer::connect(&seen.host, &address).await?;
    let started = peer.start().await?;
    seen.say(format!("started {started}"));
    peer.hear("DownloadProgress").await?;
    seen.host.kill_daemon().await?;
    let end = peer.finish().await?.pop().unwrap_or_default();
    seen.say(if end == EOF { "no end".to_owned() } else { end });
    peer.leave().await;
    // The socket stays, and nobody listens there.
    let late = Peer::try_connect(&seen.host, &address).await?;
    seen.say(match late {
        Ok(_) => "still there".to_owned(),
        Err(zbus::Error::Connection(error, _)) => format!("{:?}", error.kind()),
        Err(error) => error.to_string(),
    });
    seen.host.serve(Server::Up).await?;
    // The next call starts another one.
    seen.client.wait_free().await?;
    seen.shows("DefaultDeployment", &["version", "staged"])
        .await?;
    let active = seen.client.properties(OS).await?;
    seen.say(format!("{} properties", active.len()));
    Ok(())
}
