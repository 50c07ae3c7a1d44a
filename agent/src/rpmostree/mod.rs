//! rpm-ostree, over D-Bus.
//!
//! rpm-ostreed is started by the first call and stops when idle, so it is called only when there is something to learn; what changes
//! on the host is noticed by [`Client::changes`] and by [`crate::hostwatch`] without it.

mod changes;
mod error;
mod finalize;
mod limits;
mod packages;
mod peer;
mod pin;
mod read;
mod ready;
mod rollback;
mod session;
mod stage;

use cuo_core::host::Host;
use cuo_core::release::Origin;
use tokio::sync::watch;
use tracing::debug;
use zbus::{Str, Variant};

pub use error::Error;
pub use limits::Limits;
pub use packages::Package;
pub use pin::Pin;
pub use ready::Ready;
pub use stage::Staged;

use crate::bus::Bus;
use crate::survey::NAME;
use crate::systemd;
use peer::Silence;
use read::Snapshot;
use session::{Options, Session};

/// The unit of the daemon.
const UNIT: &str = "rpm-ostreed.service";

/// What rpm-ostreed says to a driver that registers from outside of any unit.
const NO_UNIT: &str = "could not find caller systemd unit";

/// What a look without staging came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// There is no update that is neither booted nor pending.
    Nothing,
    /// This version is available.
    Update(String),
    /// There will be nothing new unless somebody rebases.
    Pinned(Pin),
}

/// What one look at rpm-ostreed shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The deployments as they are on disk.
    pub host: Host,
    /// What the booted one follows.
    pub origin: Origin,
    /// The stream that it says it is of, where that is Fedora CoreOS.
    pub stream: Option<String>,
    /// rpm-ostree is at work on something.
    pub busy: bool,
}

impl Overview {
    fn of(snapshot: &Snapshot) -> Result<Self, Error> {
        Ok(Self {
            host: snapshot.host()?,
            origin: snapshot.origin(),
            stream: snapshot.stream(),
            busy: snapshot.busy(),
        })
    }
}

/// Talks to rpm-ostreed, each operation on a connection of its own.
///
/// Every operation can be dropped at any point. A running transaction then continues, and the same operation joins it when it
/// is called again.
#[derive(Debug, Clone)]
pub struct Client {
    bus: Bus,
    limits: Limits,
}

impl Client {
    /// A client on `bus`; nothing is called yet.
    pub fn new(bus: Bus, limits: Limits) -> Self {
        Self { bus, limits }
    }

    /// The deployments as they are on disk now. Starts rpm-ostreed if it does not run.
    ///
    /// # Errors
    /// Any of [`Error`] except for `Busy`, `Rebooting` and `Failed`.
    pub async fn host(&self) -> Result<Host, Error> {
        self.read().await?.host()
    }

    /// The same, and what else is known from the same read.
    ///
    /// # Errors
    /// As for [`Client::host`].
    pub async fn overview(&self) -> Result<Overview, Error> {
        Overview::of(&self.read().await?)
    }

    async fn read(&self) -> Result<Snapshot, Error> {
        let read = match self.read_once().await {
            Err(error) if went_away(&error) => self.read_once().await,
            result => result,
        };
        match read {
            Err(error) => Err(self.explained(error).await),
            read => read,
        }
    }

    /// The same, with why systemd could not start rpm-ostreed: the bus does not say.
    async fn explained(&self, error: Error) -> Error {
        let Error::Unavailable(how) = error else {
            return error;
        };
        let why = systemd::failure(&self.bus, UNIT).await;
        let why = why.map_or(String::new(), |why| format!("; {why}"));
        Error::Unavailable(how + &why)
    }

    async fn read_once(&self) -> Result<Snapshot, Error> {
        Session::open(&self.bus, self.limits).await?.read().await
    }

    /// A session that rpm-ostreed knows by name, and what was read at its beginning. Fails as `Lost` or `Timeout` never, because
    /// nothing was asked for yet.
    async fn begin(&self) -> Result<(Session, Snapshot), Error> {
        let begun = match self.begin_once().await {
            Err(error) if went_away(&error) => self.begin_once().await,
            result => result,
        };
        let error = match begun {
            Ok(begun) => return Ok(begun),
            Err(Error::Lost { what, how } | Error::Timeout { what, how }) => {
                Error::Unavailable(format!("{what}: {how}"))
            }
            Err(error) => error,
        };
        Err(self.explained(error).await)
    }

    async fn begin_once(&self) -> Result<(Session, Snapshot), Error> {
        let session = Session::open(&self.bus, self.limits).await?;
        session.register().await?;
        let snapshot = session.read().await?;
        Ok((session, snapshot))
    }

    /// Has rpm-ostree look for an update and nothing more.
    ///
    /// Of what is layered on an image this sees nothing, and for images it may miss updates altogether: only staging is reliable.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn check(&self, mut progress: impl FnMut(&str) + Send) -> Result<Checked, Error> {
        let (session, first) = self.begin().await?;
        let os_path = &first.os_path;
        let mut options = check();
        options.extend([DRIVER]);
        let look = self.look(&session, os_path, &options, &mut progress);
        let found = match look.await {
            Err(error) if no_unit(&error) => {
                options.remove(DRIVER.0);
                self.look(&session, os_path, &options, &mut progress).await
            }
            result => result,
        };
        Ok(match (found?, first.digest()) {
            (Some(version), _) => Checked::Update(version),
            (None, Some(reference)) => Checked::Pinned(Pin::Digest(reference)),
            (None, None) => Checked::Nothing,
        })
    }

    /// The version of an update that is neither booted nor pending.
    async fn look(
        &self,
        session: &Session,
        os_path: &str,
        options: &Options,
        progress: &mut (impl FnMut(&str) + Send),
    ) -> Result<Option<String>, Error> {
        let what = "AutomaticUpdateTrigger";
        for _ in 0..=self.limits.repeats {
            let Some(address) = session.check(os_path, options).await? else {
                return Ok(session.read().await?.unstaged());
            };
            let silence = Silence::of_staging(&self.limits);
            let ended = peer::run(&address, what, &self.limits, silence, progress).await?;
            let fresh = ended.as_ref().is_some_and(|ended| ended.started);
            if let Some(text) = ended.and_then(|ended| ended.result.err()).filter(|_| fresh) {
                let what = what.to_owned();
                return Err(Error::Failed { what, text });
            }
            if fresh {
                return Ok(session.read().await?.unstaged());
            }
            self.pause().await;
        }
        Err(lingers("check"))
    }

    /// Before a call is repeated that was answered with somebody else's transaction, perhaps one that was over before anything new was
    /// published, or with one that was gone already: it proves nothing.
    async fn pause(&self) {
        debug!("joined a transaction that was over or had no effect; trying once more");
        tokio::time::sleep(self.limits.repeat).await;
    }

    /// Marked as changed each time the deployments may have changed, as far as rpm-ostreed runs and tells. Never starts it.
    ///
    /// Also marked whenever signals are subscribed to, because earlier ones may have been missed. Needs a tokio runtime to run on.
    pub fn changes(&self) -> watch::Receiver<()> {
        changes::follow(self.bus.clone())
    }
}

/// `rpm-ostree status` names the agent, and other upgrades from the command line are refused while it runs. This way it takes no other
/// right than upgrading does.
const DRIVER: (&str, Variant<'static>) = ("register-driver", Variant::Str(Str::from_static(NAME)));

/// Not started by systemd, which only matters for the registration.
fn no_unit(error: &Error) -> bool {
    matches!(error, Error::Failed { text, .. } if text.contains(NO_UNIT))
}

/// Options of a check.
fn check() -> Options {
    Options::from([
        ("initiating-command-line", Variant::from("cuo-agent: check")),
        ("mode", Variant::from("check")),
        ("output-to-self", Variant::from(false)),
    ])
}

fn lingers(what: &str) -> Error {
    let who = format!("a finished {what} whose clients do not leave");
    Error::Busy { who }
}

/// Whether it is worth reading once more: rpm-ostreed may have been about to stop, or has crashed a moment ago.
fn went_away(error: &Error) -> bool {
    let lost = matches!(error, Error::Lost { .. });
    if lost {
        debug!(%error, "trying once more");
    }
    lost
}

#[cfg(test)]
mod tests;
