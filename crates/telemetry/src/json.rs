//! One JSON object per line, whose fields lack the journal's prefix.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, layer as fmt_layer};
use tracing_subscriber::registry::LookupSpan;

use crate::journal::PREFIX;

/// Writes to the standard error output.
pub(crate) fn layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fmt_layer()
        .json()
        .flatten_event(true)
        .map_event_format(Bare)
        .with_writer(std::io::stderr)
}

/// Removes [`PREFIX`] from the names of fields.
struct Bare(Format<Json, SystemTime>);

impl<S> FormatEvent<S, JsonFields> for Bare
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&bare(&line))
    }
}

/// Removes [`PREFIX`] from the keys in `line`. Within a value every quote has a backslash before it, so `"cuo_NAME":` is a key.
fn bare(line: &str) -> String {
    let start = format!("\"{PREFIX}");
    let mut parts = line.split(&start);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let key = part.trim_start_matches(name).starts_with("\":");
        text.push_str(if key { "\"" } else { &start });
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests;
