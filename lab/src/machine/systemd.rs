//! The double of systemd's manager on one host: which units run, as a test says.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tracing::{error, info};
use zbus::object_server::ObjectServer;
use zbus::{OwnedObjectPath, interface};

use crate::machine::ostree::{Failure, LabFile, NodeRoot};

/// Bus name of systemd.
pub const NAME: &str = "org.freedesktop.systemd1";

const PATH: &str = "/org/freedesktop/systemd1";

/// What writes a staged update to the disk when the host goes down.
pub const FINALIZER: &str = "ostree-finalize-staged.service";

/// Since when [`FINALIZER`] is active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finalizer {
    /// Since the first staging of a boot: it is static, and rpm-ostreed starts it. Seen with rpm-ostree 2026.2 and libostree 2025.2.
    #[default]
    FromStaging,
    /// Since the boot, as other versions of libostree have it.
    FromBoot,
}

impl Finalizer {
    /// Its state at the beginning of a boot.
    fn at_boot(self) -> &'static str {
        match self {
            Self::FromStaging => "inactive",
            Self::FromBoot => "active",
        }
    }
}

/// What a test tells systemd: `lab/units.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// Since when the finalizer is active, from the next boot on.
    #[serde(default)]
    pub finalizer: Finalizer,
    /// `ActiveState` by the unit's name. There are no others.
    pub states: BTreeMap<String, String>,
    /// `Result` of services, by the unit's name; of all others it is `success`.
    #[serde(default)]
    pub results: BTreeMap<String, String>,
    /// Questions are refused with this error name and message.
    pub refuse: Option<(String, String)>,
}

impl Default for Units {
    fn default() -> Self {
        Self::new(Finalizer::default())
    }
}

impl Units {
    /// Those of a host that has just booted.
    pub fn new(finalizer: Finalizer) -> Self {
        let states = [
            ("boot-complete.target", "active"),
            ("cuo-agent.service", "active"),
            ("kubelet.service", "active"),
            ("ostree-boot-complete.service", "inactive"),
            (FINALIZER, finalizer.at_boot()),
        ];
        let owned = |(name, state): (&str, &str)| (name.to_owned(), state.to_owned());
        Self {
            finalizer,
            states: states.map(owned).into(),
            results: BTreeMap::new(),
            refuse: None,
        }
    }

    /// Puts a unit into a state.
    pub fn set(&mut self, unit: &str, state: &str) {
        self.states.insert(unit.to_owned(), state.to_owned());
    }

    /// A clean shutdown writes what is staged to the disk.
    pub(crate) fn finalizes(&self) -> bool {
        self.states.get(FINALIZER).map(String::as_str) == Some("active")
    }

    /// What a boot makes of ostree's two; the word of a failure that the last shutdown left is in `complete`.
    pub(crate) fn boot(&mut self, complete: &str) {
        self.set("ostree-boot-complete.service", complete);
        self.set(FINALIZER, self.finalizer.at_boot());
    }
}

impl LabFile for Units {
    const NAME: &'static str = "units.json";
}

/// Name, description, load state, active state, substate, followed unit, object, job's id, type and object.
type Listed = (
    String,
    String,
    String,
    String,
    String,
    String,
    OwnedObjectPath,
    u32,
    String,
    OwnedObjectPath,
);

fn no_such(name: &str) -> Failure {
    let text = format!("Unit {name} not loaded.");
    Failure::new("org.freedesktop.systemd1.NoSuchUnit", text)
}

/// `/org/freedesktop/systemd1`.
struct Manager(NodeRoot);

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    /// In the order of the names; what is not there is listed as not found.
    async fn list_units_by_names(&self, names: Vec<String>) -> Result<Vec<Listed>, Failure> {
        let units: Units = self.0.load().unwrap_or_else(|error| {
            error!("{error:#}");
            Units::default()
        });
        if let Some((name, text)) = units.refuse {
            return Err(Failure::new(&name, text));
        }
        let none =
            || OwnedObjectPath::try_from("/").map_err(|error| Failure::failed(error.to_string()));
        let listed = |name: String| {
            let state = units.states.get(&name);
            let load = if state.is_some() {
                "loaded"
            } else {
                "not-found"
            };
            let state = state.map_or("inactive", String::as_str).to_owned();
            let sub = "lab".to_owned();
            let (description, following, job) = (name.clone(), String::new(), String::new());
            Ok((
                name,
                description,
                load.to_owned(),
                state,
                sub,
                following,
                none()?,
                0,
                job,
                none()?,
            ))
        };
        names.into_iter().map(listed).collect()
    }

    /// Only of units that there are.
    async fn get_unit(
        &self,
        name: String,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> Result<OwnedObjectPath, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::failed(error.to_string());
        let units: Units = self.0.load().map_err(|error| failed(&error))?;
        if !units.states.contains_key(&name) {
            return Err(no_such(&name));
        }
        let escape = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("_{byte:02x}"),
        };
        let escaped: String = name.bytes().map(escape).collect();
        let path = OwnedObjectPath::try_from(format!("{PATH}/unit/{escaped}"));
        let path = path.map_err(|error| failed(&error))?;
        server
            .at(&path, Unit(name.clone()))
            .await
            .map_err(|error| failed(&error))?;
        let service = Service(self.0.clone(), name);
        server
            .at(&path, service)
            .await
            .map_err(|error| failed(&error))?;
        Ok(path)
    }

    /// The job is done when this returns; nobody asks for it.
    async fn start_unit(&self, name: String, _mode: String) -> Result<OwnedObjectPath, Failure> {
        let started = self.0.edit(|units: &mut Units| {
            let known = units.states.contains_key(&name);
            if known {
                units.set(&name, "active");
            }
            known
        });
        match started {
            Ok(true) => OwnedObjectPath::try_from(format!("{PATH}/job/1"))
                .map_err(|error| Failure::failed(error.to_string())),
            Ok(false) => Err(no_such(&name)),
            Err(error) => Err(Failure::failed(format!("{error:#}"))),
        }
    }

    /// As [`Manager::get_unit`]: of others there is no file.
    async fn load_unit(
        &self,
        name: String,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> Result<OwnedObjectPath, Failure> {
        self.get_unit(name, server).await
    }
}

/// One unit, which every boot starts unless it is static.
struct Unit(String);

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn load_state(&self) -> String {
        "loaded".to_owned()
    }

    #[zbus(property)]
    fn wanted_by(&self) -> Vec<String> {
        match self.0.as_str() {
            FINALIZER => vec![],
            _ => vec!["multi-user.target".to_owned()],
        }
    }

    #[zbus(property)]
    fn required_by(&self) -> Vec<String> {
        vec![]
    }
}

/// One service; its object is there once somebody has asked for it.
struct Service(NodeRoot, String);

#[interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property)]
    fn result(&self) -> String {
        let units: Units = self.0.load().unwrap_or_default();
        let result = units.results.get(&self.1);
        result.map_or("success", String::as_str).to_owned()
    }
}

/// Runs until the bus is gone.
///
/// # Errors
/// When the bus can't be used.
pub async fn run(root: NodeRoot) -> Result<()> {
    let address = root.bus_address();
    let bus = zbus::connection::Builder::address(address.as_str())
        .serve_at(PATH, Manager(root))
        .name(NAME)
        .build()
        .await
        .with_context(|| format!("own {NAME} at {address}"))?;
    info!("ready");
    bus.closed().await;
    Ok(())
}
