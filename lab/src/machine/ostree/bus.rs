//! The objects on the system bus.

use std::sync::Arc;

use zbus::message::Header;
use zbus::object_server::ObjectServer;
use zbus::{ObjectPath, OwnedObjectPath, interface};

use super::daemon::{Daemon, os_path};
use super::dict::Entries;
use super::failure::Failure;
use super::faults::Policy;
use super::release::{PackageDiff, Remote};
use super::task::{Options, Task, Update};
use super::texts;
use super::transaction::Call;
use super::view::Reload;

/// `/org/projectatomic/rpmostree1/Sysroot`.
#[derive(Debug)]
pub(super) struct SysrootObject(pub(super) Arc<Daemon>);

/// `/org/projectatomic/rpmostree1/<stateroot>`.
#[derive(Debug)]
pub(super) struct OsObject(pub(super) Arc<Daemon>);

fn sender(header: &Header<'_>) -> String {
    header
        .sender()
        .map_or_else(String::new, ToString::to_string)
}

fn path(text: &str) -> Result<OwnedObjectPath, Failure> {
    OwnedObjectPath::try_from(text).map_err(|error| Failure::failed(error.to_string()))
}

#[interface(name = "org.projectatomic.rpmostree1.Sysroot")]
impl SysrootObject {
    #[zbus(name = "GetOS")]
    async fn get_os(
        &self,
        name: &str,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, Failure> {
        self.0.arrive("GetOS", &sender(&header), name).await?;
        if name.is_empty() {
            // Seen with rpm-ostree 2026.2: a null pointer.
            self.0.die();
        }
        if name != self.0.view(|view| view.name()) {
            return Err(Failure::new(
                texts::NOT_FOUND,
                format!("OS name \"{name}\" not found"),
            ));
        }
        path(&os_path(name))
    }

    async fn register_client(
        &self,
        options: Options,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Failure> {
        let sender = sender(&header);
        self.0
            .arrive("RegisterClient", &sender, &options.to_string())
            .await?;
        let id = options.text("id").unwrap_or_default();
        self.0.register(&sender, id);
        Ok(())
    }

    async fn unregister_client(
        &self,
        options: Options,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Failure> {
        let sender = sender(&header);
        self.0
            .arrive("UnregisterClient", &sender, &options.to_string())
            .await?;
        self.0.unregister(&sender);
        Ok(())
    }

    async fn reload(&self, #[zbus(header)] header: Header<'_>) -> Result<(), Failure> {
        self.0.arrive("Reload", &sender(&header), "").await?;
        // The real one waits for an idle moment, so that peers that closed before the call are seen to have left.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        self.0.reload(Reload::All).await;
        Ok(())
    }

    async fn reload_config(&self, #[zbus(header)] header: Header<'_>) -> Result<(), Failure> {
        self.0.arrive("ReloadConfig", &sender(&header), "").await?;
        self.0.reload(Reload::All).await;
        Ok(())
    }

    #[zbus(property)]
    fn booted(&self) -> zbus::fdo::Result<OwnedObjectPath> {
        let booted = self.0.view(|view| view.is_booted());
        let path = if booted { self.0.os_path.as_str() } else { "/" };
        OwnedObjectPath::try_from(path).map_err(|error| zbus::fdo::Error::Failed(error.to_string()))
    }

    #[zbus(property)]
    fn path(&self) -> String {
        "/".to_owned()
    }

    #[zbus(property)]
    fn deployments(&self) -> Vec<Entries> {
        self.0.view(|view| view.deployments())
    }

    #[zbus(property)]
    fn active_transaction(&self) -> (String, String, String) {
        self.0.active().0
    }

    #[zbus(property)]
    fn active_transaction_path(&self) -> String {
        self.0.active().1
    }

    #[zbus(property)]
    fn automatic_update_policy(&self) -> String {
        self.0.faults().policy.name().to_owned()
    }
}

impl OsObject {
    async fn begin(
        &self,
        method: &'static str,
        arguments: String,
        header: &Header<'_>,
        task: Task,
    ) -> Result<String, Failure> {
        let call = Call {
            method,
            arguments,
            sender: sender(header),
            task,
        };
        self.0.begin(call).await
    }
}

#[interface(name = "org.projectatomic.rpmostree1.OS")]
impl OsObject {
    async fn upgrade(
        &self,
        options: Options,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Failure> {
        let update = Update::new(&options);
        self.begin(
            "Upgrade",
            options.to_string(),
            &header,
            Task::Update(update),
        )
        .await
    }

    async fn update_deployment(
        &self,
        modifiers: Options,
        options: Options,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Failure> {
        let update = Update::modified(&modifiers, &options);
        let arguments = format!("{modifiers}, {options}");
        self.begin("UpdateDeployment", arguments, &header, Task::Update(update))
            .await
    }

    async fn deploy(
        &self,
        revision: String,
        options: Options,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Failure> {
        let arguments = format!("'{revision}', {options}");
        let update = Update::deploy(revision, &options);
        self.begin("Deploy", arguments, &header, Task::Update(update))
            .await
    }

    async fn get_deployments_rpm_diff(
        &self,
        from: &str,
        to: &str,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<PackageDiff>, Failure> {
        let arguments = format!("'{from}', '{to}'");
        self.0
            .arrive("GetDeploymentsRpmDiff", &sender(&header), &arguments)
            .await?;
        let remote = self.0.root.load::<Remote>();
        let remote = remote.map_err(|error| Failure::failed(format!("lab: {error:#}")))?;
        let version = |id: &str| {
            let version = self.0.view(|view| view.version(id));
            version.ok_or_else(|| Failure::failed(format!("lab: no deployment {id}")))
        };
        Ok(remote.differ(&version(from)?, &version(to)?))
    }

    async fn rollback(
        &self,
        options: Options,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Failure> {
        let reboot = options.flag("reboot").unwrap_or(false);
        self.begin(
            "Rollback",
            options.to_string(),
            &header,
            Task::Rollback { reboot },
        )
        .await
    }

    async fn finalize_deployment(
        &self,
        options: Options,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Failure> {
        let task = Task::Finalize {
            checksum: options.text("checksum"),
            allow_missing: options.flag("allow-missing-checksum").unwrap_or(false),
            allow_unlocked: options.flag("allow-unlocked").unwrap_or(false),
        };
        self.begin("FinalizeDeployment", options.to_string(), &header, task)
            .await
    }

    async fn cleanup(
        &self,
        elements: Vec<String>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Failure> {
        const KNOWN: [&str; 4] = ["base", "pending-deploy", "rollback-deploy", "repomd"];
        if let Some(other) = elements.iter().find(|one| !KNOWN.contains(&one.as_str())) {
            return Err(Failure::failed(format!("Invalid cleanup type: {other}")));
        }
        self.begin(
            "Cleanup",
            format!("{elements:?}"),
            &header,
            Task::Cleanup(elements),
        )
        .await
    }

    /// Whether a transaction was made, and its address.
    #[zbus(out_args("enabled", "transaction_address"))]
    async fn automatic_update_trigger(
        &self,
        options: Options,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(bool, String), Failure> {
        const METHOD: &str = "AutomaticUpdateTrigger";
        let mode = options.text("mode").unwrap_or_else(|| "auto".to_owned());
        let policy = match mode.as_str() {
            "auto" => Some(self.0.faults().policy),
            name => Policy::parse(name),
        };
        let arguments = options.to_string();
        let mut update = Update::new(&options);
        match policy {
            None => return Err(Failure::failed(texts::invalid_policy(&mode))),
            Some(Policy::None) => {
                self.0.arrive(METHOD, &sender(&header), &arguments).await?;
                return Ok((false, String::new()));
            }
            Some(Policy::Check) => update.check = true,
            Some(Policy::Stage) => {}
            Some(Policy::Apply) => update.reboot = true,
        }
        let address = self
            .begin(METHOD, arguments, &header, Task::Update(update))
            .await?;
        Ok((true, address))
    }

    #[zbus(property)]
    fn name(&self) -> String {
        self.0.view(|view| view.name())
    }

    #[zbus(property)]
    fn booted_deployment(&self) -> Entries {
        self.0.view(|view| view.booted())
    }

    #[zbus(property)]
    fn default_deployment(&self) -> Entries {
        self.0.view(|view| view.default())
    }

    #[zbus(property)]
    fn rollback_deployment(&self) -> Entries {
        self.0.view(|view| view.rollback())
    }

    #[zbus(property)]
    fn cached_update(&self) -> Entries {
        self.0.view(|view| view.cached_update())
    }

    #[zbus(property)]
    fn has_cached_update_rpm_diff(&self) -> bool {
        self.0.view(|view| view.has_cached_update())
    }
}

/// Shows both objects.
pub(super) async fn publish(
    server: &ObjectServer,
    daemon: &Arc<Daemon>,
    sysroot: &str,
) -> zbus::Result<()> {
    server
        .at(
            ObjectPath::try_from(sysroot)?,
            SysrootObject(daemon.clone()),
        )
        .await?;
    let os = ObjectPath::try_from(daemon.os_path.clone())?;
    server.at(os, OsObject(daemon.clone())).await?;
    Ok(())
}
