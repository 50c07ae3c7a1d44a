//! Clients of the doubles: one on zbus that keeps what it sees in order, and programs that are not.

use std::collections::HashMap;
use std::time::Duration;

use cuo_lab::machine::{HostSpec, Machine};
use cuo_lab::process::bound;
use cuo_lab::wait::until;
use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;
use zbus::message::Type as Kind;
use zbus::{Connection, MessageStream, OwnedVariant, Structure, Type, Variant, connection};

pub const DEADLINE: Duration = Duration::from_secs(20);
pub const V1: &str = "40.20240101.3.0";
pub const V2: &str = "40.20240201.3.0";
pub const V3: &str = "40.20240301.3.0";
pub const OS: &str = "/org/projectatomic/rpmostree1/fedora_coreos";
pub const SYSROOT: &str = "/org/projectatomic/rpmostree1/Sysroot";
const NAME: &str = "org.projectatomic.rpmostree1";

pub type Options = HashMap<&'static str, Variant<'static>>;
pub type Dictionary = HashMap<String, OwnedVariant>;

/// A running host; the directory goes when it is dropped.
pub struct Host {
    pub machine: Machine,
    _directory: TempDir,
}

impl Host {
    pub async fn new(spec: HostSpec) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut machine = Machine::create(directory.path(), "n1", spec).unwrap();
        machine.boot().await.unwrap();
        Self {
            machine,
            _directory: directory,
        }
    }

    pub async fn client(&self) -> Client {
        let bus = self.machine.connect().await.unwrap();
        Client { bus }
    }
}

pub fn options<const N: usize>(entries: [(&'static str, Variant<'static>); N]) -> Options {
    HashMap::from(entries)
}

pub struct Client {
    pub bus: Connection,
}

impl Client {
    /// The error is `name: text`.
    pub async fn call<B: Serialize + Type, R: DeserializeOwned + Type>(
        &self,
        path: &str,
        method: &str,
        body: &B,
    ) -> Result<R, String> {
        let interface = match path {
            SYSROOT => "org.projectatomic.rpmostree1.Sysroot",
            _ => "org.projectatomic.rpmostree1.OS",
        };
        let call = self
            .bus
            .call_method(Some(NAME), path, Some(interface), method, body);
        match call.await {
            Ok(reply) => Ok(reply.body().deserialize().unwrap()),
            Err(zbus::Error::MethodError(name, text, _)) => {
                Err(format!("{name}: {}", text.unwrap_or_default()))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Calls a method that returns an address.
    pub async fn begin<B: Serialize + Type>(
        &self,
        method: &str,
        body: &B,
    ) -> Result<String, String> {
        self.call(OS, method, body).await
    }

    pub async fn check(&self) -> String {
        let mode = options([("mode", "check".into())]);
        let (enabled, address): (bool, String) = self
            .call(OS, "AutomaticUpdateTrigger", &(mode,))
            .await
            .unwrap();
        assert!(enabled);
        address
    }

    pub async fn reload(&self) {
        self.call::<_, ()>(SYSROOT, "Reload", &()).await.unwrap();
    }

    /// Carries a transaction out and leaves it; the signals without `Finished`, and what that said.
    pub async fn run<B: Serialize + Type>(&self, method: &str, body: &B) -> (Vec<String>, String) {
        let address = self.begin(method, body).await.unwrap();
        let peer = Peer::connect(&address).await;
        assert!(peer.start().await);
        peer.until_the_end().await
    }

    /// As [`Client::run`], the outcome alone.
    pub async fn outcome<B: Serialize + Type>(&self, method: &str, body: &B) -> String {
        self.run(method, body).await.1
    }

    pub async fn property<T>(&self, path: &str, name: &str) -> T
    where
        T: TryFrom<OwnedVariant, Error = zbus::Error>,
    {
        self.try_property(path, name).await.unwrap()
    }

    async fn try_property<T>(&self, path: &str, name: &str) -> zbus::Result<T>
    where
        T: TryFrom<OwnedVariant, Error = zbus::Error>,
    {
        let interface = match path {
            SYSROOT => "org.projectatomic.rpmostree1.Sysroot",
            _ => "org.projectatomic.rpmostree1.OS",
        };
        let properties = Some("org.freedesktop.DBus.Properties");
        let body = (interface, name);
        let call = self
            .bus
            .call_method(Some(NAME), path, properties, "Get", &body);
        let value: OwnedVariant = call.await?.body().deserialize()?;
        value.try_into()
    }

    pub async fn active(&self) -> (String, String, String) {
        self.property(SYSROOT, "ActiveTransaction").await
    }

    /// Waits until no transaction is in the slot. A daemon that has just died may lose a question.
    pub async fn wait_free(&self) {
        until("a free slot", DEADLINE, async || {
            let active: (String, String, String) =
                self.try_property(SYSROOT, "ActiveTransaction").await?;
            Ok(active.0.is_empty().then_some(()))
        })
        .await
        .unwrap();
    }

    pub async fn watch_properties(&self) -> Changes {
        let rule =
            "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'";
        Changes(
            MessageStream::for_match_rule(rule, &self.bus, None)
                .await
                .unwrap(),
        )
    }
}

/// Changed properties of the bus's objects.
pub struct Changes(MessageStream);

impl Changes {
    /// The names that the next signal has.
    pub async fn next(&mut self) -> String {
        let message = timeout(DEADLINE, self.0.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let body = message.body();
        let (_, properties, _): (String, Dictionary, Vec<String>) = body.deserialize().unwrap();
        let mut names: Vec<_> = properties.into_keys().collect();
        names.sort();
        names.join(" ")
    }
}

/// A peer of a transaction that keeps every signal, in one stream.
pub struct Peer {
    connection: Connection,
    signals: mpsc::UnboundedReceiver<String>,
}

impl Peer {
    pub async fn connect(address: &str) -> Self {
        Self::try_connect(address).await.unwrap()
    }

    pub async fn try_connect(address: &str) -> zbus::Result<Self> {
        let connection = connection::Builder::address(address).p2p().build().await?;
        let mut stream = MessageStream::from(&connection);
        let (sender, signals) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if message.message_type() == Kind::Signal {
                    drop(sender.send(render(&message)));
                }
            }
            drop(sender.send("EOF".to_owned()));
        });
        Ok(Self {
            connection,
            signals,
        })
    }

    async fn call(&self, method: &str) -> zbus::Result<zbus::Message> {
        let interface = Some("org.projectatomic.rpmostree1.Transaction");
        self.connection
            .call_method(None::<&str>, "/", interface, method, &())
            .await
    }

    pub async fn start(&self) -> bool {
        self.call("Start")
            .await
            .unwrap()
            .body()
            .deserialize()
            .unwrap()
    }

    pub async fn property(&self, name: &str) -> String {
        let body = ("org.projectatomic.rpmostree1.Transaction", name);
        let interface = Some("org.freedesktop.DBus.Properties");
        let call = self
            .connection
            .call_method(None::<&str>, "/", interface, "Get", &body);
        let value: OwnedVariant = call.await.unwrap().body().deserialize().unwrap();
        value.try_into().unwrap()
    }

    /// Calls `Start` without waiting for its answer.
    pub fn start_anyhow(&self) {
        let connection = self.connection.clone();
        tokio::spawn(async move {
            let interface = Some("org.projectatomic.rpmostree1.Transaction");
            connection
                .call_method(None::<&str>, "/", interface, "Start", &())
                .await
        });
    }

    pub async fn cancel(&self) {
        self.call("Cancel").await.unwrap();
    }

    /// The next signal, or `EOF`.
    pub async fn next(&mut self) -> String {
        timeout(DEADLINE, self.signals.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// Everything up to `Finished` or `EOF`, and that; then closes the connection.
    pub async fn until_the_end(mut self) -> (Vec<String>, String) {
        let seen = self.finish().await;
        self.leave().await;
        seen
    }

    /// As [`Peer::until_the_end`], but stays.
    pub async fn finish(&mut self) -> (Vec<String>, String) {
        let mut seen = Vec::new();
        loop {
            let signal = self.next().await;
            if signal == "EOF" || signal.starts_with("Finished") {
                return (seen, signal);
            }
            seen.push(signal);
        }
    }

    pub async fn leave(self) {
        drop(self.connection.close().await);
    }
}

/// Member and arguments, as `Message hello`; several arguments as a tuple.
fn render(message: &zbus::Message) -> String {
    let header = message.header();
    let member = header.member().map_or("", |member| member.as_str());
    let body = message.body();
    let arguments = match body.deserialize::<Structure<'_>>() {
        Ok(all) => all.fields().iter().map(plain).collect::<Vec<_>>().join(" "),
        Err(_) => String::new(),
    };
    format!("{member} {arguments}").trim_end().to_owned()
}

fn plain(value: &Variant<'_>) -> String {
    match value {
        Variant::Str(text) => text.as_str().to_owned(),
        other => other.to_string(),
    }
}

/// Runs a program that has to succeed, and returns what it printed.
pub async fn output(program: &str, arguments: &[&str]) -> String {
    let running = bound(program).args(arguments).output();
    let output = timeout(DEADLINE, running).await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What libostree says of a pull, of one that brings nothing, and rpm-ostree of a cleanup.
pub const FETCHED: &str = "Message 9 metadata, 5 content objects fetched; 10 KiB transferred in 0 seconds; 225.5\u{a0}kB content written";
pub const NOTHING_FETCHED: &str =
    "Message 0 metadata, 0 content objects fetched; 0\u{a0}bytes content written";
pub const FREED: &str = "Message Freed: 229.0\u{a0}kB (pkgcache branches: 0)";

/// The signal by which the title becomes this.
pub fn title(text: &str) -> String {
    let body = format!("{{\"Title\": <\"{text}\">}}");
    format!("PropertiesChanged org.projectatomic.rpmostree1.Transaction {body} @as []")
}

/// A value of a dictionary that is a property.
pub async fn text(client: &Client, path: &str, property: &str, key: &str) -> Option<String> {
    let all: Dictionary = client.property(path, property).await;
    match all.get(key).map(|value| &**value) {
        Some(Variant::Str(text)) => Some(text.as_str().to_owned()),
        Some(other) => Some(other.to_string()),
        None => None,
    }
}

pub async fn cached(client: &Client, key: &str) -> Option<String> {
    text(client, OS, "CachedUpdate", key).await
}
