//! The daemon's state: one slot for a transaction, the registered clients, what the bus shows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tracing::{error, info};
use zbus::names::BusName;
use zbus::{Connection, ObjectPath};

use super::failure::Failure;
use super::faults::{Effect, Stage, ms};
use super::files::NodeRoot;
use super::state::Sysroot;
use super::texts;
use super::transaction::{self, Call, Phase, Signal, Transaction};
use super::view::{OS, Properties, Reload, SYSROOT, View};
use super::work::{self, Done};

/// Object of the sysroot.
pub(super) const SYSROOT_PATH: &str = "/org/projectatomic/rpmostree1/Sysroot";

/// The daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) root: NodeRoot,
    pub(super) bus: Connection,
    /// polkit decides who may do what.
    pub(super) polkit: bool,
    /// Object of the stateroot.
    pub(super) os_path: String,
    inner: Mutex<Inner>,
    /// Held while changes are announced, so that they come in the order they happened.
    announcing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Inner {
    view: View,
    /// Unique bus name to id.
    clients: HashMap<String, String>,
    slot: Option<Arc<Transaction>>,
    /// A reboot was requested: nothing is accepted any more.
    rebooting: bool,
    /// When the last client or transaction left.
    used: Instant,
}

impl Daemon {
    pub(super) fn new(root: NodeRoot, bus: Connection, polkit: bool) -> Result<Arc<Self>> {
        let sysroot = read_sysroot(&root)?;
        Ok(Arc::new(Self {
            os_path: os_path(&sysroot.osname),
            root,
            bus,
            polkit,
            inner: Mutex::new(Inner {
                view: View::new(sysroot),
                clients: HashMap::new(),
                slot: None,
                rebooting: false,
                used: Instant::now(),
            }),
            announcing: tokio::sync::Mutex::new(()),
        }))
    }

    pub(super) fn view<R>(&self, look: impl FnOnce(&View) -> R) -> R {
        look(&self.inner().view)
    }

    /// A transaction for this call: a new one, or the one that an equal call made. Returns its address.
    pub(super) async fn begin(self: &Arc<Self>, call: Call) -> Result<String, Failure> {
        let actions = call.actions();
        self.arrive_for(call.method, &actions, &call.sender, &call.arguments)
            .await?;
        // The daemon looks at the disk before each transaction.
        self.reload(Reload::All).await;
        let (transaction, listener) = {
            let mut inner = self.inner();
            if inner.rebooting {
                return Err(Failure::failed(texts::REBOOT_INITIATED));
            }
            if let Some(running) = &inner.slot {
                let equal = running.method == call.method && running.arguments == call.arguments;
                return if equal {
                    Ok(running.address.clone())
                } else {
                    Err(Failure::new(texts::BUSY, texts::busy(&running.title())))
                };
            }
            let initiator = self.describe(&inner, &call.sender);
            let opened = Transaction::open(&self.root, call, initiator);
            let (transaction, listener) =
                opened.map_err(|error| Failure::failed(format!("{error:#}")))?;
            inner.slot = Some(transaction.clone());
            (transaction, listener)
        };
        let address = transaction.address.clone();
        tokio::spawn(transaction::listen(
            self.clone(),
            transaction.clone(),
            listener,
        ));
        tokio::spawn(self.clone().opened(transaction));
        Ok(address)
    }

    fn describe(&self, inner: &Inner, sender: &str) -> String {
        let Some(id) = inner.clients.get(sender) else {
            return format!("caller {sender}");
        };
        let unit = self
            .faults()
            .caller_unit
            .map(|unit| format!(" unit:{unit}"));
        let unit = unit.unwrap_or_default();
        let dbus = sender.trim_start_matches(':');
        format!("client(id:{id} dbus:{dbus}{unit} uid:0)")
    }

    /// After the address was answered.
    async fn opened(self: Arc<Self>, transaction: Arc<Transaction>) {
        self.announce_slot(Some(&transaction)).await;
        if !self.is_on_bus(&transaction.sender).await {
            self.forget(&transaction.sender).await;
        }
        match self.fault(transaction.method, Stage::Opened) {
            Some(Effect::Crash) => self.die(),
            Some(effect) => info!(?effect, "not possible before Start"),
            None => {}
        }
    }

    /// Does the work of a started transaction.
    pub(super) async fn run(self: Arc<Self>, transaction: Arc<Transaction>) {
        let (done, success, text) = match work::execute(&self, &transaction).await {
            Ok(done) => (done, true, String::new()),
            Err(text) => (Done::default(), false, text),
        };
        if done.reboot {
            self.inner().rebooting = true;
        }
        let hold = ms(self.faults().pace.hold);
        transaction.send(Signal::Finished(success, text));
        if done.reboot {
            tokio::spawn(work::reboot(self.clone(), transaction.clone()));
        }
        if done.reload_late {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.reload(Reload::All).await;
        }
        self.close_if_over(&transaction).await;
        tokio::spawn(async move {
            tokio::time::sleep(hold).await;
            self.close(&transaction).await;
        });
    }

    /// Frees the slot once the work is done and everybody left.
    pub(super) async fn close_if_over(&self, transaction: &Arc<Transaction>) {
        if transaction.is_over() {
            self.close(transaction).await;
        }
    }

    async fn close(&self, transaction: &Arc<Transaction>) {
        {
            let mut inner = self.inner();
            if !inner
                .slot
                .as_ref()
                .is_some_and(|slot| Arc::ptr_eq(slot, transaction))
            {
                return;
            }
            inner.slot = None;
            inner.used = Instant::now();
            if let Err(error) = transaction.close(&self.root) {
                error!("{error:#}");
            }
        }
        self.reload(Reload::All).await;
        self.announce_slot(None).await;
    }

    pub(super) fn register(&self, sender: &str, id: String) {
        self.inner().clients.insert(sender.to_owned(), id);
    }

    pub(super) fn unregister(&self, sender: &str) {
        let mut inner = self.inner();
        if inner.clients.remove(sender).is_some() {
            inner.used = Instant::now();
        }
    }

    /// A bus name vanished: its registration ends, and its transaction if nobody started it.
    pub(super) async fn forget(&self, name: &str) {
        self.unregister(name);
        let slot = self.inner().slot.clone();
        if let Some(slot) =
            slot.filter(|slot| slot.sender == name && slot.phase() == Phase::Created)
        {
            info!(name, "caller left before Start");
            self.close(&slot).await;
        }
    }

    /// How long nobody has needed the daemon; `None` while somebody does.
    pub(super) fn idle(&self) -> Option<Duration> {
        let inner = self.inner();
        let busy = inner.slot.is_some() || !inner.clients.is_empty();
        (!busy).then(|| inner.used.elapsed())
    }

    /// Method, caller and object of the transaction in the slot, and its address.
    pub(super) fn active(&self) -> ((String, String, String), String) {
        let slot = self.inner().slot.clone();
        self.slot_properties(slot.as_ref())
    }

    fn slot_properties(
        &self,
        slot: Option<&Arc<Transaction>>,
    ) -> ((String, String, String), String) {
        slot.map_or_else(Default::default, |slot| {
            let who = (
                slot.method.to_owned(),
                slot.sender.clone(),
                self.os_path.clone(),
            );
            (who, slot.address.clone())
        })
    }

    async fn announce_slot(&self, slot: Option<&Arc<Transaction>>) {
        let (who, address) = self.slot_properties(slot);
        let _order = self.announcing.lock().await;
        let changed = [
            ("ActiveTransaction", who.into()),
            ("ActiveTransactionPath", address.into()),
        ];
        self.announce(SYSROOT, HashMap::from(changed)).await;
    }

    /// Reads the files anew and announces what changed.
    pub(super) async fn reload(&self, what: Reload) {
        let _order = self.announcing.lock().await;
        let fresh = match read_sysroot(&self.root) {
            Ok(fresh) => fresh,
            Err(error) => return error!("keeping the old state: {error:#}"),
        };
        let changes = {
            let mut inner = self.inner();
            let before = inner.view.clone();
            inner.view.reload(fresh, what);
            inner.view.changes(&before)
        };
        for (interface, properties) in changes {
            self.announce(interface, properties).await;
        }
    }

    async fn announce(&self, interface: &str, properties: Properties) {
        let path = if interface == OS {
            self.os_path.as_str()
        } else {
            SYSROOT_PATH
        };
        let none = Vec::<&str>::new();
        let body = (interface, properties, none);
        let sent = async {
            let path = ObjectPath::try_from(path)?;
            let to = None::<BusName<'_>>;
            self.bus
                .emit_signal(
                    to,
                    path,
                    "org.freedesktop.DBus.Properties",
                    "PropertiesChanged",
                    &body,
                )
                .await
        };
        if let Err(error) = sent.await {
            error!(%error, interface, "can't announce a change");
        }
    }

    async fn is_on_bus(&self, name: &str) -> bool {
        let asked = async {
            let bus = zbus::fdo::DBusProxy::new(&self.bus).await?;
            let name = BusName::try_from(name)?;
            bus.name_has_owner(name).await
        };
        // When the bus can't be asked, it is the double that leaves.
        asked.await.unwrap_or(true)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the deployments as each reload does, and removes the cached update of another boot.
fn read_sysroot(root: &NodeRoot) -> Result<Sysroot> {
    root.edit(|sysroot: &mut Sysroot| {
        sysroot.drop_stale_cache();
        sysroot.clone()
    })
}

/// The stateroot's object: letters, digits and `_` stay, `-` and `/` become `_`, other bytes `_XX`.
pub(super) fn os_path(osname: &str) -> String {
    let name: String = osname
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            b'-' | b'/' => "_".to_owned(),
            _ => format!("_{byte:02X}"),
        })
        .collect();
    format!("/org/projectatomic/rpmostree1/{name}")
}
