//! The cluster side of CUO as a library: the loop around [`cuo_core::plan::plan`] that `cuo-operator` runs.

pub mod config;
pub mod metrics;
pub mod narration;
pub mod pool_status;
pub mod run;
pub mod tell;
