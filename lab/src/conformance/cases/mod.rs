//! All cases, by what they are about.

mod checks;
mod errors;
mod images;
mod power;
mod revisions;
mod shape;
mod slot;
mod staging;

use super::Case;

/// Every case, in the order in which they are run.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        shape::CASES,
        checks::CASES,
        staging::CASES,
        revisions::CASES,
        images::CASES,
        slot::CASES,
        errors::CASES,
        power::CASES,
    ]
    .into_iter()
    .flatten()
}
