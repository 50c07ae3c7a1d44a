use super::*;

fn load(args: &[&str]) -> Result<Config, clap::Error> {
    Config::load([&["cuo-operator"], args].concat())
}

#[test]
fn the_command_line_is_sound() {
    Config::command().debug_assert();
}

#[test]
fn without_flags_one_node_at_a_time_goes_at_any_time() {
    let expected = Config {
        windows: vec![],
        max_unavailable: 1,
        paused: false,
        before_reboot_annotations: vec![],
        after_reboot_annotations: vec![],
        accept_timeout: SignedDuration::from_mins(5),
        drain_timeout: SignedDuration::from_mins(10),
        control_plane_nodes: vec![],
        no_control_plane_nodes: vec![],
        namespace: "cuo-system".into(),
        own_node: None,
        identity: "cuo-operator".into(),
        kubeconfig: None,
        listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
        metrics_per_node: 5000,
        log_format: cuo_telemetry::Format::Auto,
    };
    assert_eq!(load(&[]).unwrap(), expected);
    assert_eq!(expected.credentials(), Credentials::Pod);
}

#[test]
fn everything_can_be_said() {
    let args = [
        "--window=Mon-Fri 22:00 4h Europe/Berlin;Sat,Sun 01:30 90m",
        "--window=12:00 1h",
        "--max-unavailable=2",
        "--paused",
        "--before-reboot-annotations=example.com/a,b",
        "--after-reboot-annotations=c_d.e",
        "--accept-timeout=90s",
        "--drain-timeout=1h 30m",
        "--control-plane-nodes=etcd=true,!spare;x",
        "--no-control-plane-nodes=y in (a,b)",
        "--namespace=updates",
        "--own-node=n1",
        "--identity=pod-1",
        "--kubeconfig=/k",
        "--listen=[::1]:9000",
        "--metrics-per-node=7",
        "--log-format=json",
    ];
    let window = |text: &str| text.parse::<Window>().unwrap();
    let expected = Config {
        windows: vec![
            window("Mon-Fri 22:00 4h Europe/Berlin"),
            window("Sat,Sun 01:30 90m"),
            window("12:00 1h"),
        ],
        max_unavailable: 2,
        paused: true,
        before_reboot_annotations: vec!["example.com/a".into(), "b".into()],
        after_reboot_annotations: vec!["c_d.e".into()],
        accept_timeout: SignedDuration::from_secs(90),
        drain_timeout: SignedDuration::from_mins(90),
        control_plane_nodes: vec!["etcd=true,!spare".parse().unwrap(), "x".parse().unwrap()],
        no_control_plane_nodes: vec!["y in (a,b)".parse().unwrap()],
        namespace: "updates".into(),
        own_node: Some("n1".parse().unwrap()),
        identity: "pod-1".into(),
        kubeconfig: Some("/k".into()),
        listen: "[::1]:9000".parse().unwrap(),
        metrics_per_node: 7,
        log_format: cuo_telemetry::Format::Json,
    };
    let config = load(&args).unwrap();
    assert_eq!(config, expected);
    assert_eq!(config.policy().builtin.drain.timeout_seconds, 5400);
    let mut keep = Keep::new(["example.com/a", "b", "c_d.e"]);
    keep.grow([], ["etcd", "spare", "x", "y"]);
    assert_eq!(config.keep(), keep);
}

#[test]
fn what_is_wrong_names_the_flag_and_what_is_expected() {
    let window = "expected \"[DAYS] HH:MM LENGTH [ZONE]\"";
    let time = "expected a length of time from 1s to 7 days (168h), such as 90s or 5m";
    let nodes = "expected a number of nodes, 1 or more";
    let annotation = "expected the name of an annotation, such as example.com/backup-done";
    let cases = [
        ("--window=", window),
        ("--window=22:00", window),
        ("--window=Moon 22:00 1h", window),
        ("--window=22:00 1h Mars/Base", window),
        ("--window=22:00 1h;", window),
        ("--window=22:00 soon", window),
        ("--max-unavailable=0", nodes),
        ("--max-unavailable=-1", nodes),
        ("--max-unavailable=50%", nodes),
        ("--max-unavailable=", nodes),
        ("--accept-timeout=300", time),
        ("--accept-timeout=0s", time),
        ("--accept-timeout=-5m", time),
        ("--drain-timeout=8d", time),
        ("--drain-timeout=169h", time),
        ("--before-reboot-annotations=a,,b", annotation),
        ("--before-reboot-annotations=", annotation),
        ("--before-reboot-annotations=a b", annotation),
        ("--after-reboot-annotations=Example.com/a", annotation),
        ("--after-reboot-annotations=a/b/c", annotation),
        (
            "--after-reboot-annotations=cuo.coreos.com/reboot-ok",
            "are CUO's own",
        ),
        ("--namespace=", "expected the name of a namespace"),
        ("--namespace=Updates", "expected the name of a namespace"),
        ("--namespace=-a", "expected the name of a namespace"),
        ("--own-node=Node_1", "a DNS-1123 subdomain"),
        ("--identity= ", "expected a name"),
        ("--listen=8080", "invalid socket address syntax"),
        (
            "--log-format=xml",
            "expected one of auto, journal, text, json",
        ),
        ("--paused=maybe", "unexpected value"),
        ("--windows=22:00 1h", "unexpected argument"),
        ("now", "unexpected argument"),
    ];
    for (arg, expected) in cases {
        let error = load(&[arg]).unwrap_err();
        let text = error.to_string();
        let flag = arg.split('=').next().unwrap();
        assert!(
            text.contains(flag) && text.contains(expected),
            "{arg}: {text}"
        );
        assert_eq!(error.exit_code(), 2, "{arg}");
    }
}

#[test]
fn a_variable_that_is_set_is_named_with_the_flag() {
    let error = || Config::try_parse_from(["cuo-operator", "--max-unavailable=0"]).unwrap_err();
    let set = |name: &str| (name == "CUO_MAX_UNAVAILABLE").then(|| OsString::from("0"));
    let tip = "the environment variable CUO_MAX_UNAVAILABLE is \"0\"";
    let named = with_variable(error(), Config::command(), set).to_string();
    assert!(named.contains(tip), "{named}");
    let unnamed = with_variable(error(), Config::command(), |_| None).to_string();
    assert!(!unnamed.contains("environment"), "{unnamed}");
}

#[test]
fn help_and_version_are_no_errors() {
    for flag in ["--help", "--version"] {
        assert_eq!(load(&[flag]).unwrap_err().exit_code(), 0);
    }
    let help = load(&["--help"]).unwrap_err().to_string();
    for argument in Config::command().get_arguments() {
        if let Some(variable) = argument.get_env() {
            assert!(help.contains(variable.to_str().unwrap()), "{help}");
        }
    }
}
