//! `cuo-agent doctor` on a host, with doubles of systemd and polkit beside those of rpm-ostree and logind.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use cuo_agent::doctor::ACTIONS;
use cuo_core::reason::Code;
use cuo_lab::machine::binary;
use cuo_lab::machine::logind::{Inhibitors, Lock};
use cuo_lab::machine::ostree::Release;
use cuo_lab::wait::until;
use serde_json::{Value, json};
use zbus::{Connection, OwnedObjectPath, OwnedVariant, interface};

use crate::bench::{Bench, OLD, PATIENCE, branch};

/// systemd as far as it lists units: load, active and unit file state by name; of others there is no file.
struct Systemd(BTreeMap<&'static str, [&'static str; 3]>);

type Listed = (
    String,
    String,
    String,
    String,
    String,
    String,
    OwnedObjectPath,
    u32,
    String,
    OwnedObjectPath,
);

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Systemd {
    fn list_units_by_names(&self, names: Vec<String>) -> Vec<Listed> {
        let unit = |name: String| {
            let known = self.0.get(&*name);
            let [load, active, _] = *known.unwrap_or(&["not-found", "inactive", ""]);
            let path = OwnedObjectPath::try_from("/unit").unwrap();
            let job = OwnedObjectPath::try_from("/").unwrap();
            let text = str::to_owned;
            let (description, sub) = (text("a unit"), text("sub"));
            let (follows, kind) = (String::new(), String::new());
            (
                name,
                description,
                text(load),
                text(active),
                sub,
                follows,
                path,
                0,
                kind,
                job,
            )
        };
        names.into_iter().map(unit).collect()
    }

    fn load_unit(&self, name: String) -> OwnedObjectPath {
        assert_eq!(name, "cuo-agent.service");
        OwnedObjectPath::try_from(AGENT).unwrap()
    }

    fn get_unit_file_state(&self, name: String) -> zbus::fdo::Result<String> {
        let known = self.0.get(&*name).map(|[.., state]| (*state).to_owned());
        known.ok_or_else(|| zbus::fdo::Error::FileNotFound(name))
    }
}

/// The agent's unit: its load state, and the units that want and that require it.
struct Unit(&'static str, [&'static [&'static str]; 2]);

const AGENT: &str = "/org/freedesktop/systemd1/unit/cuo_2dagent_2eservice";
/// As `systemctl enable` leaves it.
const ENABLED: Unit = Unit("loaded", [&["multi-user.target"], &[]]);

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn load_state(&self) -> String {
        self.0.to_owned()
    }

    #[zbus(property)]
    fn wanted_by(&self) -> Vec<String> {
        owned(self.1[0])
    }

    #[zbus(property)]
    fn required_by(&self) -> Vec<String> {
        owned(self.1[1])
    }
}

/// polkit, which refuses some actions, and everything for processes that it does not know.
struct Polkit {
    refused: Vec<&'static str>,
    process: (u32, u64, i32),
}

#[interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Polkit {
    fn check_authorization(
        &self,
        subject: (String, HashMap<String, OwnedVariant>),
        action: String,
        details: HashMap<String, String>,
        flags: u32,
        cancellation: String,
    ) -> ((bool, bool, HashMap<String, String>),) {
        assert_eq!((details.len(), flags, &*cancellation), (0, 0, ""));
        let (kind, about) = subject;
        let number = |key: &str| about[key].try_clone().unwrap();
        let process = (
            u32::try_from(number("pid")).unwrap(),
            u64::try_from(number("start-time")).unwrap(),
            i32::try_from(number("uid")).unwrap(),
        );
        let known = kind == "unix-process" && process == self.process;
        let allowed = known && !self.refused.contains(&&*action);
        ((allowed, false, HashMap::new()),)
    }
}

/// A host whose boot is complete and that nobody else updates.
fn quiet() -> BTreeMap<&'static str, [&'static str; 3]> {
    BTreeMap::from([
        ("boot-complete.target", ["loaded", "active", "static"]),
        ("zincati.service", ["loaded", "inactive", "disabled"]),
    ])
}

/// Puts the doubles on the host's bus; they leave with the connection.
async fn with(bench: &Bench, units: Systemd, refused: &[&'static str]) -> Connection {
    let pid = bench.machine.agent_pid().unwrap_or_default();
    // The name of the program, in parentheses, has no space: the start time is number 22.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let start = stat.split(' ').nth(21).unwrap_or("0").parse().unwrap();
    let uid = rustix::process::geteuid().as_raw().cast_signed();
    let polkit = Polkit {
        refused: refused.to_vec(),
        process: (pid, start, uid),
    };
    let bus = bench.machine.connect().await.unwrap();
    let objects = bus.object_server();
    objects
        .at("/org/freedesktop/systemd1", units)
        .await
        .unwrap();
    objects.at(AGENT, ENABLED).await.unwrap();
    let authority = "/org/freedesktop/PolicyKit1/Authority";
    objects.at(authority, polkit).await.unwrap();
    for name in ["org.freedesktop.systemd1", "org.freedesktop.PolicyKit1"] {
        bus.request_name(name).await.unwrap();
    }
    bus
}

/// Exit code, and verdict, finding and remedy by the name of the check; without those of the cluster, which this host has none of.
async fn doctor(bench: &Bench) -> (i32, BTreeMap<String, Value>) {
    let (code, stdout, stderr) = bench.command(&["doctor", "--output", "json"]).await;
    assert_eq!(stderr, "", "{stdout}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let mut checks = BTreeMap::new();
    for check in report["checks"].as_array().unwrap() {
        let name = check["name"].as_str().unwrap().to_owned();
        let rest = json!([check["verdict"], check["found"], check["remedy"]]);
        assert_eq!(checks.insert(name, rest), None);
    }
    assert_eq!(report, {
        let all = report["checks"].clone();
        json!({"ok": false, "checks": all})
    });
    let kubeconfig = checks.remove("kubeconfig").unwrap();
    assert_eq!(kubeconfig[0], "failed", "{kubeconfig}");
    for name in ["API server", "identity", "Node", "rights", "clock"] {
        let found = "not checked, because it needs a kubeconfig";
        let expected = json!(["warning", found, "See above."]);
        assert_eq!(checks.remove(name).unwrap(), expected);
    }
    (code, checks)
}

fn ok(found: &str) -> Value {
    json!(["ok", found, null])
}

/// A sound host, with an agent of this process id in this phase.
fn sound(pid: u32, phase: &str) -> BTreeMap<String, Value> {
    let short = &Release::new(OLD).commit()[..12];
    let found = [
        ("configuration", "can be read".to_owned()),
        ("state", "can be read".to_owned()),
        ("agent", format!("runs as process {pid}, {phase}")),
        ("system bus", "can be reached".to_owned()),
        ("rpm-ostree", format!("booted {OLD} ({short})")),
        (
            "origin",
            "follows fedora:fedora/stable/x86_64/iot".to_owned(),
        ),
        (
            "releases",
            "come from the head of what the host follows, since nothing else is set and it is not Fedora CoreOS".to_owned(),
        ),
        ("logind", "nothing blocks a shutdown".to_owned()),
        ("polkit", "allows what the agent does".to_owned()),
        ("other drivers", "none".to_owned()),
        ("boot", "complete".to_owned()),
        ("next boot", "starts the agent".to_owned()),
    ];
    let all = found.into_iter();
    all.map(|(name, found)| (name.to_owned(), ok(&found)))
        .collect()
}

/// Starts an agent and waits until it has found that there is nothing new.
async fn with_agent() -> (Bench, u32) {
    let mut bench = Bench::new(branch()).await;
    bench.publish(OLD);
    let program = binary("cuo-agent").unwrap();
    bench.machine.spawn_agent(&program, &[]).unwrap();
    bench.wait_calls("Upgrade", 1).await;
    let path = bench.machine.root().join("run/cuo-agent/agent/status.json");
    let look = async || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        Ok(text.contains("\"last\": \"").then_some(()))
    };
    until("the end of the check", PATIENCE, look).await.unwrap();
    let pid = bench.machine.agent_pid().unwrap();
    (bench, pid)
}

#[tokio::test]
async fn a_sound_host_is_all_right() {
    let (bench, pid) = with_agent().await;
    let _doubles = with(&bench, Systemd(quiet()), &[]).await;
    // One thing failed: there is no cluster.
    assert_eq!(doctor(&bench).await, (1, sound(pid, "idle")));

    let (code, lines, _) = bench.command(&["doctor"]).await;
    let start = "ok      configuration  can be read\nok      state          can be read\n";
    assert!(code == 1 && lines.starts_with(start), "{lines}");
    let end = "warning clock          not checked, because it needs a kubeconfig\n                       What to do: See above.\n";
    assert!(lines.ends_with(end), "{lines}");
}

#[tokio::test]
async fn what_is_wrong_with_a_host_is_told_with_what_to_do() {
    let (bench, pid) = with_agent().await;
    let file = bench
        .machine
        .root()
        .join("etc/cuo-agent/config.d/50-wrong.toml");
    fs::write(&file, "\nholt = true\n").unwrap();
    bench.set_sysroot(|sysroot| {
        let refspec = "fedora".to_owned();
        sysroot.deployments[0].origin = cuo_lab::machine::ostree::Origin::Ostree { refspec };
    });
    bench
        .machine
        .root()
        .edit(|logind: &mut Inhibitors| {
            logind.locks = vec![Lock::on_shutdown("backup", "not yet", "block")];
        })
        .unwrap();
    let mut units = quiet();
    units.insert("zincati.service", ["loaded", "active", "enabled"]);
    units.insert(
        "rpm-ostreed-automatic.timer",
        ["loaded", "inactive", "enabled"],
    );
    units.insert("boot-complete.target", ["loaded", "inactive", "static"]);
    // Where one is at work, those to come are not worth a word.
    let refused = [ACTIONS[3], ACTIONS[6]];
    let _doubles = with(&bench, Systemd(units), &refused).await;
    let mut expected = sound(pid, "idle");
    let wrong = [
        (
            "configuration",
            json!([
                "failed",
                format!(
                    "{}:2: unknown field `holt`, expected one of `hold`, `mode`, `node_name`, `kubeconfig`, `check`, `retry`, `drain`, `reboot`, `health`, `drivers`, `release`, `graph`, `metrics`",
                    file.display()
                ),
                "Correct the files; `cuo-agent config show` points at the places. Then `systemctl reload cuo-agent`."
            ]),
        ),
        (
            "origin",
            json!([
                "warning",
                "fedora names no branch and no tag",
                "Without one there may never be an update; `rpm-ostree rebase` to a branch or to an image's tag."
            ]),
        ),
        (
            "logind",
            json!([
                "warning",
                "backup blocks shutdowns: not yet",
                "Wait for it, or end it; `systemd-inhibit --list` shows all."
            ]),
        ),
        (
            "polkit",
            json!([
                "failed",
                "does not allow the agent's user org.projectatomic.rpmostree1.finalize-deployment, org.freedesktop.login1.reboot",
                "Check for a rule in /etc/polkit-1/rules.d that comes before the package's, and see `journalctl -u polkit`. After `rpm-ostree install --apply-live`, `systemctl restart polkit`."
            ]),
        ),
        (
            "other drivers",
            json!([
                "failed",
                "zincati.service runs on the host; `systemctl disable --now zincati.service` stops it",
                Code::OtherDriver.remedy()
            ]),
        ),
        (
            "boot",
            json!([
                "warning",
                "boot-complete.target is inactive; until then the agent neither stages an update nor confirms one as healthy",
                Code::BootIncomplete.remedy()
            ]),
        ),
    ];
    expected.extend(wrong.map(|(name, check)| (name.to_owned(), check)));
    assert_eq!(doctor(&bench).await, (1, expected));
}

/// As the agent judges it: what is switched off by its configuration is none, and whoever is registered is one.
#[tokio::test]
async fn who_else_updates_the_host_is_judged_as_by_the_agent() {
    const ZINCATI: (&str, &str) = (
        "etc/zincati/config.d/90-off.toml",
        "[updates]\nenabled = false\n",
    );
    const ON: [&str; 3] = ["loaded", "active", "enabled"];
    let policy = |policy: &str| {
        let text = format!("[Daemon]\nAutomaticUpdatePolicy={policy}\n");
        ("etc/rpm-ostreed.conf", text)
    };
    let zincati = || (ZINCATI.0, ZINCATI.1.to_owned());
    let automatic = "rpm-ostreed-automatic.timer";
    for (unit, file, verdict) in [
        ("zincati.service", None, "failed"),
        ("zincati.service", Some(zincati()), "ok"),
        (automatic, None, "ok"),
        (automatic, Some(policy("check")), "ok"),
        (automatic, Some(policy("apply")), "failed"),
        ("other.service", None, "failed"),
    ] {
        let bench = Bench::new(branch()).await;
        if let Some((path, text)) = &file {
            bench.machine.root().write(path, text).unwrap();
        }
        if unit == "other.service" {
            bench.set_faults(|faults| faults.caller_unit = Some(unit.into()));
            let name = zbus::Variant::from("Other");
            let options = BTreeMap::from([("register-driver", name)]);
            let other = bench.foreign("Deploy", &("", &options)).await;
            drop(other.finish().await);
        }
        let mut units = quiet();
        units.insert(unit, ON);
        let _doubles = with(&bench, Systemd(units), &[]).await;
        let (_, checks) = doctor(&bench).await;
        let found = &checks["other drivers"];
        assert_eq!(found[0], verdict, "{unit} {file:?}: {found}");
    }
}

#[tokio::test]
async fn drivers_that_come_with_the_next_boot_are_a_warning() {
    let (bench, pid) = with_agent().await;
    let mut units = quiet();
    units.insert(
        "bootc-fetch-apply-updates.timer",
        ["loaded", "inactive", "enabled"],
    );
    let _doubles = with(&bench, Systemd(units), &[]).await;
    let mut expected = sound(pid, "idle");
    expected.insert(
        "other drivers".to_owned(),
        json!([
            "warning",
            "bootc-fetch-apply-updates.timer comes with the next boot",
            "`systemctl disable --now bootc-fetch-apply-updates.timer`"
        ]),
    );
    assert_eq!(doctor(&bench).await, (1, expected));
}

/// Not as `systemctl is-enabled` judges it: a link below /usr counts, too.
#[tokio::test]
async fn an_agent_that_no_boot_starts_is_a_warning() {
    let bench = Bench::new(branch()).await;
    let doubles = with(&bench, Systemd(quiet()), &[]).await;
    let warning = |found: &str, remedy: &str| json!(["warning", found, remedy]);
    let enable = "`systemctl enable cuo-agent`.";
    let see = "See `systemctl status cuo-agent`.";
    let unwanted = "does not start the agent: no unit wants cuo-agent.service";
    for (unit, expected) in [
        (ENABLED, ok("starts the agent")),
        (
            Unit("loaded", [&[], &["node.target"]]),
            ok("starts the agent"),
        ),
        (Unit("loaded", [&[], &[]]), warning(unwanted, enable)),
        (
            Unit("masked", [&[], &[]]),
            warning("cuo-agent.service is masked", see),
        ),
    ] {
        let objects = doubles.object_server();
        objects.remove::<Unit, _>(AGENT).await.unwrap();
        objects.at(AGENT, unit).await.unwrap();
        let (_, checks) = doctor(&bench).await;
        assert_eq!(checks["next boot"], expected);
    }
}

#[tokio::test]
async fn without_a_bus_or_an_agent_the_rest_is_not_looked_at() {
    let bench = Bench::down(branch());
    let (code, checks) = doctor(&bench).await;
    assert_eq!(code, 1);
    assert_eq!(checks["system bus"][0], "failed");
    let agent =
        "`systemctl enable --now cuo-agent`; `systemctl status cuo-agent` says why it ended.";
    assert_eq!(checks["agent"], json!(["failed", "does not run", agent]));
    let found = "not checked, because it needs the system bus";
    for name in [
        "rpm-ostree",
        "origin",
        "releases",
        "logind",
        "polkit",
        "other drivers",
        "boot",
        "next boot",
    ] {
        assert_eq!(checks[name], json!(["warning", found, "See above."]));
    }
}
