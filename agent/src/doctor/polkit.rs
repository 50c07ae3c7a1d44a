//! Checks that polkit allows the agent's process what it does.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use anyhow::{Context, Result};
use zbus::{Connection, Variant};

use super::check::Check;
use crate::bus::Object;

pub(super) const NAME: &str = "polkit";

/// Everything that the agent needs polkit's consent for.
pub const ACTIONS: [&str; 8] = [
    "org.projectatomic.rpmostree1.upgrade",
    "org.projectatomic.rpmostree1.deploy",
    "org.projectatomic.rpmostree1.repo-refresh",
    "org.projectatomic.rpmostree1.finalize-deployment",
    "org.projectatomic.rpmostree1.rollback",
    "org.projectatomic.rpmostree1.client-management",
    "org.freedesktop.login1.reboot",
    "org.freedesktop.login1.reboot-multiple-sessions",
];
/// polkitd may have to be started first.
const LIMIT: Duration = Duration::from_secs(30);
const AUTHORITY: Object<'static> = Object {
    service: Some("org.freedesktop.PolicyKit1"),
    path: "/org/freedesktop/PolicyKit1/Authority",
    interface: "org.freedesktop.PolicyKit1.Authority",
};

/// A process, as polkit identifies it.
#[derive(Debug, Clone, Copy)]
struct Process {
    pid: i32,
    /// Its start time, to tell it from earlier processes with the same id.
    start: u64,
    uid: u32,
}

impl Process {
    fn find(pid: i32) -> Result<Self> {
        let path = format!("/proc/{pid}");
        let about = std::fs::metadata(&path).with_context(|| path.clone())?;
        let stat = format!("{path}/stat");
        let text = std::fs::read_to_string(&stat).with_context(|| stat.clone())?;
        // The second field, in parentheses, can hold any characters; the start time is field 22.
        let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let start = fields.split_whitespace().nth(19);
        Ok(Self {
            pid,
            start: start.and_then(|start| start.parse().ok()).context(stat)?,
            uid: about.uid(),
        })
    }
}

/// Asks polkit about each of [`ACTIONS`], for the process `pid`.
pub(super) async fn look(connection: &Connection, pid: i32) -> Check {
    let process = match Process::find(pid) {
        Ok(process) => process,
        Err(error) => {
            return Check::warning(
                NAME,
                format!("{error:#}"),
                "Run this again: the agent may have ended.",
            );
        }
    };
    let own = rustix::process::geteuid();
    if !own.is_root() && own.as_raw() != process.uid {
        let found = "polkit answers only root what the agent's user may do";
        return Check::warning(NAME, found, "Run `cuo-agent doctor` as root.");
    }
    let mut refused = Vec::new();
    for action in ACTIONS {
        match allows(connection, process, action).await {
            Ok(true) => {}
            Ok(false) => refused.push(action.to_owned()),
            Err(error) => refused.push(format!("{action} ({error})")),
        }
    }
    if refused.is_empty() {
        return Check::ok(NAME, "allows what the agent does");
    }
    Check::failed(
        NAME,
        format!("does not allow the agent's user {}", refused.join(", ")),
        "Check for a rule in /etc/polkit-1/rules.d that comes before the package's, and see `journalctl -u polkit`. After `rpm-ostree install --apply-live`, `systemctl restart polkit`.",
    )
}

async fn allows(connection: &Connection, process: Process, action: &str) -> zbus::Result<bool> {
    let details = HashMap::from([
        ("pid", Variant::from(process.pid.cast_unsigned())),
        ("start-time", Variant::from(process.start)),
        ("uid", Variant::from(process.uid.cast_signed())),
    ]);
    let subject = ("unix-process", details);
    // Nobody must be asked for a password.
    let (flags, cancellation) = (0u32, "");
    let arguments = (
        subject,
        action,
        HashMap::<&str, &str>::new(),
        flags,
        cancellation,
    );
    let answer = AUTHORITY.call::<(bool, bool, HashMap<String, String>)>(
        connection,
        "CheckAuthorization",
        &arguments,
        LIMIT,
    );
    let (allowed, _challenge, _details) = answer.await?;
    Ok(allowed)
}
