//! The cluster side of CUO: chooses which node reboots when.

fn main() {}
