//! Lines for people, without what is meant for the journal: the catalog's id and the prefix of fields.

use std::fmt;

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::field::{RecordFields, VisitFmt, VisitOutput};
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};
use tracing_subscriber::fmt::{FormatFields, layer as fmt_layer};
use tracing_subscriber::registry::LookupSpan;

use crate::journal::{MESSAGE_ID, PREFIX};

/// Writes to the standard error output.
pub(crate) fn layer<S>(colour: bool) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fmt_layer()
        .fmt_fields(ForPeople)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(colour)
}

/// Every field but [`MESSAGE_ID`], without [`PREFIX`].
struct ForPeople;

impl<'writer> FormatFields<'writer> for ForPeople {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Visitor {
            colour: writer.has_ansi_escapes(),
            bare: Ok(()),
            default: DefaultVisitor::new(writer, true),
        };
        fields.record(&mut visitor);
        visitor.bare.and(visitor.default.finish())
    }
}

/// Writes names that begin with [`PREFIX`] itself, because the library's visitor writes names unchanged.
struct Visitor<'writer> {
    colour: bool,
    bare: fmt::Result,
    default: DefaultVisitor<'writer>,
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            MESSAGE_ID => {}
            name if name.starts_with(PREFIX) => self.record_debug(field, &value),
            _ => self.default.record_str(field, value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == MESSAGE_ID {
            return;
        }
        let Some(name) = field.name().strip_prefix(PREFIX) else {
            return self.default.record_debug(field, value);
        };
        let out = self.default.writer();
        // The message comes before all fields. Italic and dim, as the library writes the others.
        let written = match self.colour {
            true => write!(out, " \x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{value:?}"),
            false => write!(out, " {name}={value:?}"),
        };
        self.bare = self.bare.and(written);
    }
}

#[cfg(test)]
mod tests;
