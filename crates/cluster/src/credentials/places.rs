//! Which of a host's kubeconfigs to use.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::files::NOT_THERE;
use super::{CredentialsError, Found, Life, under};

/// CUO's own kubeconfig, which is used whenever it can be.
const OWN: &str = "/etc/cuo-agent/kubeconfig";

/// Kubeconfigs that a host may have, in the order in which they are tried: CUO's own, then the kubelet's in the places where
/// installers put it.
pub const PLACES: &[&str] = &[
    OWN,
    "/var/lib/kubelet/kubeconfig",
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
    // Where k0s balances the load on the node: this one is the kubelet's, and the other one names for ever where the node once joined.
    "/run/k0s/nllb/kubeconfig.yaml",
    "/var/lib/k0s/kubelet.conf",
    "/var/lib/microshift/resources/kubelet/kubeconfig",
];

/// A kubeconfig that is not used, though it is in one of [`PLACES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Where it is.
    pub path: PathBuf,
    /// Why it is not used.
    pub why: String,
}

/// The kubeconfigs below `root` that are not used, because another one is.
///
/// # Errors
/// When none is used; it says why for each.
pub fn passed_over(root: &Path) -> Result<Vec<PassedOver>, CredentialsError> {
    Ok(discover(root, Timestamp::now())?.1)
}

/// A kubeconfig that could be used.
struct Candidate {
    own: bool,
    path: PathBuf,
    found: Found,
}

impl Candidate {
    fn life(&self) -> Option<Life> {
        self.found.flat.as_ref()?.life
    }
}

/// The kubeconfig below `root` to use, and the others that are there.
pub(super) fn discover(
    root: &Path,
    now: Timestamp,
) -> Result<(Found, Vec<PassedOver>), CredentialsError> {
    let (mut candidates, mut failed) = (Vec::new(), Vec::new());
    for place in PLACES {
        let path = under(root, Path::new(place));
        match of_a_host(&path, root) {
            Ok(found) => candidates.push(Candidate {
                own: *place == OWN,
                path,
                found,
            }),
            Err(error) => failed.push((path, error)),
        }
    }
    let lives: Vec<_> = candidates.iter().map(|one| (one.own, one.life())).collect();
    let Some(best) = best(&lives, now) else {
        return Err(none(failed));
    };
    let chosen = candidates.remove(best);
    let used = chosen.path.display().to_string();
    let unused = candidates.into_iter().map(|one| PassedOver {
        why: unused(&used, one.life(), chosen.life(), now),
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
    Ok((chosen.found, others))
}

/// The kubeconfig at `path`, for somebody who runs no programs that it names.
fn of_a_host(path: &Path, root: &Path) -> Result<Found, CredentialsError> {
    let found = Found::at(path, root)?;
    if let Some(flat) = &found.flat {
        flat.refuse_programs()?;
    }
    Ok(found)
}

/// Which of these to use, each with whether it is CUO's own and how long its certificate is good: CUO's own; else the newest of those
/// whose certificate has not ended, so that what another distribution left behind does not win; and the first in their order where
/// nothing is known of that.
fn best(lives: &[(bool, Option<Life>)], now: Timestamp) -> Option<usize> {
    let all = || 0..lives.len();
    if let Some(own) = all().find(|one| lives[*one].0) {
        return Some(own);
    }
    let ended = |one: &usize| lives[*one].1.is_some_and(|life| life.end <= now);
    let newest = |ones: &mut dyn Iterator<Item = usize>| {
        let first = ones.next()?;
        let begin = |one: usize| lives[one].1.map(|life| life.begin);
        if begin(first).is_none() {
            return Some(first);
        }
        // Of equal ones the first.
        Some(ones.fold(
            first,
            |best, one| if begin(one) > begin(best) { one } else { best },
        ))
    };
    newest(&mut all().filter(|one| !ended(one))).or_else(|| newest(&mut all()))
}

/// Why a kubeconfig that could be used is not.
fn unused(used: &str, life: Option<Life>, of_used: Option<Life>, now: Timestamp) -> String {
    match (life, of_used) {
        (Some(life), _) if life.end <= now => {
            format!("its client certificate ended at {}", life.end)
        }
        (Some(life), Some(newer)) if life.begin < newer.begin => format!(
            "its client certificate is from {}, and that of {used} from {}",
            life.begin, newer.begin
        ),
        _ => format!("{used} comes before it"),
    }
}

fn is_missing(place: &Path, error: &CredentialsError) -> bool {
    matches!(error, CredentialsError::Unreadable { path, message } if path == place && message == NOT_THERE)
}

/// What is wrong with the kubeconfig at `place`, to be read after its name.
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

/// Why there is none to use. Where one is there and no other, what is wrong with it is all that matters.
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
#[path = "places_tests.rs"]
mod tests;
