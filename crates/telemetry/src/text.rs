//! Lines for people, without what is only for the journal's catalog.

use std::fmt;

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};
use tracing_subscriber::fmt::{FormatFields, layer as fmt_layer};
use tracing_subscriber::registry::LookupSpan;

use crate::Boxed;
use crate::journal::MESSAGE_ID;

/// Writes to the standard error output.
pub(crate) fn layer<S>(colour: bool) -> Boxed<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fmt_layer()
        .fmt_fields(ForPeople)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(colour)
        .boxed()
}

/// Every field but [`MESSAGE_ID`].
struct ForPeople;

impl<'writer> FormatFields<'writer> for ForPeople {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Without(DefaultVisitor::new(writer, true));
        fields.record(&mut visitor);
        visitor.0.finish()
    }
}

struct Without<'writer>(DefaultVisitor<'writer>);

impl Visit for Without<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != MESSAGE_ID {
            self.0.record_str(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != MESSAGE_ID {
            self.0.record_debug(field, value);
        }
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

    #[test]
    fn people_are_spared_the_id() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = fmt_layer()
            .fmt_fields(ForPeople)
            .with_writer(move || writer.clone())
            .with_target(false)
            .with_ansi(false)
            .without_time();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(message_id = "abc", phase = %"idle", why = "none", "waits");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, " INFO waits phase=idle why=\"none\"\n");
    }
}
