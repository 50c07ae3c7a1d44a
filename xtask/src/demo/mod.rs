//! `cargo xtask demo`: two updates go through a cluster, and you watch.

mod screen;
mod summary;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cuo_lab::bench::{Bench, OperatorImage, SiteSpec, Workloads};
use cuo_lab::cluster::controlplane::assets;
use cuo_lab::image::{self, Build, Program};
use cuo_lab::machine::{HostSpec, OriginKind};
use cuo_lab::process::cargo;

use crate::{root, setup};
use screen::Screen;
use summary::{Rollout, Summary};

/// What the hosts run at first, and what is published.
const BEFORE: &str = "42.20260101.3.0";
const AFTER: &str = "42.20260201.3.0";
/// Much longer than an update of all nodes takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Watch two updates go through a cluster of five nodes on this machine: a real control plane, the real programs, and hosts that reboot.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How the summary is printed; what happens before it goes to standard error.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Runs the demo, to its end or until it is interrupted.
///
/// # Errors
/// What could not be set up, or what went wrong in the cluster.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let summary = tokio::select! {
        done = all() => done?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("wait for Ctrl-C")?;
            bail!("interrupted; everything that was started has been ended");
        }
    };
    match arguments.output {
        Output::Text => print!("{summary}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&summary)?),
    }
    summary.judge()
}

fn tell(what: &str) {
    eprintln!("==> {what}");
}

async fn all() -> Result<Summary> {
    setup::ensure_go()?;
    setup::ensure_programs(setup::LAB)?;
    tell("building the agent, the operator and the doubles of rpm-ostreed and logind");
    build().await?;
    tell("building the operator's image");
    let tree = image::rootfs(Program::Operator, Build::Debug).await?;
    tell("looking for a control plane");
    assets::ensure(|line| eprintln!("    {line}")).await?;
    // Short, because the paths of sockets may not be long.
    let folder = tempfile::Builder::new().prefix("cuo").tempdir_in("/tmp")?;
    match rollouts(folder.path(), &tree).await {
        Ok(summary) => Ok(summary),
        Err(error) => {
            let kept = folder.keep();
            Err(error.context(format!("the logs are in {}", kept.display())))
        }
    }
}

async fn build() -> Result<()> {
    let status = cargo()
        .args(["build", "--locked", "--workspace", "--bins"])
        .current_dir(root())
        .status()
        .await
        .context("run cargo")?;
    ensure!(status.success(), "the build failed: {status}");
    Ok(())
}

fn nodes() -> Vec<SiteSpec> {
    let layered = HostSpec {
        layered: vec!["htop".into()],
        ..HostSpec::ostree(BEFORE)
    };
    vec![
        SiteSpec {
            name: "control-1".into(),
            control_plane: true,
            host: HostSpec::container(BEFORE),
        },
        SiteSpec::worker("worker-1", HostSpec::ostree(BEFORE)),
        SiteSpec::worker("worker-2", HostSpec::ostree(BEFORE)),
        SiteSpec::worker("worker-3", layered),
        SiteSpec::worker("worker-4", HostSpec::container(BEFORE)),
    ]
}

async fn rollouts(folder: &Path, tree: &Path) -> Result<Summary> {
    tell(
        "starting etcd, the API server, its controllers and five hosts; applying deploy/operator.yaml",
    );
    let specs = nodes();
    let bench = Bench::start(folder, specs.clone()).await?;
    let image = OperatorImage::unpack(&bench.plane, folder, tree).await?;
    for site in bench.sites() {
        image.run_on(&site.kubelet);
    }
    // The first pod may have begun before the kubelets knew how to run it.
    let again = [
        "--namespace",
        cuo_lab::bench::NAMESPACE,
        "delete",
        "pods",
        "--all",
        "--now",
    ];
    bench.plane.kubectl(&again).await?;
    tell("starting applications with disruption budgets");
    let work = Workloads::start(&bench).await?;
    tell("starting cuo-agent on each host");
    bench.start_agents().await?;
    bench.settled(BEFORE, PATIENCE).await?;
    bench.recorder.reset();

    let mut screen = Screen::start(&specs);
    let mut rollouts = Vec::new();
    for (kind, name) in [
        (OriginKind::Ostree, "ostree update"),
        (OriginKind::Container, "container-image update"),
    ] {
        let chosen: Vec<_> = specs
            .iter()
            .filter(|spec| spec.host.origin == kind)
            .collect();
        screen.say(&format!(
            "{name}: {AFTER} is published for {} nodes",
            chosen.len()
        ));
        let begin = Instant::now();
        for spec in &chosen {
            bench.site(&spec.name)?.publish(AFTER).await?;
        }
        let names: Vec<_> = chosen.iter().map(|spec| spec.name.as_str()).collect();
        let settled = bench.settled_on(&names, AFTER, PATIENCE);
        let watched = async {
            tokio::select! {
                settled = settled => settled,
                never = screen.follow(&bench, &work) => match never {},
            }
        };
        watched
            .await
            .with_context(|| format!("{name}: the nodes did not all get there"))?;
        screen.draw(&bench, &work);
        rollouts.push(Rollout::new(name, chosen.len(), begin.elapsed()));
    }
    screen.end();
    bench.judge(1)?;
    Ok(Summary::new(rollouts, &bench, &work))
}
