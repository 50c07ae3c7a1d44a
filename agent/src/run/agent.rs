//! The state of the loop between turns.

use cuo_cluster::ClientSource;
use cuo_core::agent::state::State;
use cuo_core::agent::{Asked, Questions, Settings, VolumesSeen};
use cuo_core::drain::EvictionTry;
use cuo_core::ids::BootId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::announce::Announcer;
use super::around::Around;
use super::clock::Clock;
use super::done::Done;
use super::host::HostSide;
use super::kubelet::KubeletSide;
use super::memory::Memory;
use super::narrate;
use super::pods::PodSide;
use super::textfile::Textfile;
use super::view::NodeSide;
use crate::answer::Answer;
use crate::config::Config;
use crate::logind::Logind;
use crate::metrics::Counts;
use crate::notify::Notify;
use crate::store::Store;

/// The state of the agent between turns.
pub struct Agent {
    pub store: Store,
    pub config: Config,
    pub settings: Settings,
    pub state: State,
    pub boot: BootId,
    pub source: ClientSource,
    pub host: HostSide,
    pub around: Around,
    pub kubelet: KubeletSide,
    pub node: NodeSide,
    pub pods: PodSide,
    pub logind: Logind,
    pub preflight: Option<Questions>,
    pub evictions: Vec<EvictionTry>,
    /// Calls about pods that are in flight.
    pub calls: JoinSet<()>,
    pub volumes: Option<VolumesSeen>,
    pub asked: Option<Asked>,
    pub done: mpsc::Sender<Done>,
    pub notify: Notify,
    pub shown: narrate::Shown,
    pub announcer: Announcer,
    pub answer: Option<Answer>,
    pub counts: Counts,
    pub textfile: Textfile,
    pub shutting_down: bool,
    pub memory: Memory,
    pub clock: Clock,
    /// Whether the Node does not show the static pods of the control plane yet.
    pub pods_unseen: bool,
}

/// What to do after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another turn at once, because something was done.
    Again,
    /// Wait until this time, or without end, unless something changes.
    Wait(Option<Instant>),
}
