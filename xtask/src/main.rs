//! CUO's build and test tasks.

fn main() {}
