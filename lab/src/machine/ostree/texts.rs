//! Error texts and names as rpm-ostree 2026.2 gives them, for the double and for tests that inject them.

use super::release::{Layers, Release, Trouble};
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
        origin.repository()
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

/// `Finished`: layered packages can't be had.
pub fn layers(trouble: Layers, packages: &[String]) -> String {
    const METADATA: &str = "http://127.0.0.1:8973/lab/repodata/repomd.xml (IP: 127.0.0.1)";
    match trouble {
        Layers::NoPackages => format!("Packages not found: {}", packages.join(", ")),
        Layers::NoMetadata => format!(
            "Updating rpm-md repo 'lab': cannot update repo 'lab': Cannot download repomd.xml: Cannot download repodata/repomd.xml: \
             All mirrors were tried; Last error: Status code: 404 for {METADATA}"
        ),
    }
}

/// `Finished`: nothing can be fetched.
pub fn trouble(trouble: Trouble, origin: &Origin, head: &Release) -> String {
    match (trouble, origin) {
        (Trouble::DiskFull, _) => pulling(origin, "No space left on device"),
        (Trouble::DiskReserved, _) => pulling(
            origin,
            "Writing content object: min-free-space-size 921600MB would be exceeded, at least 36.9 kB requested",
        ),
        (_, Origin::Ostree { .. }) => pulling(origin, &of_remote(trouble, origin, head)),
        (_, Origin::Container { .. }) => open_image(&of_registry(trouble, origin)),
    }
}

/// What the server of a branch has to do with. Who is refused the summary's signature sees that, who is refused a file sees the branch.
fn of_remote(trouble: Trouble, origin: &Origin, head: &Release) -> String {
    const REMOTE: &str = "http://127.0.0.1:8971/remote";
    let name = origin.name();
    match trouble {
        Trouble::Down => {
            format!("While fetching {REMOTE}/summary.sig: [7] Could not connect to server")
        }
        Trouble::Status(status @ (403 | 404)) => {
            format!("While fetching {REMOTE}/refs/heads/{name}: Server returned HTTP {status}")
        }
        Trouble::Status(status) => {
            format!("While fetching {REMOTE}/summary.sig: Server returned HTTP {status}")
        }
        Trouble::NoSuchBranch => format!("No such branch '{name}' in repository summary"),
        _ => format!(
            "Commit {}: GPG verification enabled, but no signatures found (use gpg-verify=false in remote config to disable)",
            head.commit()
        ),
    }
}

/// The same of an image; 401, 403 and 500 were seen.
fn of_registry(trouble: Trouble, origin: &Origin) -> String {
    let name = origin.name();
    let registry = name.split('/').next().unwrap_or(name);
    let ping = format!("pinging container registry {registry}");
    let tag = origin.digest().or(origin.tag()).unwrap_or("latest");
    let manifest = format!("reading manifest {tag} in {}", origin.repository());
    match trouble {
        Trouble::Down => format!(
            "{ping}: Get \"http://{registry}/v2/\": dial tcp {registry}: connect: connection refused"
        ),
        Trouble::Status(401) => format!("{manifest}: authentication required"),
        Trouble::Status(500) => {
            format!("{ping}: received unexpected HTTP status: 500 Internal Server Error")
        }
        Trouble::Status(status) => format!("{ping}: StatusCode: {status}, \"\""),
        Trouble::NoSuchBranch => format!("{manifest}: manifest unknown"),
        _ => "A signature was required, but no signature exists".to_owned(),
    }
}

/// How failures of a pull begin; for images, where this was not seen, they have no beginning.
fn pulling(origin: &Origin, what: &str) -> String {
    match origin {
        Origin::Ostree { .. } => format!("While pulling {}: {what}", origin.name()),
        Origin::Container { .. } => what.to_owned(),
    }
}

fn open_image(what: &str) -> String {
    format!("Preparing import: Fetching manifest: failed to invoke method OpenImage: {what}")
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
