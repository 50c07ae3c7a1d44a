//! The rpm-ostreed double of one host: a process of its own, activated by the host's private bus.
//!
//! It behaves as rpm-ostree 2026.2 was seen to behave, with both kinds of origin: deployment dictionaries, the cached update and its
//! quirks, transactions over a socket of their own, error texts. On hosts that have a polkit it is asked before anything is done. The
//! ObjectManager interface and the experimental interface are left out.
//!
//! Its world is in files that tests change: [`Sysroot`], [`Remote`], [`Faults`], all through [`NodeRoot`]. What reached it is in
//! `lab/calls.jsonl` ([`CallRecord`]).

mod actions;
mod arrival;
mod bus;
mod daemon;
mod dict;
mod failure;
mod faults;
mod fetch;
mod files;
mod gvariant;
mod origin;
mod peer;
mod policy;
mod polkit;
mod power;
mod release;
mod serve;
mod state;
mod target;
mod task;
pub mod texts;
mod transaction;
mod update;
mod view;
mod work;

pub use arrival::CallRecord;
pub use failure::Failure;
pub use faults::{Effect, Fault, Faults, Pace, Policy, Stage};
pub use files::{LabFile, NodeRoot};
pub use origin::{FCOS_REPOSITORY, Origin};
pub(crate) use power::bring;
pub use power::{boot, shut_down};
pub use release::{Layers, Release, Remote, Trouble};
pub use serve::{NAME, run};
pub use state::{CachedUpdate, Deployed, Sysroot};
