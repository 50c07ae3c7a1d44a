//! The doubles of rpm-ostreed and logind against what was observed of the real ones, and the machine around them.

mod client;
mod foreign;
