//! The way back: the deployment that ran before is put first again.

use cuo_core::host::{Deployment, Host};
use zbus::Variant;

use super::peer::{self, Silence};
use super::session::Options;
use super::{Error, Ready, lingers};

const METHOD: &str = "Rollback";

impl Ready {
    /// Makes `deployment`, the next one after the booted one, the one that the next boot boots. Nothing reboots because of this.
    ///
    /// rpm-ostreed compares nothing here, and a second call would undo the first. So what is first is read before each call, and only
    /// what is read after it counts.
    ///
    /// # Errors
    /// Any of [`Error`]. Whatever it is, nothing reboots, and the next call finds out by what is there.
    pub async fn roll_back(self, deployment: &Deployment) -> Result<(), Error> {
        let (session, limits, mut now) = (self.session, &self.client.limits, self.first);
        let options = Options::from([(
            "initiating-command-line",
            Variant::from("cuo-agent: rollback"),
        )]);
        let silence = Silence::Ends(limits.finalize_idle);
        for _ in 0..=limits.repeats {
            match stands(&now.host()?, deployment) {
                Place::First => return Ok(()),
                Place::Next => {}
                Place::Elsewhere(text) => return Err(failed(text)),
            }
            let address = session.transaction(&now.os_path, METHOD, &options).await?;
            let ended = peer::run(&address, METHOD, limits, silence, &mut |_| ()).await?;
            let Some(own) = ended.filter(|ended| ended.started) else {
                // Somebody else's, which may have been over before: the deployments afterwards will show it.
                self.client.pause().await;
                now = session.read().await?;
                continue;
            };
            own.result.map_err(failed)?;
            return match stands(&session.read().await?.host()?, deployment) {
                Place::First => Ok(()),
                Place::Next => Err(failed("it reports success and changed nothing".into())),
                Place::Elsewhere(text) => Err(failed(text)),
            };
        }
        Err(lingers("rollback"))
    }
}

fn failed(text: String) -> Error {
    Error::Failed {
        what: METHOD.to_owned(),
        text,
    }
}

/// Where a deployment is in the order of the boots.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// The next boot boots it.
    First,
    /// It is the one that rpm-ostree goes back to.
    Next,
    /// Neither; says what is in its place.
    Elsewhere(String),
}

fn stands(host: &Host, deployment: &Deployment) -> Place {
    let next = host.others.first();
    match &host.pending {
        Some(first) if first.id == deployment.id => Place::First,
        None if next.is_some_and(|next| next.id == deployment.id) => Place::Next,
        Some(first) => Place::Elsewhere(format!("{} would be booted next", first.id)),
        None => Place::Elsewhere(match next {
            Some(next) => format!("it would go back to {}", next.id),
            None => "there is nothing to go back to".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
