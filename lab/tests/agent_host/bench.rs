//! One host without an agent, and the agent's clients for it.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use cuo_agent::bus::Bus;
use cuo_agent::logind::Logind;
use cuo_agent::rpmostree::{Client, Error, Limits};
use cuo_core::host::Deployment;
use cuo_lab::machine::logind::Inhibitors;
use cuo_lab::machine::ostree::{self, Deployed, Fault, Faults, Remote, Sysroot};
use cuo_lab::machine::systemd::Units;
use cuo_lab::machine::{HostSpec, Machine, binary};
use cuo_lab::process::bound;
use cuo_lab::wait::until;
use futures::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use zbus::{Connection, MessageStream, Variant, connection};

pub const OLD: &str = "43.20260101.3.0";
pub const NEW: &str = "43.20260115.3.0";
pub const NEWER: &str = "43.20260129.3.0";

/// What a loaded machine may need for anything that takes milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A host on a branch that booted [`OLD`], while the remote offers [`NEW`].
pub fn branch() -> HostSpec {
    let newest = Some(NEW.to_owned());
    HostSpec {
        newest,
        ..HostSpec::ostree(OLD)
    }
}

/// The same on an image.
pub fn image() -> HostSpec {
    let newest = Some(NEW.to_owned());
    HostSpec {
        newest,
        ..HostSpec::container(OLD)
    }
}

/// The same with a package of its own.
pub fn layered(spec: HostSpec) -> HostSpec {
    let layered = vec!["htop".to_owned()];
    HostSpec { layered, ..spec }
}

/// How the agent has to see one of the lab's deployments.
pub fn seen(deployed: &Deployed) -> Deployment {
    Deployment {
        id: deployed.id("fedora-coreos"),
        identity: deployed.identity().parse().unwrap(),
        checksum: deployed.checksum(),
        version: deployed.release.version.clone(),
        staged: deployed.staged,
        published: deployed.release.timestamp,
    }
}

pub struct Bench {
    pub machine: Machine,
    directory: TempDir,
}

impl Bench {
    pub async fn new(spec: HostSpec) -> Self {
        let mut bench = Self::down(spec);
        bench.machine.boot().await.unwrap();
        bench
    }

    /// A host that is not yet booted.
    pub fn down(spec: HostSpec) -> Self {
        let directory = TempDir::new().unwrap();
        let machine = Machine::create(directory.path(), "n1", spec).unwrap();
        Self { machine, directory }
    }

    pub fn bus(&self) -> Bus {
        Bus::at(self.machine.root().bus_address())
    }

    pub fn client(&self) -> Client {
        self.client_within(Limits {
            call: PATIENCE,
            transaction: PATIENCE,
            peer: PATIENCE,
            stage_silence: PATIENCE,
            stage_longest: PATIENCE,
            finalize_idle: PATIENCE,
            cancel: PATIENCE,
            repeat: Duration::from_millis(200),
            repeats: 5,
        })
    }

    pub fn client_within(&self, limits: Limits) -> Client {
        Client::new(self.bus(), limits)
    }

    /// The agent's last call before the reboot.
    pub async fn finalize(&self, deployment: &Deployment) -> Result<(), Error> {
        self.client().ready().await?.finalize(deployment).await
    }

    pub fn logind(&self) -> Logind {
        Logind::new(self.bus())
    }

    pub fn inject(&self, method: &str, stage: ostree::Stage, effect: ostree::Effect) {
        self.machine
            .inject(Fault::once(method, stage, effect))
            .unwrap();
    }

    /// Every fault has happened.
    pub fn struck(&self) -> bool {
        let faults: Faults = self.machine.root().load().unwrap();
        faults.rules.is_empty()
    }

    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        self.machine.root().edit(change).unwrap();
    }

    pub fn set_remote(&self, change: impl FnOnce(&mut Remote)) {
        self.machine.root().edit(change).unwrap();
    }

    pub fn set_sysroot(&self, change: impl FnOnce(&mut Sysroot)) {
        self.machine.root().edit(change).unwrap();
    }

    pub fn set_unit(&self, unit: &str, state: &str) {
        let change = |units: &mut Units| units.set(unit, state);
        self.machine.root().edit(change).unwrap();
    }

    pub fn set_logind(&self, change: impl FnOnce(&mut Inhibitors)) {
        self.machine.root().edit(change).unwrap();
    }

    pub fn publish(&self, version: &str) {
        self.machine.publish(version).unwrap();
    }

    pub fn sysroot(&self) -> Sysroot {
        self.machine.sysroot().unwrap()
    }

    /// The staged deployment's version and lock.
    pub fn staged(&self) -> Option<(String, bool)> {
        let sysroot = self.sysroot();
        let staged = sysroot.staged()?;
        Some((staged.release.version.clone(), staged.locked))
    }

    /// Arguments of the calls of `method` that reached rpm-ostreed.
    pub fn calls(&self, method: &str) -> Vec<String> {
        let calls = self.machine.calls().unwrap().into_iter();
        calls
            .filter(|call| call.method == method)
            .map(|call| call.arguments)
            .collect()
    }

    /// Waits until there are at least `count` of them.
    pub async fn wait_calls(&self, method: &str, count: usize) {
        let look = async || Ok((self.calls(method).len() >= count).then_some(()));
        until(format!("{count} calls of {method}"), PATIENCE, look)
            .await
            .unwrap();
    }

    /// Method and flags of the reboot that logind let through.
    pub async fn rebooted(&self) -> (String, u64) {
        let request = self.machine.wait_reboot_request(PATIENCE).await.unwrap();
        (request.method, request.flags)
    }

    /// Ends the bus and everything on it, and starts it again.
    pub async fn restart_bus(&mut self) {
        self.machine.power_off().await.unwrap();
        self.machine.boot().await.unwrap();
    }

    /// Whether rpm-ostreed is on the bus.
    pub async fn awake(&self) -> bool {
        runs(&self.machine.connect().await.unwrap()).await
    }

    /// Waits until it has left.
    pub async fn wait_asleep(&self) {
        let bus = self.machine.connect().await.unwrap();
        let look = async || Ok((!runs(&bus).await).then_some(()));
        until("the idle exit of rpm-ostreed", PATIENCE, look)
            .await
            .unwrap();
    }

    /// Stops rpm-ostreed as it is, or lets it go on: it neither ends nor answers meanwhile.
    pub async fn freeze(&self, frozen: bool) {
        self.signal(
            ostree::NAME,
            if frozen { Signal::STOP } else { Signal::CONT },
        )
        .await;
    }

    /// Kills rpm-ostreed.
    pub async fn end_daemon(&self) {
        self.signal(ostree::NAME, Signal::KILL).await;
    }

    /// Kills logind, which the bus starts anew when it is asked for.
    pub async fn kill_logind(&self) {
        self.signal(cuo_lab::machine::logind::NAME, Signal::KILL)
            .await;
    }

    async fn signal(&self, name: &'static str, signal: Signal) {
        let bus = self.machine.connect().await.unwrap();
        let bus = zbus::fdo::DBusProxy::new(&bus).await.unwrap();
        let name = name.try_into().unwrap();
        let pid = bus.get_connection_unix_process_id(name).await.unwrap();
        let pid = Pid::from_raw(pid.cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until a transaction has come to its end because who had asked for it left the bus without starting it.
    pub async fn wait_given_back(&self) {
        let left = "caller left before Start";
        let look = async || Ok(self.log().contains(left).then_some(()));
        until("the end of the transaction", PATIENCE, look)
            .await
            .unwrap();
    }

    /// Another client of rpm-ostreed that calls `method` and does nothing more yet.
    pub async fn foreign(
        &self,
        method: &str,
        body: &(impl serde::Serialize + zbus::DynamicType),
    ) -> Foreign {
        let bus = self.machine.connect().await.unwrap();
        let (path, interface) = (
            "/org/projectatomic/rpmostree1/fedora_coreos",
            "org.projectatomic.rpmostree1.OS",
        );
        let reply = bus
            .call_method(Some(ostree::NAME), path, Some(interface), method, body)
            .await
            .unwrap();
        // A check says first whether there is a transaction.
        let body = reply.body();
        let checked = body.deserialize::<(bool, String)>();
        let address = checked.map(|(_, address)| address);
        let address = address.or_else(|_| body.deserialize()).unwrap();
        Foreign { bus, address }
    }

    fn agent_command(&self, arguments: &[&str]) -> Command {
        let mut command = bound(binary("cuo-agent").unwrap());
        command.arg("--root").arg(self.machine.root().path());
        command.args(arguments);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.machine.root().bus_address());
        command
    }

    /// Runs `cuo-agent` for a person at this host; gives its lines as they come, for as long as the child is kept.
    pub fn lines(&self, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut command = self.agent_command(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    }

    /// Runs `cuo-agent` for a person at this host; gives its exit code and both outputs.
    pub async fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.agent_command(arguments);
        let output = tokio::time::timeout(PATIENCE, command.output());
        let output = output.await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// The log of the bus and its services, for the message of a failing test.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("n1/lab/bus.log")).unwrap_or_default()
    }
}

/// Asks the bus, which does not start it.
async fn runs(connection: &Connection) -> bool {
    let bus = zbus::fdo::DBusProxy::new(connection).await.unwrap();
    let name = ostree::NAME.try_into().unwrap();
    bus.name_has_owner(name).await.unwrap()
}

/// Somebody else's transaction.
pub struct Foreign {
    pub bus: Connection,
    pub address: String,
}

impl Foreign {
    /// Starts it.
    pub async fn begin(&self) -> Connection {
        self.started().await.0
    }

    /// Starts it and stays on its connection until its end, and longer.
    pub async fn finish(&self) -> Connection {
        let (peer, mut messages) = self.started().await;
        while let Some(message) = messages.next().await {
            if message
                .unwrap()
                .header()
                .member()
                .is_some_and(|member| member == "Finished")
            {
                break;
            }
        }
        peer
    }

    async fn started(&self) -> (Connection, MessageStream) {
        let peer = connection::Builder::address(self.address.as_str())
            .p2p()
            .build()
            .await
            .unwrap();
        let messages = MessageStream::from(&peer);
        let interface = Some("org.projectatomic.rpmostree1.Transaction");
        peer.call_method(None::<&str>, "/", interface, "Start", &())
            .await
            .unwrap();
        (peer, messages)
    }
}

/// The options that the agent stages with: only equal calls join each other.
pub fn upgrade_options() -> BTreeMap<&'static str, Variant<'static>> {
    BTreeMap::from([
        (
            "initiating-command-line",
            Variant::from("cuo-agent: upgrade"),
        ),
        ("lock-finalization", Variant::from(true)),
        ("register-driver", Variant::from("cuo-agent")),
    ])
}

/// The same for its checks.
pub fn check_options() -> BTreeMap<&'static str, Variant<'static>> {
    BTreeMap::from([
        ("initiating-command-line", Variant::from("cuo-agent: check")),
        ("mode", Variant::from("check")),
        ("output-to-self", Variant::from(false)),
        ("register-driver", Variant::from("cuo-agent")),
    ])
}
