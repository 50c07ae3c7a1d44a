//! A client that keeps working through every rotation of credentials.
//!
//! The client library reads certificates once. The kubelet renews its certificate while the agent runs, and the old one expires. So the
//! files are checked every minute, and at once when the API server refuses or can't be reached. A new client replaces the old one only if
//! it could be created, so half-written files change nothing.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::causes::chain;
use crate::credentials::{Credentials, CredentialsError, FileIdentity, Life};
use crate::error::ApiError;
use crate::tls;

/// The deadline of every call.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// A watch without any message for this long counts as dead: the API server sends a bookmark each minute.
pub(crate) const SILENCE: Duration = Duration::from_secs(180);

const CONNECT: Duration = Duration::from_secs(10);
/// How often the files are checked.
const LOOK: Duration = Duration::from_secs(60);
/// The same once the certificate should have been renewed: it may expire before the next regular check.
const LOOK_LATE: Duration = Duration::from_secs(5);
/// A client that worked for this long is replaced at once when it is refused.
const FORGIVE: Duration = Duration::from_secs(600);
/// Limit for creating a client, which may run a credential plugin.
const BUILD: Duration = Duration::from_secs(30);

/// The program that uses the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// `cuo-agent`, `cuo-operator` or `cuoctl`: the field manager of every write.
    pub name: &'static str,
    /// Its version; `name/version` is the user agent of every request.
    pub version: &'static str,
}

/// The state of the credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Number of the client, which rises with each new one; 0 while there is none.
    pub generation: u64,
    /// The source of the client's credentials: a path, or `service account`.
    pub origin: Option<String>,
    /// The validity of the client certificate in use, if there is one.
    pub life: Option<Life>,
    /// What is wrong with the current credentials. The last working client stays in use.
    pub problem: Option<CredentialsError>,
}

#[derive(Debug, Clone)]
struct Shared {
    status: Status,
    client: Option<Connection>,
}

/// A client with its generation.
#[derive(Clone)]
pub(crate) struct Connection {
    pub generation: u64,
    pub client: Client,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.generation)
    }
}

/// Provides a client, and keeps it working. Clones share the client; dropping the last one ends the background task.
#[derive(Debug, Clone)]
pub struct ClientSource {
    shared: watch::Receiver<Shared>,
    wishes: Arc<Wishes>,
    program: Program,
    /// `None` where the credentials are those of one moment.
    _task: Option<Arc<EndWithMe>>,
}

/// Requests of callers to the background task.
#[derive(Debug, Default)]
struct Wishes {
    /// The newest generation that the API server refused.
    refused: AtomicU64,
    look: Notify,
}

#[derive(Debug)]
struct EndWithMe(AbortHandle);

impl Drop for EndWithMe {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ClientSource {
    /// Creates the first client, if possible, and starts to watch the credentials. Never fails: a host may get its credentials later, and
    /// [`ClientSource::status`] says what is missing. Has to run in a tokio runtime.
    pub async fn start(credentials: Credentials, program: Program) -> Self {
        let (sender, shared) = watch::channel(Shared {
            status: Status::default(),
            client: None,
        });
        let wishes = Arc::new(Wishes::default());
        let mut keeper = Keeper {
            credentials,
            program,
            sender,
            wishes: Arc::clone(&wishes),
            files: None,
            retry: Backoff::new(Duration::from_secs(1), Duration::from_secs(30)),
            renew: Backoff::new(Duration::from_secs(5), Duration::from_secs(300)),
            renew_from: Instant::now(),
            warned: false,
        };
        keeper.look().await;
        let task = tokio::spawn(keeper.run());
        Self {
            shared,
            wishes,
            program,
            _task: Some(Arc::new(EndWithMe(task.abort_handle()))),
        }
    }

    /// Creates a client for `config`, which is from `origin`, and keeps it: for programs that end soon.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub async fn fixed(
        config: kube::Config,
        program: Program,
        origin: &str,
    ) -> Result<Self, CredentialsError> {
        let client = build(config, program, origin).await?;
        let generation = 1;
        let status = Status {
            generation,
            origin: Some(origin.to_owned()),
            ..Status::default()
        };
        let client = Some(Connection { generation, client });
        let (_, shared) = watch::channel(Shared { status, client });
        Ok(Self {
            shared,
            wishes: Arc::default(),
            program,
            _task: None,
        })
    }

    /// The current state.
    pub fn status(&self) -> Status {
        self.shared.borrow().status.clone()
    }

    /// Waits until the status differs from `seen`, and returns it.
    pub async fn status_after(&self, seen: &Status) -> Status {
        let mut shared = self.shared.clone();
        match shared.wait_for(|now| now.status != *seen).await {
            Ok(now) => now.status.clone(),
            // The task ends only with the runtime, so nothing changes any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// The namespace of the pod or of the kubeconfig's context; `None` while there is no client.
    pub fn namespace(&self) -> Option<String> {
        let shared = self.shared.borrow();
        let connection = shared.client.as_ref()?;
        Some(connection.client.default_namespace().to_owned())
    }

    /// The program that uses this source.
    pub fn program(&self) -> Program {
        self.program
    }

    /// Reports that the API server refused the client of this generation. Calls of this crate do so themselves.
    pub fn unauthorized(&self, generation: u64) {
        self.wishes.refused.fetch_max(generation, Ordering::Relaxed);
        self.wishes.look.notify_one();
    }

    /// The current client.
    pub(crate) fn connection(&self) -> Result<Connection, ApiError> {
        let shared = self.shared.borrow();
        match (&shared.client, &shared.status.problem) {
            (Some(connection), _) => Ok(connection.clone()),
            (None, Some(problem)) => Err(problem.clone().into()),
            (None, None) => Err(CredentialsError::NotFound(Vec::new()).into()),
        }
    }

    /// Waits for a client of another generation.
    pub(crate) async fn other_than(&self, generation: u64) {
        let mut shared = self.shared.clone();
        if shared
            .wait_for(|now| now.status.generation != generation)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Calls the API server with [`DEADLINE`].
    ///
    /// # Errors
    /// Any [`ApiError`].
    pub async fn call<T, F>(&self, call: impl FnOnce(Client) -> F) -> Result<T, ApiError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        self.call_within(DEADLINE, call).await
    }

    /// Calls the API server with a deadline, and has the credentials checked if they may be the cause of a failure.
    ///
    /// # Errors
    /// Any [`ApiError`]; after [`ApiError::Timeout`] a write may have been done.
    pub async fn call_within<T, F>(
        &self,
        deadline: Duration,
        call: impl FnOnce(Client) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let Connection { generation, client } = self.connection()?;
        let result = match timeout(deadline, call(client)).await {
            Ok(result) => result.map_err(ApiError::from),
            Err(_) => Err(ApiError::Timeout { after: deadline }),
        };
        if let Err(error) = &result {
            self.suspect(generation, error);
        }
        result
    }

    /// Has the credentials checked if they may be the cause of `error`: a refusal, or a changed CA.
    pub(crate) fn suspect(&self, generation: u64, error: &ApiError) {
        match error {
            ApiError::Unauthorized { .. } => self.unauthorized(generation),
            ApiError::Unreachable { .. } => self.wishes.look.notify_one(),
            _ => {}
        }
    }
}

/// The background task.
struct Keeper {
    credentials: Credentials,
    program: Program,
    sender: watch::Sender<Shared>,
    wishes: Arc<Wishes>,
    /// The files that the client in use was created from.
    files: Option<Vec<FileIdentity>>,
    retry: Backoff,
    /// Limits how often clients are created from unchanged files: the API server may refuse for hours.
    renew: Backoff,
    renew_from: Instant,
    /// Whether the warning about an expiring certificate was logged.
    warned: bool,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let wait = self.wait();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.wishes.look.notified() => {}
            }
            self.look().await;
        }
    }

    fn wait(&mut self) -> Duration {
        if self.sender.borrow().status.problem.is_some() {
            self.retry.delay()
        } else if self.refused() {
            LOOK.min(self.renew_from.saturating_duration_since(Instant::now()))
        } else if self.late().is_some() {
            LOOK_LATE
        } else {
            LOOK
        }
    }

    /// The end of the certificate in use, if it should have been renewed by now.
    fn late(&self) -> Option<Timestamp> {
        let life = self.sender.borrow().status.life;
        let late = life.filter(|life| life.ends_soon(Timestamp::now()));
        late.map(|life| life.end)
    }

    fn refused(&self) -> bool {
        let generation = self.sender.borrow().status.generation;
        generation > 0 && self.wishes.refused.load(Ordering::Relaxed) >= generation
    }

    /// Checks the files, and creates a client if they changed, or if the API server refused the current one.
    async fn look(&mut self) {
        let found = match self.credentials.find() {
            Ok(found) => found,
            Err(problem) => return self.complain(problem),
        };
        let changed = self.files.as_ref() != Some(&found.files);
        let renew = self.refused() && Instant::now() >= self.renew_from;
        if !changed && !renew {
            return self.settle();
        }
        let (origin, files) = (found.origin.clone(), found.files.clone());
        let life = found.life();
        let built = match found.config() {
            Ok(config) => build(config, self.program, &origin).await,
            Err(problem) => Err(problem),
        };
        let client = match built {
            Ok(client) => client,
            Err(problem) => return self.complain(problem),
        };
        if changed || Instant::now() > self.renew_from + FORGIVE {
            self.renew.reset();
        }
        self.renew_from = Instant::now() + self.renew.delay();
        self.files = Some(files);
        self.retry.reset();
        self.sender.send_modify(|shared| {
            let generation = shared.status.generation + 1;
            info!(generation, "using the credentials of {origin}");
            shared.client = Some(Connection { generation, client });
            shared.status = Status {
                generation,
                origin: Some(origin),
                life,
                problem: None,
            };
        });
        self.warned = false;
        self.warn();
    }

    /// Warns once about a certificate that expires without a replacement.
    fn warn(&mut self) {
        if let Some(end) = self.late().filter(|_| !self.warned) {
            warn!(
                "credentials: the client certificate ends at {end}, and there is no other one; check whether the kubelet renews its own"
            );
            self.warned = true;
        }
    }

    /// Notes that the files are again those that the client in use was created from.
    fn settle(&mut self) {
        self.retry.reset();
        self.sender
            .send_if_modified(|shared| shared.status.problem.take().is_some());
        self.warn();
    }

    fn complain(&self, problem: CredentialsError) {
        self.sender.send_if_modified(|shared| {
            if shared.status.problem.as_ref() == Some(&problem) {
                return false;
            }
            warn!("credentials: {problem}");
            shared.status.problem = Some(problem);
            true
        });
    }
}

async fn build(
    mut config: kube::Config,
    program: Program,
    origin: &str,
) -> Result<Client, CredentialsError> {
    let malformed = |message: String| CredentialsError::Malformed {
        path: origin.into(),
        message,
    };
    let agent = HeaderValue::try_from(format!("{}/{}", program.name, program.version))
        .map_err(|error| malformed(chain(&error)))?;
    config.headers.push((USER_AGENT, agent));
    // A disruption budget refuses with 429, which the library would retry silently and for minutes.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    // Calls and watches have shorter deadlines. This one ends a connection that neither of them uses any more.
    config.read_timeout = Some(2 * SILENCE);
    config.reset_reader_on_write = true;
    // In a thread of its own, because a credential plugin blocks it.
    let making = tokio::task::spawn_blocking(move || Client::try_from(config));
    match timeout(BUILD, making).await {
        Ok(Ok(made)) => made.map_err(|error| malformed(tls::own_in_words(&error))),
        Ok(Err(error)) => Err(malformed(chain(&error))),
        Err(_) => Err(malformed(format!(
            "the credential plugin did not answer within {BUILD:?}"
        ))),
    }
}

#[cfg(test)]
mod tests;
