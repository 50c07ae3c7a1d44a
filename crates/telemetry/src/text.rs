//! Lines for people, without what is only for the journal: the catalog's id and the prefix of fields.

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

/// Writes a name that begins with [`PREFIX`] itself, since the library's visitor takes names as they are.
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
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written for `log`.
    fn written(colour: bool, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = fmt_layer()
            .fmt_fields(ForPeople)
            .with_writer(move || writer.clone())
            .with_target(false)
            .with_ansi(colour)
            .without_time();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn people_are_spared_the_id() {
        let text = written(false, || {
            tracing::info!(message_id = "abc", cuo_phase = %"idle", why = "none", "waits");
        });
        assert_eq!(text, " INFO waits phase=idle why=\"none\"\n");
    }

    #[test]
    fn a_field_with_the_journals_prefix_looks_like_one_without() {
        for colour in [false, true] {
            let with = written(colour, || {
                tracing::info!(cuo_phase = %"idle", cuo_version = "1", "waits");
            });
            let without = written(colour, || {
                tracing::info!(phase = %"idle", version = "1", "waits");
            });
            assert_eq!(with, without);
        }
    }
}
