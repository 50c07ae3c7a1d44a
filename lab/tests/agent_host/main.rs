//! The agent's host side against the doubles of rpm-ostree and logind, on a private bus.

// Marked as tests, because their functions that are none may fail loudly too.
#[cfg(test)]
mod around;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod finalize;
#[cfg(test)]
mod holds;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod logind;
#[cfg(test)]
mod looks;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod period;
mod phases;
#[cfg(test)]
mod service;
#[cfg(test)]
mod signals;
#[cfg(test)]
mod silent;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod status;
#[cfg(test)]
mod troubles;
#[cfg(test)]
mod verdicts;
