//! One transaction: a socket of its own, to which any number of peers connect.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};
use zbus::Variant;
use zbus::connection;

use super::daemon::Daemon;
use super::files::NodeRoot;
use super::peer::{self, Peer};
use super::polkit;
use super::task::Task;

const SOCKET: &str = "run/rpm-ostree-transaction.sock";

/// What peers are reported.
#[derive(Debug, Clone)]
pub(super) enum Signal {
    Title(String),
    Message(String),
    TaskBegin(String),
    TaskEnd(String),
    Percent(String, u32),
    /// Seconds since the start.
    Download(u64),
    /// Commit whose signature was checked.
    Signature(String),
    ProgressEnd,
    Finished(bool, String),
}

/// Life of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Created,
    Running,
    Finished(bool, String),
}

#[derive(Debug)]
struct State {
    title: String,
    phase: Phase,
    peers: HashMap<u64, mpsc::UnboundedSender<Signal>>,
    next_peer: u64,
}

/// A transaction that holds the daemon's only slot.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) method: &'static str,
    /// Arguments as serialized by the caller: equal ones join.
    pub(super) arguments: String,
    /// Unique bus name of the caller.
    pub(super) sender: String,
    pub(super) initiator: String,
    pub(super) task: Task,
    pub(super) address: String,
    state: Mutex<State>,
    cancel: watch::Sender<bool>,
    closed: watch::Sender<bool>,
}

/// Everything about a call that a transaction is made from.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) arguments: String,
    pub(super) sender: String,
    pub(super) task: Task,
}

impl Call {
    /// The ends of the names of polkit's actions for it.
    pub(super) fn actions(&self) -> Vec<&'static str> {
        match (polkit::action(self.method), &self.task) {
            (Some(action), _) => vec![action],
            (None, Task::Update(update)) => update.actions(),
            (None, Task::Finalize { .. } | Task::Rollback { .. } | Task::Cleanup(_)) => Vec::new(),
        }
    }
}

impl Transaction {
    /// Opens the socket, in place of an older one.
    pub(super) fn open(
        root: &NodeRoot,
        call: Call,
        initiator: String,
    ) -> Result<(Arc<Self>, UnixListener)> {
        root.remove(SOCKET)?;
        let path = root.join(SOCKET);
        let listener =
            StdListener::bind(&path).with_context(|| format!("bind {}", path.display()))?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666))
            .with_context(|| format!("open {} to all users", path.display()))?;
        listener
            .set_nonblocking(true)
            .context("non-blocking socket")?;
        let transaction = Self {
            method: call.method,
            arguments: call.arguments,
            sender: call.sender,
            initiator,
            address: format!("unix:path={}", path.display()),
            state: Mutex::new(State {
                title: call.task.first_title().to_owned(),
                phase: Phase::Created,
                peers: HashMap::new(),
                next_peer: 0,
            }),
            task: call.task,
            cancel: watch::Sender::new(false),
            closed: watch::Sender::new(false),
        };
        Ok((Arc::new(transaction), UnixListener::from_std(listener)?))
    }

    /// The slot is free again: the socket file goes, remaining peers see their connection close.
    pub(super) fn close(&self, root: &NodeRoot) -> Result<()> {
        self.closed.send_replace(true);
        self.state().peers.clear();
        root.remove(SOCKET)
    }

    pub(super) fn title(&self) -> String {
        self.state().title.clone()
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().phase.clone()
    }

    /// Whether nothing keeps a finished transaction in the slot.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        matches!(state.phase, Phase::Finished(..)) && state.peers.is_empty()
    }

    /// Whether this call starts the work.
    pub(super) fn start(&self) -> bool {
        let mut state = self.state();
        let first = state.phase == Phase::Created;
        if first {
            state.phase = Phase::Running;
        }
        first
    }

    pub(super) fn send(&self, signal: Signal) {
        let mut state = self.state();
        match &signal {
            Signal::Title(title) => title.clone_into(&mut state.title),
            Signal::Finished(success, text) => {
                state.phase = Phase::Finished(*success, text.clone())
            }
            _ => {}
        }
        // A peer that is just leaving takes itself off the list.
        state
            .peers
            .values()
            .for_each(|peer| drop(peer.send(signal.clone())));
    }

    pub(super) fn message(&self, text: impl Into<String>) {
        self.send(Signal::Message(text.into()));
    }

    /// One peer alone.
    pub(super) fn send_to(&self, peer: u64, signal: Signal) {
        if let Some(peer) = self.state().peers.get(&peer) {
            drop(peer.send(signal));
        }
    }

    /// Takes effect on work that is running. What is cancelled before `Start` ends as soon as it is started.
    pub(super) fn cancel(&self) {
        self.cancel.send_replace(true);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        *self.cancel.borrow()
    }

    pub(super) async fn cancelled(&self) {
        // The sender lives in self, so this can't fail while it is awaited.
        drop(
            self.cancel
                .subscribe()
                .wait_for(|cancelled| *cancelled)
                .await,
        );
    }

    pub(super) async fn closed(&self) {
        drop(self.closed.subscribe().wait_for(|closed| *closed).await);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> (u64, mpsc::UnboundedReceiver<Signal>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.state();
        let id = state.next_peer;
        state.next_peer += 1;
        state.peers.insert(id, sender);
        (id, receiver)
    }

    fn leave(&self, id: u64) {
        self.state().peers.remove(&id);
    }
}

/// Serves peers until the transaction is closed.
pub(super) async fn listen(
    daemon: Arc<Daemon>,
    transaction: Arc<Transaction>,
    listener: UnixListener,
) {
    loop {
        tokio::select! {
            () = transaction.closed() => return,
            peer = listener.accept() => match peer {
                Ok((stream, _)) => {
                    tokio::spawn(serve(daemon.clone(), transaction.clone(), stream));
                }
                Err(error) => return warn!(%error, "can't accept peers"),
            },
        }
    }
}

/// Serves one peer. It counts as present from the first byte on, so that a quick `Start` can't miss a signal.
async fn serve(daemon: Arc<Daemon>, transaction: Arc<Transaction>, stream: UnixStream) {
    let (id, signals) = transaction.enter();
    if let Err(error) = talk(&daemon, &transaction, stream, id, signals).await {
        debug!(%error, "peer failed");
    }
    transaction.leave(id);
    daemon.close_if_over(&transaction).await;
}

async fn talk(
    daemon: &Arc<Daemon>,
    transaction: &Arc<Transaction>,
    stream: UnixStream,
    id: u64,
    mut signals: mpsc::UnboundedReceiver<Signal>,
) -> Result<()> {
    const HANDSHAKE: Duration = Duration::from_secs(10);
    let peer = Peer {
        id,
        daemon: daemon.clone(),
        transaction: transaction.clone(),
    };
    let building = connection::Builder::unix_stream(stream.into_std()?)
        .server(zbus::Guid::generate())
        .p2p()
        .serve_at("/", peer)
        .build();
    let connection = tokio::time::timeout(HANDSHAKE, building)
        .await
        .context("handshake")??;
    let emitter = zbus::object_server::SignalEmitter::new(&connection, "/")?;
    loop {
        tokio::select! {
            // Signals first: a peer that is dismissed gets what was sent before.
            biased;
            signal = signals.recv() => match signal {
                Some(signal) => peer::emit(&emitter, signal).await?,
                None => break,
            },
            () = connection.closed() => return Ok(()),
        }
    }
    connection.close().await?;
    Ok(())
}

/// Body of the `PropertiesChanged` signal of one property.
pub(super) fn title_changed(title: String) -> HashMap<&'static str, Variant<'static>> {
    HashMap::from([("Title", Variant::from(title))])
}
