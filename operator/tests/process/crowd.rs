//! What anybody in the cluster can do to the operator's open port.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cuo_lab::process::{bound, spawn_logged};
use cuo_lab::wait::until;
use rustix::process::{Pid, Resource, Rlimit, prlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::timeout;

use crate::{Bench, NAMESPACE, SOON, address, get_from};

/// Files that the operator may open: far fewer than come to it.
const FILES: u64 = 128;
/// Connections that somebody opens and leaves.
const IDLE: usize = 2000;
/// How long a kubelet waits for the answer to a probe, unless its pod says otherwise.
const PROBE: Duration = Duration::from_secs(1);
/// How many times the lease is renewed beside all of this.
const RENEWALS: usize = 3;

/// Lets this process open what it needs itself.
fn with_files_of_its_own() -> Result<()> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, limit).context("raise the limit of open files")
}

fn pid(operator: &Child) -> Result<Pid> {
    let pid = operator.id().context("the operator has ended")?;
    Pid::from_raw(i32::try_from(pid)?).context("no pid")
}

/// Lets `operator` open no file whose number is not below `files`.
fn limit(operator: &Child, files: u64) -> Result<()> {
    let before = prlimit(Some(pid(operator)?), Resource::Nofile, {
        Rlimit {
            current: Some(files),
            maximum: Some(FILES),
        }
    });
    before.map(drop).context("limit the operator's open files")
}

fn open_files(operator: &Child) -> Result<u64> {
    let folder = format!("/proc/{}/fd", pid(operator)?.as_raw_nonzero());
    Ok(u64::try_from(std::fs::read_dir(folder)?.count())?)
}

/// Opens connections; each second one begins a request that it never ends.
async fn crowd(address: SocketAddr) -> Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    for number in 0..IDLE {
        let connected = timeout(SOON, TcpStream::connect(address)).await;
        let mut stream = connected.with_context(|| format!("connection {number}"))??;
        if number % 2 == 0 {
            // It may be closed already.
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\n").await;
        }
        streams.push(stream);
    }
    Ok(streams)
}

/// `/healthz` is answered as soon as a kubelet wants it.
async fn healthy(address: SocketAddr) -> Result<()> {
    let answer = timeout(PROBE, get_from(address, "/healthz")).await;
    let answer = answer.context("/healthz was not answered in time")??;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}

/// Waits until `stream` is closed by the other side.
async fn closed(mut stream: TcpStream) {
    let mut answer = Vec::new();
    // An error is an end, too: what was sent may not have been read.
    let _ = stream.read_to_end(&mut answer).await;
}

/// An operator whose API server is nowhere; its own server does not need one.
fn alone(dir: &Path) -> Result<Child> {
    let kubeconfig = dir.join("kubeconfig");
    let text = "{apiVersion: v1, kind: Config, current-context: c, \
        clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}], \
        users: [{name: c, user: {token: t}}], contexts: [{name: c, context: {cluster: c, user: c}}]}";
    std::fs::write(&kubeconfig, text)?;
    // From its start on: it looks once how many files it may open.
    let mut command = bound("sh");
    command
        .args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &FILES.to_string()])
        .arg(env!("CARGO_BIN_EXE_cuo-operator"))
        .env("NO_COLOR", "1")
        .args(["--listen=127.0.0.1:0", "--log-format=text"])
        .arg(format!("--kubeconfig={}", kubeconfig.display()));
    spawn_logged(&mut command, &dir.join("operator.log"))
}

async fn listening(log: &Path) -> Result<SocketAddr> {
    until("the operator to listen", SOON, async || {
        address(&std::fs::read_to_string(log)?).map(Some)
    })
    .await
}

#[tokio::test]
async fn thousands_of_idle_connections_neither_silence_the_probes_nor_take_all_files() {
    with_files_of_its_own().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let operator = alone(dir.path()).unwrap();
    let address = listening(&dir.path().join("operator.log")).await.unwrap();
    let streams = crowd(address).await.unwrap();
    for _ in 0..5 {
        healthy(address).await.unwrap();
        let open = open_files(&operator).unwrap();
        assert!(open <= FILES / 2, "{open} of {FILES} files are open");
    }
    // Nobody has to come for the others to be closed.
    let all = futures::future::join_all(streams.into_iter().map(closed));
    timeout(SOON, all).await.expect("idle ones are closed");
}

#[tokio::test]
async fn a_connection_ends_with_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let _operator = alone(dir.path()).unwrap();
    let address = listening(&dir.path().join("operator.log")).await.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: operator\r\nConnection: keep-alive\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(SOON, stream.read_to_string(&mut answer)).await;
    read.expect("the connection is closed").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("# EOF\n"), "{answer}");
}

#[tokio::test]
async fn whoever_can_open_no_file_waits_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let operator = alone(dir.path()).unwrap();
    let log = dir.path().join("operator.log");
    let address = listening(&log).await.unwrap();
    // All that it needs is open already.
    limit(&operator, 1).unwrap();
    let asked = tokio::spawn(get_from(address, "/healthz"));
    let words = "Too many open files";
    until("the operator to tell", SOON, async || {
        let log = std::fs::read_to_string(&log)?;
        Ok(log.contains(words).then_some(()))
    })
    .await
    .unwrap();
    limit(&operator, FILES).unwrap();
    let answer = timeout(SOON, asked).await.unwrap().unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let log = std::fs::read_to_string(&log).unwrap();
    let reported = log
        .lines()
        .filter(|line| line.contains("no connection can be accepted"));
    assert_eq!(reported.count(), 1, "{log}");
}

impl Bench {
    /// A crowd at the port costs neither the probes nor the lease.
    pub async fn crowded(&self) -> Result<()> {
        with_files_of_its_own()?;
        limit(&self.operator, FILES)?;
        let holder = self.holder().await?;
        let address = address(&self.log()?)?;
        let _streams = crowd(address).await?;
        let mut renewed = self.renewed().await?;
        for _ in 0..RENEWALS {
            renewed = until("the lease to be renewed", SOON, async || {
                healthy(address).await?;
                let now = self.renewed().await?;
                Ok((now != renewed).then_some(now))
            })
            .await?;
        }
        healthy(address).await?;
        ensure!(self.holder().await? == holder, "{holder} lost the lease");
        Ok(())
    }

    async fn renewed(&self) -> Result<String> {
        let get = ["get", "lease", "cuo-operator", "--namespace", NAMESPACE];
        let renewed = "--output=jsonpath={.spec.renewTime}";
        self.plane.kubectl(&[&get[..], &[renewed]].concat()).await
    }
}
