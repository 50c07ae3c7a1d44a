//! What the running agent says when a look for updates fails: reason and sentence, when it looks again, and that nothing is left taken.

use cuo_core::reason::{Code, Reason};
use cuo_lab::machine::HostSpec;
use cuo_lab::machine::ostree::{Effect, Layers, Origin, Release, Stage, Trouble, texts};
use cuo_lab::wait::until;
use serde_json::{Value, json};

use crate::bench::{Bench, NEW, OLD, PATIENCE, branch, image, layered};
use crate::period::says as heard;
use crate::service::{check, start};

/// When it is looked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// After the first pause of `[retry]`.
    Soon,
    /// After a period.
    Later,
}
use Again::{Later, Soon};

/// What is in the way, and what has to be said of it.
struct Row {
    cause: Cause,
    code: Code,
    sentence: String,
    again: Again,
    /// Nothing failed, by the words of rpm-ostree: there is no error to be reported.
    succeeds: bool,
}

enum Cause {
    Remote(Trouble),
    Layers(Layers),
    Upgrade(Stage, Effect),
}

fn row(cause: Cause, code: Code, sentence: String, again: Again) -> Row {
    Row {
        cause,
        code,
        sentence,
        again,
        succeeds: false,
    }
}

/// Ends with these words of rpm-ostree.
fn says(text: &str, code: Code, again: Again) -> Row {
    let cause = Cause::Upgrade(Stage::Deploy, Effect::Fail(text.to_owned()));
    let sentence = format!("Upgrade of rpm-ostreed failed: {text}");
    row(cause, code, sentence, again)
}

/// What happens to hosts of any kind.
fn common(origin: &Origin) -> Vec<Row> {
    let trouble = |trouble, code, again| {
        let text = texts::trouble(trouble, origin, &Release::new(NEW));
        let sentence = format!("Upgrade of rpm-ostreed failed: {text}");
        row(Cause::Remote(trouble), code, sentence, again)
    };
    let denied = texts::not_allowed("Upgrade");
    let refusal = Effect::Refuse {
        name: texts::ACCESS_DENIED.into(),
        text: denied.clone(),
    };
    let nothing = Row {
        succeeds: true,
        ..row(
            Cause::Upgrade(Stage::Deploy, Effect::Nothing),
            Code::NothingStaged,
            format!("rpm-ostree knows of version {NEW}, reports success and staged nothing"),
            Later,
        )
    };
    vec![
        row(
            Cause::Upgrade(Stage::Pull, Effect::Crash),
            Code::RpmOstreeDied,
            "rpm-ostreed went away during Upgrade (it closed the connection before the end); see `journalctl -u rpm-ostreed`".into(),
            Soon,
        ),
        trouble(Trouble::Down, Code::NetworkFailed, Soon),
        trouble(Trouble::Status(500), Code::NetworkFailed, Soon),
        trouble(Trouble::NoSuchBranch, Code::OriginUnusable, Later),
        trouble(Trouble::Unsigned, Code::SignatureRefused, Later),
        trouble(Trouble::Status(401), Code::SignatureRefused, Later),
        trouble(Trouble::Status(403), Code::SignatureRefused, Later),
        trouble(Trouble::DiskFull, Code::DiskFull, Soon),
        trouble(Trouble::DiskReserved, Code::DiskFull, Soon),
        says(
            "Writing content object: No space left on device",
            Code::DiskFull,
            Soon,
        ),
        row(
            Cause::Upgrade(Stage::Call, refusal),
            Code::RpmOstreeDenied,
            format!("rpm-ostreed does not allow Upgrade ({denied}); the polkit rule of the package grants it to the user cuo-agent"),
            Later,
        ),
        says("Something that nobody has seen yet", Code::StageFailed, Soon),
        nothing,
    ]
}

/// What only branches have.
fn of_branches() -> Vec<Row> {
    let (signature, origin) = (Code::SignatureRefused, Code::OriginUnusable);
    let pinned = "Pinned to commit; no upgrade available";
    vec![
        says(
            "Commit 1e39: Can't check signature: public key not found",
            signature,
            Later,
        ),
        says(
            "No detached metadata found for commit 1e39",
            signature,
            Later,
        ),
        says(
            "While checking against deployment timestamp: Upgrade target revision 'a' is older",
            Code::OlderVersion,
            Later,
        ),
        says(
            "origin unconfigured-state: register this host first",
            origin,
            Later,
        ),
        says(
            "Cannot look up version while pinned to commit",
            origin,
            Later,
        ),
        says("Remote \"fedora\" not found", origin, Later),
        Row {
            succeeds: true,
            ..row(
                Cause::Upgrade(Stage::Deploy, Effect::Say(pinned.to_owned())),
                origin,
                format!("there will be no update: rpm-ostree says {pinned:?}"),
                Later,
            )
        },
    ]
}

/// What only images have.
fn of_images() -> Vec<Row> {
    let open = "Preparing import: Fetching manifest: failed to invoke method OpenImage:";
    let image = |text: &str, code, again| says(&format!("{open} {text}"), code, again);
    vec![
        says(
            "Preparing import: Fetching manifest: containers-policy.json specifies a default of `insecureAcceptAnything`; refusing usage",
            Code::SignatureRefused,
            Later,
        ),
        image(
            "reading manifest stable in q.io/fcos: unauthorized: access to the requested resource is not authorized",
            Code::SignatureRefused,
            Later,
        ),
        image(
            "reading manifest stable in q.io/fcos: received unexpected HTTP status: 403 Forbidden",
            Code::SignatureRefused,
            Later,
        ),
        image(
            "reading manifest stable in q.io/fcos: toomanyrequests: you have reached your pull rate limit",
            Code::NetworkFailed,
            Soon,
        ),
    ]
}

/// What only hosts with layered packages have.
fn of_layers() -> Vec<Row> {
    let layers = |trouble, code, again| {
        let text = texts::layers(trouble, &["htop".to_owned()]);
        let with = match code {
            Code::LayeringConflict => ", with htop requested on this host",
            _ => "",
        };
        let sentence = format!("Upgrade of rpm-ostreed failed{with}: {text}");
        row(Cause::Layers(trouble), code, sentence, again)
    };
    let conflict = |text: &str| Row {
        sentence: format!(
            "Upgrade of rpm-ostreed failed, with htop requested on this host: {text}"
        ),
        ..says(text, Code::LayeringConflict, Later)
    };
    vec![
        conflict(
            "Could not depsolve transaction; 1 problem detected: Problem: conflicting requests",
        ),
        conflict("Some base packages would be replaced: htop-1-1.x86_64"),
        layers(Layers::NoPackages, Code::LayeringConflict, Later),
        layers(Layers::NoMetadata, Code::NetworkFailed, Soon),
        conflict("While applying overrides for pkg htop: Could not find package"),
    ]
}

/// The running agent with a period of five hours and nothing to be staged.
async fn agent(spec: HostSpec) -> (Bench, Origin) {
    let mut bench = Bench::new(spec).await;
    let config = "[check]\nperiod = \"5h\"\njitter = \"1s\"\n[retry]\nfirst = \"1m\"\n";
    let path = "etc/cuo-agent/config.d/50-test.toml";
    bench.machine.root().write(path, config).unwrap();
    // A connection that is kept holds the slot for longer than the test has patience.
    bench.set_faults(|faults| faults.pace.hold = 600_000);
    bench.publish(OLD);
    start(&mut bench, &[]);
    let origin = bench.sysroot().deployments.remove(0).origin;
    (bench, origin)
}

/// Nothing holds rpm-ostreed's one slot any more.
async fn slot_is_free(bench: &Bench, what: &str) {
    let client = bench.client();
    let free = async || {
        let busy = client.overview().await?.busy;
        Ok((!busy).then_some(()))
    };
    until(format!("the slot to be free after {what}"), PATIENCE, free)
        .await
        .unwrap();
}

/// Seconds from the last look to the next.
fn pause(check: &Value) -> i64 {
    let time = |key: &str| {
        let text = check[key].as_str().unwrap();
        text.parse::<jiff::Timestamp>().unwrap().as_second()
    };
    time("next") - time("last")
}

/// The one trouble happens, is reported, and is over.
async fn happens(bench: &Bench, row: &Row) {
    bench.publish(NEW);
    match &row.cause {
        Cause::Remote(trouble) => bench.set_remote(|remote| remote.trouble = Some(*trouble)),
        Cause::Layers(trouble) => bench.set_remote(|remote| remote.layers = Some(*trouble)),
        Cause::Upgrade(stage, effect) => bench.inject("Upgrade", *stage, effect.clone()),
    }
    check(bench).await;
    let start = Reason::new(row.code, &row.sentence).to_string();
    let reported = |answer: &Value| {
        let reason = answer["reason"].as_str().unwrap_or_default();
        reason.starts_with(&start) && pause(&answer["check"]) > 0
    };
    let found = heard(bench, &start, reported).await;
    let reason = found["reason"].as_str().unwrap();
    let rest = &reason[start.len()..];
    match row.code {
        // How much of what is asked for is there, is this machine's.
        Code::DiskFull => {
            let free = rest
                .strip_prefix("; ")
                .and_then(|rest| rest.strip_suffix(" MB were free below /ostree before"));
            assert!(
                free.is_some_and(|free| free.parse::<u64>().is_ok()),
                "{reason}"
            );
        }
        _ => assert_eq!(rest, "", "{reason}"),
    }
    let seconds = pause(&found["check"]);
    let expected = match row.again {
        Soon => 60..=60,
        Later => 5 * 3600..=5 * 3600 + 1,
    };
    assert!(expected.contains(&seconds), "{reason}: {seconds} s");
    let next = json!({"what": "look for an update", "at": found["check"]["next"]});
    let error = match row.succeeds {
        true => Value::Null,
        false => json!(reason.split_once(": ").unwrap().1),
    };
    let seen = ["phase", "grant", "result", "next"].map(|key| &found[key]);
    let nothing = &Value::Null;
    assert_eq!(seen, [&json!("idle"), nothing, nothing, &next], "{reason}");
    assert_eq!(found["check"]["error"], error, "{reason}");
    assert_eq!(bench.staged(), None, "{reason}");
    slot_is_free(bench, reason).await;

    // A look that finds nothing to do takes all of it back.
    bench.set_remote(|remote| (remote.trouble, remote.layers) = (None, None));
    bench.set_sysroot(|sysroot| sysroot.local_ref = None);
    bench.publish(OLD);
    check(bench).await;
    let well = |answer: &Value| answer["reason"].is_null() && answer["check"]["error"].is_null();
    heard(bench, "that nothing is in the way", well).await;
    assert!(bench.struck(), "{reason}: it did not happen");
}

async fn table(spec: HostSpec, rows: impl FnOnce(&Origin) -> Vec<Row>) {
    let (bench, origin) = agent(spec).await;
    let looked = |answer: &Value| answer["check"]["last"].is_string();
    heard(&bench, "that it has looked", looked).await;
    for row in rows(&origin) {
        happens(&bench, &row).await;
    }
    bench.publish(NEW);
    check(&bench).await;
    let waits = |answer: &Value| answer["phase"] == "waiting" && answer["reason"].is_null();
    heard(&bench, "that an update is staged", waits).await;
    assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
}

#[tokio::test]
async fn each_trouble_of_a_branch_is_told_and_tried_again_in_time() {
    table(branch(), |origin| {
        [common(origin), of_branches()]
            .into_iter()
            .flatten()
            .collect()
    })
    .await;
}

#[tokio::test]
async fn each_trouble_of_an_image_is_told_and_tried_again_in_time() {
    table(image(), |origin| {
        [common(origin), of_images()]
            .into_iter()
            .flatten()
            .collect()
    })
    .await;
}

/// On an image they are in the way of what a check sees, so that success without an update is not noticed there.
#[tokio::test]
async fn each_trouble_of_layered_packages_is_told_and_tried_again_in_time() {
    table(layered(branch()), |origin| {
        [common(origin), of_layers()]
            .into_iter()
            .flatten()
            .collect()
    })
    .await;
    table(layered(image()), |_| of_layers()).await;
}
