//! CUO's decisions: pure, without clock, I/O or Kubernetes client.
