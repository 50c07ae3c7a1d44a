//! The host side of CUO as a library: what `cuo-agent` does with the host it runs on.

pub mod bus;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod facts;
pub mod feed;
pub mod files;
pub mod fragments;
pub mod gvariant;
pub mod hostwatch;
pub mod logind;
pub mod notify;
pub mod rpmostree;
pub mod run;
pub mod store;
pub mod survey;
pub mod systemd;
