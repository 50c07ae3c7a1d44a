//! Finalization: the staged deployment is unlocked, and the host reboots.

use cuo_core::host::Deployment;
use zbus::Variant;

use super::peer::{self, Silence};
use super::session::Options;
use super::{Error, Ready, lingers};

impl Ready {
    /// Has rpm-ostreed unlock the staged `deployment` and reboot the host at once.
    ///
    /// rpm-ostreed compares the deployment with what is staged in the same step, so nothing else can be booted by this. Blocking
    /// inhibitor locks of shutdown are respected.
    ///
    /// # Errors
    /// `Lost`, `Timeout` and `Rebooting`, like `Ok`, leave it to the boot id to show what happened: the reboot may come before the reply
    /// does. After any other error nothing was done, and the error says why.
    pub async fn finalize(&self, deployment: &Deployment) -> Result<(), Error> {
        let identity = deployment.identity.to_string();
        let base = self.first.base(&deployment.id);
        match (self.finalize_as(&identity).await, base) {
            // Until 2025.7 the expected checksum was the base commit for images too, which is not the deployment's own where packages
            // are layered; the answer names what it wants.
            (Err(Error::Failed { text, .. }), Some(base))
                if text.starts_with("Expected staged base checksum ")
                    && text.ends_with(&format!(" found {base}")) =>
            {
                self.finalize_as(&base).await
            }
            (result, _) => result,
        }
    }

    async fn finalize_as(&self, checksum: &str) -> Result<(), Error> {
        let what = "FinalizeDeployment";
        let limits = &self.client.limits;
        // An update that somebody else staged may be unlocked, or unlocked by an attempt that an inhibitor stopped.
        let options = Options::from([
            ("checksum", Variant::from(checksum.to_owned())),
            ("allow-unlocked", Variant::from(true)),
            (
                "initiating-command-line",
                Variant::from("cuo-agent: finalize"),
            ),
        ]);
        let silence = Silence::Ends(limits.finalize_idle);
        for _ in 0..=limits.repeats {
            let os_path = &self.first.os_path;
            let address = self.session.transaction(os_path, what, &options).await?;
            let ended = peer::run(&address, what, limits, silence, &mut |_| ()).await?;
            match ended.map(|ended| (ended.started, ended.result)) {
                // Whoever started it, it was for exactly this deployment.
                Some((_, Ok(()))) => return Ok(()),
                Some((true, Err(text))) => {
                    let what = what.to_owned();
                    return Err(Error::Failed { what, text });
                }
                // If one that is gone has finalized, the next call is refused with `Rebooting`.
                Some((false, Err(_))) | None => self.client.pause().await,
            }
        }
        Err(lingers("finalization"))
    }
}
