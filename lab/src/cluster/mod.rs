//! The cluster's half of the lab: a real control plane, the kubelets of its nodes, and what stands between a program and the API server.
//!
//! It knows nothing of the hosts behind the nodes.

pub mod controlplane;
pub mod kubelet;
pub mod proxy;
mod tls;
pub mod webhook;
