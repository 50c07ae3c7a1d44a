//! Notices changed deployments without starting rpm-ostreed.

use std::collections::HashMap;

use tokio::sync::watch;
use zbus::{Message, OwnedVariant};

use super::session::SERVICE;
use crate::bus::{Bus, Notice, Signals};

/// Signals that may mean changed deployments. A rule that names a service does not start it.
const RULES: &[&str] = &[
    "type='signal',sender='org.projectatomic.rpmostree1',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.projectatomic.rpmostree1'",
];

/// Marked as changed for each signal that counts, and for each new subscription.
pub(super) fn follow(bus: Bus) -> watch::Receiver<()> {
    let (sender, receiver) = watch::channel(());
    let mut signals = Signals::new(bus, RULES);
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                event = signals.next() => event,
                () = sender.closed() => return,
            };
            let counts = match event {
                Notice::Connected(_) => true,
                Notice::Signal(message) => counts(&message),
            };
            if counts {
                sender.send_replace(());
            }
        }
    });
    receiver
}

/// A deployment property changed, a transaction began or ended, or rpm-ostreed appeared. That it vanished says nothing, and reading then
/// would start it again, without end: it vanishes whenever it was idle for a minute.
fn counts(message: &Message) -> bool {
    let header = message.header();
    let body = message.body();
    match header.member().map(|member| member.as_str()) {
        Some("PropertiesChanged") => {
            type Changed = (String, HashMap<String, OwnedVariant>, Vec<String>);
            let Ok((interface, changed, gone)) = body.deserialize::<Changed>() else {
                return false;
            };
            interface.starts_with(SERVICE)
                && changed
                    .keys()
                    .chain(&gone)
                    .any(|key| key.contains("Deployment") || key == "ActiveTransactionPath")
        }
        Some("NameOwnerChanged") => body
            .deserialize::<(String, String, String)>()
            .is_ok_and(|(name, _, owner)| name == SERVICE && !owner.is_empty()),
        _ => false,
    }
}
