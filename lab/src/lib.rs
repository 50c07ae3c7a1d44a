//! CUO's test bench.
//!
//! Level 2 of the tests runs here: a real control plane ([`controlplane`]), hollow kubelets and pods ([`kubelet`]), and hosts
//! ([`machine`]) whose `rpm-ostreed`, `logind` and `systemd` are doubles of observed behaviour ([`ostree`], [`logind`], [`systemd`]) on a
//! private system bus.
//! Level 3 has hosts whose systemd, buses, polkit, logind and journal are the real ones ([`host`]).
//! Everything is a child of the process that uses it and dies with it ([`process`]).
//!
//! The lab fails loudly: it is a test, so a panic with a clear message is its way to say that the bench itself is broken.

pub mod bench;
mod cache;
pub mod controlplane;
pub mod herd;
pub mod host;
pub mod image;
pub mod journal;
pub mod kubelet;
pub mod logind;
pub mod machine;
pub mod ostree;
pub mod previous;
pub mod process;
pub mod proxy;
pub mod record;
pub mod rpm;
pub mod systemd;
mod tls;
pub mod wait;
pub mod webhook;
