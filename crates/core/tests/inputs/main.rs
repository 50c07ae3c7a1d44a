//! What comes from outside as text, by chance: nothing ends the program, and what is understood is within bounds and stays the same when
//! it is written and read again. `PROPTEST_CASES` says how many of each, 256 unless it is set.

// Marked as tests, because their functions that are none may fail loudly too.
#[cfg(test)]
mod mutated;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod windows;
