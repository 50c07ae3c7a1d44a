//! Carrying out a started transaction: the parts that all of them share.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::{error, info};

use super::daemon::Daemon;
use super::faults::{Effect, Pace, Stage, ms};
use super::origin::Origin;
use super::state::Sysroot;
use super::task::Task;
use super::texts::{self, Pull};
use super::transaction::{Signal, Transaction};
use super::view::Reload;
use super::{actions, update};
use crate::machine::systemd;

/// What is left to do after success.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Ask logind for a reboot.
    pub(super) reboot: bool,
    /// The Sysroot object learns of it only after `Finished`.
    pub(super) reload_late: bool,
}

/// Why the work ends early.
#[derive(Debug)]
pub(super) enum Break {
    /// `Finished(false, text)`.
    Fail(String),
    /// `Finished(true, "")`.
    Succeed,
}

impl From<anyhow::Error> for Break {
    fn from(error: anyhow::Error) -> Self {
        Self::Fail(format!("lab: {error:#}"))
    }
}

impl From<String> for Break {
    fn from(text: String) -> Self {
        Self::Fail(text)
    }
}

impl From<&str> for Break {
    fn from(text: &str) -> Self {
        Self::Fail(text.to_owned())
    }
}

/// A transaction being carried out.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) daemon: &'a Arc<Daemon>,
    pub(super) transaction: &'a Arc<Transaction>,
    pub(super) pace: Pace,
}

/// Does the work; the error is the text of `Finished`.
pub(super) async fn execute(
    daemon: &Arc<Daemon>,
    transaction: &Arc<Transaction>,
) -> Result<Done, String> {
    if transaction.is_cancelled() {
        return Err(texts::CANCELLED.to_owned());
    }
    let work = Work {
        daemon,
        transaction,
        pace: daemon.faults().pace,
    };
    let result = match &transaction.task {
        Task::Update(update) => update::update(&work, update).await,
        Task::Finalize {
            checksum,
            allow_missing,
            allow_unlocked,
        } => actions::finalize(&work, checksum.as_deref(), *allow_missing, *allow_unlocked).await,
        Task::Rollback { reboot } => actions::rollback(&work, *reboot).await,
        Task::Cleanup(what) => actions::cleanup(&work, what).await,
    };
    match result {
        Ok(done) => Ok(done),
        Err(Break::Succeed) => Ok(Done::default()),
        Err(Break::Fail(text)) => Err(text),
    }
}

impl Work<'_> {
    /// Lets the fault of this point happen.
    pub(super) async fn strike(&self, stage: Stage) -> Result<(), Break> {
        match self.daemon.fault(self.transaction.method, stage) {
            Some(Effect::Crash) => self.daemon.die(),
            Some(Effect::Fail(text) | Effect::Refuse { text, .. }) => Err(Break::Fail(text)),
            Some(Effect::Hang) => {
                self.transaction.cancelled().await;
                sleep(ms(self.pace.cancel)).await;
                Err("Operation was cancelled".into())
            }
            Some(Effect::HangForever) => std::future::pending().await,
            Some(Effect::Delay(time)) => {
                sleep(ms(time)).await;
                Ok(())
            }
            Some(Effect::Nothing) => Err(Break::Succeed),
            Some(Effect::Say(text)) => {
                self.message(text);
                Err(Break::Succeed)
            }
            Some(Effect::Burst(count)) => {
                (0..count).for_each(|n| self.transaction.message(format!("burst {n} of {count}")));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Fetches something for as long as the pace says, noticing `Cancel`.
    pub(super) async fn pull(&self, origin: &Origin, pull: Pull<'_>) -> Result<(), Break> {
        self.strike(Stage::Pull).await?;
        tokio::select! {
            () = self.download(origin) => Ok(()),
            () = self.transaction.cancelled() => {
                sleep(ms(self.pace.cancel)).await;
                Err(texts::cancelled(origin, pull).into())
            }
        }
    }

    /// The whole time of a download, with progress for plain ostree; importing an image has none.
    async fn download(&self, origin: &Origin) {
        let (mut elapsed, step) = (0, self.pace.progress.max(1));
        while self.pace.pull - elapsed > step {
            sleep(ms(step)).await;
            elapsed += step;
            if matches!(origin, Origin::Ostree { .. }) {
                self.transaction.send(Signal::Download(elapsed / 1_000));
            }
        }
        sleep(ms(self.pace.pull - elapsed)).await;
    }

    pub(super) fn message(&self, text: impl Into<String>) {
        self.transaction.message(text);
    }

    pub(super) fn load(&self) -> Result<Sysroot, Break> {
        Ok(self.daemon.root.load()?)
    }

    pub(super) fn edit<R>(&self, change: impl FnOnce(&mut Sysroot) -> R) -> Result<R, Break> {
        Ok(self.daemon.root.edit(change)?)
    }

    pub(super) async fn reload(&self, what: Reload) {
        self.daemon.reload(what).await;
    }
}

/// Calls of logind, which the real daemon makes as `systemctl reboot` and through `ListInhibitors`.
const LOGIND: (&str, &str, &str) = (
    "org.freedesktop.login1",
    "/org/freedesktop/login1",
    "org.freedesktop.login1.Manager",
);
/// For calls of logind and systemd.
const DEADLINE: Duration = Duration::from_secs(30);

/// Makes sure that what was staged is written to the disk when the host goes down. Seen with rpm-ostree 2026.2 and libostree 2025.2: the
/// unit is inactive from the boot on until this.
pub(super) async fn start_finalizer(work: &Work<'_>) {
    let body = (systemd::FINALIZER, "replace");
    let path = "/org/freedesktop/systemd1";
    let interface = Some("org.freedesktop.systemd1.Manager");
    let bus = &work.daemon.bus;
    let call = bus.call_method(Some(systemd::NAME), path, interface, "StartUnit", &body);
    match timeout(DEADLINE, call).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => error!(%error, "systemd did not start {}", systemd::FINALIZER),
        Err(_) => error!("systemd did not answer"),
    }
}

/// An inhibitor: what, who, why, mode, user id, process id.
type Inhibitor = (String, String, String, String, u32, u32);

/// Refuses while somebody holds a lock of mode `block` on shutdown; `delay` and `block-weak` don't count.
pub(super) async fn check_inhibitors(work: &Work<'_>) -> Result<(), Break> {
    let (name, path, interface) = LOGIND;
    let bus = &work.daemon.bus;
    let call = bus.call_method(Some(name), path, Some(interface), "ListInhibitors", &());
    let answer = timeout(DEADLINE, call).await;
    let listed = match answer {
        Err(_) => Err("Timeout was reached".to_owned()),
        Ok(Err(error)) => Err(as_gdbus(&error)),
        Ok(Ok(reply)) => {
            let locks = reply.body().deserialize::<Vec<Inhibitor>>();
            locks.map_err(|error| error.to_string())
        }
    };
    let locks =
        listed.map_err(|text| Break::Fail(format!("Checking systemd inhibitor locks: {text}")))?;
    let blocking = locks.into_iter().find(|(what, _, _, mode, ..)| {
        mode == "block" && what.split(':').any(|one| one == "shutdown")
    });
    match blocking {
        Some((_, who, why, ..)) => Err(texts::inhibited(&who, &why).into()),
        None => Ok(()),
    }
}

/// An error as GDBus words it.
fn as_gdbus(error: &zbus::Error) -> String {
    let (name, text) = match error {
        zbus::Error::MethodError(name, text, _) => (name.as_str(), text.as_deref()),
        zbus::Error::FDO(error) => match error.as_ref() {
            zbus::fdo::Error::ZBus(error) => return error.to_string(),
            error => return format!("GDBus.Error:{error}"),
        },
        error => return error.to_string(),
    };
    format!("GDBus.Error:{name}: {}", text.unwrap_or_default())
}

/// What runs at once after `Finished`. Its failure is ignored, as the exit status of `systemctl reboot` is.
pub(super) async fn reboot(daemon: Arc<Daemon>, transaction: Arc<Transaction>) {
    match daemon.fault(transaction.method, Stage::Reboot) {
        Some(Effect::Crash) => daemon.die(),
        Some(Effect::Delay(time)) => sleep(ms(time)).await,
        Some(effect) => return info!(?effect, "the reboot does not happen"),
        None => {}
    }
    let (name, path, interface) = LOGIND;
    let call = daemon
        .bus
        .call_method(Some(name), path, Some(interface), "RebootWithFlags", &0_u64);
    match timeout(DEADLINE, call).await {
        Ok(Ok(_)) => info!("reboot requested"),
        Ok(Err(error)) => error!(%error, "logind refused the reboot"),
        Err(_) => error!("logind did not answer"),
    }
}
