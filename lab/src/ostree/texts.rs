//! Error texts and names as rpm-ostree 2026.2 gives them, for the double and for tests that inject them.

use super::release::{Release, Trouble};
use super::state::Origin;

/// Error name of nearly every failed call (`G_IO_ERROR_FAILED`).
pub const FAILED: &str = "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code0";
/// Error name of an unknown stateroot (`G_IO_ERROR_NOT_FOUND`).
pub const NOT_FOUND: &str = "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code1";
/// Error name of a call that has to wait for another one (`G_IO_ERROR_BUSY`).
pub const BUSY: &str = "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code26";
/// Error name of a caller without the right.
pub const ACCESS_DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
/// Error text, with [`BUSY`], while another process holds the sysroot's lock.
pub const SYSTEM_BUSY: &str = "System transaction in progress";
/// Error text, with [`FAILED`], once a reboot was requested.
pub const REBOOT_INITIATED: &str = "Reboot initiated, cannot start new transaction";
/// `Finished`: finalize without a staged deployment.
pub const NOTHING_STAGED: &str = "No pending staged deployment found";
/// `Finished`: finalize without `checksum`.
pub const MISSING_CHECKSUM: &str = "Missing expected checksum";
/// `Finished`: finalize of an unlocked deployment without `allow-unlocked`.
pub const ALREADY_UNLOCKED: &str = "Staged deployment already unlocked";
/// `Finished`: driver registration by a caller outside of any unit.
pub const NO_UNIT: &str = "could not find caller systemd unit";
/// `Finished`: rollback while something is staged.
pub const ROLLBACK_STAGED: &str = "Staged deployment (remove with cleanup -p)";
/// `Finished`: rollback with one deployment.
pub const NO_ROLLBACK: &str = "No rollback deployment found";
/// `Finished`: a container revision that is no digest.
pub const INVALID_REFERENCE: &str = "invalid reference format";

/// Error text, with [`BUSY`], while a transaction of this title holds the slot.
pub fn busy(title: &str) -> String {
    format!(
        "Transaction in progress: {title}\n You can cancel the current transaction with `rpm-ostree cancel`"
    )
}

/// Error text, with [`ACCESS_DENIED`], of an OS method that polkit refuses.
pub fn not_allowed(method: &str) -> String {
    format!("rpmostreed OS operation {method} not allowed for user")
}

/// Error text, with [`FAILED`], of an unknown `mode`.
pub fn invalid_policy(mode: &str) -> String {
    format!("Invalid value for AutomaticUpdatePolicy: '{mode}'")
}

/// `Finished`: finalize of something else than what is staged.
pub fn wrong_checksum(expected: &str, found: &str) -> String {
    format!("Expected staged base checksum {expected}, but found {found}")
}

/// `Finished`: an inhibitor forbids the reboot.
pub fn inhibited(who: &str, why: &str) -> String {
    format!(
        "Reboot blocked by a systemd inhibitor lock in `block` mode\nHeld by: {who}\nReason: {why}"
    )
}

/// `Finished`: the transaction noticed its `Cancel` while pulling.
pub fn cancelled(origin: &Origin) -> String {
    pulling(origin, "Operation was cancelled")
}

/// `Finished`: a commit that the branch does not have.
pub fn commit_not_found(commit: &str, origin: &Origin) -> String {
    format!("Checksum {commit} not found in {}", origin.text())
}

/// `Finished`: a version that the branch does not have.
pub fn version_not_found(version: &str, origin: &Origin) -> String {
    format!("Version {version} not found in {}", origin.text())
}

/// `Finished`: a digest that the registry does not have.
pub fn manifest_unknown(digest: &str, origin: &Origin) -> String {
    open_image(&format!(
        "reading manifest {digest} in {}: manifest unknown",
        repository(origin)
    ))
}

/// `Finished`: the branch or the tag went back in time.
pub fn older(target: &Release, current: &Release, origin: &Origin) -> String {
    let container = matches!(origin, Origin::Container { .. });
    let revision = |release: &Release| match container {
        true => release.merge_commit(),
        false => release.commit(),
    };
    let older = format!(
        "Upgrade target revision '{}' with timestamp '{}' is chronologically older than current revision '{}' with \
         timestamp '{}'; use --allow-downgrade to permit",
        revision(target),
        date(target.timestamp),
        revision(current),
        date(current.timestamp),
    );
    match container {
        true => format!("While checking against deployment timestamp: {older}"),
        false => pulling(origin, &older),
    }
}

/// `Finished`: nothing can be fetched.
pub fn trouble(trouble: Trouble, origin: &Origin, head: &Release) -> String {
    const SUMMARY: &str = "http://127.0.0.1:8971/remote/summary.sig";
    if trouble == Trouble::DiskFull {
        return "min-free-space-percent '3%' would be exceeded, at least 12.3 MB requested"
            .to_owned();
    }
    let name = origin.name();
    match origin {
        Origin::Ostree { .. } => pulling(
            origin,
            &match trouble {
                Trouble::Down => {
                    format!("While fetching {SUMMARY}: [7] Could not connect to server")
                }
                Trouble::ServerError => {
                    format!("While fetching {SUMMARY}: Server returned HTTP 500")
                }
                Trouble::NoSuchBranch => format!("No such branch '{name}' in repository summary"),
                _ => format!(
                    "Commit {}: GPG verification enabled, but no signatures found (use gpg-verify=false in remote config to disable)",
                    head.commit()
                ),
            },
        ),
        Origin::Container { .. } => {
            let registry = name.split('/').next().unwrap_or(name);
            let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
            open_image(&match trouble {
                Trouble::Down => format!(
                    "pinging container registry {registry}: Get \"http://{registry}/v2/\": dial tcp {registry}: connect: connection refused"
                ),
                Trouble::ServerError => format!(
                    "reading manifest {tag} in {}: received unexpected HTTP status: 500 Internal Server Error",
                    repository(origin)
                ),
                Trouble::NoSuchBranch => format!(
                    "reading manifest {tag} in {}: manifest unknown",
                    repository(origin)
                ),
                _ => "A signature was required, but no signature exists".to_owned(),
            })
        }
    }
}

fn pulling(origin: &Origin, what: &str) -> String {
    match origin {
        Origin::Ostree { .. } => format!("While pulling {}: {what}", origin.name()),
        Origin::Container { .. } => what.to_owned(),
    }
}

fn open_image(what: &str) -> String {
    format!("Preparing import: Fetching manifest: failed to invoke method OpenImage: {what}")
}

/// The image without its tag or digest; a colon before the last slash is a port.
fn repository(origin: &Origin) -> &str {
    let name = origin.name();
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let end = match (name.rfind(':'), name.rfind('/')) {
        (Some(colon), Some(slash)) if colon > slash => colon,
        _ => name.len(),
    };
    name.get(..end).unwrap_or(name)
}

/// As `asctime`, in UTC.
fn date(timestamp: u64) -> String {
    i64::try_from(timestamp)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(String::new, |time| {
            time.strftime("%a %b %e %H:%M:%S %Y").to_string()
        })
}
