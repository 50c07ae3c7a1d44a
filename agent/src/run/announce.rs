//! Events on the Node about its drain: when it begins, when something blocks it, when it ends.

use cuo_cluster::ClientSource;
use cuo_cluster::events::{About, Kind, Severity, publish};
use cuo_core::drain;
use cuo_core::node::NodeView;
use cuo_core::reason::{Code, Reason};
use jiff::Timestamp;
use tracing::debug;

use super::tell::Entry;
use crate::journal::Event;

/// What was told last.
#[derive(Debug, Default)]
pub struct Announcer {
    last: Option<Reason>,
}

impl Announcer {
    /// Publishes what of `entry` is worth an Event, beside the loop. Nothing depends on it.
    pub fn tell(
        &mut self,
        entry: &Entry,
        why: Option<&Reason>,
        source: &ClientSource,
        node: Option<&NodeView>,
    ) {
        let why = why.map_or("", |why| &why.message);
        let (Some(node), Some((severity, reason))) = (node, self.news(entry, why)) else {
            return;
        };
        let about = About {
            kind: Kind::Node,
            name: node.name.to_string(),
            uid: node.uid.clone(),
        };
        let (source, at) = (source.clone(), Timestamp::now());
        tokio::spawn(async move {
            let instance = about.name.clone();
            let told = publish(&source, &about, severity, "Drain", &reason, &instance, at).await;
            if let Err(error) = told {
                debug!(%error, "an Event could not be published");
            }
        });
    }

    fn news(&mut self, entry: &Entry, why: &str) -> Option<(Severity, Reason)> {
        let (severity, code, message) = news(entry, why)?;
        let reason = Reason::new(code, message);
        let repeated = self.last.as_ref() == Some(&reason);
        self.last = Some(reason.clone());
        (!repeated).then_some((severity, reason))
    }
}

fn news<'a>(entry: &'a Entry, why: &'a str) -> Option<(Severity, Code, &'a str)> {
    let (severity, code) = match (entry.event?, entry.reason) {
        (Event::DrainBegun, _) => (Severity::Normal, Code::Draining),
        (Event::DrainOver, _) => (Severity::Normal, Code::Drained),
        // How many pods are left changes all the time, and is in the annotation; what is blocked does not.
        (Event::DrainWaits, Some(Code::Draining)) => {
            let blocked = drain::blocked_part(why)?;
            return Some((Severity::Warning, Code::Draining, blocked));
        }
        (Event::DrainWaits, Some(code)) => return Some((Severity::Warning, code, why)),
        (Event::DrainGaveUp, Some(code))
        | (Event::Refused, Some(code @ (Code::PreflightBlocked | Code::BlockingPod))) => {
            (Severity::Warning, code)
        }
        _ => return None,
    };
    Some((severity, code, &entry.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event: Event, code: Option<Code>, text: &'static str) -> (Entry, &'static str) {
        (Entry::of(event, code, text), text)
    }

    #[test]
    fn a_drain_is_told_when_it_begins_when_other_pods_block_it_and_when_it_ends() {
        let draining = Some(Code::Draining);
        let warning = |code, text: &str| Some((Severity::Warning, Reason::new(code, text)));
        let normal = |code, text: &str| Some((Severity::Normal, Reason::new(code, text)));
        let cases = [
            (
                entry(Event::DrainBegun, None, "a"),
                normal(Code::Draining, "a"),
            ),
            (
                entry(Event::DrainWaits, draining, "2 pods are leaving: d/a"),
                None,
            ),
            (
                entry(Event::DrainWaits, draining, "blocked: d/a: no."),
                warning(Code::Draining, "d/a: no."),
            ),
            (
                entry(
                    Event::DrainWaits,
                    draining,
                    "blocked: d/a: no. Also, 2 pods",
                ),
                None,
            ),
            (
                entry(Event::DrainWaits, draining, "blocked: d/b: no."),
                warning(Code::Draining, "d/b: no."),
            ),
            (
                entry(Event::DrainWaits, Some(Code::VolumesInUse), "v"),
                warning(Code::VolumesInUse, "v"),
            ),
            (
                entry(Event::DrainGaveUp, Some(Code::DrainBlocked), "b"),
                warning(Code::DrainBlocked, "b"),
            ),
            (
                entry(Event::Refused, Some(Code::PreflightBlocked), "c"),
                warning(Code::PreflightBlocked, "c"),
            ),
            (entry(Event::Refused, Some(Code::GrantExpired), "d"), None),
            (
                entry(Event::DrainOver, None, "e"),
                normal(Code::Drained, "e"),
            ),
            (entry(Event::Done, None, "f"), None),
        ];
        let mut announcer = Announcer::default();
        for ((entry, why), expected) in cases {
            assert_eq!(announcer.news(&entry, why), expected, "{entry:?}");
        }
    }
}
