//! The parts of `cargo xtask test`: what each runs, when, and how much of the machine it takes.

/// When a part runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// Unless `--quick` is given.
    Full,
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
    /// How much of one core it keeps busy on average, in percent, seen on two cores.
    pub load: u32,
    /// What it runs.
    pub task: Task,
}

/// The part that not every machine can run.
pub const HOSTS: &str = "hosts";
/// The part that not every clone can run.
pub const VERSIONS: &str = "versions";
/// The part that needs `cargo deny`.
pub const DENY: &str = "licences and sources";

/// These run first, one after the other: compilers keep every core busy and lock the target folder.
pub const FIRST: &[Part] = &[
    part(
        "format",
        When::Always,
        100,
        Task::Cargo(&["fmt", "--all", "--check"]),
    ),
    part(
        "lints",
        When::Always,
        200,
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
        200,
        Task::Cargo(&["build", "--workspace", "--all-targets", "--locked"]),
    ),
];

/// These run side by side, as many as the machine bears. Those that take longest come first, or everybody would wait for them in the end.
pub const PARTS: &[Part] = &[
    part(
        HOSTS,
        When::Full,
        60,
        // Most of them wait; measurements are printed.
        Task::Tests("hosts", &["--test-threads=4", "--nocapture"]),
    ),
    part(
        "end to end",
        When::Full,
        120,
        Task::Tests("e2e", &["--test-threads=4"]),
    ),
    part("operator", When::Full, 60, Task::Tests("process", &[])),
    part("image", When::Full, 180, Task::Xtask(&["image"])),
    part(
        "model",
        When::Always,
        180,
        Task::Tests("explore", &["--nocapture"]),
    ),
    part(
        VERSIONS,
        When::Full,
        80,
        Task::Tests("versions", &["--test-threads=4"]),
    ),
    // The seed of the random histories is printed.
    part(
        "pools",
        When::Full,
        60,
        Task::Tests("pools", &["--nocapture"]),
    ),
    part(
        "agent and host",
        When::Always,
        60,
        Task::Tests("agent_host", &["--test-threads=8"]),
    ),
    // Measurements are printed.
    part(
        "refusing nodes",
        When::Full,
        60,
        Task::Tests("herd", &["--nocapture"]),
    ),
    part(
        "deployment",
        When::Full,
        80,
        Task::Tests("deploy", &["--test-threads=2"]),
    ),
    part(
        "Kubernetes client",
        When::Full,
        60,
        Task::Tests("cluster", &[]),
    ),
    part(
        "host doubles",
        When::Always,
        60,
        Task::Tests("doubles", &["--test-threads=8"]),
    ),
    part(
        "control plane",
        When::Full,
        60,
        Task::Tests("controlplane", &[]),
    ),
    part("demo", When::Full, 80, Task::Xtask(&["demo"])),
    part(
        "unit and property tests",
        When::Always,
        150,
        Task::Cargo(&["test", "--workspace", "--lib", "--bins", "--locked"]),
    ),
    part(
        "inputs by chance",
        When::Always,
        150,
        Task::Tests("inputs", &[]),
    ),
    part(
        "credentials",
        When::Always,
        100,
        Task::Tests("credentials", &[]),
    ),
    // A test says what it had to leave out.
    part(
        "packaging",
        When::Always,
        100,
        Task::Tests("packaging", &["--nocapture"]),
    ),
    part(
        "generated documentation",
        When::Always,
        100,
        Task::Xtask(&["codegen", "--check"]),
    ),
    part(
        DENY,
        When::Always,
        100,
        Task::Cargo(&["deny", "check", "bans", "licenses", "sources"]),
    ),
];

const fn part(name: &'static str, when: When, load: u32, task: Task) -> Part {
    Part {
        name,
        when,
        load,
        task,
    }
}
