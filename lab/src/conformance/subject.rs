//! What the contract is run against: a host with an rpm-ostreed, and the place that its updates come from.

use anyhow::Result;

use super::double::Double;
use super::real::Real;
use super::words::Names;

/// How the place of the updates answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// As it should.
    Up,
    /// Nobody listens.
    Down,
    /// Everything with this status.
    Status(u16),
    /// The branch does not exist any more.
    WithoutBranch,
    /// Content is never sent to its end.
    Stuck,
}

/// A host that runs [`super::V1`], whose branch or tag is at that.
#[derive(Debug)]
pub enum Subject {
    /// The lab's double.
    Double(Box<Double>),
    /// A real daemon.
    Real(Box<Real>),
}

impl Subject {
    pub(super) fn bus_address(&self) -> String {
        match self {
            Self::Double(host) => host.bus_address(),
            Self::Real(host) => host.bus_address(),
        }
    }

    /// Where a transaction's address is reached from here.
    pub(super) fn reachable(&self, address: &str) -> String {
        match self {
            Self::Double(_) => address.to_owned(),
            Self::Real(host) => host.reachable(address),
        }
    }

    /// Points branch and tag at `version`. What was there before can still be fetched.
    pub(super) async fn publish(&self, version: &str) -> Result<()> {
        match self {
            Self::Double(host) => host.publish(version),
            Self::Real(host) => host.publish(version).await,
        }
    }

    pub(super) async fn serve(&mut self, server: Server) -> Result<()> {
        match self {
            Self::Double(host) => host.serve(server),
            Self::Real(host) => host.serve(server).await,
        }
    }

    /// Kills the daemon as the out-of-memory killer would.
    pub(super) async fn kill_daemon(&self) -> Result<()> {
        match self {
            Self::Double(host) => host.kill_daemon().await,
            Self::Real(host) => host.kill_daemon().await,
        }
    }

    /// Gives logind a lock of this mode on shutdown, held by `some-app` for `holding the node`, in place of what it had.
    pub(super) fn inhibit(&self, mode: Option<&str>) -> Result<()> {
        match self {
            Self::Double(host) => host.inhibit(mode),
            Self::Real(host) => host.inhibit(mode),
        }
    }

    /// Whether what is staged is locked, as the note below `/run` has it; none when nothing is staged.
    pub(super) fn locked(&self) -> Result<Option<bool>> {
        let note = match self {
            Self::Double(host) => host.note()?,
            Self::Real(host) => host.note()?,
        };
        Ok(note.map(|note| is_locked(&note)))
    }

    pub(super) fn commit(&self, version: &str) -> Result<String> {
        match self {
            Self::Double(host) => Ok(host.commit(version)),
            Self::Real(host) => host.commit(version),
        }
    }

    pub(super) fn digest(&self, version: &str) -> Result<String> {
        match self {
            Self::Double(host) => Ok(host.digest(version)),
            Self::Real(host) => host.digest(version),
        }
    }

    /// The image that is followed, without its tag, as rpm-ostree writes it.
    pub(super) fn image(&self) -> String {
        match self {
            Self::Double(host) => host.image(),
            Self::Real(host) => host.image(),
        }
    }

    /// What is only on this host, with a word for it.
    pub(super) fn names(&self) -> Names {
        match self {
            Self::Double(host) => host.names(),
            Self::Real(host) => host.names(),
        }
    }
}

/// The boolean `locked` in the note, a GVariant of type `a{sv}`: the key with the zero byte at its end takes eight bytes, and the value follows.
/// Without the key it is not locked.
fn is_locked(note: &[u8]) -> bool {
    const KEY: &[u8] = b"locked\0";
    let at = note.windows(KEY.len()).position(|part| part == KEY);
    at.and_then(|at| note.get(at + 8)) == Some(&1)
}
