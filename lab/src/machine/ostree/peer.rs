//! The interface that a transaction shows to its peers.

use std::sync::Arc;

use anyhow::Result;
use zbus::Variant;
use zbus::interface;
use zbus::object_server::{ResponseDispatchNotifier, SignalEmitter};

use super::daemon::Daemon;
use super::dict;
use super::faults::{Effect, Stage, ms};
use super::transaction::{Phase, Signal, Transaction, title_changed};

const NAME: &str = "org.projectatomic.rpmostree1.Transaction";

/// What one peer sees at `/`.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: u64,
    pub(super) daemon: Arc<Daemon>,
    pub(super) transaction: Arc<Transaction>,
}

type Times = (u64, u64);
type Outstanding = (u32, u32);
type Metadata = (u32, u32, u32);
type Deltas = (u32, u32, u32, u64);
type Content = (u32, u32);
type Transfer = (u64, u64);

#[interface(name = "org.projectatomic.rpmostree1.Transaction")]
impl Peer {
    /// Starts the work. A peer that comes too late gets `false`, and at once its own copy of `Finished` when that was already sent.
    async fn start(&self) -> ResponseDispatchNotifier<bool> {
        let (daemon, transaction) = (self.daemon.clone(), self.transaction.clone());
        if !transaction.start() {
            let (reply, sent) = ResponseDispatchNotifier::new(false);
            if let Phase::Finished(success, text) = transaction.phase() {
                let id = self.id;
                tokio::spawn(async move {
                    sent.await;
                    transaction.send_to(id, Signal::Finished(success, text));
                });
            }
            return reply;
        }
        let (reply, sent) = ResponseDispatchNotifier::new(true);
        match self.daemon.fault(transaction.method, Stage::Start) {
            Some(Effect::Crash) => daemon.die(),
            Some(Effect::Delay(time)) => {
                // Seen in reality too: signals overtake the reply.
                tokio::spawn(daemon.run(transaction));
                tokio::time::sleep(ms(time)).await;
            }
            Some(Effect::Hang | Effect::HangForever) => std::future::pending().await,
            _ => {
                tokio::spawn(async move {
                    sent.await;
                    daemon.run(transaction).await;
                });
            }
        }
        reply
    }

    /// Asks the work to stop; the outcome is in `Finished`.
    async fn cancel(&self) {
        self.transaction.cancel();
    }

    /// What is being done.
    #[zbus(property)]
    fn title(&self) -> String {
        self.transaction.title()
    }

    /// Who asked for it.
    #[zbus(property)]
    fn initiating_client_description(&self) -> String {
        self.transaction.initiator.clone()
    }

    #[zbus(signal)]
    async fn message(emitter: &SignalEmitter<'_>, text: &str) -> zbus::Result<()>;
    #[zbus(signal)]
    async fn task_begin(emitter: &SignalEmitter<'_>, text: &str) -> zbus::Result<()>;
    #[zbus(signal)]
    async fn task_end(emitter: &SignalEmitter<'_>, text: &str) -> zbus::Result<()>;
    #[zbus(signal)]
    async fn percent_progress(
        emitter: &SignalEmitter<'_>,
        text: &str,
        percent: u32,
    ) -> zbus::Result<()>;
    #[zbus(signal)]
    async fn download_progress(
        emitter: &SignalEmitter<'_>,
        time: Times,
        outstanding: Outstanding,
        metadata: Metadata,
        delta: Deltas,
        content: Content,
        transfer: Transfer,
    ) -> zbus::Result<()>;
    #[zbus(signal)]
    async fn signature_progress(
        emitter: &SignalEmitter<'_>,
        signatures: Vec<Variant<'_>>,
        commit: &str,
    ) -> zbus::Result<()>;
    #[zbus(signal)]
    async fn progress_end(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;
    #[zbus(signal)]
    async fn finished(
        emitter: &SignalEmitter<'_>,
        success: bool,
        error_message: &str,
    ) -> zbus::Result<()>;
}

/// Sends one signal to one peer.
pub(super) async fn emit(to: &SignalEmitter<'_>, signal: Signal) -> Result<()> {
    match signal {
        Signal::Title(title) => {
            let none = Vec::<&str>::new();
            let body = (NAME, title_changed(title), none);
            to.emit(
                "org.freedesktop.DBus.Properties",
                "PropertiesChanged",
                &body,
            )
            .await
        }
        Signal::Message(text) => Peer::message(to, &text).await,
        Signal::TaskBegin(text) => Peer::task_begin(to, &text).await,
        Signal::TaskEnd(text) => Peer::task_end(to, &text).await,
        Signal::Percent(text, percent) => Peer::percent_progress(to, &text, percent).await,
        Signal::Download(elapsed) => {
            let fetched = 913 * elapsed.max(1);
            Peer::download_progress(
                to,
                (3_807_890_314, elapsed),
                (3, 0),
                (10, 5, 2),
                (0, 0, 0, 0),
                (5, 9),
                (fetched, 913),
            )
            .await
        }
        Signal::Signature(commit) => {
            let signatures = vec![Variant::from(dict::signature())];
            Peer::signature_progress(to, signatures, &commit).await
        }
        Signal::ProgressEnd => Peer::progress_end(to).await,
        Signal::Finished(success, text) => Peer::finished(to, success, &text).await,
    }?;
    Ok(())
}
