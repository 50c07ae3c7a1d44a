//! `cuo-agent credentials` on hosts as installers leave them: the copy names no file, is for its group only, and makes a client.

// Marked as tests, because their functions that are none may fail loudly too.
#[cfg(test)]
mod copies;
#[cfg(test)]
mod finds;
#[cfg(test)]
mod layouts;
