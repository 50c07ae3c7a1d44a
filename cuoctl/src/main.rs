//! `cuoctl`: see the library for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    cuo_cluster::process::run("cuoctl", cuoctl::run::program(std::env::args_os()))
}
