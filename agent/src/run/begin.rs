//! Starts the agent, and reloads on request.

use std::path::Path;

use anyhow::Result;
use cuo_cluster::{ClientSource, Credentials, Program};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, warn};

use super::agent::Agent;
use super::announce::Announcer;
use super::around::Around;
use super::clock::Clock;
use super::done::Done;
use super::host::HostSide;
use super::kubelet::KubeletSide;
use super::memory::{self, Memory};
use super::pods::PodSide;
use super::textfile::Textfile;
use super::view::NodeSide;
use crate::bus::Bus;
use crate::config::{Config, ConfigError};
use crate::credentials::configured;
use crate::facts;
use crate::journal::Event;
use crate::logind::Logind;
use crate::metrics::Counts;
use crate::notify::Notify;
use crate::rpmostree::{Client, Limits};
use crate::store::Store;

impl Agent {
    pub(super) async fn new(
        root: &Path,
        kubeconfig: Option<&Path>,
        done: mpsc::Sender<Done>,
    ) -> Result<Self> {
        let (config, errors) = Config::load(root);
        tell(&errors);
        let store = Store::new(root);
        if let Err(error) = store.write_pid() {
            warn!("`cuo-agent check` and `forget` will not find this process: {error:#}");
        }
        let boot = facts::boot_id(root)?;
        let (state, unusable) = memory::read(&store, &boot);
        let client = Client::new(Bus::system(), Limits::default());
        // After a granted reboot the kubelet may not have reported this boot yet.
        let attempt = state.attempt.as_ref();
        let granted = attempt.map(|attempt| attempt.grant.progress.boot);
        let boots = granted.into_iter().chain([boot]).collect();
        Ok(Self {
            memory: Memory::new(&store),
            settings: config.settings(&errors, unusable),
            boot,
            source: source(root, kubeconfig, &config).await,
            host: HostSide::new(root, client, &config.check, store.last_answer()),
            around: Around::new(root, Bus::system()),
            kubelet: KubeletSide::default(),
            node: NodeSide::new(boots, facts::machine_id(root)),
            pods: PodSide::default(),
            logind: Logind::new(Bus::system()),
            preflight: None,
            evictions: Vec::new(),
            calls: JoinSet::new(),
            volumes: None,
            asked: None,
            notify: Notify::default(),
            shown: None,
            announcer: Announcer::default(),
            answer: None,
            counts: Counts::default(),
            textfile: Textfile::start(done.clone()),
            shutting_down: false,
            clock: Clock::start(),
            pods_unseen: true,
            store,
            config,
            state,
            done,
        })
    }

    /// Reloads the configuration, starts a look for updates, and processes requests.
    pub(super) fn hangup(&mut self, root: &Path) {
        let (config, errors) = Config::load(root);
        tell(&errors);
        self.remember();
        self.settings = config.settings(&errors, self.settings.state_unusable.take());
        if config.node_name != self.config.node_name || config.kubeconfig != self.config.kubeconfig
        {
            warn!("node_name and kubeconfig are read at start only; restart cuo-agent.service");
        }
        self.config = config;
        self.around.outdated();
        self.host.check_asked();
        match self.store.take_forget() {
            Ok(None) => {}
            Ok(Some(what)) => self.forget(&what),
            Err(error) => warn!("the request to forget can't be taken: {error:#}"),
        }
    }
}

/// The client source, with `kubeconfig` in place of the configured one.
async fn source(root: &Path, kubeconfig: Option<&Path>, config: &Config) -> ClientSource {
    let credentials = match kubeconfig {
        Some(path) => Credentials::File {
            path: path.to_owned(),
            root: root.to_owned(),
        },
        None => configured(config, root),
    };
    let program = Program {
        name: "cuo-agent",
        version: env!("CARGO_PKG_VERSION"),
    };
    ClientSource::start(credentials, program).await
}

fn tell(errors: &[ConfigError]) {
    for error in errors {
        error!(
            message_id = Event::ConfigInvalid.id(),
            "{}",
            error.picture()
        );
    }
}
