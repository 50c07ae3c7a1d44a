//! The host side of CUO: stages updates with rpm-ostree and reboots on a grant.

fn main() {}
