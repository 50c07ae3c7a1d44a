//! CUO's logging to journald, a terminal or JSON.
//!
//! People read the message, and `journalctl` shows nothing else, so whatever matters is in the sentence. Fields are for machines. In the
//! journal each has the prefix `CUO_` and upper case, so `warn!(pod = "a/b", "…")` is found with `journalctl CUO_POD=a/b`. The field
//! [`journal::MESSAGE_ID`] names the event for the journal's catalog, and beside it the prefix is written out ([`journal::PREFIX`]):
//! `info!(message_id = ID, cuo_phase = "draining", "…")`. Text and JSON nevertheless have `phase`.

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub mod gate;
pub mod journal;
mod json;
mod text;

use journal::{Journal, NODE};

/// Environment variable with directives that are added to [`DEFAULT_FILTER`], such as `debug` or `cuo_cluster=trace`.
pub const FILTER_VARIABLE: &str = "CUO_LOG";

/// What is logged without [`FILTER_VARIABLE`]. Libraries are kept quiet: their errors are reported as this program's own. One of them would
/// log each failed request, without saying which.
pub const DEFAULT_FILTER: &str = "info,h2=warn,hyper=warn,hyper_util=warn,kube_client=warn,kube_client::client::builder=off,kube_runtime=warn,rustls=warn,tower=warn,zbus=warn";

/// How to write the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// To the journal if it reads the standard error output, else as text.
    #[default]
    Auto,
    /// To the journal's socket, whoever reads the standard error output.
    Journal,
    /// Lines for people on the standard error output, in colour on a terminal unless `NO_COLOR` is set.
    Text,
    /// One JSON object per line on the standard error output.
    Json,
}

impl Format {
    /// The formats as they are written on a command line.
    pub const NAMES: [&str; 4] = ["auto", "journal", "text", "json"];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [auto, journal, text, json] = Self::NAMES;
        f.pad(match self {
            Self::Auto => auto,
            Self::Journal => journal,
            Self::Text => text,
            Self::Json => json,
        })
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Auto, Self::Journal, Self::Text, Self::Json];
        let found = all.into_iter().find(|format| format.to_string() == text);
        found.ok_or_else(|| format!("expected one of {}", Self::NAMES.join(", ")))
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The environment variable can't be parsed.
    #[error(
        "environment variable {FILTER_VARIABLE}: {0}; expected directives such as `debug` or `cuo_cluster=trace`, with commas between"
    )]
    Filter(#[from] ParseError),
    /// The journal was requested and does not listen.
    #[error(
        "the journal does not listen at {socket}: {0}; see `systemctl status systemd-journald`, or choose another --log-format",
        socket = journal::SOCKET
    )]
    Journal(#[source] io::Error),
    /// Logging is set up already.
    #[error("logging is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logging for the whole process; `program` is its name in the journal (`SYSLOG_IDENTIFIER`).
///
/// # Errors
/// When [`FILTER_VARIABLE`] can't be parsed, when the journal was requested and does not listen, or when this was called before.
pub fn init(program: &str, format: Format) -> Result<(), InitError> {
    let filter = filter(std::env::var(FILTER_VARIABLE).ok().as_deref())?;
    let stream = std::env::var("JOURNAL_STREAM").ok();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = std::io::stderr().is_terminal() && !no_color;
    let layer = match choose(format, is_journal(stream.as_deref()), colour) {
        Destination::Journal => match Journal::new(program, &NODE) {
            Ok(journal) => journal.boxed(),
            Err(error) if format == Format::Journal => return Err(InitError::Journal(error)),
            // Without the socket the journal still takes lines from the standard error output.
            Err(_) => text::layer(false).boxed(),
        },
        Destination::Text { colour } => text::layer(colour).boxed(),
        Destination::Json => json::layer().boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .try_init()?;
    Ok(())
}

/// Sets the node that this process works for: from now on every journal entry has it as `NODE`. Only the first call has an effect.
pub fn name_node(name: &str) {
    NODE.set(name.to_owned()).ok();
}

fn filter(added: Option<&str>) -> Result<EnvFilter, ParseError> {
    let added = added.unwrap_or_default();
    EnvFilter::builder().parse(format!("{DEFAULT_FILTER},{added}"))
}

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Destination {
    Journal,
    Text { colour: bool },
    Json,
}

fn choose(format: Format, journal: bool, colour: bool) -> Destination {
    match format {
        Format::Journal => Destination::Journal,
        Format::Auto if journal => Destination::Journal,
        Format::Auto | Format::Text => Destination::Text { colour },
        Format::Json => Destination::Json,
    }
}

/// Whether the journal reads this process's standard error output. The variable alone is no proof: children inherit it even if their output
/// goes elsewhere.
fn is_journal(stream: Option<&str>) -> bool {
    let stderr = rustix::fs::fstat(std::io::stderr()).ok();
    stderr.is_some_and(|stat| stream == Some(&format!("{}:{}", stat.st_dev, stat.st_ino)))
}

#[cfg(test)]
mod tests;
