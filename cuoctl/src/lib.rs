//! `cuoctl`, also known as `kubectl cuo`: shows what the updates of a cluster are at and why, and foresees what comes next.
//!
//! It reads what the operator reads, and asks the same planner, so it says what the operator would say. It writes only where a person told
//! it to, and with that person's rights.

pub mod approve;
pub mod blockers;
pub mod bundle;
pub mod cli;
pub mod cluster;
pub mod complete;
pub mod connect;
pub mod doctor;
pub mod durations;
pub mod events;
pub mod fetch;
pub mod follow;
pub mod forecast;
pub mod gate;
pub mod give_up;
pub mod history;
pub mod node;
pub mod pause;
pub mod plan;
pub mod pools;
pub mod print;
pub mod put;
pub mod read;
pub mod reboot;
pub mod release;
pub mod retry;
pub mod run;
pub mod span;
pub mod status;
pub mod table;
#[cfg(test)]
mod testing;
pub mod why;
