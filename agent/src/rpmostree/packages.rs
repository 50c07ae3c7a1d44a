//! What an update brings, by its packages.

use std::collections::HashMap;

use zbus::OwnedVariant;

use super::session::Session;
use super::{Client, Error};

/// A package of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Epoch, version and release, as rpm writes them.
    pub version: String,
}

impl Client {
    /// The packages that the deployment `to` has and `from` has not, or in another version. Both are known to rpm-ostree by their `id`.
    ///
    /// # Errors
    /// Any of [`Error`] except for `Busy` and `Rebooting`.
    pub async fn brings(&self, from: &str, to: &str) -> Result<Vec<Package>, Error> {
        let session = Session::open(&self.bus, self.limits).await?;
        let first = session.read().await?;
        let diff = session.packages(&first.os_path, from, to).await?;
        let new = |(_, _, details): (_, _, HashMap<String, OwnedVariant>)| {
            let new = details.get("NewPackage")?.try_clone().ok()?;
            let (name, version, _): (String, String, String) = new.try_into().ok()?;
            Some(Package { name, version })
        };
        Ok(diff.into_iter().filter_map(new).collect())
    }
}
