//! The system bus: one connection per operation, a deadline on each call, and signals that outlive a broken connection.
//!
//! A connection lives exactly as long as its operation. So there are no stale connections, and an operation that fails, times out or is
//! dropped half-way takes its unique name off the bus, which is the only way to free a transaction that rpm-ostreed created for it and that
//! was never started.

use std::io;
use std::time::Duration;

use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::{debug, warn};
use zbus::connection::Builder;
use zbus::{Connection, DBusError, DynamicType, Message, MessageStream, OwnedVariant, Type};

/// Connecting and subscribing: the bus itself answers within milliseconds, or something is broken.
const PROMPT: Duration = Duration::from_secs(10);
/// First pause before the bus is tried again; it doubles up to [`RETRY_LIMIT`].
const RETRY: Duration = Duration::from_secs(1);
/// Longest pause before the bus is tried again.
const RETRY_LIMIT: Duration = Duration::from_secs(60);

/// The address of a system bus.
#[derive(Debug, Clone, Default)]
pub struct Bus {
    address: Option<String>,
}

impl Bus {
    /// The host's system bus: `DBUS_SYSTEM_BUS_ADDRESS` where it is set, else the standard socket.
    pub fn system() -> Self {
        Self::default()
    }

    /// The bus at a D-Bus address, such as `unix:path=/run/dbus/system_bus_socket`.
    pub fn at(address: impl Into<String>) -> Self {
        let address = Some(address.into());
        Self { address }
    }

    /// A new connection; the error's text names the address where it is known.
    pub(crate) async fn connect(&self) -> zbus::Result<Connection> {
        let builder = match &self.address {
            Some(address) => Builder::address(address.as_str()),
            None => Builder::system(),
        };
        within("a connection", PROMPT, builder.build()).await
    }
}

/// `future`, or an error of kind `TimedOut` after `deadline`.
pub(crate) async fn within<T>(
    what: &str,
    deadline: Duration,
    future: impl Future<Output = zbus::Result<T>>,
) -> zbus::Result<T> {
    match tokio::time::timeout(deadline, future).await {
        Ok(result) => result,
        Err(_) => {
            let text = format!("{what} took longer than {} s", deadline.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, text).into())
        }
    }
}

/// An interface of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'a> {
    /// Bus name of the service; none on a connection without a bus.
    pub(crate) service: Option<&'a str>,
    /// Path of the object.
    pub(crate) path: &'a str,
    /// Interface that the method belongs to.
    pub(crate) interface: &'a str,
}

impl Object<'_> {
    /// Calls `method` and reads its reply, all within `deadline`.
    pub(crate) async fn call<R: DeserializeOwned + Type>(
        self,
        connection: &Connection,
        method: &str,
        arguments: &(impl Serialize + DynamicType),
        deadline: Duration,
    ) -> zbus::Result<R> {
        let interface = Some(self.interface);
        let reply = connection.call_method(self.service, self.path, interface, method, arguments);
        within(method, deadline, reply).await?.body().deserialize()
    }

    /// Reads a property of this interface, from the service itself.
    pub(crate) async fn property(
        self,
        connection: &Connection,
        name: &str,
        deadline: Duration,
    ) -> zbus::Result<OwnedVariant> {
        let properties = Object {
            interface: "org.freedesktop.DBus.Properties",
            ..self
        };
        let arguments = (self.interface, name);
        properties
            .call(connection, "Get", &arguments, deadline)
            .await
    }
}

/// Name and text of the error that a service answered with; `None` for errors without an answer.
pub(crate) fn answered(error: &zbus::Error) -> Option<(String, String)> {
    match error {
        zbus::Error::MethodError(name, text, _) => {
            Some((name.to_string(), text.clone().unwrap_or_default()))
        }
        zbus::Error::FDO(error) => {
            let text = error.description().unwrap_or_default();
            Some((error.name().to_string(), text.to_owned()))
        }
        _ => None,
    }
}

/// An item of [`Signals`].
#[derive(Debug)]
pub(crate) enum Notice {
    /// A new connection is subscribed; signals from before may have been missed.
    Connected(Connection),
    /// A signal that matches the rules, or that the bus sent to this connection.
    Signal(Message),
}

/// Signals of the bus, subscribed again after each lost connection.
///
/// Has to be polled all the time: zbus stops reading a connection while one of its streams is full.
#[derive(Debug)]
pub(crate) struct Signals {
    bus: Bus,
    rules: &'static [&'static str],
    stream: Option<MessageStream>,
    pause: Duration,
}

impl Signals {
    /// Signals that match any of the D-Bus match `rules`.
    pub(crate) fn new(bus: Bus, rules: &'static [&'static str]) -> Self {
        Self {
            bus,
            rules,
            stream: None,
            pause: RETRY,
        }
    }

    /// The next event; waits for as long as there is none.
    pub(crate) async fn next(&mut self) -> Notice {
        loop {
            if let Some(event) = self.received().await {
                return event;
            }
            match self.subscribe().await {
                Ok(stream) => {
                    let connection = Connection::from(&stream);
                    self.stream = Some(stream);
                    self.pause = RETRY;
                    return Notice::Connected(connection);
                }
                Err(error) if self.pause == RETRY => {
                    warn!(%error, "no signals from the system bus until it can be reached again");
                }
                Err(error) => debug!(%error, "the system bus still can't be reached"),
            }
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(RETRY_LIMIT);
        }
    }

    /// The next signal of the connection; `None` if it has ended, after a pause: a bus that closes every connection must not be flooded.
    async fn received(&mut self) -> Option<Notice> {
        while let Some(message) = self.stream.as_mut()?.next().await {
            match message {
                Ok(message) if message.message_type() == zbus::message::Type::Signal => {
                    return Some(Notice::Signal(message));
                }
                Ok(_) => {}
                Err(error) => debug!(%error, "a connection to the system bus broke"),
            }
        }
        self.stream = None;
        tokio::time::sleep(RETRY).await;
        None
    }

    async fn subscribe(&self) -> zbus::Result<MessageStream> {
        let connection = self.bus.connect().await?;
        let stream = MessageStream::from(&connection);
        let driver = Object {
            service: Some("org.freedesktop.DBus"),
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
        };
        for rule in self.rules {
            driver
                .call::<()>(&connection, "AddMatch", rule, PROMPT)
                .await?;
        }
        Ok(stream)
    }
}
