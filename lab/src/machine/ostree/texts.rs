//! Error texts and names as rpm-ostree 2026.2 gives them, for the double and for tests that inject them.

use super::origin::Origin;
use super::release::{Layers, Release, Trouble};
use super::state::Deployed;

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

/// What is said of work that was cancelled.
pub(super) const CANCELLED: &str = "Operation was cancelled";
const NO_SIGNATURE: &str = "A signature was required, but no signature exists";
/// What libostree 2025.2 says of a pull that brings a release; GLib puts a space between a size and its unit that does not break.
pub const FETCHED: &str = "9 metadata, 5 content objects fetched; 10 KiB transferred in 0 seconds; 225.5\u{a0}kB content written";
/// The same where a branch that moved is looked at alone.
pub const LOOKED_AT: &str = "1 metadata, 0 content objects fetched; 907 B transferred in 0 seconds; 0\u{a0}bytes content written";
/// The same where nothing is new.
pub const NOTHING_FETCHED: &str =
    "0 metadata, 0 content objects fetched; 0\u{a0}bytes content written";
/// What is said of a cleanup that freed something.
pub const FREED: &str = "Freed: 229.0\u{a0}kB (pkgcache branches: 0)";
/// Where branches come from.
const REMOTE: &str = "http://127.0.0.1:8971/remote";

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

/// What is fetched of a branch when something goes wrong; how errors begin depends on it (source of rpm-ostree 2026.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull<'a> {
    /// What it points at.
    Head,
    /// Its history, in which a revision is looked for.
    History,
    /// This commit.
    Commit(&'a str),
}

/// `Finished`: the transaction noticed its `Cancel` while pulling.
pub fn cancelled(origin: &Origin, pull: Pull<'_>) -> String {
    pulling(origin, pull, CANCELLED)
}

/// `Finished`: a commit that the branch does not have.
pub fn commit_not_found(commit: &str, origin: &Origin) -> String {
    format!("Checksum {commit} not found in {}", origin.text())
}

/// `Finished`: a version that the branch does not have.
pub fn version_not_found(version: &str, origin: &Origin) -> String {
    format!("Version {version} not found in {}", origin.text())
}

/// `Finished`: a revision that claims to be a checksum and is none. From the sources of rpm-ostree 2026.2 and libostree 2025.2, for what is
/// no longer than a checksum.
pub fn no_checksum(revision: &str, value: &str) -> String {
    format!("Parsing revision '{revision}': Invalid rev {value}")
}

/// `Finished`: a commit that nobody has, whose branch is not looked through. From the source of libostree 2025.2.
pub fn no_object(commit: &str) -> String {
    let (folder, file) = commit.split_at_checked(2).unwrap_or((commit, ""));
    format!(
        "While pulling {commit}: While fetching {REMOTE}/objects/{folder}/{file}.commit: Server returned HTTP 404"
    )
}

/// `Finished`: a commit that was made for other branches. From the source of libostree 2025.2.
pub fn bound_elsewhere(commit: &str, origin: &Origin, branches: &[&str]) -> String {
    let bound: Vec<_> = branches.iter().map(|one| format!("‘{one}’")).collect();
    format!(
        "While pulling {commit}: Commit {commit}: Commit has no requested ref ‘{}’ in ref binding metadata ({})",
        origin.name(),
        bound.join(", ")
    )
}

/// `Finished`: a rebase to what is followed already. From the source of rpm-ostree 2026.2.
pub fn same_reference(origin: &Origin) -> String {
    format!("Old and new refs are equal: {}", origin.text())
}

/// `Finished`: a digest that the registry does not have, or a tag.
pub fn manifest_unknown(named: &str, origin: &Origin) -> String {
    open_image(&format!(
        "reading manifest {named} in {}: manifest unknown",
        origin.repository()
    ))
}

/// `Finished`: a container revision that is no digest. From the sources of rpm-ostree 2026.2 and skopeo 1.22.
pub fn invalid_reference() -> String {
    open_image("invalid reference format")
}

/// `Finished`: an image that is to be verified by a policy that verifies nothing by itself. Reported with rpm-ostree as of
/// coreos/fedora-coreos-tracker 2218.
pub fn refusing_usage() -> String {
    "Preparing import: Fetching manifest: containers-policy.json specifies a default of `insecureAcceptAnything`; refusing usage".to_owned()
}

/// `Finished`: the host has no policy. From the sources of ostree-ext 0.15.3 and skopeo 1.16.
pub fn no_policy() -> String {
    "Creating importer: failed to invoke method Initialize: open /etc/containers/policy.json: no such file or directory".to_owned()
}

/// `Finished`: an image that the host's policy does not let in. Reported in secureblue/secureblue 418, without what it begins with since
/// ostree-ext 0.15.3.
pub fn rejected(origin: &Origin) -> String {
    open_image(&format!(
        "Running image docker://{} is rejected by policy.",
        origin.name()
    ))
}

/// `Finished`: an image without the signature that the host's policy demands. Reported in pocketblue/pocketblue 212.
pub fn no_signature() -> String {
    open_image(NO_SIGNATURE)
}

/// `Finished`: the commit inside of an image is not signed, and the keys of `remote` are to verify it. Reported in coreos/rpm-ostree 5560,
/// its beginning from the source of ostree-ext 0.15.3.
pub fn unsigned_commit(remote: &str) -> String {
    format!(
        "Importing: Unencapsulating base: Using remote {remote} for verification; Expected commitmeta object, not DirMeta"
    )
}

/// `Finished`: the branch or the tag went back in time.
pub fn older(target: &Release, current: &Release, origin: &Origin) -> String {
    match origin {
        Origin::Ostree { .. } => {
            let older = (target.commit(), current.commit());
            pulling(origin, Pull::Head, &chronologically(target, current, older))
        }
        Origin::Container { .. } => older_deployment(
            target,
            current,
            (target.merge_commit(), current.merge_commit()),
        ),
    }
}

/// `Finished`: a commit that was asked for is older. From the source of rpm-ostree 2026.2.
pub fn older_commit(target: &Release, current: &Deployed) -> String {
    let commit = target.commit();
    let checksums = (commit.clone(), current.base_checksum());
    let older = chronologically(target, &current.release, checksums);
    format!("While pulling {commit}: {older}")
}

/// `Finished`: what was fetched is older; `checksums` are those of target and current deployment.
pub fn older_deployment(
    target: &Release,
    current: &Release,
    checksums: (String, String),
) -> String {
    let older = chronologically(target, current, checksums);
    format!("While checking against deployment timestamp: {older}")
}

fn chronologically(target: &Release, current: &Release, checksums: (String, String)) -> String {
    format!(
        "Upgrade target revision '{}' with timestamp '{}' is chronologically older than current revision '{}' with \
         timestamp '{}'; use --allow-downgrade to permit",
        checksums.0,
        date(target.timestamp),
        checksums.1,
        date(current.timestamp),
    )
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
    trouble_with(trouble, origin, Pull::Head, &head.commit())
}

/// The same of any part of a branch; `commit` is what is fetched.
pub fn trouble_with(trouble: Trouble, origin: &Origin, pull: Pull<'_>, commit: &str) -> String {
    match (trouble, origin) {
        (Trouble::DiskFull, _) => pulling(origin, pull, "No space left on device"),
        (Trouble::DiskReserved, _) => pulling(
            origin,
            pull,
            "Writing content object: min-free-space-size 921600MB would be exceeded, at least 36.9 kB requested",
        ),
        (_, Origin::Ostree { .. }) => {
            pulling(origin, pull, &of_remote(trouble, origin, pull, commit))
        }
        (_, Origin::Container { .. }) => open_image(&of_registry(trouble, origin)),
    }
}

/// What the server of a branch has to do with. Who is refused the summary's signature sees that, who is refused a file sees the branch. A
/// commit alone needs no branch, but the server's configuration (source of libostree 2025.2).
fn of_remote(trouble: Trouble, origin: &Origin, pull: Pull<'_>, commit: &str) -> String {
    let name = origin.name();
    let alone = matches!(pull, Pull::Commit(_));
    let first = if alone { "config" } else { "summary.sig" };
    match trouble {
        Trouble::Down => {
            format!("While fetching {REMOTE}/{first}: [7] Could not connect to server")
        }
        Trouble::Status(status @ (403 | 404)) if !alone => {
            format!("While fetching {REMOTE}/refs/heads/{name}: Server returned HTTP {status}")
        }
        Trouble::Status(status) => {
            format!("While fetching {REMOTE}/{first}: Server returned HTTP {status}")
        }
        Trouble::NoSuchBranch => format!("No such branch '{name}' in repository summary"),
        _ => format!(
            "Commit {commit}: GPG verification enabled, but no signatures found (use gpg-verify=false in remote config to disable)"
        ),
    }
}

/// The same of an image; 401, 403 and 500 were seen.
fn of_registry(trouble: Trouble, origin: &Origin) -> String {
    let name = origin.name();
    let registry = name.split('/').next().unwrap_or(name);
    let ping = format!("pinging container registry {registry}");
    // The lab's own registry was seen. A name without a port is one of the internet, where it is TLS and an address that does not answer.
    let (scheme, address) = match registry.contains(':') {
        true => ("http", registry),
        false => ("https", "203.0.113.8:443"),
    };
    let tag = origin.digest().or(origin.tag()).unwrap_or("latest");
    let manifest = format!("reading manifest {tag} in {}", origin.repository());
    match trouble {
        Trouble::Down => format!(
            "{ping}: Get \"{scheme}://{registry}/v2/\": dial tcp {address}: connect: connection refused"
        ),
        Trouble::Status(401) => format!("{manifest}: authentication required"),
        Trouble::Status(500) => {
            format!("{ping}: received unexpected HTTP status: 500 Internal Server Error")
        }
        Trouble::Status(status) => format!("{ping}: StatusCode: {status}, \"\""),
        Trouble::NoSuchBranch => format!("{manifest}: manifest unknown"),
        _ => NO_SIGNATURE.to_owned(),
    }
}

/// How failures of a pull begin; for images, where this was not seen, they have no beginning.
fn pulling(origin: &Origin, pull: Pull<'_>, what: &str) -> String {
    match (origin, pull) {
        (Origin::Ostree { .. }, Pull::Head) => format!("While pulling {}: {what}", origin.name()),
        (Origin::Ostree { .. }, Pull::Commit(commit)) => format!("While pulling {commit}: {what}"),
        (Origin::Ostree { .. }, Pull::History) | (Origin::Container { .. }, _) => what.to_owned(),
    }
}

fn open_image(what: &str) -> String {
    format!("Preparing import: Fetching manifest: failed to invoke method OpenImage: {what}")
}

/// As `asctime`, in UTC, but that GLib pads a day of one digit with a space as wide as a digit (seen with rpm-ostree 2026.2 and GLib 2.84).
fn date(timestamp: u64) -> String {
    const PAD: char = '\u{2007}';
    let time = i64::try_from(timestamp).ok();
    let time = time.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(String::new, |time| {
        let day = time
            .strftime("%e")
            .to_string()
            .replace(' ', PAD.encode_utf8(&mut [0; 4]));
        format!(
            "{}{day}{}",
            time.strftime("%a %b "),
            time.strftime(" %H:%M:%S %Y")
        )
    })
}
