//! A client of rpm-ostreed that keeps what it sees, in order and as lines.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::timeout;
use zbus::message::Type as Kind;
use zbus::{
    Connection, DBusError, MessageStream, OwnedVariant, Structure, Type, Variant, connection,
};

use super::subject::Subject;
use crate::machine::ostree::NAME;
use crate::wait::until;

/// For each answer and each signal. Generous, because a daemon that has to be started first may stand behind others on a small machine.
const DEADLINE: Duration = Duration::from_secs(60);
pub(super) const SYSROOT: &str = "/org/projectatomic/rpmostree1/Sysroot";
pub(super) const OS: &str = "/org/projectatomic/rpmostree1/fedora_coreos";
const TRANSACTION: &str = "org.projectatomic.rpmostree1.Transaction";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// What a peer sees when the daemon closes its connection.
pub(super) const EOF: &str = "EOF";

pub(super) type Options = HashMap<&'static str, Variant<'static>>;
pub(super) type Dictionary = HashMap<String, OwnedVariant>;

pub(super) fn options<const N: usize>(entries: [(&'static str, Variant<'static>); N]) -> Options {
    HashMap::from(entries)
}

fn interface(path: &str) -> &'static str {
    match path {
        SYSROOT => "org.projectatomic.rpmostree1.Sysroot",
        _ => "org.projectatomic.rpmostree1.OS",
    }
}

/// A connection to the bus of a host.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) bus: Connection,
}

impl Client {
    pub(super) async fn connect(host: &Subject) -> Result<Self> {
        let address = host.bus_address();
        let bus = connection::Builder::address(address.as_str()).build();
        let bus = timeout(DEADLINE, bus).await.context("connect")?;
        let bus = bus.with_context(|| format!("connect to {address}"))?;
        Ok(Self { bus })
    }

    /// Calls a method. What it refuses is a line of text: the error's name and text.
    pub(super) async fn call<B: Serialize + Type, R: DeserializeOwned + Type>(
        &self,
        path: &str,
        method: &str,
        body: &B,
    ) -> Result<Result<R, String>> {
        let interface = Some(interface(path));
        let call = self
            .bus
            .call_method(Some(NAME), path, interface, method, body);
        match timeout(DEADLINE, call).await.context(method.to_owned())? {
            Ok(reply) => Ok(Ok(reply.body().deserialize()?)),
            Err(zbus::Error::MethodError(name, text, _)) => {
                Ok(Err(format!("{name}: {}", text.unwrap_or_default())))
            }
            // Those that D-Bus itself knows.
            Err(zbus::Error::FDO(error)) => {
                let text = error.description().unwrap_or_default();
                Ok(Err(format!("{}: {text}", error.name())))
            }
            Err(error) => Err(error).context(method.to_owned()),
        }
    }

    /// Calls a method that makes a transaction, and returns its address.
    pub(super) async fn begin<B: Serialize + Type>(
        &self,
        method: &str,
        body: &B,
    ) -> Result<Result<String, String>> {
        self.call(OS, method, body).await
    }

    /// The same of a check.
    pub(super) async fn begin_check(&self) -> Result<Result<String, String>> {
        let mode = options([("mode", "check".into())]);
        let reply = self.call(OS, "AutomaticUpdateTrigger", &(mode,)).await?;
        Ok(reply.map(|(_, address): (bool, String)| address))
    }

    pub(super) async fn reload(&self) -> Result<()> {
        let reply = self.call(SYSROOT, "Reload", &()).await?;
        reply.map_err(anyhow::Error::msg).context("Reload")
    }

    /// Carries out the transaction at `address` and leaves it. Its signals, up to `Finished` or [`EOF`].
    pub(super) async fn follow(&self, host: &Subject, address: &str) -> Result<Vec<String>> {
        let mut peer = Peer::connect(host, address).await?;
        peer.start_anyhow();
        let seen = peer.finish().await?;
        peer.leave().await;
        self.wait_free().await?;
        Ok(seen)
    }

    /// Calls a method and carries its transaction out. The lines are those of [`Client::follow`], or the refusal.
    pub(super) async fn run<B: Serialize + Type>(
        &self,
        host: &Subject,
        method: &str,
        body: &B,
    ) -> Result<Vec<String>> {
        match self.begin(method, body).await? {
            Ok(address) => self.follow(host, &address).await,
            Err(refused) => Ok(vec![format!("refused {refused}")]),
        }
    }

    /// As [`Client::run`], the last line alone.
    pub(super) async fn outcome<B: Serialize + Type>(
        &self,
        host: &Subject,
        method: &str,
        body: &B,
    ) -> Result<String> {
        let seen = self.run(host, method, body).await?;
        seen.into_iter().last().context("no line")
    }

    /// A check, carried out and reloaded.
    pub(super) async fn check(&self, host: &Subject) -> Result<Vec<String>> {
        let seen = match self.begin_check().await? {
            Ok(address) => self.follow(host, &address).await?,
            Err(refused) => vec![format!("refused {refused}")],
        };
        self.reload().await?;
        Ok(seen)
    }

    pub(super) async fn properties(&self, path: &str) -> Result<Dictionary> {
        let body = interface(path);
        let call = self
            .bus
            .call_method(Some(NAME), path, Some(PROPERTIES), "GetAll", &body);
        let reply = timeout(DEADLINE, call).await.context("GetAll")??;
        Ok(reply.body().deserialize()?)
    }

    /// A dictionary that is a property of the stateroot's object.
    pub(super) async fn dictionary(&self, name: &str) -> Result<Dictionary> {
        let mut all = self.properties(OS).await?;
        let value = all.remove(name).with_context(|| format!("no {name}"))?;
        value.try_into().with_context(|| format!("type of {name}"))
    }

    /// Values of some keys of such a dictionary, as `KEY VALUE`; `-` where there is none.
    pub(super) async fn values(&self, name: &str, keys: &[&str]) -> Result<Vec<String>> {
        let all = self.dictionary(name).await?;
        let shown = |key: &&str| match all.get(*key) {
            Some(value) => format!("{name} {key} {}", plain(value)),
            None => format!("{name} {key} -"),
        };
        Ok(keys.iter().map(shown).collect())
    }

    /// Method, caller and object of the active transaction.
    pub(super) async fn active(&self) -> Result<(String, String, String)> {
        let mut all = self.properties(SYSROOT).await?;
        let value = all.remove("ActiveTransaction");
        Ok(value.context("no ActiveTransaction")?.try_into()?)
    }

    /// Waits until no transaction is in the slot. A daemon that has just died may lose a question.
    pub(super) async fn wait_free(&self) -> Result<()> {
        until("a free slot", DEADLINE, async || {
            Ok(self.active().await?.0.is_empty().then_some(()))
        })
        .await
    }

    /// The names of properties that change from now on, a line for each signal.
    pub(super) async fn watch(&self) -> Result<Changes> {
        let rule = "type='signal',sender='org.projectatomic.rpmostree1',\
                    interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'";
        Ok(Changes(
            MessageStream::for_match_rule(rule, &self.bus, None).await?,
        ))
    }
}

/// Changed properties of the bus's objects.
#[derive(Debug)]
pub(super) struct Changes(MessageStream);

impl Changes {
    /// The signals up to that by which the slot is free again.
    pub(super) async fn until_free(&mut self) -> Result<Vec<String>> {
        let mut seen = Vec::new();
        loop {
            let message = timeout(DEADLINE, self.0.next()).await.context("a change")?;
            let message = message.context("the bus is gone")??;
            let body = message.body();
            let (interface, changed, _): (String, Dictionary, Vec<String>) = body.deserialize()?;
            let end = changed.get("ActiveTransactionPath").is_some_and(
                |path| matches!(&**path, Variant::Str(path) if path.as_str().is_empty()),
            );
            let mut names: Vec<_> = changed.into_keys().collect();
            names.sort();
            let (_, short) = interface.rsplit_once('.').unwrap_or(("", &interface));
            let more = if end { " (free)" } else { "" };
            seen.push(format!("changed {short}: {}{more}", names.join(" ")));
            if end {
                return Ok(seen);
            }
        }
    }
}

/// A peer of a transaction that keeps every signal, in one stream.
#[derive(Debug)]
pub(super) struct Peer {
    connection: Connection,
    signals: mpsc::UnboundedReceiver<String>,
}

impl Peer {
    pub(super) async fn connect(host: &Subject, address: &str) -> Result<Self> {
        let connected = Self::try_connect(host, address).await?;
        connected.with_context(|| format!("connect to {address}"))
    }

    /// The inner error is that of the connection.
    pub(super) async fn try_connect(
        host: &Subject,
        address: &str,
    ) -> Result<Result<Self, zbus::Error>> {
        let reachable = host.reachable(address);
        let building = connection::Builder::address(reachable.as_str())
            .p2p()
            .build();
        let connection = match timeout(DEADLINE, building).await.context("a peer")? {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(error)),
        };
        let mut stream = MessageStream::from(&connection);
        let (sender, signals) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if message.message_type() == Kind::Signal && sender.send(render(&message)).is_err()
                {
                    return;
                }
            }
            // Whoever has left needs no end.
            drop(sender.send(EOF.to_owned()));
        });
        Ok(Ok(Self {
            connection,
            signals,
        }))
    }

    async fn call(&self, method: &str) -> Result<zbus::Message> {
        let call = self
            .connection
            .call_method(None::<&str>, "/", Some(TRANSACTION), method, &());
        let reply = timeout(DEADLINE, call).await.context(method.to_owned())?;
        reply.context(method.to_owned())
    }

    pub(super) async fn start(&self) -> Result<bool> {
        Ok(self.call("Start").await?.body().deserialize()?)
    }

    /// Calls `Start` without waiting for its answer: signals may overtake it.
    pub(super) fn start_anyhow(&self) {
        let connection = self.connection.clone();
        tokio::spawn(async move {
            connection
                .call_method(None::<&str>, "/", Some(TRANSACTION), "Start", &())
                .await
        });
    }

    pub(super) async fn cancel(&self) -> Result<()> {
        self.call("Cancel").await.map(drop)
    }

    /// What the transaction says of itself, as `NAME VALUE`, in the order of the names.
    pub(super) async fn properties(&self) -> Result<Vec<String>> {
        let call = self.connection.call_method(
            None::<&str>,
            "/",
            Some(PROPERTIES),
            "GetAll",
            &TRANSACTION,
        );
        let reply = timeout(DEADLINE, call).await.context("GetAll")??;
        let all: Dictionary = reply.body().deserialize()?;
        let lines = all
            .iter()
            .map(|(name, value)| format!("{name} {}", plain(value)));
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        Ok(lines)
    }

    /// The next signal, or [`EOF`].
    pub(super) async fn next(&mut self) -> Result<String> {
        let signal = timeout(DEADLINE, self.signals.recv()).await;
        signal
            .context("waiting for a signal of the transaction")?
            .context("no signals any more")
    }

    /// Waits for a signal that begins so.
    pub(super) async fn hear(&mut self, beginning: &str) -> Result<()> {
        loop {
            let signal = self.next().await?;
            if signal.starts_with(beginning) {
                return Ok(());
            }
            if signal == EOF {
                bail!("the transaction ended before {beginning:?}");
            }
        }
    }

    /// Everything up to `Finished` or [`EOF`], with that. A title comes first, wherever it came: it is a property, which GLib announces when
    /// it finds the time.
    pub(super) async fn finish(&mut self) -> Result<Vec<String>> {
        let mut seen = Vec::new();
        loop {
            let signal = self.next().await?;
            let end = signal == EOF || signal.starts_with("Finished");
            match signal.starts_with("Title ") {
                true => seen.insert(0, signal),
                false => seen.push(signal),
            }
            if end {
                return Ok(seen);
            }
        }
    }

    pub(super) async fn leave(self) {
        // It may be closed already, which is all that is wanted.
        drop(self.connection.close().await);
    }
}

/// Member and arguments, as `Message hello`; a changed title as `Title hello`.
fn render(message: &zbus::Message) -> String {
    let header = message.header();
    let member = header.member().map_or("", |member| member.as_str());
    let body = message.body();
    if member == "PropertiesChanged" {
        let changed = body.deserialize::<(String, Dictionary, Vec<String>)>();
        let title = changed
            .ok()
            .and_then(|(_, mut changed, _)| changed.remove("Title"));
        return title.map_or_else(
            || member.to_owned(),
            |title| format!("Title {}", plain(&title)),
        );
    }
    let arguments = match body.deserialize::<Structure<'_>>() {
        Ok(all) => all.fields().iter().map(plain).collect::<Vec<_>>().join(" "),
        Err(_) => String::new(),
    };
    format!("{member} {arguments}").trim_end().to_owned()
}

/// A text without quotes; anything else as GVariant has it.
pub(super) fn plain(value: &Variant<'_>) -> String {
    match value {
        Variant::Str(text) => text.as_str().to_owned(),
        other => other.to_string(),
    }
}
