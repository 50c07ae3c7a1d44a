//! The host side of CUO as a library: what `cuo-agent` does with the host it runs on.

pub mod answer;
pub mod bus;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod doctor;
pub mod facts;
pub mod feed;
pub mod files;
pub mod fragments;
pub mod graph;
pub mod gvariant;
pub mod hostwatch;
pub mod journal;
pub mod logind;
pub mod look;
pub mod metrics;
pub mod network;
pub mod notify;
pub mod ostree;
pub mod rpmostree;
pub mod run;
pub mod status;
pub mod steps;
pub mod store;
pub mod survey;
pub mod systemd;
#[cfg(test)]
mod testing;
