//! Downloading and staging a release, locked.

use cuo_core::host::{Deployment, Host};
use cuo_core::release::{Deploy, Revision};
use tracing::debug;
use zbus::Variant;

use super::peer::{self, Silence};
use super::session::{Call, Options, Session};
use super::{Client, DRIVER, Error, Pin, check, lingers, no_unit};

/// What a run of [`Client::stage`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Staged {
    /// The newest version is staged now and was not before. It is locked if this run staged it: only a finalization boots it.
    New {
        /// What is staged now.
        deployment: Deployment,
        /// What would have been booted instead until now, other than the booted deployment.
        replaced: Option<Deployment>,
    },
    /// What a reboot would boot has not changed: there is nothing newer, or it was pending already.
    NoUpdate {
        /// Version of an update that rpm-ostree knows of and yet did not stage, for instance because the origin is pinned to a
        /// commit; 2026.1 did so for every container image. Worth a warning, not a decision.
        unstaged: Option<String>,
    },
    /// Nothing new will ever come by itself.
    Pinned(Pin),
    /// What a reboot would boot has changed, and not by this run: somebody else was at work in the meantime.
    Foreign {
        /// What a reboot would boot now, other than the booted deployment.
        pending: Option<Deployment>,
    },
}

impl Client {
    /// Downloads and stages the newest version of the booted origin, locked, so that no reboot but
    /// [`Ready::finalize`](super::Ready::finalize)'s boots it.
    ///
    /// It replaces whatever is pending if there is something newer. `known` is the host that this was decided on: what somebody else
    /// deployed since then is left as it is. What is staged already stays, locked or not. `progress` gets short lines for people, up to
    /// hundreds per second.
    ///
    /// # Errors
    /// Any of [`Error`]. After `Lost` and `Timeout` the update may have been staged nevertheless.
    pub async fn stage(
        &self,
        known: Option<&Host>,
        progress: impl FnMut(&str) + Send,
    ) -> Result<Staged, Error> {
        self.staged(known, None, progress).await
    }

    /// The same with exactly what `deploy` says.
    ///
    /// # Errors
    /// As for [`Client::stage`].
    pub async fn deploy(
        &self,
        known: Option<&Host>,
        deploy: &Deploy,
        progress: impl FnMut(&str) + Send,
    ) -> Result<Staged, Error> {
        self.staged(known, Some(deploy), progress).await
    }

    async fn staged(
        &self,
        known: Option<&Host>,
        deploy: Option<&Deploy>,
        mut progress: impl FnMut(&str) + Send,
    ) -> Result<Staged, Error> {
        let (session, first) = self.begin().await?;
        let before = first.host()?;
        let id = |host: &Host| host.pending.as_ref().map(|pending| pending.id.clone());
        if known.is_some_and(|known| before.pending.is_some() && id(&before) != id(known)) {
            let pending = before.pending;
            return Ok(Staged::Foreign { pending });
        }
        let mut call = call(deploy);
        let (os_path, progress) = (&first.os_path, &mut progress);
        let run = self.run(&session, os_path, &before, &call, progress);
        let (mut staged, mut said) = match run.await {
            Err(error) if no_unit(&error) => {
                call.options.remove(DRIVER.0);
                let run = self.run(&session, os_path, &before, &call, progress);
                run.await
            }
            result => result,
        }
        .map_err(|error| about(error, deploy).with_requests(&first.requested()))?;
        if deploy.is_some() {
            return Ok(staged);
        }
        let commit = said.pinned.take().map(Pin::Commit);
        let pin = commit.or_else(|| first.digest().map(Pin::Digest));
        if let (Staged::NoUpdate { .. }, Some(pin)) = (&staged, pin) {
            return Ok(Staged::Pinned(pin));
        }
        // For an image nothing on the host tells of an update that was not staged, until it is looked for.
        if staged == (Staged::NoUpdate { unstaged: None }) && first.is_image() && !said.nothing_new
        {
            let looked = self.look(&session, os_path, &check(), progress).await;
            let looked = looked.inspect_err(|error| debug!(%error, "a hint less"));
            staged = Staged::NoUpdate {
                unstaged: looked.ok().flatten(),
            };
        }
        Ok(staged)
    }

    async fn run(
        &self,
        session: &Session,
        os_path: &str,
        before: &Host,
        call: &Call,
        progress: &mut (impl FnMut(&str) + Send),
    ) -> Result<(Staged, Said), Error> {
        for _ in 0..=self.limits.repeats {
            let address = session.deploy(os_path, call).await?;
            let silence = Silence::of_staging(&self.limits);
            let mut said = Said::default();
            let mut hear = |line: &str| {
                said.hear(line);
                progress(line);
            };
            let ended = peer::run(&address, call.method, &self.limits, silence, &mut hear).await?;
            // Where rpm-ostreed has just died, a question at once would be lost with it.
            let Some(peer::Ended { started, result }) = ended else {
                self.pause().await;
                continue;
            };
            if let (true, Err(text)) = (started, result) {
                let what = call.method.to_owned();
                return Err(Error::Failed { what, text });
            }
            let now = session.read().await?;
            // What a check has found stays to be read after the tag of an image has gone back.
            let stale = said.nothing_new && now.is_image() || call.modifiers.is_some();
            let unstaged = now.unstaged().filter(|_| !stale);
            let staged = compare(before, now.host()?, unstaged);
            if started || !matches!(staged, Staged::NoUpdate { .. }) {
                return Ok((staged, said));
            }
            self.pause().await;
        }
        Err(lingers(call.named))
    }
}

/// How rpm-ostree is asked for `deploy`. Equal in every version and every run: rpm-ostreed lets only an equal call join a transaction that
/// runs already.
fn call(deploy: Option<&Deploy>) -> Call {
    let command = |text: &'static str| ("initiating-command-line", Variant::from(text));
    let locked = ("lock-finalization", Variant::from(true));
    let Some(deploy) = deploy else {
        return Call {
            method: "Upgrade",
            named: "upgrade",
            modifiers: None,
            options: Options::from([locked, command("cuo-agent: upgrade"), DRIVER]),
        };
    };
    let mut modifiers = Options::new();
    if let Some(revision) = &deploy.revision {
        modifiers.insert("set-revision", Variant::from(worded(revision)));
    }
    if let Some(reference) = &deploy.reference {
        modifiers.insert("set-refspec", Variant::from(reference.clone()));
    }
    let options = Options::from([
        locked,
        command("cuo-agent: deploy"),
        DRIVER,
        // Its default is `true` with another reference (v2026.2, `deploy_transaction_execute`).
        ("allow-downgrade", Variant::from(deploy.downgrade)),
        // An update graph names commits that the branch has left behind, as Zincati deploys them, too.
        ("skip-branch-check", Variant::from(true)),
    ]);
    Call {
        method: "UpdateDeployment",
        named: "deployment",
        modifiers: Some(modifiers),
        options,
    }
}

/// The error with what it was about.
fn about(error: Error, deploy: Option<&Deploy>) -> Error {
    match (error, deploy.and_then(|deploy| deploy.reference.clone())) {
        (Error::Denied { text, .. }, Some(reference)) => Error::RebaseDenied { reference, text },
        (error, _) => error,
    }
}

/// A revision as rpm-ostree reads it.
fn worded(revision: &Revision) -> String {
    use cuo_core::ids::ReleaseId;
    match revision {
        Revision::Release(identity @ ReleaseId::Image(_)) => identity.to_string(),
        Revision::Release(identity @ ReleaseId::Commit(_)) => format!("revision={identity}"),
        Revision::Version(version) => format!("version={version}"),
    }
}

/// What a run said that its success does not tell.
#[derive(Debug, Default)]
struct Said {
    /// The line that says so.
    pinned: Option<String>,
    /// 2026.1, which stages nothing for images, says nothing either.
    nothing_new: bool,
}

impl Said {
    fn hear(&mut self, line: &str) {
        if line.starts_with("Pinned to commit") {
            self.pinned = Some(line.to_owned());
        }
        self.nothing_new |= line == "No upgrade available.";
    }
}

/// What came of a run, by the deployments before and after: rpm-ostree reports success whether or not it staged anything.
fn compare(before: &Host, now: Host, unstaged: Option<String>) -> Staged {
    let id = |host: &Host| host.pending.as_ref().unwrap_or(&host.booted).id.clone();
    if id(before) == id(&now) {
        return Staged::NoUpdate { unstaged };
    }
    match now.pending {
        Some(deployment) if deployment.staged => Staged::New {
            deployment,
            replaced: before.pending.clone(),
        },
        pending => Staged::Foreign { pending },
    }
}

#[cfg(test)]
mod tests;
