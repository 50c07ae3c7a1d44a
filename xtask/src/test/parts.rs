//! The parts of `cargo xtask test`: what each runs, when, and what it does to the machine.

use Effort::{Computes, Waits};

/// When a part runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// Unless `--quick` is given.
    Full,
    /// With `--all` only; it takes about so many minutes on two cores.
    All(u32),
}

/// What a part does to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// It keeps every core busy. One such part runs at a time, with what the others leave of the processors.
    Computes,
    /// It mostly waits, and keeps so many percent of one core busy on average.
    Waits(u32),
}

/// What a part runs.
#[derive(Debug, Clone, Copy)]
pub enum Task {
    /// Cargo with these arguments.
    Cargo(&'static [&'static str]),
    /// The test target of this name, with these arguments for its harness.
    Tests(&'static str, &'static [&'static str]),
    /// Another task of this program.
    Xtask(&'static [&'static str]),
}

impl Task {
    /// The arguments of cargo.
    pub fn arguments(&self) -> Vec<&'static str> {
        // Always the whole workspace, so that everything is built with the same features, and once.
        const TEST: [&str; 4] = ["test", "--workspace", "--locked", "--test"];
        const RUN: [&str; 5] = ["run", "--quiet", "--package", "xtask", "--"];
        match *self {
            Self::Cargo(arguments) => arguments.to_vec(),
            Self::Tests(target, harness) => [&TEST[..], &[target], &["--"], harness].concat(),
            Self::Xtask(arguments) => [&RUN[..], arguments].concat(),
        }
    }
}

/// One part.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// What the summary calls it.
    pub name: &'static str,
    /// When it runs.
    pub when: When,
    /// What it does to the machine.
    pub effort: Effort,
    /// What it runs.
    pub task: Task,
}

const fn part(name: &'static str, when: When, effort: Effort, task: Task) -> Part {
    Part {
        name,
        when,
        effort,
        task,
    }
}

/// The part that not every machine can run.
pub const HOSTS: &str = "hosts";
/// The part that not every clone can run.
pub const VERSIONS: &str = "versions";

/// These run first, one after the other: they lock the target folder, and what comes after them needs what they build. Unit tests have short
/// deadlines, and whoever broke something mostly learns it from them.
pub const FIRST: &[Part] = &[
    part(
        "format",
        When::Always,
        Computes,
        Task::Cargo(&["fmt", "--all", "--check"]),
    ),
    part(
        "lints",
        When::Always,
        Computes,
        Task::Cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]),
    ),
    part(
        "build",
        When::Always,
        Computes,
        Task::Cargo(&["build", "--workspace", "--all-targets", "--locked"]),
    ),
    part(
        "unit and property tests",
        When::Always,
        Computes,
        Task::Cargo(&["test", "--workspace", "--lib", "--bins", "--locked"]),
    ),
    // What the package and the image are made of. Beside others it would take several times as long.
    part(
        "release programs",
        When::Full,
        Computes,
        Task::Cargo(&["build", "--locked", "--release", "--package", "cuo-agent"]),
    ),
    // On a new machine it builds the control plane, for which all others would wait.
    part(
        "control plane",
        When::Full,
        Computes,
        Task::Tests("controlplane", &["--test-threads=2"]),
    ),
];

/// These run side by side, in two lanes. Of those that compute, the quickest come first; of those that wait, the longest, or everybody would
/// wait for them in the end.
pub const PARTS: &[Part] = &[
    part(
        "generated documentation",
        When::Always,
        Computes,
        Task::Xtask(&["codegen", "--check"]),
    ),
    part(
        "inputs by chance",
        When::Always,
        Computes,
        Task::Tests("inputs", &[]),
    ),
    part(
        "credentials",
        When::Always,
        Computes,
        Task::Tests("credentials", &[]),
    ),
    // Whether each can still be planted.
    part(
        "list of planted faults",
        When::Always,
        Computes,
        Task::Tests("planted", &[]),
    ),
    part(
        "licences and sources",
        When::Full,
        Computes,
        Task::Xtask(&["deny"]),
    ),
    // A test says what it had to leave out.
    part(
        "packaging",
        When::Always,
        Computes,
        Task::Tests("packaging", &["--nocapture"]),
    ),
    part(
        "model",
        When::Always,
        Computes,
        Task::Tests("explore", &["--nocapture"]),
    ),
    part(
        "model in depth",
        When::All(15),
        Computes,
        Task::Tests("explore", &["--ignored", "--nocapture"]),
    ),
    part("image", When::Full, Computes, Task::Xtask(&["image"])),
    part(
        "planted faults",
        When::All(6),
        Computes,
        Task::Tests("planted", &["--ignored", "--nocapture"]),
    ),
    // Measurements are printed.
    part(
        HOSTS,
        When::Full,
        Waits(40),
        Task::Tests("hosts", &["--test-threads=4", "--nocapture"]),
    ),
    part(
        "end to end",
        When::Full,
        Waits(110),
        Task::Tests("e2e", &["--test-threads=6", "--skip", "quiet::"]),
    ),
    // It does nothing but wait for minutes, so it is not to be the last of the others.
    part(
        "idle cluster",
        When::Full,
        Waits(10),
        Task::Tests("e2e", &["quiet::"]),
    ),
    part(
        "forecast of thirty nodes",
        When::All(2),
        Waits(30),
        Task::Tests("e2e", &["--ignored"]),
    ),
    part(
        "operator",
        When::Full,
        Waits(30),
        Task::Tests("process", &[]),
    ),
    part(
        VERSIONS,
        When::Full,
        Waits(70),
        Task::Tests("versions", &["--test-threads=4"]),
    ),
    // The seed of the random histories is printed.
    part(
        "pools",
        When::Full,
        Waits(50),
        Task::Tests("pools", &["--nocapture"]),
    ),
    part(
        "agent and host",
        When::Always,
        Waits(65),
        Task::Tests("agent_host", &["--test-threads=6"]),
    ),
    // It compares times that it measures, so nothing else that waits runs beside it.
    part(
        "refusing nodes",
        When::Full,
        Waits(150),
        Task::Tests("herd", &["--nocapture"]),
    ),
    part(
        "deployment",
        When::Full,
        Waits(60),
        Task::Tests("deploy", &["--test-threads=2"]),
    ),
    part(
        "companion",
        When::Full,
        Waits(40),
        Task::Tests("companion", &[]),
    ),
    part("chart", When::All(4), Waits(40), Task::Tests("chart", &[])),
    part(
        "alerts",
        When::Full,
        Waits(60),
        Task::Tests("monitoring", &["--nocapture"]),
    ),
    part(
        "Kubernetes client",
        When::Full,
        Waits(30),
        Task::Tests("cluster", &[]),
    ),
    part(
        "host doubles",
        When::Always,
        Waits(65),
        Task::Tests("doubles", &["--test-threads=6"]),
    ),
    part("demo", When::Full, Waits(60), Task::Xtask(&["demo"])),
];
