//! How CUO's programs in the cluster answer the kubelet's probes and Prometheus.

pub mod health;
pub mod http;
