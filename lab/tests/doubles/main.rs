//! The doubles of rpm-ostreed and logind against what was observed of the real ones, and the machine around them.

// Tells clippy that helpers outside of test functions are tests as well, so they may unwrap.
#![cfg(test)]

mod client;
mod contract;
mod faults;
mod finalizer;
mod foreign;
mod images;
mod neighbours;
mod policies;
mod power;
mod revisions;
mod slot;
mod staging;
mod troubles;
mod updates;
