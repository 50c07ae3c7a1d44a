//! How the programs become ready.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::runtime::Handle;

use super::assets::Binaries;
use super::kubeconfig::{self, Proof};
use super::pki::Authority;
use super::supervisor::{Background, Program, Supervised};
use super::{LONG, admin_kubeconfig, answered, programs, server};
use crate::process::tail;
use crate::wait::until;

/// Time for a program to become ready; seconds are usual, a busy machine needs more.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Ports for the API server: below the range that the kernel gives to outgoing connections, so that the port is still free when
/// the server is started again.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How many ports are tried; another one is needed when somebody takes it between the look and the start.
const PORT_TRIALS: usize = 5;

/// Starts the API server on a free port and waits until it is ready.
pub(super) async fn start_apiserver(
    background: &Background,
    binaries: &Binaries,
    folder: &Path,
    authority: &Authority,
) -> Result<(Supervised, u16, Client)> {
    let identity = authority.client("kubernetes-admin", Some("system:masters"), LONG)?;
    let mut trials = 0;
    loop {
        trials += 1;
        let port = free_port()?;
        let text = kubeconfig::render(
            &server(port),
            &authority.pem(),
            "kubernetes-admin",
            &Proof::Embedded(&identity),
        )?;
        kubeconfig::write(&admin_kubeconfig(folder), &text)?;
        let admin = client(background.runtime(), &admin_kubeconfig(folder)).await?;
        let apiserver = Supervised::start(background, programs::apiserver(binaries, folder, port));
        let readiness = async || ready(&admin).await;
        match running_until(&apiserver, "the API server to be ready", readiness).await {
            Ok(()) => return Ok((apiserver, port, admin)),
            Err(error)
                if trials < PORT_TRIALS
                    && format!("{error:#}").contains("address already in use") =>
            {
                tracing::info!(port, "the port was taken meanwhile, trying another");
            }
            Err(error) => return Err(error),
        }
    }
}

/// Starts programs that are clients of the API server, each as the user `system:NAME`.
pub(super) fn start_controllers(
    background: &Background,
    folder: &Path,
    authority: &Authority,
    port: u16,
    programs: [Program; 2],
) -> Result<[Supervised; 2]> {
    for Program { name, .. } in &programs {
        let user = format!("system:{name}");
        let identity = authority.client(&user, None, LONG)?;
        let proof = Proof::Embedded(&identity);
        let text = kubeconfig::render(&server(port), &authority.pem(), &user, &proof)?;
        kubeconfig::write(&programs::kubeconfig(folder, name), &text)?;
    }
    Ok(programs.map(|program| Supervised::start(background, program)))
}

/// A loopback port that nobody has right now.
fn free_port() -> Result<u16> {
    (0..100)
        .map(|_| fastrand::u16(PORTS))
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .with_context(|| format!("no free loopback port found in {PORTS:?}"))
}

/// A client whose connections live on `runtime`.
pub(super) async fn client(runtime: &Handle, kubeconfig: &Path) -> Result<Client> {
    let described = || format!("kubeconfig {}", kubeconfig.display());
    let read = Kubeconfig::read_from(kubeconfig).with_context(described)?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .with_context(described)?;
    config.default_retry = false;
    let _inside = runtime.enter();
    Client::try_from(config).with_context(described)
}

/// Whether the API server says that it is ready.
pub(super) async fn ready(admin: &Client) -> Result<Option<()>> {
    let request = http::Request::get("/readyz")
        .body(Vec::new())
        .context("make a request")?;
    let text = answered("the API server's readiness", admin.request_text(request)).await?;
    Ok((text == "ok").then_some(()))
}

/// Waits for `probe` as long as `program` runs.
pub(super) async fn running_until(
    program: &Supervised,
    what: &str,
    probe: impl AsyncFnMut() -> Result<Option<()>>,
) -> Result<()> {
    let Program { name, log, .. } = &program.program;
    let error = tokio::select! {
        ready = until(what, READY_WITHIN, probe) => match ready {
            Ok(()) => return Ok(()),
            Err(error) => error,
        },
        () = program.ended() => anyhow!("{name} ended while waiting for {what}"),
    };
    Err(error.context(format!(
        "{name}; the last words in {}:\n{}",
        log.display(),
        tail(log)
    )))
}
