//! Chooses among the kubeconfigs of a host.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::{CredentialsError, NOT_THERE};
use super::found::{Found, under};
use super::life::Life;

/// CUO's own kubeconfig, which has precedence over all others while it is valid.
const OWN: &str = "/etc/cuo-agent/kubeconfig";
/// The kubeconfigs of k0s, the only distribution that has two. With load balancing on the node, the first one is the kubelet's, and the
/// second always names the server through which the node once joined.
const K0S: [&str; 2] = ["/run/k0s/nllb/kubeconfig.yaml", "/var/lib/k0s/kubelet.conf"];

/// Kubeconfigs that a host may have, in the order in which they are tried: CUO's own, then the kubelet's where installers put it.
pub const PLACES: &[&str] = &[
    OWN,
    "/var/lib/kubelet/kubeconfig",
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
    K0S[0],
    K0S[1],
    "/var/lib/microshift/resources/kubelet/kubeconfig",
];

/// A kubeconfig in one of [`PLACES`] that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Its path.
    pub path: PathBuf,
    /// Why it is not used.
    pub why: String,
}

/// The kubeconfigs below `root` that are not used, because another one is.
///
/// # Errors
/// When none can be used; the error says why for each.
pub fn passed_over(root: &Path) -> Result<Vec<PassedOver>, CredentialsError> {
    Ok(discover(root, Timestamp::now())?.1)
}

/// A kubeconfig that can be used.
struct Candidate {
    place: &'static str,
    path: PathBuf,
    found: Found,
}

/// The ranks of kubeconfigs, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// CUO's own, whose certificate has not expired, or which has a token.
    Own,
    /// Its certificate has not expired.
    Good,
    /// It has a token, or a certificate that can't be parsed.
    Unknown,
    /// Its certificate has expired; trying it is better than nothing.
    Ended,
}

impl Candidate {
    fn life(&self) -> Option<Life> {
        self.found.life()
    }

    fn begin(&self) -> Option<Timestamp> {
        self.life().map(|life| life.begin)
    }

    fn standing(&self, now: Timestamp) -> Standing {
        match self.life() {
            Some(life) if life.end <= now => Standing::Ended,
            _ if self.place == OWN => Standing::Own,
            Some(_) => Standing::Good,
            None => Standing::Unknown,
        }
    }

    /// Whether both are of one distribution, whose kubelet uses the first that exists. Their ages mean nothing: k0s recreates both within a
    /// second.
    fn is_beside(&self, other: &Self) -> bool {
        self.place == other.place || [self, other].iter().all(|one| K0S.contains(&one.place))
    }
}

/// The kubeconfig below `root` to use, and the others that exist.
pub(super) fn discover(
    root: &Path,
    now: Timestamp,
) -> Result<(Found, Vec<PassedOver>), CredentialsError> {
    let (mut candidates, mut failed) = (Vec::new(), Vec::new());
    for &place in PLACES {
        let path = under(root, Path::new(place));
        match of_a_host(&path, root) {
            Ok(found) => candidates.push(Candidate { place, path, found }),
            Err(error) => failed.push((path, error)),
        }
    }
    let Some(best) = best(&candidates, now) else {
        return Err(none(failed));
    };
    let used = candidates.remove(best);
    let unused = candidates.into_iter().map(|one| PassedOver {
        why: unused(&one, &used, now),
        path: one.path,
    });
    let unusable = failed
        .into_iter()
        .filter(|(path, error)| !is_missing(path, error));
    let unusable = unusable.map(|(path, error)| PassedOver {
        why: reason(&path, error),
        path,
    });
    let mut others: Vec<_> = unused.chain(unusable).collect();
    let place = |one: &PassedOver| {
        PLACES
            .iter()
            .position(|place| one.path == under(root, Path::new(place)))
    };
    others.sort_by_key(place);
    Ok((used.found, others))
}

/// Reads the kubeconfig at `path`, without credential plugins, and only if it has credentials.
fn of_a_host(path: &Path, root: &Path) -> Result<Found, CredentialsError> {
    let found = Found::at(path, root)?;
    if let Some(flat) = &found.flat {
        flat.refuse_programs()?;
        flat.refuse_anonymous()?;
    }
    Ok(found)
}

/// Chooses among these: of those with the best rank the newest, so that what another distribution left behind does not win, and of equally
/// old ones the first. Of one distribution it is the first with that rank, however old.
fn best(candidates: &[Candidate], now: Timestamp) -> Option<usize> {
    let standing = candidates.iter().map(|one| one.standing(now)).min()?;
    let mut alike = candidates
        .iter()
        .filter(|one| one.standing(now) == standing);
    let first = alike.next()?;
    let newest = alike.fold(first, |newest, one| {
        if one.begin() > newest.begin() {
            one
        } else {
            newest
        }
    });
    let chosen = |one: &Candidate| one.standing(now) == standing && one.is_beside(newest);
    candidates.iter().position(chosen)
}

/// Why a usable kubeconfig is not used.
fn unused(one: &Candidate, used: &Candidate, now: Timestamp) -> String {
    let place = used.path.display();
    match (one.life(), used.life()) {
        (Some(life), _) if life.end <= now => {
            format!("its client certificate ended at {}", life.end)
        }
        _ if used.place == OWN || one.is_beside(used) => format!("{place} comes before it"),
        (Some(older), Some(newer)) if older.begin < newer.begin => format!(
            "its client certificate is from {}, and that of {place} from {}",
            older.begin, newer.begin
        ),
        (None, Some(_)) => {
            format!("it has no client certificate whose end is known, and {place} has one")
        }
        _ => format!("{place} comes before it"),
    }
}

fn is_missing(place: &Path, error: &CredentialsError) -> bool {
    matches!(error, CredentialsError::Unreadable { path, message } if path == place && message == NOT_THERE)
}

/// What is wrong with the kubeconfig at `place`, as a clause after its name.
fn reason(place: &Path, error: CredentialsError) -> String {
    match error {
        CredentialsError::Unreadable { path, message } if path == place => message,
        CredentialsError::Unreadable { path, message } => {
            format!("can't read {}: {message}", path.display())
        }
        CredentialsError::Malformed { message, .. } => message,
        error @ (CredentialsError::NotFound(_) | CredentialsError::Pod { .. }) => error.to_string(),
    }
}

/// The error if there is none to use. If only one exists, its error is all that matters.
fn none(mut failed: Vec<(PathBuf, CredentialsError)>) -> CredentialsError {
    let there = failed
        .iter()
        .enumerate()
        .filter(|(_, (path, error))| !is_missing(path, error));
    let there: Vec<_> = there.map(|(index, _)| index).collect();
    if let [only] = there[..] {
        return failed.swap_remove(only).1;
    }
    let all = failed.into_iter().map(|(path, error)| {
        let why = reason(&path, error);
        (path, why)
    });
    CredentialsError::NotFound(all.collect())
}

#[cfg(test)]
mod tests;
