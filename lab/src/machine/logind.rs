//! The logind double of one host: inhibitors, and reboots that only leave a file.
//!
//! It follows systemd 257 and later: a `block` lock stops everyone, root too, unless flag 16 is given; `block-weak` doesn't.

use std::collections::BTreeMap;
use std::io::PipeReader;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep};
use tracing::{error, info};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, Fd, interface};

use crate::machine::ostree::{Failure, LabFile, NodeRoot};

/// Bus name of logind.
pub const NAME: &str = "org.freedesktop.login1";
/// Error name of a reboot that a lock forbids.
pub const BLOCKED: &str = "org.freedesktop.login1.BlockedByInhibitorLock";
/// Error message of a reboot that a lock forbids.
pub const BLOCKED_TEXT: &str = "Operation denied due to active block inhibitor";
/// Error name of a reboot while one is under way.
pub const IN_PROGRESS: &str = "org.freedesktop.login1.OperationInProgress";
/// Error message of a reboot while one is under way.
pub const IN_PROGRESS_TEXT: &str = "There's already a shutdown or sleep operation in progress";

/// File, relative to the host's root, that a reboot leaves.
pub const REQUEST: &str = "lab/reboot-requested";

const PATH: &str = "/org/freedesktop/login1";
/// `SD_LOGIND_SKIP_INHIBITORS`.
const SKIP_INHIBITORS: u64 = 16;
/// All flags of systemd 257: root-check, kexec, soft-reboot, soft-reboot-if-nextroot, skip-inhibitors.
const KNOWN_FLAGS: u64 = 0b1_1111;

/// A lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// What it is on, separated by colons: `shutdown`, `sleep`, …
    pub what: String,
    /// Who holds it.
    pub who: String,
    /// Why.
    pub why: String,
    /// `block`, `block-weak` or `delay`.
    pub mode: String,
}

/// What a test tells logind: `lab/inhibitors.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inhibitors {
    /// Locks beside those taken over the bus. A reboot removes them.
    pub locks: Vec<Lock>,
    /// `InhibitDelayMaxUSec` in milliseconds: how long a reboot waits for `delay` locks.
    pub delay_max: u64,
    /// Reboots are refused with this error name and message.
    pub refuse: Option<(String, String)>,
    /// Reboots are answered and never happen.
    pub forget_reboots: bool,
    /// As systemd before 248: there is no `RebootWithFlags`.
    pub without_flags: bool,
}

impl Default for Inhibitors {
    fn default() -> Self {
        Self {
            locks: Vec::new(),
            delay_max: 5_000,
            refuse: None,
            forget_reboots: false,
            without_flags: false,
        }
    }
}

impl LabFile for Inhibitors {
    const NAME: &'static str = "inhibitors.json";
}

impl Lock {
    /// A lock on shutdown.
    pub fn on_shutdown(who: &str, why: &str, mode: &str) -> Self {
        Self {
            what: "shutdown".to_owned(),
            who: who.to_owned(),
            why: why.to_owned(),
            mode: mode.to_owned(),
        }
    }

    fn stops_shutdown(&self, mode: &str) -> bool {
        self.mode == mode && self.what.split(':').any(|one| one == "shutdown")
    }
}

/// Content of [`REQUEST`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebootRequest {
    /// Method that was called.
    pub method: String,
    /// Flags of `RebootWithFlags`; 4 and 8 ask for a soft reboot.
    pub flags: u64,
    /// Unique bus name of the caller.
    pub sender: String,
}

#[derive(Debug)]
struct Logind {
    root: NodeRoot,
    taken: Mutex<BTreeMap<u64, Lock>>,
    preparing: Mutex<bool>,
}

impl Logind {
    fn settings(&self) -> Inhibitors {
        self.root.load().unwrap_or_else(|error| {
            error!("{error:#}");
            Inhibitors::default()
        })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<u64, Lock>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn preparing(&self) -> MutexGuard<'_, bool> {
        self.preparing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn locks(&self) -> Vec<Lock> {
        let mut locks = self.settings().locks;
        locks.extend(self.taken().values().cloned());
        locks
    }

    fn has(&self, mode: &str) -> bool {
        self.locks().iter().any(|lock| lock.stops_shutdown(mode))
    }

    /// What the locks of a mode are on, without repetition.
    fn inhibited(&self, mode: &str) -> String {
        let mut all: Vec<String> = Vec::new();
        for lock in self.locks().iter().filter(|lock| lock.mode == mode) {
            all.extend(lock.what.split(':').map(str::to_owned));
        }
        all.sort();
        all.dedup();
        all.join(":")
    }

    /// Decides at once; the reboot itself happens later, after the `delay` locks.
    fn request(self: &Arc<Self>, bus: &Connection, request: RebootRequest) -> Result<(), Failure> {
        let settings = self.settings();
        if let Some((name, text)) = settings.refuse {
            return Err(Failure::new(&name, text));
        }
        if *self.preparing() {
            return Err(Failure::new(IN_PROGRESS, IN_PROGRESS_TEXT));
        }
        if request.flags & SKIP_INHIBITORS == 0 && self.has("block") {
            return Err(Failure::new(BLOCKED, BLOCKED_TEXT));
        }
        if settings.forget_reboots {
            info!(?request, "forgotten, as asked");
            return Ok(());
        }
        *self.preparing() = true;
        tokio::spawn(
            self.clone()
                .shut_down(bus.clone(), request, settings.delay_max),
        );
        Ok(())
    }

    async fn shut_down(self: Arc<Self>, bus: Connection, request: RebootRequest, delay_max: u64) {
        let announced = async {
            let emitter = SignalEmitter::new(&bus, PATH)?;
            Manager::prepare_for_shutdown(&emitter, true).await
        };
        if let Err(error) = announced.await {
            error!(%error, "can't announce the shutdown");
        }
        let end = Instant::now() + Duration::from_millis(delay_max);
        while self.has("delay") && Instant::now() < end {
            sleep(Duration::from_millis(20)).await;
        }
        let written = serde_json::to_string(&request)
            .context("render request")
            .and_then(|text| self.root.write(REQUEST, text));
        match written {
            Ok(()) => info!(?request, "the machine may go down now"),
            Err(error) => error!("{error:#}"),
        }
    }
}

/// `/org/freedesktop/login1`.
struct Manager(Arc<Logind>);

fn sender(header: &Header<'_>) -> String {
    header
        .sender()
        .map_or_else(String::new, ToString::to_string)
}

#[interface(name = "org.freedesktop.login1.Manager")]
impl Manager {
    async fn reboot(
        &self,
        _interactive: bool,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Failure> {
        let request = RebootRequest {
            method: "Reboot".to_owned(),
            flags: 0,
            sender: sender(&header),
        };
        self.0.request(bus, request)
    }

    async fn reboot_with_flags(
        &self,
        flags: u64,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Failure> {
        if self.0.settings().without_flags {
            let text =
                "Unknown method RebootWithFlags or interface org.freedesktop.login1.Manager.";
            return Err(Failure::new(
                "org.freedesktop.DBus.Error.UnknownMethod",
                text,
            ));
        }
        if flags & !KNOWN_FLAGS != 0 {
            let text = "Invalid flags parameter";
            return Err(Failure::new("org.freedesktop.DBus.Error.InvalidArgs", text));
        }
        let request = RebootRequest {
            method: "RebootWithFlags".to_owned(),
            flags,
            sender: sender(&header),
        };
        self.0.request(bus, request)
    }

    async fn can_reboot(&self) -> String {
        "yes".to_owned()
    }

    /// What, who, why, mode, user id and process id of each lock.
    async fn list_inhibitors(&self) -> Vec<(String, String, String, String, u32, u32)> {
        let locks = self.0.locks().into_iter();
        let pid = std::process::id();
        locks
            .map(|lock| (lock.what, lock.who, lock.why, lock.mode, 0, pid))
            .collect()
    }

    /// The lock lives as long as somebody holds the other end of a pipe.
    async fn inhibit(
        &self,
        what: String,
        who: String,
        why: String,
        mode: String,
    ) -> Result<Fd<'static>, Failure> {
        if !["block", "block-weak", "delay"].contains(&mode.as_str()) {
            let text = format!("Invalid mode specification {mode}");
            return Err(Failure::new("org.freedesktop.DBus.Error.InvalidArgs", text));
        }
        if *self.0.preparing() {
            let text = "The operation inhibition has been requested for is already running";
            return Err(Failure::new(IN_PROGRESS, text));
        }
        let lock = Lock {
            what,
            who,
            why,
            mode,
        };
        let (ours, theirs) =
            std::io::pipe().map_err(|error| Failure::failed(format!("pipe: {error}")))?;
        let id = {
            let mut taken = self.0.taken();
            let id = taken.last_key_value().map_or(0, |(id, _)| id + 1);
            taken.insert(id, lock);
            id
        };
        tokio::spawn(release(self.0.clone(), id, ours));
        Ok(Fd::from(OwnedFd::from(theirs)))
    }

    #[zbus(property)]
    fn block_inhibited(&self) -> String {
        self.0.inhibited("block")
    }

    #[zbus(property)]
    fn delay_inhibited(&self) -> String {
        self.0.inhibited("delay")
    }

    #[zbus(property(emits_changed_signal = "const"), name = "InhibitDelayMaxUSec")]
    fn inhibit_delay_max(&self) -> u64 {
        self.0.settings().delay_max * 1_000
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn preparing_for_shutdown(&self) -> bool {
        *self.0.preparing()
    }

    #[zbus(signal)]
    async fn prepare_for_shutdown(emitter: &SignalEmitter<'_>, start: bool) -> zbus::Result<()>;
}

async fn release(logind: Arc<Logind>, id: u64, ours: PipeReader) {
    let waited = async {
        let mut ours = pipe::Receiver::from_owned_fd(OwnedFd::from(ours))?;
        ours.read_to_end(&mut Vec::new()).await
    };
    if let Err(error) = waited.await {
        error!(%error, "can't wait for the end of a lock");
    }
    logind.taken().remove(&id);
}

/// Runs until the bus is gone.
///
/// # Errors
/// When the bus can't be used.
pub async fn run(root: NodeRoot) -> Result<()> {
    let address = root.bus_address();
    let logind = Arc::new(Logind {
        root,
        taken: Mutex::default(),
        preparing: Mutex::default(),
    });
    let bus = zbus::connection::Builder::address(address.as_str())
        .serve_at(PATH, Manager(logind))
        .name(NAME)
        .build()
        .await
        .with_context(|| format!("own {NAME} at {address}"))?;
    info!("ready");
    bus.closed().await;
    Ok(())
}
