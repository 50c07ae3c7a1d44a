//! What an administrator sees of an agent as it ships, and what others don't.

use std::collections::BTreeSet;
use std::fs;

use cuo_agent::journal::Event;
use cuo_lab::host::Host;

use crate::yard::{Yard, commands, repository};
use crate::{V1, V2};

/// A driver of updates besides.
const RIVAL: &str =
    "printf '[Service]\\nExecStart=sleep infinity\\n' > /run/systemd/system/zincati.service
systemctl daemon-reload
systemctl start zincati";

/// The path unit is off, and the timer's hour takes two seconds.
const SHORT_HOUR: &str = "systemctl stop cuo-agent-credentials.path
mkdir -p /run/systemd/system/cuo-agent-credentials.timer.d
printf '[Timer]\\nOnUnitInactiveSec=\\nOnUnitInactiveSec=2s\\n' > /run/systemd/system/cuo-agent-credentials.timer.d/50-short.conf
systemctl daemon-reload
systemctl restart cuo-agent-credentials.timer";

/// A line of `journalctl --output=json`, as far as fields are plain text.
type Entry = serde_json::Map<String, serde_json::Value>;

async fn journal(host: &Host, fields: &str) -> Vec<Entry> {
    let line = format!("journalctl --quiet --no-pager --output=json --unit=cuo-agent {fields}");
    let text = host.shell(&line).await.unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Lines of the kubelet's key, each as it is and as a kubeconfig has it inside.
fn key(host: &Host) -> Vec<String> {
    let path = host.root().join("kubelet/pki/kubelet-client-current.pem");
    let text = fs::read_to_string(path).unwrap();
    let (_, key) = text.split_once("PRIVATE KEY-----").unwrap();
    let lines = key
        .lines()
        .map(str::trim)
        .filter(|line| line.len() > 40 && !line.contains('-'));
    lines.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_explains_the_doctor_judges_and_secrets_stay_secret() {
    let Some(yard) = Yard::start(1).await else {
        return;
    };
    let host = yard.host();
    yard.install().await;
    yard.settled(V1).await;
    yard.publish(V2);
    yard.settled(V2).await;

    let found = host.shell("cuo-agent doctor").await.unwrap();
    println!("{found}");
    host.shell(RIVAL).await.unwrap();
    let refused = host
        .shell("cuo-agent doctor 2>&1")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("zincati") && refused.contains("exit status: 1"),
        "{refused}"
    );
    host.run(&["systemctl", "stop", "zincati"]).await.unwrap();

    // The package's catalog is taken in when it is installed.
    let explained = host
        .shell("journalctl --no-pager --catalog --unit=cuo-agent")
        .await
        .unwrap();
    // Each line of an explanation begins with a mark.
    let words = explained.split_whitespace().filter(|word| *word != "░░");
    let words = words.collect::<Vec<_>>().join(" ");
    for event in [Event::Started, Event::Accepted, Event::Done] {
        let means = event.means();
        assert!(words.contains(means), "{means}: {explained}");
    }
    let all = journal(host, "").await;
    let text = |entry: &Entry, field: &str| {
        entry
            .get(field)
            .and_then(|value| value.as_str())
            .map(str::to_owned)
    };
    let phases: BTreeSet<_> = all
        .iter()
        .filter_map(|entry| text(entry, "CUO_PHASE"))
        .collect();
    println!("phases in the journal: {phases:?}");
    let id = format!("MESSAGE_ID={}", Event::Accepted.id());
    let accepted = journal(host, &id).await;
    let [accepted] = &accepted[..] else {
        panic!("{accepted:#?}");
    };
    assert_eq!(text(accepted, "NODE").unwrap(), host.name());
    for field in ["CUO_PHASE", "CUO_GRANT", "CUO_IDENTITY"] {
        assert!(
            text(accepted, field).is_some_and(|value| !value.is_empty()),
            "{field}: {accepted:#?}"
        );
    }
    let phase = text(accepted, "CUO_PHASE").unwrap();
    assert!(
        !journal(host, &format!("CUO_PHASE={phase}"))
            .await
            .is_empty()
    );

    // The systemd of the host is newer than that of the machine, perhaps.
    let verified = host
        .shell("systemd-analyze verify --man=no cuo-agent.service cuo-agent-credentials.service cuo-agent-credentials.path cuo-agent-credentials.timer 2>&1")
        .await
        .unwrap();
    assert_eq!(verified, "");

    let folder = "/run/cuo-agent/credentials";
    let rights = host
        .shell(&format!(
            "stat --format='%a %U %G' {folder} {folder}/kubeconfig"
        ))
        .await
        .unwrap();
    assert_eq!(rights, "2750 root cuo-agent\n440 root cuo-agent\n");
    let read = format!("runuser -u nobody -- cat {folder}/kubeconfig");
    let refused = host.shell(&read).await.unwrap_err().to_string();
    assert!(refused.contains("Permission denied"), "{refused}");

    let process = host.process("cuo-agent.service").unwrap();
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<_> = core.unwrap().split_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"], "{limits}");

    let mut open = host
        .shell("journalctl --no-pager --output=export --all")
        .await
        .unwrap();
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{process}/{file}")).unwrap();
        open += &String::from_utf8_lossy(&bytes);
    }
    assert!(open.contains("CUO_PHASE="), "this is a journal");
    let inside = host
        .shell(&format!("cat {folder}/kubeconfig"))
        .await
        .unwrap();
    let data = inside
        .lines()
        .filter_map(|line| line.trim().strip_prefix("client-key-data: "))
        .map(|data| data.trim_matches(['"', '\'']).to_owned());
    let secrets: Vec<_> = key(host).into_iter().chain(data).collect();
    assert!(
        secrets.len() > 2,
        "a key has some lines, and is in the copy: {inside}"
    );
    for secret in secrets {
        assert!(
            !open.contains(secret.as_str()),
            "a line of the key can be read"
        );
    }

    // A kubeconfig elsewhere, by the documentation's commands: it is used, and its folder is watched.
    let page = fs::read_to_string(repository().join("docs/install.md")).unwrap();
    let elsewhere = commands(&page, "For one elsewhere");
    host.shell(&format!("cp -a /var/lib/kubelet /srv/kubelet\n{elsewhere}"))
        .await
        .unwrap();
    let doctor = host.shell("cuo-agent doctor").await.unwrap();
    println!("{doctor}");
    let copied = async || {
        Ok(host
            .shell(&format!("test -s {folder}/kubeconfig"))
            .await
            .is_ok())
    };
    let away = format!(
        "mv /var/lib/kubelet/kubeconfig /root
        systemctl start cuo-agent-credentials
        rm {folder}/kubeconfig"
    );
    host.shell(&away).await.unwrap();
    // One change can fall into the moment in which systemd watches nothing, as it does from one start of the service to its end.
    let renewed = async || {
        host.shell("touch /srv/kubelet/renewed").await?;
        copied().await
    };
    yard.comes("a copy after a change", renewed).await;

    // Nothing changes: the timer's hour, shortened, brings it back.
    host.shell(&format!("{SHORT_HOUR}\nrm {folder}/kubeconfig"))
        .await
        .unwrap();
    yard.comes("a copy after the hour", copied).await;
    yard.bench.judge(1).unwrap();
}
