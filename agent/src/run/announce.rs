//! Events on the Node about its drain, when it begins, when something blocks it, when it ends, and about what keeps it from updates.

use cuo_cluster::ClientSource;
use cuo_cluster::events::{About, Kind, Note, Severity, publish};
use cuo_core::agent::Step;
use cuo_core::node::NodeView;
use cuo_core::reason::{Attribute, Code, Reason};
use jiff::Timestamp;
use tracing::debug;

use super::narrate::{Announcement, Entry, Topic, announcement};

/// Publishes Events, and remembers the last one.
#[derive(Debug, Default)]
pub struct Announcer {
    last: Option<(Code, Topic)>,
}

impl Announcer {
    /// Publishes what `entry` announces, if anything, in a task. Nothing depends on it.
    pub fn tell(
        &mut self,
        entry: &Entry,
        decision: &Step,
        source: &ClientSource,
        node: Option<&NodeView>,
    ) {
        if let Some((severity, reason)) = self.news(entry, decision) {
            publish_about(node, severity, reason, source);
        }
    }

    /// Publishes that the Node can't be written.
    pub fn refused(&mut self, why: &Reason, source: &ClientSource, node: Option<&NodeView>) {
        let about = Some((why.code, Topic::Text(String::new())));
        if self.last != about {
            publish_about(node, Severity::Warning, why.clone(), source);
            self.last = about;
        }
    }

    fn news(&mut self, entry: &Entry, decision: &Step) -> Option<(Severity, Reason)> {
        let Announcement {
            severity,
            code,
            message,
            topic,
        } = announcement(entry, decision)?;
        let about = Some((code, topic));
        let repeated = self.last == about;
        self.last = about;
        (!repeated).then(|| (severity, Reason::new(code, message)))
    }
}

/// Publishes an Event in a task.
fn publish_about(
    node: Option<&NodeView>,
    severity: Severity,
    reason: Reason,
    source: &ClientSource,
) {
    let Some(node) = node else { return };
    let action = match reason.code {
        Code::WriteRefused => "Write",
        code if code.is(Attribute::HoldIsNews) => "Update",
        _ => "Drain",
    };
    let about = About {
        kind: Kind::Node,
        name: node.name.to_string(),
        uid: node.uid.clone(),
    };
    let (source, at) = (source.clone(), Timestamp::now());
    tokio::spawn(async move {
        let instance = about.name.clone();
        let note = Note {
            severity,
            action,
            reason: &reason,
        };
        let reported = publish(&source, &about, note, &instance, at).await;
        if let Err(error) = reported {
            debug!(%error, "an Event could not be published");
        }
    });
}

#[cfg(test)]
mod tests;
