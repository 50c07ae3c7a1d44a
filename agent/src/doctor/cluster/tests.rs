use super::*;

#[test]
fn a_clock_matters_once_grants_do_not_last_as_they_should() {
    let cases = [
        (0, Verdict::Ok, "agrees with the API server's"),
        (-4, Verdict::Ok, "agrees with the API server's"),
        (
            5,
            Verdict::Warning,
            "the API server's is 5 s ahead of this host's",
        ),
        (
            -59,
            Verdict::Warning,
            "the API server's is 59 s behind this host's",
        ),
        (
            60,
            Verdict::Failed,
            "the API server's is 60 s ahead of this host's",
        ),
    ];
    for (seconds, verdict, found) in cases {
        let check = reported(SignedDuration::from_secs(seconds));
        assert_eq!((check.verdict, &*check.found), (verdict, found));
        assert_eq!(check.remedy.is_none(), verdict == Verdict::Ok);
    }
}

#[test]
fn a_credential_is_the_configured_nodes() {
    let remedy = Some("Take node_name out of the agent's configuration, or give it that node's credential; then `systemctl restart cuo-agent`.".to_owned());
    let cases = [
            ("system:node:n1", None, Verdict::Ok, "system:node:n1", None),
            ("cuo:agent:n1", Some("n1"), Verdict::Ok, "cuo:agent:n1", None),
            (
                "system:node:n1",
                Some("n2"),
                Verdict::Failed,
                "system:node:n1 belongs to another node than n2, which the agent's configuration names",
                remedy.clone(),
            ),
            (
                "cuo:agent:n1",
                Some("n2"),
                Verdict::Failed,
                "cuo:agent:n1 belongs to another node than n2, which the agent's configuration names",
                remedy,
            ),
            (
                "admin",
                Some("n2"),
                Verdict::Warning,
                "admin is no node's user, so nothing limits it to its own Node",
                Some("Leave `kubeconfig` out of the agent's configuration where the kubelet has one that can be found.".to_owned()),
            ),
        ];
    for (user, configured, verdict, found, remedy) in cases {
        let expected = Check {
            name: IDENTITY,
            verdict,
            found: found.to_owned(),
            remedy,
        };
        let identity = ApiUser { user: user.into() };
        assert_eq!(whose(&identity, configured), expected);
    }
}

#[test]
fn a_node_that_another_host_keeps_ready_is_not_this_hosts() {
    let boot = |number| BootId::from_bytes([number; 16]);
    let machine = |number: u8| format!("{number:032x}");
    let own = Some((boot(1), machine(1).parse().unwrap()));
    let elsewhere = "the kubelet of n1 runs on another host, whose machine id is 00000000000000000000000000000002; this credential belongs to another node";
    let cases = [
        (own, 1, 1, true, Verdict::Ok, "n1 is Ready"),
        (own, 2, 2, true, Verdict::Failed, elsewhere),
        (own, 2, 2, false, Verdict::Warning, "n1 is not Ready"),
        // It has just booted.
        (own, 2, 1, true, Verdict::Ok, "n1 is Ready"),
        (None, 2, 2, true, Verdict::Ok, "n1 is Ready"),
    ];
    for (own, booted, reported, ready, verdict, found) in cases {
        let raw = RawNode {
            name: "n1".into(),
            ready,
            boot_id: boot(booted).to_string(),
            machine_id: machine(reported),
            ..RawNode::default()
        };
        let check = seen(&raw, own);
        assert_eq!((check.verdict, &*check.found), (verdict, found));
        assert_eq!(check.remedy.is_none(), verdict == Verdict::Ok);
    }
}
