//! Journal entries, written by `tracing-journald`.
//!
//! This module adds what that crate lacks:
//!
//! - It has one prefix for all fields. An event of the catalog has to be found by `MESSAGE_ID`, which allows none, so such an event spells
//!   the prefix out ([`PREFIX`]). Every other event, a library's among them, gets `CUO_`, so that none of its fields is taken for one of
//!   the journal's own.
//! - Its extra fields are fixed on creation, and the node's name is known only later.

use std::io;
use std::sync::OnceLock;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_journald::{Layer as Writer, Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The socket that the journal listens at, and `tracing-journald` writes to.
pub const SOCKET: &str = "/run/systemd/journal/socket";
/// The field that identifies an event for the journal's catalog.
pub const MESSAGE_ID: &str = "message_id";
/// Prefix of the name of every other field of an event that has a [`MESSAGE_ID`]. Only the journal shows it.
pub const PREFIX: &str = "cuo_";

/// The name of the node that this process works for, once it is known.
pub(crate) static NODE: OnceLock<String> = OnceLock::new();

/// Writes events to the journal.
pub(crate) struct Journal {
    program: String,
    node: &'static OnceLock<String>,
    nameless: Writers,
    named: OnceLock<Writers>,
}

/// The writers for events with and without a [`MESSAGE_ID`].
struct Writers {
    catalogued: Writer,
    other: Writer,
}

impl Journal {
    /// Writes as `program`; every entry has the name in `node` once that is set.
    ///
    /// # Errors
    /// When nobody listens at [`SOCKET`].
    pub(crate) fn new(program: &str, node: &'static OnceLock<String>) -> io::Result<Self> {
        Ok(Self {
            program: program.to_owned(),
            node,
            nameless: Writers::new(program, None)?,
            named: OnceLock::new(),
        })
    }

    /// The writers that know the node's name, once that is set. If they can't be created, because the journal is being restarted, the next
    /// entry tries again.
    fn writers(&self) -> &Writers {
        if let (None, Some(node)) = (self.named.get(), self.node.get())
            && let Ok(named) = Writers::new(&self.program, Some(node))
        {
            return self.named.get_or_init(|| named);
        }
        self.named.get().unwrap_or(&self.nameless)
    }
}

impl Writers {
    fn new(program: &str, node: Option<&String>) -> io::Result<Self> {
        let writer = |prefix: Option<&str>| {
            let writer = Writer::new()?
                .with_syslog_identifier(program.to_owned())
                .with_field_prefix(prefix.map(str::to_owned))
                .with_priority_mappings(PriorityMappings {
                    info: Priority::Informational,
                    debug: Priority::Debug,
                    ..PriorityMappings::new()
                });
            io::Result::Ok(writer.with_custom_fields(node.map(|node| ("NODE", node))))
        };
        Ok(Self {
            catalogued: writer(None)?,
            other: writer(Some("CUO"))?,
        })
    }
}

impl<S> Layer<S> for Journal
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.nameless.other.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.nameless.other.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let writers = self.writers();
        let writer = match event.metadata().fields().field(MESSAGE_ID) {
            Some(_) => &writers.catalogued,
            None => &writers.other,
        };
        writer.on_event(event, context);
    }
}

#[cfg(test)]
mod tests;
