//! What the agent remembers is gone, broken, of a newer agent, or can't be written.

use std::fs;

use cuo_core::reason::Code;
use cuo_core::values::Phase;

use crate::yard::{WEB, Yard};
use crate::{PATIENCE, V1, V2, V3};

const FOLDER: &str = "/var/lib/cuo-agent";

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_its_memory_updates_or_says_why_not() {
    let Some(yard) = Yard::start(1).await else {
        return;
    };
    let host = yard.host();
    yard.install().await;
    yard.settled(V1).await;
    let whole = host
        .shell(&format!("cat {FOLDER}/state.json"))
        .await
        .unwrap();
    assert!(whole.contains("\"version\""), "{whole}");

    let broken = format!("cat {FOLDER}/state.json.broken");
    let cases = [
        ("deleted", format!("rm -r {FOLDER}"), None),
        (
            "garbage",
            format!("echo '\\0garbage' > {FOLDER}/state.json"),
            Some("garbage"),
        ),
        ("empty", format!(": > {FOLDER}/state.json"), Some("")),
        (
            "truncated",
            format!("truncate --size=20 {FOLDER}/state.json"),
            Some("{"),
        ),
    ];
    for (what, harm, kept) in cases {
        host.shell(&format!("systemctl stop cuo-agent; rm -f {FOLDER}/state.json.broken; {harm}; systemctl start cuo-agent"))
            .await
            .unwrap();
        let again = async || {
            Ok(host
                .shell(&format!(
                    "test -s {FOLDER}/state.json && stat --format='%a %U' {FOLDER}"
                ))
                .await?
                == "700 cuo-agent\n")
        };
        yard.comes(&format!("a state where it was {what}"), again)
            .await;
        if let Some(kept) = kept {
            let seen = host.shell(&broken).await.unwrap();
            assert!(seen.contains(kept), "{what}: {seen}");
        }
    }

    // Of an agent that is newer, and about an update of this boot: nothing is done, and the file stays as it is.
    let mut newer: serde_json::Value = serde_json::from_str(&whole).unwrap();
    assert!(newer["version"].as_u64() < Some(99), "{whole}");
    newer["version"] = 99.into();
    let boot = host
        .shell("cat /proc/sys/kernel/random/boot_id")
        .await
        .unwrap();
    newer["state"]["attempt"] = serde_json::json!({"progress": {"boot": boot.trim()}});
    host.shell("systemctl stop cuo-agent").await.unwrap();
    host.shell(&format!(
        "cat > {FOLDER}/state.json <<'END'\n{newer}\nEND\nsystemctl start cuo-agent"
    ))
    .await
    .unwrap();
    let why = yard.reason(host, Code::StateUnreadable, "").await;
    println!("newer: {why}");
    let upgrades = || {
        let calls = fs::read_to_string(host.root().join("lab/calls.jsonl")).unwrap();
        calls.matches("\"Upgrade\"").count()
    };
    let before = upgrades();
    yard.publish(V2);
    // An agent looks for updates when it is told to, and when it starts; that returns when it has decided what to do.
    let proof = "cuo-agent check; systemctl restart cuo-agent; cuo-agent check; systemctl restart cuo-agent";
    host.shell(proof).await.unwrap();
    yard.reason(host, Code::StateUnreadable, "").await;
    let held = host
        .shell(&format!("grep -c 99 {FOLDER}/state.json"))
        .await
        .unwrap();
    assert_eq!(held.trim(), "1");
    assert_eq!(upgrades(), before, "it staged something");

    // A disk that is full, and then is not.
    host.shell(&format!(
        "systemctl stop cuo-agent; rm {FOLDER}/state.json; \
         mount -t tmpfs -o size=16k,mode=700 tmpfs {FOLDER}; chown cuo-agent: {FOLDER}; \
         head -c 16k /dev/zero > {FOLDER}/ballast; systemctl start cuo-agent"
    ))
    .await
    .unwrap();
    let why = yard
        .reason(host, Code::StateUnwritable, "No space left")
        .await;
    println!("full: {why}");
    assert_eq!(host.boots(), 1);
    host.shell(&format!("rm {FOLDER}/ballast")).await.unwrap();
    yard.settled(V2).await;
    yard.bench.judge(1).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_finished_without_the_memory_of_its_beginning() {
    let Some(yard) = Yard::start(1).await else {
        return;
    };
    let host = yard.host();
    yard.install().await;
    yard.settled(V1).await;
    let gate = yard.gate(host);
    gate.shut("agent-after-cordon").unwrap();
    gate.shut("agent-before-finalize").unwrap();
    yard.publish(V2);

    // Under the running agent, which writes it again.
    gate.hit("agent-after-cordon", PATIENCE).await.unwrap();
    host.shell(&format!("rm {FOLDER}/*")).await.unwrap();
    gate.open("agent-after-cordon").unwrap();
    gate.hit("agent-before-finalize", PATIENCE).await.unwrap();
    host.shell(&format!("test -s {FOLDER}/state.json"))
        .await
        .unwrap();
    // And with the agent's end, so that the next one knows only what its Node says.
    let broken =
        format!("systemctl kill --signal=KILL cuo-agent; echo '\\0garbage' > {FOLDER}/state.json");
    host.shell(&broken).await.unwrap();
    gate.open("agent-before-finalize").unwrap();
    yard.settled(V2).await;
    assert_eq!(host.boots(), 2);

    // A disk that is full while the node is being drained.
    host.shell(&format!(
        "systemctl stop cuo-agent; cp {FOLDER}/state.json /root; \
         mount -t tmpfs -o size=64k,mode=700 tmpfs {FOLDER}; cp /root/state.json {FOLDER}; \
         chown -R cuo-agent: {FOLDER}; systemctl start cuo-agent"
    ))
    .await
    .unwrap();
    yard.bench.apply("web.yaml", WEB).await.unwrap();
    yard.runs_web().await;
    yard.publish(V3);
    let draining = |node: &cuo_core::node::NodeView| {
        let status = node.agent.status.value();
        status.is_some_and(|status| status.phase == Phase::Draining)
    };
    yard.sees(host, "a drain", draining).await;
    host.shell(&format!("head -c 64k /dev/zero > {FOLDER}/ballast || true"))
        .await
        .unwrap();
    yard.web_goes().await;
    let why = yard
        .reason(host, Code::StateUnwritable, "No space left")
        .await;
    println!("full while draining: {why}");
    assert_eq!(host.boots(), 2);
    host.shell(&format!("rm {FOLDER}/ballast")).await.unwrap();
    yard.settled(V3).await;
    assert_eq!(host.boots(), 3);
    yard.bench.judge(1).unwrap();
}
