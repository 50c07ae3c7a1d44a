//! One connection to the bus, for one operation on rpm-ostreed.

use std::collections::{BTreeMap, HashMap};

use tracing::debug;
use zbus::{Connection, OwnedVariant, Variant};

use super::read::{Dict, Snapshot, value};
use super::{Error, Limits, peer};
use crate::bus::{Bus, Object};

/// Name of the service on the bus; calling it starts it.
pub(super) const SERVICE: &str = "org.projectatomic.rpmostree1";
const SYSROOT: Object<'static> = Object {
    service: Some(SERVICE),
    path: "/org/projectatomic/rpmostree1/Sysroot",
    interface: "org.projectatomic.rpmostree1.Sysroot",
};

/// The stateroot at `path`.
fn stateroot(path: &str) -> Object<'_> {
    Object {
        service: Some(SERVICE),
        path,
        interface: "org.projectatomic.rpmostree1.OS",
    }
}

/// Options of a method; keys that a version does not know are ignored by it. Sorted, because rpm-ostreed takes two calls for equal only
/// if their options come in the same order.
pub(super) type Options = BTreeMap<&'static str, Variant<'static>>;

/// A call that deploys something.
#[derive(Debug)]
pub(super) struct Call {
    /// The method.
    pub(super) method: &'static str,
    /// What people call it.
    pub(super) named: &'static str,
    /// Its first argument, where it has two.
    pub(super) modifiers: Option<Options>,
    /// Its last argument.
    pub(super) options: Options,
}

/// `GetDeploymentsRpmDiff`: the name, what became of it, and `PreviousPackage` and `NewPackage`, each with name, version and architecture.
pub(super) type Diff = Vec<(String, u32, HashMap<String, OwnedVariant>)>;

#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    limits: Limits,
}

impl Session {
    pub(super) async fn open(bus: &Bus, limits: Limits) -> Result<Self, Error> {
        let connection = bus.connect().await;
        let connection = connection.map_err(|error| Error::NoBus(error.to_string()))?;
        Ok(Self { connection, limits })
    }

    /// Reads all that is needed, after rpm-ostreed has looked at the disk itself.
    ///
    /// Its properties follow a change, even one of its own, a moment later; `Reload` is answered only when they have.
    pub(super) async fn read(&self) -> Result<Snapshot, Error> {
        self.sysroot::<()>("Reload", &()).await?;
        let sysroot = self.properties(SYSROOT).await?;
        // Never computed from the stateroot's name, that escaping changed between versions.
        let os_path: zbus::OwnedObjectPath = value(&sysroot, "Booted").ok_or_else(|| {
            let why = "no object path \"Booted\"".to_owned();
            let what = SYSROOT.path.to_owned();
            Error::Protocol { what, why }
        })?;
        if os_path.as_str() == "/" {
            return Err(Error::NotBooted);
        }
        let os = self.properties(stateroot(&os_path)).await?;
        let os_path = os_path.to_string();
        Ok(Snapshot {
            os_path,
            os,
            sysroot,
        })
    }

    /// Makes this program known by name in rpm-ostreed's journal and to whoever it keeps waiting. Nothing else depends on it, so a
    /// refusal does not matter. Ends with the connection, after which rpm-ostreed may stop when idle.
    pub(super) async fn register(&self) -> Result<(), Error> {
        let options = Options::from([("id", Variant::from("cuo-agent"))]);
        match self.sysroot("RegisterClient", &(options,)).await {
            Err(Error::Denied { text, .. }) => {
                debug!(text, "not registered as a client of rpm-ostreed");
                Ok(())
            }
            result => result,
        }
    }

    /// Asks the stateroot at `os_path` for the transaction `method`; returns the address to find it at.
    pub(super) async fn transaction(
        &self,
        os_path: &str,
        method: &str,
        options: &Options,
    ) -> Result<String, Error> {
        self.transaction_of(os_path, method, options).await
    }

    /// Asks the stateroot at `os_path` for the transaction of `call`; returns the address to find it at.
    pub(super) async fn deploy(&self, os_path: &str, call: &Call) -> Result<String, Error> {
        match &call.modifiers {
            None => {
                self.transaction_of(os_path, call.method, &call.options)
                    .await
            }
            Some(modifiers) => {
                let arguments = (modifiers, &call.options);
                self.transaction_of(os_path, call.method, &arguments).await
            }
        }
    }

    /// What differs between the packages of two deployments.
    pub(super) async fn packages(
        &self,
        os_path: &str,
        from: &str,
        to: &str,
    ) -> Result<Diff, Error> {
        let method = "GetDeploymentsRpmDiff";
        let limit = self.limits.call;
        let diff = stateroot(os_path)
            .call(&self.connection, method, &(from, to), limit)
            .await;
        diff.map_err(|error| Error::of_call(method, &error))
    }

    /// Asks for a check. `None` when rpm-ostreed makes no transaction for it.
    pub(super) async fn check(
        &self,
        os_path: &str,
        options: &Options,
    ) -> Result<Option<String>, Error> {
        let reply = self.transaction_of(os_path, "AutomaticUpdateTrigger", options);
        let (enabled, address): (bool, String) = reply.await?;
        Ok(Some(address).filter(|address| enabled && !address.is_empty()))
    }

    async fn transaction_of<R: serde::de::DeserializeOwned + zbus::Type>(
        &self,
        os_path: &str,
        method: &str,
        arguments: &(impl serde::Serialize + zbus::DynamicType),
    ) -> Result<R, Error> {
        let limit = self.limits.transaction;
        let address = stateroot(os_path)
            .call(&self.connection, method, arguments, limit)
            .await;
        match address.map_err(|error| Error::of_call(method, &error)) {
            Err(Error::Busy { who }) => {
                let who = self.active().await.unwrap_or(who);
                Err(Error::Busy { who })
            }
            result => result,
        }
    }

    /// A description of the active transaction, if there is one that describes itself.
    async fn active(&self) -> Option<String> {
        let sysroot = self.properties(SYSROOT).await.ok()?;
        let address: String = value(&sysroot, "ActiveTransactionPath")?;
        let (method, ..): (String, String, String) = value(&sysroot, "ActiveTransaction")?;
        let (title, client) = peer::describe(&address, &self.limits).await?;
        Some(format!("{method} ({title:?}) of {client}"))
    }

    async fn sysroot<R>(
        &self,
        method: &str,
        arguments: &(impl serde::Serialize + zbus::DynamicType),
    ) -> Result<R, Error>
    where
        R: serde::de::DeserializeOwned + zbus::Type,
    {
        let limit = self.limits.call;
        let result = SYSROOT.call(&self.connection, method, arguments, limit);
        result.await.map_err(|error| Error::of_call(method, &error))
    }

    /// All properties of an object, from the service itself and never from a cache: it stops when idle, and then signals no change.
    async fn properties(&self, object: Object<'_>) -> Result<Dict, Error> {
        let properties = Object {
            interface: "org.freedesktop.DBus.Properties",
            ..object
        };
        let limit = self.limits.call;
        let all = properties.call::<HashMap<String, OwnedVariant>>(
            &self.connection,
            "GetAll",
            &object.interface,
            limit,
        );
        let what = object.interface;
        all.await.map_err(|error| Error::of_call(what, &error))
    }
}
