//! One transaction, on the private connection that rpm-ostreed opens for it.
//!
//! All messages come through one stream that is polled all the time: with a stream per signal, a burst fills one that nobody polls,
//! and zbus then stops reading the whole connection.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::net::Shutdown;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::net::UnixStream;
use tokio::time::Instant;
use tracing::debug;
use zbus::address::transport::{Transport, UnixSocket};
use zbus::connection::Builder;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, OwnedVariant};

use super::{Error, Limits};
use crate::bus::{self, Object};

const TRANSACTION: Object<'static> = Object {
    service: None,
    path: "/",
    interface: "org.projectatomic.rpmostree1.Transaction",
};
const PROPERTIES: Object<'static> = Object {
    interface: "org.freedesktop.DBus.Properties",
    ..TRANSACTION
};

/// How a transaction ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// This call started it. Otherwise an equal call of somebody, perhaps of an earlier run of this program, had started it, or it was
    /// over already: rpm-ostreed hands out a finished transaction until its last client has left.
    pub(super) started: bool,
    /// Nothing, or rpm-ostreed's text about what failed.
    pub(super) result: Result<(), String>,
}

/// How to treat a transaction without any signal for a while.
#[derive(Debug, Clone, Copy)]
pub(super) enum Silence {
    /// Nothing for long: one layer of an image arrives in silence. So rpm-ostreed is asked each time whether the transaction is still
    /// there, and only where it does not answer, the end is not waited for.
    Asks {
        /// How long it is silent before each question.
        each: Duration,
        /// How long it is silent before it counts as hanging, whatever the answers are.
        longest: Duration,
    },
    /// The transaction hangs after this long.
    Ends(Duration),
}

impl Silence {
    /// What it means while downloading and staging.
    pub(super) fn of_staging(limits: &Limits) -> Self {
        Self::Asks {
            each: limits.stage_silence,
            longest: limits.stage_longest,
        }
    }

    /// How long nothing is done about it.
    fn limit(self) -> Duration {
        let (Self::Asks { each, .. } | Self::Ends(each)) = self;
        each
    }

    /// How long it may last at most.
    fn longest(self) -> Duration {
        let (Self::Asks { longest, .. } | Self::Ends(longest)) = self;
        longest
    }
}

/// Starts the transaction `what` at `address`, or joins it, and waits for its end.
///
/// `None` says that nobody listens there any more: it ended between the reply and this call, or rpm-ostreed did.
pub(super) async fn run(
    address: &str,
    what: &str,
    limits: &Limits,
    silence: Silence,
    progress: &mut (impl FnMut(&str) + Send),
) -> Result<Option<Ended>, Error> {
    let Some(peer) = connect(address, what, limits).await? else {
        return Ok(None);
    };
    let mut run = Run {
        messages: MessageStream::from(&peer.connection),
        connection: &peer.connection,
        what,
        limits,
    };
    run.follow(silence, progress).await.map(Some)
}

/// Title of the transaction at `address`, and who asked for it. Does not start it, which anybody could.
pub(super) async fn describe(address: &str, limits: &Limits) -> Option<(String, String)> {
    let peer = connect(address, "Transaction", limits).await;
    let peer = peer
        .inspect_err(|error| debug!(%error, "the active transaction can't be asked"))
        .ok()??;
    let mut properties = properties(&peer.connection, limits)
        .await
        .inspect_err(|error| debug!(%error, "the active transaction did not describe itself"))
        .ok()?;
    let mut text = |key| String::try_from(properties.remove(key)?).ok();
    Some((text("Title")?, text("InitiatingClientDescription")?))
}

/// What the transaction says of itself; answered whatever its work is waiting for.
async fn properties(
    connection: &Connection,
    limits: &Limits,
) -> zbus::Result<HashMap<String, OwnedVariant>> {
    let interface = TRANSACTION.interface;
    PROPERTIES
        .call(connection, "GetAll", &interface, limits.peer)
        .await
}

/// A connection to a transaction, which blocks all others until its last client has gone. So this one goes the moment it is dropped, on
/// whichever path: zbus would close it only once its own tasks have ended.
#[derive(Debug)]
struct Peer {
    connection: Connection,
    /// The same socket.
    socket: StdUnixStream,
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Err(error) = self.socket.shutdown(Shutdown::Both) {
            debug!(%error, "the transaction's connection was closed already");
        }
    }
}

/// `None` when nobody listens at `address`: the socket's file stays behind when rpm-ostreed dies, and goes away with the transaction.
async fn connect(address: &str, what: &str, limits: &Limits) -> Result<Option<Peer>, Error> {
    let connected = async {
        let stream = UnixStream::connect(socket(address)?).await?.into_std()?;
        let socket = stream.try_clone()?;
        let connection = Builder::unix_stream(stream).p2p().build().await?;
        Ok(Peer { connection, socket })
    };
    match bus::within("the connection to the transaction", limits.peer, connected).await {
        Ok(peer) => Ok(Some(peer)),
        Err(error) if gone(&error) => {
            debug!(address, %error, "the transaction is gone");
            Ok(None)
        }
        Err(error) => Err(broken(what, &error)),
    }
}

/// Where to connect for a D-Bus `address`: a path and no more since 2023.2, before that usually a socket without a file.
fn socket(address: &str) -> zbus::Result<PathBuf> {
    let parsed: zbus::Address = address.parse()?;
    if let Transport::Unix(unix) = parsed.transport() {
        match unix.path() {
            UnixSocket::File(path) => return Ok(path.clone()),
            UnixSocket::Abstract(name) => {
                // As tokio wants it.
                let name = [&[0], name.as_bytes()].concat();
                return Ok(OsString::from_vec(name).into());
            }
            // Places to listen at, which nobody can connect to.
            _ => {}
        }
    }
    let text = format!("{address:?} is no socket of this host to connect to");
    Err(zbus::Error::Address(text))
}

/// Whether there is nobody to connect to. A transaction that ends just now closes its connections in the middle of the greeting, too;
/// nothing was started by then.
fn gone(error: &zbus::Error) -> bool {
    let kind = match error {
        zbus::Error::Connection(error, _) => error.kind(),
        zbus::Error::InputOutput(error) => error.kind(),
        // The library has no kinds for these.
        zbus::Error::Handshake(text) => return text.contains("EOF") || text.contains("zero byte"),
        _ => return false,
    };
    matches!(
        kind,
        io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    )
}

/// On this connection an error that is neither a time limit nor an answer is the loss of the connection, whichever way zbus noticed.
fn broken(what: &str, error: &zbus::Error) -> Error {
    match Error::of_call(what, error) {
        Error::Protocol { what, why } => Error::Lost { what, how: why },
        error => error,
    }
}

/// Whether the transaction was started by this call, and not joined.
fn begun(what: &str, reply: zbus::Result<bool>) -> Result<bool, Error> {
    match reply.map_err(|error| broken(what, &error)) {
        Ok(started) => Ok(started),
        // The end may have been sent before the connection broke.
        Err(Error::Lost { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the message shows progress; answers to questions do not.
fn is_progress(message: Option<&zbus::Result<Message>>) -> bool {
    matches!(message, Some(Ok(message)) if message.message_type() == Type::Signal)
}

/// A connected transaction.
struct Run<'a> {
    messages: MessageStream,
    connection: &'a Connection,
    what: &'a str,
    limits: &'a Limits,
}

impl Run<'_> {
    /// Starts or joins it and reads until `Finished`.
    async fn follow(
        &mut self,
        silence: Silence,
        progress: &mut (impl FnMut(&str) + Send),
    ) -> Result<Ended, Error> {
        let (connection, limits) = (self.connection, self.limits);
        let mut start = Box::pin(TRANSACTION.call::<bool>(connection, "Start", &(), limits.peer));
        let (mut started, mut heard) = (None, Instant::now());
        let mut question: Option<BoxFuture<'_, bool>> = None;
        // Signals can come before the reply of Start, so both are awaited at once.
        let result = loop {
            tokio::select! {
                reply = &mut start, if started.is_none() => {
                    started = Some(begun(self.what, reply)?);
                }
                there = answered(&mut question) => {
                    question = None;
                    if !there {
                        return Err(self.cancel(silence.limit()).await);
                    }
                    debug!(self.what, "silent, and still there");
                }
                message = tokio::time::timeout(silence.limit(), self.messages.next()) => {
                    match message {
                        Ok(message) => {
                            if is_progress(message.as_ref()) {
                                heard = Instant::now();
                            }
                            if let Some(result) = self.read(message, progress)? {
                                break result;
                            }
                        }
                        Err(_) if heard.elapsed() >= silence.longest() => {
                            return Err(self.cancel(silence.longest()).await);
                        }
                        Err(_) if question.is_some() => {}
                        Err(_) => {
                            question = Some(properties(connection, limits).map(|reported| reported.is_ok()).boxed());
                        }
                    }
                }
            }
        };
        let started = match started {
            Some(started) => started,
            // Nothing worth reading comes after Finished, except for that reply.
            None => start.await.unwrap_or(false),
        };
        Ok(Ended { started, result })
    }

    /// The transaction's result, if `message` ends it.
    fn read(
        &self,
        message: Option<zbus::Result<Message>>,
        progress: &mut impl FnMut(&str),
    ) -> Result<Option<Result<(), String>>, Error> {
        let message = match message {
            Some(Ok(message)) => message,
            broken => {
                debug!(?broken, "no more messages of the transaction");
                let how = "it closed the connection before the end".to_owned();
                let what = self.what.to_owned();
                return Err(Error::Lost { what, how });
            }
        };
        let header = message.header();
        let ours = header
            .interface()
            .is_some_and(|i| *i == TRANSACTION.interface);
        if !ours || message.message_type() != Type::Signal {
            return Ok(None);
        }
        let member = header.member().map(|member| member.as_str());
        if member != Some("Finished") {
            if let Some(line) = member.and_then(|member| line(member, &message)) {
                progress(&line);
            }
            return Ok(None);
        }
        let body = message.body();
        let finished: (bool, String) = body.deserialize().map_err(|error| Error::Protocol {
            what: "Finished".to_owned(),
            why: error.to_string(),
        })?;
        Ok(Some(match finished {
            (true, _) => Ok(()),
            (false, text) => Err(text),
        }))
    }

    /// Asks for the end of a transaction that was `silent` for so long, and gives it time to end, so that it blocks nobody afterwards.
    async fn cancel(&mut self, silent: Duration) -> Error {
        let how = format!("nothing was heard for {} s", silent.as_secs());
        let what = self.what.to_owned();
        let limits = self.limits;
        let call = TRANSACTION.call::<()>(self.connection, "Cancel", &(), limits.peer);
        let end = async {
            while let Some(message) = self.messages.next().await {
                if !matches!(self.read(Some(message), &mut |_| ()), Ok(None)) {
                    break;
                }
            }
        };
        let (reply, end) = tokio::join!(call, tokio::time::timeout(limits.cancel, end));
        if reply.is_err() || end.is_err() {
            debug!(?reply, ?end, "the silent transaction can't be cancelled");
        }
        Error::Timeout { what, how }
    }
}

/// The answer to `question`; never one where nothing was asked.
async fn answered(question: &mut Option<BoxFuture<'_, bool>>) -> bool {
    match question {
        Some(question) => question.await,
        None => std::future::pending().await,
    }
}

/// A line for people about what the transaction does, where a signal says something new.
fn line(member: &str, message: &Message) -> Option<String> {
    let body = message.body();
    match member {
        "Message" | "TaskBegin" => body.deserialize().ok(),
        "PercentProgress" => {
            let (text, percent): (String, u32) = body.deserialize().ok()?;
            Some(format!("{text} {percent}%"))
        }
        "DownloadProgress" => {
            type Pairs = (u32, u32);
            type Delta = (u32, u32, u32, u64);
            type Progress = ((u64, u64), Pairs, (u32, u32, u32), Delta, Pairs, (u64, u64));
            let (_, _, _, _, (fetched, requested), (bytes, rate)): Progress =
                body.deserialize().ok()?;
            let (kib, rate) = (bytes / 1024, rate / 1024);
            Some(format!(
                "{fetched} of {requested} objects, {kib} KiB, {rate} KiB/s"
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
