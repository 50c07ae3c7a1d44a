use std::io::Write;

use super::*;

/// Everything that there is.
const WHOLE: &str = r##"
cluster: prod
gates:
  - name: quiet
    every: 20s
    validFor: 3m
    alerts:
      prometheusURL: http://prometheus.monitoring.svc:9090/
      token: {file: /etc/cuo-companion/secrets/prometheus}
      ignore: ^(Watchdog|InfoInhibitor|Cuo.*)$
      only: .
      firingOnly: true
      severity: [critical]
      unreachable: Open
  - name: ceph
    resources:
      apiVersion: ceph.rook.io/v1
      kind: CephCluster
      namespace: rook-ceph
      name: rook-ceph
      expr: object.status.ceph.health == "HEALTH_OK"
notifications:
  - name: team
    severity: Warning
    pools: [workers, (built-in)]
    codes: [RolloutStarted, DrainBlocked]
    pause: 10s
    title: "{{ cluster }}: {{ headline }}"
    slack: {token: xoxb-1, channel: "#ops"}
  - name: program
    webhook: {url: "https://example.com/hook", token: t}
  - name: office
    teams: {url: "https://example.com/teams"}
  - name: games
    discord: {url: "https://example.com/discord"}
  - name: room
    matrix: {homeserver: "https://matrix.example.com", room: "!r:example.com", token: t}
  - name: phone
    ntfy: {topic: secret}
  - name: post
    email:
      host: mail.example.com
      user: cuo
      password: {file: /etc/cuo-companion/secrets/mail}
      from: CUO <cuo@example.com>
      to: [ops@example.com]
hooks:
  - name: silence
    at: beforeDrain
    nodeSelector: node-role.kubernetes.io/worker
    retries: 2
    onFailure: Continue
    template: {spec: {containers: [{name: c, image: i}]}}
"##;

#[test]
fn everything_can_be_configured() {
    let config = Config::parse("f", WHOLE).unwrap();
    let names: Vec<_> = config.gates.iter().map(|gate| gate.name.as_str()).collect();
    assert_eq!(names, ["quiet", "ceph"]);
    let Condition::Alerts(alerts) = config.gates[0].condition().unwrap() else {
        panic!("{:?}", config.gates[0]);
    };
    assert_eq!(
        alerts.prometheus_url.to_string(),
        "http://prometheus.monitoring.svc:9090"
    );
    let Condition::Resources(ceph) = config.gates[1].condition().unwrap() else {
        panic!("{:?}", config.gates[1]);
    };
    assert_eq!(
        (ceph.none, ceph.unreachable),
        (Otherwise::Closed, Otherwise::Closed)
    );
    let spans = |gate: &Gate| (gate.every.to_string(), gate.valid_for.to_string());
    assert_eq!(spans(&config.gates[0]), ("20s".into(), "3m".into()));
    assert_eq!(spans(&config.gates[1]), ("30s".into(), "5m".into()));
    let hook = &config.hooks[0];
    assert_eq!(
        (
            hook.at,
            hook.on_failure,
            hook.timeout.to_string(),
            hook.annotation()
        ),
        (
            Moment::BeforeDrain,
            OnFailure::Continue,
            "10m".into(),
            "companion.cuo.coreos.com/silence".into()
        )
    );
    let services = config
        .notifications
        .iter()
        .map(|sink| sink.service().is_ok());
    assert!(services.eq([true; 7]), "{:?}", config.notifications);
}

#[test]
fn without_a_part_nothing_is_switched_on() {
    for text in ["", "# nothing\n", "gates: []\n"] {
        assert_eq!(Config::parse("f", text), Ok(Config::default()), "{text:?}");
    }
}

/// What is said of a file that begins with a comment.
fn said(text: &str) -> String {
    let text = format!("# first line\n{text}");
    Config::parse("c.yaml", &text).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_what_to_do() {
    let gate = |rest: &str| format!("gates:\n  - name: quiet\n{rest}");
    let alerts = |rest: &str| {
        gate(&format!(
            "    alerts:\n      prometheusURL: http://p\n{rest}"
        ))
    };
    let mail = |rest: &str| {
        format!("notifications:\n  - name: m\n    email: {{host: h, from: a@b.c, {rest}}}\n")
    };
    let table = [
        (
            "gate: []\n".to_owned(),
            "c.yaml:2: ",
            "unknown field `gate`",
        ),
        (
            gate("    every: 0s\n"),
            "c.yaml:4: ",
            "expected a time span from 1s to 168h, such as 90s",
        ),
        (
            alerts("      ignore: '('\n"),
            "c.yaml:6: ",
            "expected a regular expression",
        ),
        (
            alerts("      firingonly: true\n"),
            "c.yaml:6: ",
            "unknown field `firingonly`",
        ),
        (
            gate("    alerts:\n      prometheusURL: http://u:hidden@p\n"),
            "c.yaml:5: ",
            "it holds credentials; `token` is the place for them",
        ),
        (
            gate(
                "    resources:\n      apiVersion: v1\n      kind: Node\n      expr: object.metadata.name ==\n",
            ),
            "c.yaml:7: ",
            "expected an expression in CEL",
        ),
        (
            gate(
                "    resources:\n      apiVersion: v1\n      kind: Node\n      expr: node.spec == 1\n",
            ),
            "c.yaml:7: ",
            "\"node.spec == 1\" refers to node, which is not there; the resource is `object`",
        ),
        (
            gate(
                "    resources:\n      apiVersion: v1\n      kind: Node\n      labelSelector: a in\n      expr: 'true'\n",
            ),
            "c.yaml:7: ",
            "expected a label selector",
        ),
        (
            "gates:\n  - name: No\n".to_owned(),
            "c.yaml:3: ",
            "expected a name of at most 40 characters",
        ),
        (
            "notifications:\n  - name: n\n    title: '{{ a'\n".to_owned(),
            "c.yaml:4: ",
            "expected a template",
        ),
        (
            "notifications:\n  - name: n\n    slack: {token: {file: token}, channel: c}\n"
                .to_owned(),
            "c.yaml:4: ",
            "expected an absolute path, found \"token\"",
        ),
        (
            mail("to: [nobody]"),
            "c.yaml:4: ",
            "expected an address such as cuo@example.com, found \"nobody\"",
        ),
        (
            gate(""),
            "c.yaml: gates[0] (quiet): ",
            "expected either `alerts` or `resources`",
        ),
        (
            alerts("    every: 2m\n"),
            "c.yaml: gates[0] (quiet): ",
            "validFor is 5m, and every is 2m; let validFor be at least 4 times as long",
        ),
        (
            format!(
                "{}  - name: quiet\n    alerts: {{prometheusURL: http://p}}\n",
                alerts("")
            ),
            "c.yaml: gates (quiet): ",
            "the name is there twice",
        ),
        (
            "notifications:\n  - name: n\n".to_owned(),
            "c.yaml: notifications[0] (n): ",
            "expected one of `webhook`, `slack`",
        ),
        (
            mail("to: []"),
            "c.yaml: notifications[0] (m): ",
            "`to` names nobody",
        ),
        (
            mail("to: [a@b.c], user: u"),
            "c.yaml: notifications[0] (m): ",
            "`user` and `password` go together",
        ),
        (
            "hooks:\n  - name: h\n    at: beforeDrain\n    template: {spec: {containers: []}}\n"
                .to_owned(),
            "c.yaml:5: ",
            "expected the template of a pod, with `spec.containers`",
        ),
        (
            "hooks:\n  - name: h\n    at: afterDrain\n".to_owned(),
            "c.yaml:4: ",
            "unknown variant `afterDrain`, expected one of beforeDrain, afterReboot, onFailure",
        ),
        (
            mail("to: [a@b.c], user: u, password: p, tls: None"),
            "c.yaml: notifications[0] (m): ",
            "a password is not sent without TLS",
        ),
    ];
    for (text, place, what) in table {
        let said = said(&text);
        assert!(
            said.starts_with(place) && said.contains(what),
            "{text}\n{said}"
        );
        assert!(!said.contains('\n') && !said.contains("hidden"), "{said}");
    }
    let missing = Config::load(Path::new("/nonexistent/c.yaml")).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "/nonexistent/c.yaml: No such file or directory (os error 2); name the configuration with --config, or mount it there"
    );
}

#[test]
fn no_error_shows_what_may_be_a_secret() {
    let quotes = "expected a text; put it in quotes";
    let nothing = "expected a text, or `file` with the absolute path of a file, and nothing else";
    let table = [
        ("hidden12345678".to_owned(), None),
        ("12345678".to_owned(), Some(quotes)),
        ("-12345678".to_owned(), Some(quotes)),
        ("12345678.5".to_owned(), Some(quotes)),
        ("1234567812345678123456781234567812".to_owned(), None),
        ("true".to_owned(), Some(quotes)),
        ("~".to_owned(), Some(quotes)),
        ("{xoxb-12345678: a}".to_owned(), Some(nothing)),
        ("{xoxb-12345678}".to_owned(), Some(nothing)),
        ("{12345678: a}".to_owned(), Some(nothing)),
        ("{file: /a, xoxb-12345678: a}".to_owned(), Some(nothing)),
        ("{}".to_owned(), Some(nothing)),
        (
            "[xoxb-12345678]".to_owned(),
            Some("expected a text, or `file`"),
        ),
    ];
    for (token, expected) in table {
        let text =
            format!("notifications:\n  - name: n\n    slack: {{token: {token}, channel: c}}\n");
        let said = Config::parse("c.yaml", &text)
            .err()
            .map(|error| error.to_string());
        match (expected, &said) {
            (None, None) => {}
            (Some(what), Some(said)) => assert!(
                said.starts_with("c.yaml:3: ") && said.contains(what) && !said.contains("5678"),
                "{token}\n{said}"
            ),
            // A number that is too long to be one may be a text.
            (None, Some(said)) => assert!(!said.contains("5678"), "{token}\n{said}"),
            (Some(_), None) => panic!("{token} is accepted"),
        }
    }
}

#[test]
fn a_secret_does_not_go_over_plain_http_to_the_outside() {
    let alerts = |url: &str, token: &str| {
        format!("gates:\n  - name: g\n    alerts: {{prometheusURL: '{url}'{token}}}\n")
    };
    let sink = |rest: &str| format!("notifications:\n  - name: n\n    {rest}\n");
    let token = ", token: t";
    let table = [
        (alerts("https://p.example.com", token), false),
        (alerts("http://p.example.com", ""), false),
        (alerts("http://p.example.com", token), true),
        (alerts("http://192.0.2.1", token), true),
        (alerts("http://[2001:db8::1]", token), true),
        (alerts("http://svc.example.com", token), true),
        (alerts("http://127.0.0.1:9090", token), false),
        (alerts("http://[::1]:9090", token), false),
        (alerts("http://localhost:9090", token), false),
        (alerts("http://prometheus:9090", token), false),
        (alerts("http://p.monitoring.svc", token), false),
        (alerts("http://p.monitoring.svc.:9090", token), false),
        (
            alerts("http://p.monitoring.svc.cluster.local", token),
            false,
        ),
        (sink("webhook: {url: 'http://example.com/hook'}"), true),
        (sink("webhook: {url: 'http://hook.default.svc/'}"), false),
        (sink("teams: {url: 'http://example.com/hook'}"), true),
        (sink("discord: {url: 'http://example.com/hook'}"), true),
        (sink("discord: {url: {file: /a}}"), false),
        (
            sink("slack: {token: t, channel: c, api: 'http://example.com'}"),
            true,
        ),
        (
            sink("matrix: {token: t, room: r, homeserver: 'http://example.com'}"),
            true,
        ),
        (sink("ntfy: {topic: t, server: 'http://example.com'}"), true),
        (sink("ntfy: {topic: t}"), false),
    ];
    for (text, refused) in table {
        let said = Config::parse("c.yaml", &text)
            .err()
            .map(|error| error.to_string());
        let why = "a secret is not sent over http://";
        assert_eq!(
            (
                said.is_some(),
                said.as_ref().is_some_and(|said| said.contains(why))
            ),
            (refused, refused),
            "{text}\n{said:?}"
        );
    }
    // What is in a file is known once it is read.
    let known = web_url("http://example.com/hook").unwrap_err();
    assert!(known.contains("write https://"), "{known}");
}

#[test]
fn a_secret_is_read_when_it_is_used_and_never_shown() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let secret = Secret::File(file.path().to_owned());
    let path = file.path().display().to_string();
    assert_eq!(
        secret.read(),
        Err(SecretError::Empty { path: path.clone() })
    );
    file.write_all(b"one\n").unwrap();
    assert_eq!(secret.read().as_deref(), Ok("one"));
    std::fs::write(file.path(), "two").unwrap();
    assert_eq!(secret.read().as_deref(), Ok("two"));
    file.close().unwrap();
    let gone = secret.read().unwrap_err().to_string();
    assert!(
        gone.starts_with(&format!("{path} can't be read: No such file")),
        "{gone}"
    );
    let shown = format!("{:?}", Config::parse("f", WHOLE).unwrap());
    assert!(
        !shown.contains("xoxb-1") && !shown.contains("example.com/hook"),
        "{shown}"
    );
}
