//! A host's wire to the cluster: all that it reaches of the machine, for tests to cut.
//!
//! A host has a network of its own with a switch in it. Where the switch is, the API server answers: connections are carried to the one on
//! the machine's loopback.

use std::convert::Infallible;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::locked;
use crate::process::bound;
use crate::wait::until;

/// The API server's URL on a host: a name that is in its certificate.
pub(super) const SERVER: &str = "https://kubernetes:6443";
const PORT: u16 = 6443;
/// Name of the switch, in the host's network.
pub(super) const SWITCH: &str = "switch";
/// How long a network takes to be there on a busy machine.
const START: Duration = Duration::from_secs(20);

/// What the network of a host has to do with its machine.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The API server, on loopback.
    server: Mutex<Option<SocketAddr>>,
    /// A process that is in the network, while the host is on.
    process: Mutex<Option<u32>>,
    cut: AtomicBool,
    connections: AtomicU32,
}

impl Link {
    /// Who answers on the host as the API server.
    pub(super) fn leads_to(&self, server: SocketAddr) {
        *locked(&self.server) = Some(server);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// How often the API server was connected to.
    pub(super) fn connections(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }

    /// From now on the host has no answer of anybody, nor a word that nobody is there; or has one again. A host that is off is in it later.
    pub(super) async fn set_cut(&self, cut: bool) -> Result<()> {
        self.cut.store(cut, Ordering::SeqCst);
        let Some(process) = *locked(&self.process) else {
            return Ok(());
        };
        let mut nsenter = bound("nsenter");
        nsenter.args(["--target", &process.to_string(), "--net", "--"]);
        nsenter.args(["ip", "link", "set", SWITCH, self.state()]);
        let output = nsenter.output().await.context("nsenter")?;
        ensure!(output.status.success(), "the switch stays: {output:?}");
        Ok(())
    }

    /// What the switch has to be, in the words of `ip`.
    pub(super) fn state(&self) -> &'static str {
        if self.is_cut() { "down" } else { "up" }
    }

    pub(super) fn ended(&self) {
        *locked(&self.process) = None;
    }

    /// Carries connections out of the network of `process` as long as it is polled; returns why it can't.
    pub(super) async fn serve(&self, process: u32) -> anyhow::Error {
        match self.carry(process).await {
            Ok(never) => match never {},
            Err(error) => error.context("the host's wire"),
        }
    }

    async fn carry(&self, process: u32) -> Result<Infallible> {
        let listener = listen(process).await?;
        *locked(&self.process) = Some(process);
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (mut near, _) = accepted.context("accept a connection")?;
                    self.connections.fetch_add(1, Ordering::SeqCst);
                    let server = *locked(&self.server);
                    open.spawn(async move {
                        let mut far = TcpStream::connect(server.context("there is no API server")?).await?;
                        copy_bidirectional(&mut near, &mut far).await?;
                        anyhow::Ok(())
                    });
                }
                // Those who are connected see that it has ended, and why is theirs to judge.
                Some(_) = open.join_next() => {}
            }
        }
    }
}

/// A socket in the network of `process`. It stays in there whoever uses it.
async fn listen(process: u32) -> Result<TcpListener> {
    let path = format!("/proc/{process}/ns/net");
    let own = fs::read_link("/proc/self/ns/net").context("the own network")?;
    until("a host's network", START, async || {
        Ok((fs::read_link(&path)? != own).then_some(()))
    })
    .await?;
    let network = File::open(&path).with_context(|| format!("open {path}"))?;
    let entered = std::thread::spawn(move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
            .context("enter a host's network")?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))
            .context("listen in a host's network")?;
        listener.set_nonblocking(true)?;
        anyhow::Ok(listener)
    });
    let listener = entered.join().map_err(|_| anyhow!("a thread panicked"))??;
    TcpListener::from_std(listener).context("use a socket of a host's network")
}
