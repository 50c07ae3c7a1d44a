//! Why rpm-ostree did not do what it was asked for.

use std::io;

use cuo_core::look;
use cuo_core::reason::Code;

use crate::bus;

/// The package's rule that is inert until an administrator links it.
const REBASE: &str = "/usr/share/cuo-agent/polkit/cuo-agent-rebase.rules";

/// Why a request to rpm-ostree did not succeed. Each text is one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bus itself is missing.
    #[error("the system bus can't be reached ({0}); see `systemctl status dbus`")]
    NoBus(String),
    /// The bus can't start rpm-ostreed (not installed, masked, failed, or still starting), or it went away before anything was asked.
    #[error(
        "rpm-ostreed can't be reached ({0}); see `systemctl status rpm-ostreed`, and install rpm-ostree where there is no such unit"
    )]
    Unavailable(String),
    /// rpm-ostreed runs, but the host is no rpm-ostree host.
    #[error("this host was not booted from a deployment of rpm-ostree")]
    NotBooted,
    /// polkit or the bus policy refused.
    #[error(
        "rpm-ostreed does not allow {what} ({text}); the polkit rule of the package grants it to the user cuo-agent"
    )]
    Denied {
        /// The method.
        what: String,
        /// The refusal's text.
        text: String,
    },
    /// polkit refused that the host follows something else.
    #[error(
        "rpm-ostreed does not allow the host to follow {reference} ({text}); \
         `ln -s {REBASE} /etc/polkit-1/rules.d/` on the host grants that to the user cuo-agent"
    )]
    RebaseDenied {
        /// What it was to follow.
        reference: String,
        /// The refusal's text.
        text: String,
    },
    /// Another transaction is active. It ends by itself; `rpm-ostree cancel` ends one that hangs.
    #[error("rpm-ostreed is busy with {who}")]
    Busy {
        /// The transaction, and who started it if rpm-ostreed says so.
        who: String,
    },
    /// A finalization succeeded earlier: rpm-ostreed takes no transaction before the reboot that it asked for.
    #[error("rpm-ostreed has asked for a reboot and takes nothing new until then")]
    Rebooting,
    /// rpm-ostreed tried or refused, and said why.
    #[error("{what} of rpm-ostreed failed: {text}")]
    Failed {
        /// The method.
        what: String,
        /// rpm-ostreed's error message, which can have several lines.
        text: String,
    },
    /// Packages that people layered on this host, or removed from it, conflict with the update.
    #[error("{what} of rpm-ostreed failed, with {requested} requested on this host: {text}")]
    Conflict {
        /// The method.
        what: String,
        /// What was requested, in a list for people.
        requested: String,
        /// rpm-ostreed's error message.
        text: String,
    },
    /// The connection broke before the result: what was asked for may have happened.
    #[error("rpm-ostreed went away during {what} ({how}); see `journalctl -u rpm-ostreed`")]
    Lost {
        /// The method.
        what: String,
        /// The symptom, such as the bus error.
        how: String,
    },
    /// No answer, or no sign of progress, for too long; a transaction was asked to cancel.
    #[error("rpm-ostreed was silent for too long during {what} ({how})")]
    Timeout {
        /// The method.
        what: String,
        /// Which limit passed.
        how: String,
    },
    /// An answer that no known version of rpm-ostreed gives.
    #[error("rpm-ostreed answered {what} with something unknown ({why})")]
    Protocol {
        /// The method or object.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// What a failed look for updates counts as.
    pub fn code(&self) -> Code {
        match self {
            Self::NoBus(_) | Self::Unavailable(_) | Self::NotBooted | Self::Timeout { .. } => {
                Code::RpmOstreeUnavailable
            }
            Self::Lost { .. } => Code::RpmOstreeDied,
            Self::Denied { .. } | Self::RebaseDenied { .. } => Code::RpmOstreeDenied,
            Self::Busy { .. } | Self::Rebooting => Code::RpmOstreeBusy,
            Self::Failed { text, .. } => look::class(text),
            Self::Conflict { .. } => Code::LayeringConflict,
            Self::Protocol { .. } => Code::StageFailed,
        }
    }

    /// What a refused finalization counts as. A lock that was taken since the agent looked is as much in the way as one that it saw.
    pub fn refusal(&self) -> Code {
        match self {
            Self::Failed { text, .. } if text.starts_with("Reboot blocked by a") => Code::Inhibited,
            _ => Code::FinalizeFailed,
        }
    }

    /// The same, with what was requested on this host where that is what the update does not go with.
    pub(super) fn with_requests(self, requested: &[String]) -> Self {
        match self {
            Self::Failed { what, text }
                if !requested.is_empty() && look::class(&text) == Code::LayeringConflict =>
            {
                let requested = list(requested);
                Self::Conflict {
                    what,
                    requested,
                    text,
                }
            }
            error => error,
        }
    }

    /// The error of a call of the method `what`.
    pub(super) fn of_call(what: &str, error: &zbus::Error) -> Self {
        let what = what.to_owned();
        if let Some((name, text)) = bus::answered(error) {
            return Self::of_answer(what, &name, text);
        }
        let how = error.to_string();
        match error {
            // An own limit, whose words need no more about where it was met.
            zbus::Error::InputOutput(io) if io.kind() == io::ErrorKind::TimedOut => {
                let how = io.to_string();
                Self::Timeout { what, how }
            }
            zbus::Error::InputOutput(_) => Self::Lost { what, how },
            _ => Self::Protocol { what, why: how },
        }
    }

    /// The error that the service or the bus answered with. Most failures of rpm-ostreed share one name, so their text has to be read;
    /// busy has a code of its own (G_IO_ERROR_BUSY), but only since there is one.
    fn of_answer(what: String, name: &str, text: String) -> Self {
        let standard = name.strip_prefix("org.freedesktop.DBus.Error.");
        match standard {
            Some("ServiceUnknown" | "NameHasNoOwner" | "TimedOut") => Self::Unavailable(text),
            Some(spawn) if spawn.starts_with("Spawn.") => Self::Unavailable(text),
            Some("NoReply" | "Disconnected") => Self::Lost { what, how: text },
            Some("AccessDenied" | "AuthFailed" | "InteractiveAuthorizationRequired") => {
                Self::Denied { what, text }
            }
            Some("UnknownMethod" | "UnknownObject" | "UnknownInterface" | "InvalidArgs") => {
                Self::Protocol { what, why: text }
            }
            _ if name.starts_with("org.freedesktop.systemd1.") => Self::Unavailable(text),
            _ if text.starts_with("Reboot initiated") => Self::Rebooting,
            _ => match busy(name, &text) {
                Some(who) => Self::Busy { who },
                None => Self::Failed { what, text },
            },
        }
    }
}

/// How many of a list are named: a sentence has to have room for the cause, too.
const NAMED: usize = 6;

/// `names` as people list them.
fn list(names: &[String]) -> String {
    let named: Vec<_> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    named.join(", ") + &more
}

/// With whom rpm-ostreed is busy, where the answer says that it is.
fn busy(name: &str, text: &str) -> Option<String> {
    let line = text.lines().next().unwrap_or_default();
    if let Some(title) = line.strip_prefix("Transaction in progress: ") {
        return Some(format!("the transaction {title:?}"));
    }
    if line.starts_with("System transaction in progress") {
        let holder = "another program that holds ostree's lock, such as `ostree` or `bootc`";
        return Some(holder.to_owned());
    }
    let coded = name.ends_with("._g_2dio_2derror_2dquark.Code26");
    coded.then(|| line.to_owned())
}

#[cfg(test)]
mod tests;
