//! systemd-logind, over D-Bus: who blocks a reboot, requesting one, and whether one is in progress.

use std::time::Duration;

use cuo_core::host::Inhibitor;
use tokio::sync::watch;
use tracing::warn;
use zbus::Connection;

use crate::bus::{self, Bus, Notice, Object, Signals};

/// Limit for one call. logind answers from memory; at most, the bus has to start it, which takes 25 s.
const LIMIT: Duration = Duration::from_secs(60);

const MANAGER: Object<'static> = Object {
    service: Some("org.freedesktop.login1"),
    path: "/org/freedesktop/login1",
    interface: "org.freedesktop.login1.Manager",
};

/// `SD_LOGIND_ROOT_CHECK_INHIBITORS`: blocking locks also stop root, which is the default since systemd 257. No other flag is ever set,
/// least of all the two for a soft reboot, which does not boot the staged kernel.
const CHECK_INHIBITORS: u64 = 1;

/// Why a request to logind did not succeed. Each text is one clause for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither the bus nor logind could be reached.
    #[error(
        "systemd-logind did not answer {what} ({how}); see `systemctl status systemd-logind dbus`"
    )]
    Unavailable {
        /// The method.
        what: &'static str,
        /// The symptom, such as the bus error.
        how: String,
    },
    /// A blocking inhibitor lock stopped the reboot.
    #[error(
        "an inhibitor lock blocks the reboot ({0}); `systemd-inhibit --list` shows who holds it"
    )]
    Inhibited(String),
    /// A shutdown or reboot is in progress already.
    #[error("systemd-logind is busy with a shutdown that was requested before")]
    InProgress,
    /// polkit refused.
    #[error(
        "systemd-logind does not allow the reboot ({0}); the polkit rule of the package grants it to the user cuo-agent"
    )]
    Denied(String),
    /// logind refused for another reason, or gave an unexpected answer.
    #[error("{what} of systemd-logind failed: {text}")]
    Failed {
        /// The method.
        what: &'static str,
        /// logind's error message.
        text: String,
    },
}

impl Error {
    fn of_call(what: &'static str, error: &zbus::Error) -> Self {
        let Some((name, text)) = bus::answered(error) else {
            let how = error.to_string();
            return match error {
                zbus::Error::InputOutput(_) | zbus::Error::Connection(..) => {
                    Self::Unavailable { what, how }
                }
                _ => Self::Failed { what, text: how },
            };
        };
        match name.as_str() {
            "org.freedesktop.login1.BlockedByInhibitorLock" => Self::Inhibited(text),
            // systemd 257 has no error name for it yet.
            "org.freedesktop.DBus.Error.AccessDenied" if text.contains("inhibitor") => {
                Self::Inhibited(text)
            }
            "org.freedesktop.login1.OperationInProgress" => Self::InProgress,
            "org.freedesktop.DBus.Error.AccessDenied"
            | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => Self::Denied(text),
            "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner"
            | "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.TimedOut" => Self::Unavailable { what, how: text },
            name if name.contains(".Spawn.") || name.contains(".systemd1.") => {
                Self::Unavailable { what, how: text }
            }
            _ => Self::Failed { what, text },
        }
    }
}

/// A client of logind; each operation uses a connection of its own.
#[derive(Debug, Clone)]
pub struct Logind {
    bus: Bus,
}

impl Logind {
    /// A client on `bus`; nothing is called yet.
    pub fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// The locks that block a shutdown: those of mode `block`. A `delay` lock only postpones it, and `block-weak` is meant not to stop the
    /// system itself.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Failed`].
    pub async fn inhibitors(&self) -> Result<Vec<Inhibitor>, Error> {
        let what = "ListInhibitors";
        let connection = self.connect(what).await?;
        blocking(&connection).await
    }

    /// Requests a reboot, which blocking inhibitor locks prevent.
    ///
    /// `Ok` only says that logind accepted the request: the boot id shows whether the host rebooted. This process may be stopped before the
    /// reply arrives.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn reboot(&self) -> Result<(), Error> {
        let what = "RebootWithFlags";
        let connection = self.connect(what).await?;
        let flagged = MANAGER.call::<()>(&connection, what, &CHECK_INHIBITORS, LIMIT);
        match flagged.await {
            Err(zbus::Error::FDO(error))
                if matches!(*error, zbus::fdo::Error::UnknownMethod(_)) => {}
            result => return result.map_err(|error| Error::of_call(what, &error)),
        }
        // Before systemd 248 there are no flags, and root bypasses every lock.
        if let Some(Inhibitor { who, why }) = blocking(&connection).await?.into_iter().next() {
            return Err(Error::Inhibited(format!("{who}: {why}")));
        }
        let (what, interactive) = ("Reboot", false);
        let plain = MANAGER.call(&connection, what, &interactive, LIMIT);
        plain.await.map_err(|error| Error::of_call(what, &error))
    }

    /// Whether a shutdown or reboot is in progress.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Failed`].
    pub async fn preparing(&self) -> Result<bool, Error> {
        let what = PREPARING;
        preparing(&self.connect(what).await?).await
    }

    /// Whether a shutdown or reboot is in progress, followed by signal: `true` from the moment it begins. While it is, or that is not
    /// known, logind is polled with the period `every`: one that is restarted does not signal that nothing is in progress. Needs a tokio
    /// runtime.
    pub fn shutdown(&self, every: Duration) -> watch::Receiver<bool> {
        let (sender, receiver) = watch::channel(false);
        let mut signals = Signals::new(self.bus.clone(), SHUTDOWN);
        let client = self.clone();
        tokio::spawn(async move {
            let (mut asks, mut reported) = (false, None);
            loop {
                let event = tokio::select! {
                    event = signals.next() => Some(event),
                    () = tokio::time::sleep(every), if asks => None,
                    () = sender.closed() => return,
                };
                let state = match event {
                    None => client.preparing().await,
                    Some(Notice::Connected(connection)) => preparing(&connection).await,
                    Some(Notice::Signal(message)) => {
                        if message
                            .header()
                            .member()
                            .is_none_or(|m| m != "PrepareForShutdown")
                        {
                            continue;
                        }
                        let state = message.body().deserialize();
                        state.map_err(|error| Error::of_call("PrepareForShutdown", &error))
                    }
                };
                asks = *state.as_ref().unwrap_or(&true);
                match state {
                    Ok(state) => {
                        reported = None;
                        sender.send_if_modified(|old| std::mem::replace(old, state) != state);
                    }
                    Err(error) => {
                        if reported.as_ref() != Some(&error) {
                            warn!(%error, "not known whether the host is shutting down");
                        }
                        reported = Some(error);
                    }
                }
            }
        });
        receiver
    }

    async fn connect(&self, what: &'static str) -> Result<Connection, Error> {
        let connection = self.bus.connect().await;
        connection.map_err(|error| Error::Unavailable {
            what,
            how: error.to_string(),
        })
    }
}

const PREPARING: &str = "PreparingForShutdown";
const SHUTDOWN: &[&str] = &[
    "type='signal',sender='org.freedesktop.login1',interface='org.freedesktop.login1.Manager',member='PrepareForShutdown'",
];

async fn blocking(connection: &Connection) -> Result<Vec<Inhibitor>, Error> {
    type Lock = (String, String, String, String, u32, u32);
    let what = "ListInhibitors";
    let locks = MANAGER
        .call::<Vec<Lock>>(connection, what, &(), LIMIT)
        .await;
    let locks = locks.map_err(|error| Error::of_call(what, &error))?;
    let blocks =
        |what: &str, mode: &str| mode == "block" && what.split(':').any(|what| what == "shutdown");
    Ok(locks
        .into_iter()
        .filter(|(what, _, _, mode, ..)| blocks(what, mode))
        .map(|(_, who, why, ..)| Inhibitor { who, why })
        .collect())
}

async fn preparing(connection: &Connection) -> Result<bool, Error> {
    let value = MANAGER.property(connection, PREPARING, LIMIT).await;
    let value = value.and_then(bool::try_from);
    value.map_err(|error| Error::of_call(PREPARING, &error))
}
