//! Checks of the kubeconfig in use, of its certificate's validity, and of those that are not used.

use std::path::Path;

use cuo_cluster::credentials::{PassedOver, passed_over};
use cuo_cluster::{CredentialsError, Status};
use jiff::Timestamp;

use super::check::Check;
use crate::config::Config;
use crate::credentials::COPY;

pub(super) const KUBECONFIG: &str = "kubeconfig";

/// Checks the credentials of a client with this `status`.
pub(super) fn judged(root: &Path, config: &Config, given: Option<&Path>, status: &Status) -> Check {
    if let Some(problem) = &status.problem {
        let remedy = "See `systemctl status cuo-agent-credentials`; run this as root to check the kubelet's own.";
        return Check::failed(KUBECONFIG, problem.to_string(), remedy);
    }
    let origin = status.origin.clone().unwrap_or_default();
    let copied = Path::new(&origin) == root.join(COPY);
    let searched = given.is_none() && config.kubeconfig.is_none();
    let others = match searched.then(|| passed_over(root)) {
        None => String::new(),
        Some(Ok(others)) => reported(copied, &others),
        Some(Err(error)) => return without_an_original(origin, copied, &error),
    };
    match status.life.filter(|life| life.ends_soon(Timestamp::now())) {
        None => Check::ok(KUBECONFIG, origin + &others),
        Some(life) => Check::warning(
            KUBECONFIG,
            format!(
                "{origin}, whose client certificate ends at {} and should have been renewed by now{others}",
                life.end
            ),
            "See the kubelet's journal: it renews its certificate, and the new one is taken as soon as it is there.",
        ),
    }
}

/// Which kubeconfigs were skipped. Somebody who may not read all of them can't know which one was copied.
fn reported(copied: bool, others: &[PassedOver]) -> String {
    let hidden = others.iter().any(|one| one.why == DENIED);
    if others.is_empty() || (copied && hidden) {
        return String::new();
    }
    let others = others
        .iter()
        .map(|one| format!("{} ({})", one.path.display(), one.why));
    format!("; passed over: {}", others.collect::<Vec<_>>().join(", "))
}

/// The operating system's error when reading is not allowed.
const DENIED: &str = "permission denied";

/// The result if there is a copy, but its original is gone.
fn without_an_original(origin: String, copied: bool, error: &CredentialsError) -> Check {
    if !copied || error.to_string().contains(DENIED) {
        return Check::ok(KUBECONFIG, origin);
    }
    Check::warning(
        KUBECONFIG,
        format!("{origin}, which is no longer renewed: {error}"),
        "`systemctl restart cuo-agent-credentials` copies it as soon as there is one that can be used.",
    )
}
