//! CUO's only user of the Kubernetes client.
