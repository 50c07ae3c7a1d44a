//! What the bus shows: not the files themselves, but what the daemon last read of them.

use std::collections::HashMap;

use zbus::Variant;

use super::dict::{self, Entries};
use super::state::{CachedUpdate, Sysroot};

pub(super) const OS: &str = "org.projectatomic.rpmostree1.OS";
pub(super) const SYSROOT: &str = "org.projectatomic.rpmostree1.Sysroot";

/// Properties of one interface.
pub(super) type Properties = HashMap<&'static str, Variant<'static>>;

/// Which objects read the files anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reload {
    /// The stateroot's object alone: the Sysroot object follows later.
    Os,
    /// All of them.
    All,
}

/// What was read last, separately for the two objects.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    os: Sysroot,
    sysroot: Sysroot,
}

impl View {
    pub(super) fn new(sysroot: Sysroot) -> Self {
        Self {
            os: sysroot.clone(),
            sysroot,
        }
    }

    pub(super) fn reload(&mut self, fresh: Sysroot, what: Reload) {
        if what == Reload::All {
            self.sysroot = fresh.clone();
        }
        self.os = fresh;
    }

    pub(super) fn name(&self) -> String {
        self.os.osname.clone()
    }

    pub(super) fn is_booted(&self) -> bool {
        self.sysroot.booted().is_some()
    }

    pub(super) fn booted(&self) -> Entries {
        dict::deployment(&self.os, self.os.booted())
    }

    pub(super) fn default(&self) -> Entries {
        dict::deployment(&self.os, self.os.default())
    }

    pub(super) fn rollback(&self) -> Entries {
        dict::deployment(&self.os, self.os.rollback())
    }

    pub(super) fn cached_update(&self) -> Entries {
        dict::cached_update(&self.os, self.cached())
    }

    pub(super) fn has_cached_update(&self) -> bool {
        self.cached().is_some()
    }

    /// Version of the deployment with this `id`.
    pub(super) fn version(&self, id: &str) -> Option<String> {
        let mut all = self.os.deployments.iter();
        let found = all.find(|one| one.id(&self.os.osname) == id)?;
        Some(found.release.version.clone())
    }

    pub(super) fn deployments(&self) -> Vec<Entries> {
        let all = self.sysroot.deployments.iter();
        all.map(|one| dict::deployment(&self.sysroot, Some(one)))
            .collect()
    }

    fn cached(&self) -> Option<&CachedUpdate> {
        self.os.cached_update.as_ref()
    }

    /// The changeable properties of both objects.
    fn properties(&self) -> [(&'static str, Properties); 2] {
        let os = [
            ("BootedDeployment", self.booted().into()),
            ("DefaultDeployment", self.default().into()),
            ("RollbackDeployment", self.rollback().into()),
            ("CachedUpdate", self.cached_update().into()),
            ("HasCachedUpdateRpmDiff", self.has_cached_update().into()),
        ];
        let sysroot = [("Deployments", self.deployments().into())];
        [(OS, HashMap::from(os)), (SYSROOT, HashMap::from(sysroot))]
    }

    /// The properties that differ from an older view, by interface; interfaces without a change are left out.
    pub(super) fn changes(&self, before: &Self) -> Vec<(&'static str, Properties)> {
        let pairs = self.properties().into_iter().zip(before.properties());
        pairs
            .map(|((interface, mut after), (_, before))| {
                after.retain(|name, value| before.get(name) != Some(value));
                (interface, after)
            })
            .filter(|(_, properties)| !properties.is_empty())
            .collect()
    }
}
