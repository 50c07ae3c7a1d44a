//! An update that ostree can't write to the disk when the host goes down: the next boot says why, in the words of ostree.

use std::fs;

use cuo_agent::journal::Event;
use cuo_core::reason::Code;

use crate::yard::{Yard, commands, repository};
use crate::{V1, V2};

/// ostree's two units, as far as they pass a failure on: one fails while the host goes down, the other when it has come up.
const OSTREE: &str = "cat > /usr/bin/ostree <<'END'
#!/bin/sh
stamp=/boot/ostree/finalize-failure.stamp
case $2 in
finalize-staged)
    test -e /root/full || exec /usr/libexec/lab-rpm-ostreed --root / shut-down
    mkdir -p /boot/ostree
    cat /root/full > $stamp
    echo \"error: $(cat /root/full)\" >&2
    exit 1;;
boot-complete)
    text=$(cat $stamp)
    rm $stamp
    test -e /root/mute || echo \"error: ostree-finalize-staged.service failed on previous boot: $text\" >&2
    exit 1;;
esac
END
chmod 755 /usr/bin/ostree
cat > /etc/systemd/system/ostree-finalize-staged.service <<'END'
[Unit]
DefaultDependencies=no
RequiresMountsFor=/boot
After=local-fs.target systemd-journal-flush.service lab-ostree.service
Before=basic.target final.target
Conflicts=final.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStop=/usr/bin/ostree admin finalize-staged
END
cat > /etc/systemd/system/ostree-boot-complete.service <<'END'
[Unit]
DefaultDependencies=no
After=sysinit.target
RequiresMountsFor=/boot
ConditionPathExists=|/boot/ostree/finalize-failure.stamp
Before=ostree-finalize-staged.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ostree admin boot-complete
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl enable --quiet ostree-boot-complete";
const FULL: &str = "Installing kernel: regfile copy: No space left on device";
const MERGE: &str = "During /etc merge: Not a directory";
/// Pauses that are long enough for a reason to be seen, and for the next failure to be prepared.
const PACE: &str = "cat > /etc/cuo-agent/config.d/60-pace.toml <<'END'
[retry]
first = \"8s\"
cap = \"8s\"
[health]
settle = \"1s\"
END";

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_can_not_be_written_is_told_in_the_words_of_ostree() {
    let Some(yard) = Yard::start(1).await else {
        return;
    };
    let host = yard.host();
    host.shell(OSTREE).await.unwrap();
    host.shell(PACE).await.unwrap();
    yard.install().await;
    yard.settled(V1).await;
    let fails = async |with: &str, how: &str| {
        let line = format!("echo '{with}' > /root/full\n{how}");
        host.shell(&line).await.unwrap();
    };
    let reported = "ostree could not write the update to the disk at the shutdown: ";

    fails(FULL, "").await;
    yard.publish(V2);
    let why = yard.reason(host, Code::FinalizationFailed, "").await;
    assert!(
        why.starts_with(&format!("{reported}{FULL} (granted ")),
        "{why}"
    );
    let given_up = yard.entries(host, Event::GivenUp).await;
    assert!(
        matches!(&given_up[..], [one] if one.contains(FULL)),
        "{given_up:#?}"
    );
    let status = host.shell("cuo-agent status").await.unwrap();
    assert!(status.contains(FULL), "{status}");

    // The unit of this boot fails and says nothing; the last one's does.
    fails(MERGE, "touch /root/mute").await;
    let why = yard.reason(host, Code::FinalizationFailed, MERGE).await;
    assert!(why.starts_with(reported), "{why}");

    // An agent that may not read the journal says what it knows all the same.
    let page = fs::read_to_string(repository().join("docs/install.md")).unwrap();
    let blind = commands(&page, "### The journal");
    fails(FULL, &format!("rm /root/mute\n{blind}")).await;
    let why = yard.reason(host, Code::IdentityFailed, "").await;
    assert!(why.ends_with(Code::FinalizationFailed.means()), "{why}");
    let journal = host.journal("cuo-agent").await.unwrap();
    let untold = journal
        .lines()
        .filter(|line| line.contains("the journal does not say why"));
    let untold: Vec<_> = untold.collect();
    let refused = |line: &&str| line.contains("insufficient permissions");
    assert!(
        !untold.is_empty() && untold.iter().all(refused),
        "{journal}"
    );

    let seeing = "rm /etc/systemd/system/cuo-agent.service.d/50-no-journal.conf
        systemctl daemon-reload
        systemctl restart cuo-agent";
    host.shell(seeing).await.unwrap();
    yard.reason(host, Code::IdentityFailed, FULL).await;
    let event = async || {
        let events = yard.bench.plane.kubectl(&["get", "events"]).await?;
        Ok(events.contains(FULL))
    };
    yard.comes("an Event", event).await;

    host.shell("rm /root/full; cuo-agent forget all")
        .await
        .unwrap();
    yard.settled(V2).await;
    let failed = host
        .run(&["systemctl", "--failed", "--no-legend"])
        .await
        .unwrap();
    assert_eq!(failed, "");
    yard.bench.judge(1).unwrap();
}
