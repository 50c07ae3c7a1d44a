//! What the daemon asks polkit before it does what it was asked for.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::timeout;
use zbus::{Connection, Variant};

use super::failure::Failure;
use super::texts;

/// polkit is started when it is asked.
const DEADLINE: Duration = Duration::from_secs(60);

/// Methods and the ends of their actions' names.
const ACTIONS: &[(&str, &str)] = &[
    ("AutomaticUpdateTrigger", "upgrade"),
    ("Cleanup", "cleanup"),
    ("Deploy", "deploy"),
    ("FinalizeDeployment", "finalize-deployment"),
    ("GetDeploymentsRpmDiff", "repo-refresh"),
    ("RegisterClient", "client-management"),
    ("ReloadConfig", "reload-daemon"),
    ("Rollback", "rollback"),
    ("UnregisterClient", "client-management"),
    ("Upgrade", "upgrade"),
];

/// The end of the name of the action for `method`. That for `UpdateDeployment` depends on what it is asked for.
pub(super) fn action(method: &str) -> Option<&'static str> {
    let found = ACTIONS.iter().find(|(name, _)| *name == method);
    found.map(|(_, action)| *action)
}

/// Refuses `method` to the bus name `sender` if polkit does, for any of the actions.
pub(super) async fn check(
    bus: &Connection,
    method: &str,
    actions: &[&str],
    sender: &str,
) -> Result<(), Failure> {
    for action in actions {
        if !allows(bus, action, sender).await? {
            let text = texts::not_allowed(method);
            return Err(Failure::new(texts::ACCESS_DENIED, text));
        }
    }
    Ok(())
}

async fn allows(bus: &Connection, action: &str, sender: &str) -> Result<bool, Failure> {
    let action = format!("org.projectatomic.rpmostree1.{action}");
    let subject = HashMap::from([("name", Variant::from(sender))]);
    let details: HashMap<&str, &str> = HashMap::new();
    // No flags: nobody is asked for a password.
    let body = (("system-bus-name", subject), action, details, 0_u32, "");
    let call = bus.call_method(
        Some("org.freedesktop.PolicyKit1"),
        "/org/freedesktop/PolicyKit1/Authority",
        Some("org.freedesktop.PolicyKit1.Authority"),
        "CheckAuthorization",
        &body,
    );
    let answer = timeout(DEADLINE, call).await;
    let answer = answer.map_err(|_| Failure::failed("lab: polkit does not answer"))?;
    let reply = answer.map_err(|error| Failure::failed(format!("lab: polkit: {error}")))?;
    let result = reply
        .body()
        .deserialize::<((bool, bool, HashMap<String, String>),)>();
    match result {
        Ok(((allowed, _, _),)) => Ok(allowed),
        Err(error) => Err(Failure::failed(format!("lab: polkit: {error}"))),
    }
}
