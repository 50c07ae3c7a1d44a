//! Hundreds of nodes, of which many refuse what the operator writes: the others are updated in the time that they take alone.

mod refusal;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cuo_lab::bench::{MANIFEST, NAMESPACE};
use cuo_lab::cluster::controlplane::{ControlPlane, Options};
use cuo_lab::herd::{self, Herd};
use cuo_lab::process::{bound, spawn_logged};
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use refusal::{Kind, Refusal};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

const NODES: usize = 1000;
/// As many as are tried each time.
const SOME: usize = 400;
/// How many may go at once.
const SLOTS: usize = 50;
/// How much longer the others may take beside as many that refuse than alone.
const SLACK: f64 = 1.2;
/// What each node that refuses may cost the others: it is reserved a slot once, which it gives back. That took 12 to 38 ms on a machine that
/// did nothing else, and 66 on one that did; a pause of all writes costs a minute.
const PRICE: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_secs(600);
/// Most writes of the operator to one Node that refuses them, while the others are updated: the first pause after a failure is half a second,
/// and each is twice as long as the one before.
const TRIES: usize = 10;

/// Which nodes refuse, and how: those whose number has this remainder.
#[derive(Debug, Clone, Copy)]
struct Mix {
    divisor: usize,
    kinds: &'static [(Kind, usize)],
}

impl Mix {
    fn refuses(&self, number: usize) -> bool {
        self.kinds
            .iter()
            .any(|(_, rest)| number % self.divisor == *rest)
    }
}

/// Half of all, a quarter of them in each way.
const HALF: Mix = Mix {
    divisor: 8,
    kinds: &[
        (Kind::Forbidden, 1),
        (Kind::Invalid, 3),
        (Kind::Failed, 5),
        (Kind::Silent, 7),
    ],
};

#[tokio::test(flavor = "multi_thread")]
async fn half_of_the_nodes_refuse_in_four_ways() {
    let found = compare(SOME, &[HALF]).await.unwrap();
    assert!(found.iter().all(Took::is_cheap), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and a machine that does nothing else; fewer nodes are tried each time"]
async fn half_of_a_thousand_nodes_refuse_in_four_ways() {
    let found = compare(NODES, &[HALF]).await.unwrap();
    assert!(found.iter().all(Took::is_close), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a quarter of an hour; all four ways at once are tried each time"]
async fn half_of_the_nodes_refuse_in_one_way() {
    let mixes: [&[_]; 4] = [
        &[(Kind::Forbidden, 1)],
        &[(Kind::Invalid, 1)],
        &[(Kind::Failed, 1)],
        &[(Kind::Silent, 1)],
    ];
    let mixes = mixes.map(|kinds| Mix { divisor: 2, kinds });
    let found = compare(NODES, &mixes).await.unwrap();
    assert!(found.iter().all(Took::is_close), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; half of the nodes are tried each time"]
async fn one_in_five_or_four_in_five_nodes_refuse() {
    let kinds = &[
        (Kind::Forbidden, 1),
        (Kind::Invalid, 2),
        (Kind::Failed, 3),
        (Kind::Silent, 4),
    ];
    for divisor in [5, 20] {
        let found = compare(NODES, &[Mix { divisor, kinds }]).await.unwrap();
        assert!(found.iter().all(Took::is_cheap), "{found:#?}");
    }
}

/// How long the others took.
#[derive(Debug)]
struct Took {
    alone: Duration,
    beside: Duration,
    /// How many refused.
    refusing: usize,
}

impl Took {
    fn is_close(&self) -> bool {
        self.beside <= self.alone.mul_f64(SLACK)
    }

    fn is_cheap(&self) -> bool {
        let refusing = u32::try_from(self.refusing).unwrap_or(u32::MAX);
        self.beside <= self.alone + PRICE * refusing
    }
}

/// The nodes that refuse nothing go alone, and then beside those that do, once for each of `mixes`, which have the same nodes refuse.
async fn compare(count: usize, mixes: &[Mix]) -> Result<Vec<Took>> {
    let folder = tempfile::tempdir()?;
    let mut site = Site::start(folder.path(), count).await?;
    let first = mixes.first().context("nobody refuses")?;
    let (refusing, others): (Vec<_>, Vec<_>) =
        (0..count).partition(|number| first.refuses(*number));
    let alone = site.update(&others, &[]).await?;
    let mut all = Vec::new();
    for mix in mixes {
        let beside = site.beside(&others, &refusing, *mix).await?;
        let refusing = refusing.len();
        println!(
            "{mix:?}: {} nodes took {alone:.1?} alone, and {beside:.1?} beside {refusing} that refuse",
            others.len(),
        );
        all.push(Took {
            alone,
            beside,
            refusing,
        });
    }
    Ok(all)
}

struct Site {
    plane: ControlPlane,
    herd: Herd,
    operator: Child,
    /// The API as the operator has it.
    as_operator: Api<Node>,
    folder: std::path::PathBuf,
}

impl Site {
    async fn start(folder: &Path, count: usize) -> Result<Self> {
        let hour = Duration::from_secs(3600); // nobody sends heartbeats here
        let plane =
            ControlPlane::start(&folder.join("plane"), Options { node_grace: hour }).await?;
        plane.kubectl(&["apply", "--filename", MANIFEST]).await?;
        // The operator runs beside the cluster.
        let deployed = [
            "delete",
            "deployment",
            "cuo-operator",
            "--namespace",
            NAMESPACE,
        ];
        plane.kubectl(&deployed).await?;
        let file = folder.join("kubeconfig");
        plane
            .service_account_kubeconfig(NAMESPACE, "cuo-operator", &file)
            .await?;
        let pool = folder.join("pool.yaml");
        let text = format!(
            "{{apiVersion: cuo.coreos.com/v1alpha1, kind: UpdatePool, metadata: {{name: herd}}, \
             spec: {{paused: true, maxUnavailable: {SLOTS}}}}}"
        );
        std::fs::write(&pool, text)?;
        let pool = pool.to_str().context("the path is text")?;
        plane.kubectl(&["apply", "--filename", pool]).await?;
        Ok(Self {
            herd: Herd::start(&plane, count).await?,
            as_operator: Api::all(plane.client(&file).await?),
            operator: operator(folder)?,
            plane,
            folder: folder.to_owned(),
        })
    }

    /// As [`Site::update`], while the nodes with the numbers `refusing` want to go and refuse what is written to them; they want nothing any
    /// more after it, and the operator has forgotten what was in the way.
    async fn beside(&mut self, others: &[usize], refusing: &[usize], mix: Mix) -> Result<Duration> {
        let (_, offset) = self.plane.audit_since(0)?;
        let refusal = Refusal::start(&self.plane, &self.as_operator, mix).await?;
        let took = self.update(others, refusing).await?;
        self.tells(&refusal)?;
        self.refused(offset, refusing)?;
        self.pause(true).await?;
        refusal.end(&self.plane).await?;
        self.herd.want_all(refusing, false).await?;
        let pid = self.operator.id().context("the operator has ended")?;
        let pid = Pid::from_raw(pid.cast_signed()).context("no pid")?;
        kill_process(pid, Signal::TERM)?;
        self.operator.wait().await?;
        std::fs::remove_file(self.folder.join("operator.log"))?;
        self.operator = operator(&self.folder)?;
        Ok(took)
    }

    /// Updates the nodes with the numbers `others` to their next version, beside the ones `refusing` that want to go, too; returns how long
    /// that took.
    async fn update(&self, others: &[usize], refusing: &[usize]) -> Result<Duration> {
        self.pause(true).await?;
        let all = [others, refusing].concat();
        self.herd.want_all(&all, true).await?;
        until("all wishes to be seen", PATIENCE, async || {
            Ok((self.herd.busy(&all) == all.len()).then_some(()))
        })
        .await?;
        self.pause(false).await?;
        let start = Instant::now();
        let end = until("the others to be updated", PATIENCE, async || {
            let busy = self.herd.busy(others);
            ensure!(busy == 0, "{busy} are not\n{}", self.log()?);
            Ok(Some(Instant::now()))
        })
        .await?;
        Ok(end - start)
    }

    /// Lets the pool's nodes go, or not; nobody had a slot before.
    async fn pause(&self, paused: bool) -> Result<()> {
        let patch = format!("{{\"spec\": {{\"paused\": {paused}}}}}");
        let words = [
            "patch",
            "updatepool",
            "herd",
            "--type=merge",
            "--patch",
            &patch,
        ];
        self.plane.kubectl(&words).await.map(drop)
    }

    fn log(&self) -> Result<String> {
        std::fs::read_to_string(self.folder.join("operator.log")).context("the operator's log")
    }

    /// The operator's log names each that refused.
    fn tells(&self, refusal: &Refusal) -> Result<()> {
        let log = self.log()?;
        for words in refusal.words() {
            ensure!(log.contains(&words), "{words:?} is not in {log:.10000}");
        }
        Ok(())
    }

    /// No node that refuses was granted, and none was asked again and again.
    fn refused(&self, offset: u64, refusing: &[usize]) -> Result<()> {
        let names: Vec<_> = refusing.iter().map(|number| herd::name(*number)).collect();
        let granted = self.herd.holders();
        let granted: Vec<_> = granted.iter().filter(|name| names.contains(name)).collect();
        ensure!(granted.is_empty(), "{granted:?} were granted");
        let (entries, _) = self.plane.audit_since(offset)?;
        for name in &names {
            let tries = entries.iter().filter(|entry| {
                entry.name == *name && entry.user_agent.starts_with("cuo-operator/")
            });
            let tries = tries.count();
            ensure!(tries <= TRIES, "{tries} writes to {name}");
        }
        Ok(())
    }
}

fn operator(folder: &Path) -> Result<Child> {
    let mut command = bound(env!("CARGO_BIN_EXE_cuo-operator"));
    command
        .args(["--listen=127.0.0.1:0", "--log-format=text"])
        .arg(format!("--namespace={NAMESPACE}"))
        .arg(format!(
            "--kubeconfig={}",
            folder.join("kubeconfig").display()
        ))
        .env("NO_COLOR", "1");
    spawn_logged(&mut command, &folder.join("operator.log"))
}
