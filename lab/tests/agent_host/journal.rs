//! What the agent writes to the journal: every field of every entry.

use std::collections::BTreeMap;

use cuo_agent::journal::Event;
use cuo_cluster::credentials::PLACES;
use cuo_lab::journal::{Entry, Journal, with_own_run};
use cuo_lab::machine::binary;
use cuo_lab::machine::ostree::{Release, Trouble, texts};
use cuo_lab::wait::until;
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{Bench, NEW, PATIENCE, branch};

/// The next event, without the places in the code that it came from.
async fn next(journal: &Journal) -> Entry {
    let look = async || {
        let entry = journal.next()?;
        Ok(entry.filter(|entry| entry.contains_key("MESSAGE_ID")))
    };
    let mut entry = until("an event in the journal", PATIENCE, look)
        .await
        .unwrap();
    for (name, fits) in [
        ("CODE_FILE", "agent/src/run/"),
        ("TARGET", "cuo_agent::run"),
    ] {
        let value = entry.remove(name).unwrap_or_default();
        assert!(value.starts_with(fits), "{name}={value} {entry:?}");
    }
    let line = entry.remove("CODE_LINE").unwrap();
    assert!(line.parse::<u32>().is_ok(), "{line}");
    entry
}

fn entry<const N: usize>(event: Event, message: &str, fields: [(&str, &str); N]) -> Entry {
    let fixed = [
        ("MESSAGE_ID", event.id()),
        ("MESSAGE", message),
        ("SYSLOG_IDENTIFIER", "cuo-agent"),
    ];
    let all = fixed.into_iter().chain(fields);
    all.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect::<BTreeMap<_, _>>()
}

#[tokio::test]
async fn each_event_is_told_once_with_its_fields() {
    let mut bench = Bench::new(branch()).await;
    let journal = Journal::listen(bench.machine.root().path()).unwrap();
    bench.set_remote(|remote| remote.trouble = Some(Trouble::Down));
    let program = binary("cuo-agent").unwrap();
    let program = with_own_run(bench.machine.root().path(), &program).unwrap();
    let env = [("CUO_LOG_FORMAT", "journal")];
    bench.machine.spawn_agent(&program, &env).unwrap();

    let boot = bench.machine.boot_id().unwrap().to_string();
    let version = env!("CARGO_PKG_VERSION");
    let fields = [
        ("CUO_BOOT", &*boot),
        ("CUO_AGENT_VERSION", version),
        ("PRIORITY", "6"),
    ];
    let text = format!("started, version {version}");
    assert_eq!(next(&journal).await, entry(Event::Started, &text, fields));

    let tried = PLACES.iter().map(|place| {
        let path = bench.machine.root().join(&place[1..]);
        format!("{} (not there)", path.display())
    });
    let tried: Vec<_> = tried.collect();
    let text = format!(
        "the Node can't be read or written for now: no kubeconfig on this host; tried {}; join the node to a cluster or name one with --kubeconfig",
        tried.join(", ")
    );
    let warning = [("PRIORITY", "4")];
    assert_eq!(next(&journal).await, entry(Event::Rejected, &text, warning));

    let origin = bench.sysroot().deployments.remove(0).origin;
    let new = Release::new(NEW);
    let text = format!(
        "no update could be staged; the next try is in 1m: Upgrade of rpm-ostreed failed: {}",
        texts::trouble(Trouble::Down, &origin, &new)
    );
    let failed = entry(Event::CheckFailed, &text, warning);
    assert_eq!(next(&journal).await, failed);

    bench.set_remote(|remote| remote.trouble = None);
    let pid = bench.machine.agent_pid().unwrap().cast_signed();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::HUP).unwrap();
    let identity = new.commit();
    let named = format!("{NEW} ({})", &identity[..12]);
    let staged = [
        ("CUO_IDENTITY", &*identity),
        ("CUO_VERSION", NEW),
        ("PRIORITY", "6"),
    ];
    let staged = entry(Event::Staged, &format!("staged {named}"), staged);
    let waits = [
        ("CUO_IDENTITY", &*identity),
        ("CUO_PHASE", "waiting"),
        ("PRIORITY", "6"),
    ];
    let text = format!("needs a reboot into {named} and waits for a grant");
    let waits = entry(Event::RebootNeeded, &text, waits);
    let both = [next(&journal).await, next(&journal).await];
    assert_eq!(both, [staged, waits]);
}

#[tokio::test]
async fn an_agent_that_shall_write_to_a_journal_that_is_not_there_says_so() {
    let mut bench = Bench::new(branch()).await;
    let program = binary("cuo-agent").unwrap();
    let program = with_own_run(bench.machine.root().path(), &program).unwrap();
    let env = [("CUO_LOG_FORMAT", "journal")];
    bench.machine.spawn_agent(&program, &env).unwrap();
    let ended = async || {
        let runs = bench.machine.agent_running();
        Ok((!runs).then_some(()))
    };
    until("the end of the agent", PATIENCE, ended)
        .await
        .unwrap();
    let expected = "cuo-agent: the journal does not listen at /run/systemd/journal/socket: No such file or directory (os error 2); see `systemctl status systemd-journald`, or choose another --log-format";
    let log = bench.machine.agent_log_end(1);
    assert!(log.starts_with(expected), "{log}");
}
