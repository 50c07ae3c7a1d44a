//! CUO's test bench.
//!
//! It has two halves that know nothing of each other:
//!
//! - [`cluster`]: a real control plane ([`cluster::controlplane`]), hollow kubelets and pods ([`cluster::kubelet`]), and what stands between a
//!   program and the API server.
//! - [`machine`]: hosts whose `rpm-ostreed`, `logind` and `systemd` are doubles of observed behaviour, on a private system bus. What
//!   leads them from release to release is beside it ([`graph`]).
//!
//! Both meet in the modules beside them: whole clusters for level 2 of the tests ([`bench`], [`herd`]), and level 3, hosts whose systemd, buses,
//! polkit, logind and journal are the real ones ([`host`]). Everything is a child of the process that uses it and dies with it ([`process`]).
//!
//! The lab fails loudly: it is a test, so a panic with a clear message is its way to say that the bench itself is broken.

pub mod bench;
mod cache;
pub mod cluster;
pub mod conformance;
pub mod debian;
pub mod graph;
pub mod herd;
pub mod host;
pub mod image;
pub mod journal;
pub mod machine;
pub mod previous;
pub mod process;
pub mod record;
pub mod rpm;
pub mod tool;
pub mod wait;

#[cfg(test)]
mod tests;
