//! The agent's host side against the doubles of rpm-ostreed and logind, on a private bus.

mod bench;
mod failures;
mod finalize;
mod logind;
mod signals;
mod stage;
