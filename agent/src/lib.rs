//! The host side of CUO as a library: what `cuo-agent` does with the host it runs on.

pub mod bus;
pub mod facts;
pub mod files;
pub mod hostwatch;
pub mod logind;
pub mod rpmostree;
