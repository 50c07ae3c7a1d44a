//! What the agent remembers is gone, broken, of a newer agent, or can't be written.

use cuo_core::reason::Code;

use crate::yard::Yard;
use crate::{V1, V2};

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

    // Of an agent that is newer: nothing is done, and the file stays as it is.
    let mut newer: serde_json::Value = serde_json::from_str(&whole).unwrap();
    assert!(newer["version"].as_u64() < Some(99), "{whole}");
    newer["version"] = 99.into();
    host.shell("systemctl stop cuo-agent").await.unwrap();
    host.shell(&format!(
        "cat > {FOLDER}/state.json <<'END'\n{newer}\nEND\nsystemctl start cuo-agent"
    ))
    .await
    .unwrap();
    let why = yard.reason(host, Code::StateUnreadable, "").await;
    println!("newer: {why}");
    yard.publish(V2);
    let held = host
        .shell(&format!("grep -c 99 {FOLDER}/state.json"))
        .await
        .unwrap();
    assert_eq!(held.trim(), "1");

    // A disk that is full, and then is not.
    host.shell(&format!(
        "systemctl stop cuo-agent; rm {FOLDER}/state.json; \
         mount -t tmpfs -o size=16k,mode=700 tmpfs {FOLDER}; chown cuo-agent: {FOLDER}; \
         head -c 16k /dev/zero > {FOLDER}/ballast; systemctl start cuo-agent"
    ))
    .await
    .unwrap();
    let why = yard
        .reason(host, Code::StateUnreadable, "No space left")
        .await;
    println!("full: {why}");
    assert_eq!(host.boots(), 1);
    host.shell(&format!("rm {FOLDER}/ballast")).await.unwrap();
    yard.settled(V2).await;
    yard.bench.judge(1).unwrap();
}
