//! Events on the Node about its drain: when it begins, when something blocks it, when it ends.

use cuo_cluster::ClientSource;
use cuo_cluster::events::{About, Kind, Note, Severity, publish};
use cuo_core::agent::Step;
use cuo_core::node::NodeView;
use cuo_core::reason::{Code, Reason};
use jiff::Timestamp;
use tracing::debug;

use super::narrate::{Announcement, Entry, Topic, announcement};

/// What was reported last.
#[derive(Debug, Default)]
pub struct Announcer {
    last: Option<(Code, Topic)>,
}

impl Announcer {
    /// Publishes what of `entry` is worth an Event, beside the loop. Nothing depends on it.
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

    /// The same of a Node that can't be written.
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

/// Beside the loop.
fn publish_about(
    node: Option<&NodeView>,
    severity: Severity,
    reason: Reason,
    source: &ClientSource,
) {
    let Some(node) = node else { return };
    let action = match reason.code == Code::WriteRefused {
        true => "Write",
        false => "Drain",
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
mod tests {
    use cuo_core::agent::state::State;
    use cuo_core::agent::{Act, DrainNews};
    use cuo_core::drain::Blocked;
    use cuo_core::values::Phase;

    use super::*;
    use crate::journal::Event;

    fn entry(
        event: Event,
        code: Option<Code>,
        text: &'static str,
        blocked: &[&str],
    ) -> (Entry, Step) {
        let pods = blocked.iter().map(|pod| Blocked {
            pod: (*pod).into(),
            why: text.into(),
        });
        let step = Step {
            state: State::default(),
            act: Act::Wait,
            wake: None,
            phase: Phase::Draining,
            reason: code.map(|code| Reason::new(code, text)),
            drain: DrainNews {
                blocked: pods.collect(),
                newcomers: vec![],
            },
            happened: vec![],
            course: vec![],
        };
        (Entry::of(event, code, text), step)
    }

    #[test]
    fn a_drain_is_told_when_it_begins_when_other_pods_block_it_and_when_it_ends() {
        let draining = Some(Code::Draining);
        let warning = |code, text: &str| Some((Severity::Warning, Reason::new(code, text)));
        let normal = |code, text: &str| Some((Severity::Normal, Reason::new(code, text)));
        let plain = |event, code, text| entry(event, code, text, &[]);
        let waits = |text, blocked| entry(Event::DrainWaits, draining, text, blocked);
        let cases = [
            (
                plain(Event::DrainBegun, None, "a"),
                normal(Code::Draining, "a"),
            ),
            (
                plain(Event::DrainBegun, Some(Code::PreflightBlocked), "d/a: no"),
                warning(Code::PreflightBlocked, "d/a: no"),
            ),
            (waits("no", &["d/a"]), warning(Code::Draining, "d/a: no")),
            // The same pod, for another reason.
            (waits("not now", &["d/a"]), None),
            (
                waits("no", &["d/a", "d/b"]),
                warning(Code::Draining, "d/a: no; d/b: no"),
            ),
            (
                plain(Event::DrainWaits, Some(Code::VolumesInUse), "v"),
                warning(Code::VolumesInUse, "v"),
            ),
            (
                plain(Event::DrainGaveUp, Some(Code::DrainBlocked), "b"),
                warning(Code::DrainBlocked, "b"),
            ),
            (
                plain(Event::Refused, Some(Code::PreflightBlocked), "c"),
                warning(Code::PreflightBlocked, "c"),
            ),
            (plain(Event::Refused, Some(Code::GrantExpired), "d"), None),
            (
                plain(Event::DrainOver, None, "e"),
                normal(Code::Drained, "e"),
            ),
            (plain(Event::Done, None, "f"), None),
        ];
        let mut announcer = Announcer::default();
        for ((entry, step), expected) in cases {
            assert_eq!(announcer.news(&entry, &step), expected, "{entry:?}");
        }
    }
}
