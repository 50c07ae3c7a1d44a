use jiff::SignedDuration;

use super::sections::minutes;
use super::*;
use crate::testing::root;

#[test]
fn no_file_is_needed() {
    let root = root(&[]);
    assert_eq!(Config::load(root.path()), (Config::default(), vec![]));
}

#[test]
fn later_directories_replace_files_and_later_names_replace_keys() {
    let root = root(&[
        (
            "usr/lib/cuo-agent/config.d/10-vendor.toml",
            "hold = true\n[check]\nperiod = \"1h\"\njitter = \"5m\"",
        ),
        (
            "usr/lib/cuo-agent/config.d/20-more.toml",
            "node_name = \"vendor\"",
        ),
        ("run/cuo-agent/config.d/20-more.toml", "node_name = \"run\""),
        (
            "etc/cuo-agent/config.d/90-admin.toml",
            "hold = false\n[check]\nperiod = \"1h 30m\"",
        ),
        ("etc/cuo-agent/config.d/README", "not read"),
        // What editors and file managers leave beside a file.
        ("etc/cuo-agent/config.d/.#90-admin.toml", "root@host.1234:1"),
        (
            "etc/cuo-agent/config.d/._90-admin.toml",
            "\u{0}\u{5}\u{16}\u{7}",
        ),
        ("etc/cuo-agent/config.d/.90-admin.toml.swp", "b0VIM 9.1"),
        ("etc/cuo-agent/config.d/.99-hidden.toml", "hold = true"),
        ("etc/cuo-agent/config.d/#90-admin.toml#", "hold = tru"),
        ("etc/cuo-agent/config.d/90-admin.toml~", "hold = true"),
        ("etc/cuo-agent/config.d/90-admin.toml.bak", "hold = true"),
    ]);
    let locked = root.path().join("etc/cuo-agent/config.d/.#95-locked.toml");
    std::os::unix::fs::symlink("root@host.1234:1", locked).unwrap();
    let (config, errors) = Config::load(root.path());
    let expected = Config {
        node_name: Some("run".into()),
        check: Check {
            period: minutes(90),
            jitter: Delay(SignedDuration::from_mins(5)),
            ..Check::default()
        },
        ..Config::default()
    };
    assert_eq!((config, errors), (expected, vec![]));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let cases = [
        ("hold = maybe", 1),
        ("\n\nholt = true", 3),
        ("[check]\nperiod = \"soon\"", 2),
        ("[check]\nperiod = \"0s\"", 2),
        ("[check]\nperiod = 5", 2),
        ("[cheque]\n", 1),
        ("hold = true\n[", 2),
        ("mode = \"download\"", 1),
        ("[health]\nunits = [\"crio\"]", 2),
        (
            "[health]\nunits = [\n\"crio.service\",\n\"crio.sevice\"]",
            2,
        ),
        ("[health]\nunits = [\"../crio.service\"]", 2),
        ("[health]\nunits = [\".service\"]", 2),
        ("[health]\nunits = [\"getty@.service\"]", 2),
        ("[release]\nsource = \"head\"", 2),
        ("[release]\nallow = [\"*\"]", 2),
        ("[release]\nallow = [\"quay.io\"]", 2),
        ("[release]\nallow = [\"quay.io/a/*/b\"]", 2),
        ("[graph]\nrollout_wariness = 1.5", 2),
        ("[graph]\nbase_url = \"https://h\"", 2),
        ("[metrics]\ntextfile = \"cuo.prom\"", 2),
    ];
    for (text, expected) in cases {
        let root = root(&[
            ("etc/cuo-agent/config.d/a.toml", text),
            ("etc/cuo-agent/config.d/b.toml", "node_name = \"n\""),
        ]);
        let (config, errors) = Config::load(root.path());
        assert_eq!(
            config.node_name.as_deref(),
            Some("n"),
            "the good file still counts"
        );
        let [
            ConfigError::Invalid {
                path,
                line,
                message,
                picture,
            },
        ] = &errors[..]
        else {
            panic!("{text}: {errors:?}");
        };
        assert!(
            path.ends_with("etc/cuo-agent/config.d/a.toml") && !message.is_empty(),
            "{text}"
        );
        assert_eq!(*line, expected, "{text}");
        assert!(picture.contains('^'), "{picture}");
        let hold = config.settings(&errors, None).hold.unwrap();
        assert_eq!(hold.code, Code::ConfigInvalid);
    }
}

#[test]
fn what_is_shown_can_be_read_back() {
    let shown = toml::to_string(&Config::default()).unwrap();
    assert_eq!(toml::from_str::<Config>(&shown), Ok(Config::default()));
}

#[test]
fn names_of_units_are_taken_as_systemd_takes_them() {
    let text = "[health]\nunits = [\"crio.service\", \"getty@tty1.service\", \"var-lib-my\\\\x2ddata.mount\"]";
    let config = toml::from_str::<Config>(text).unwrap();
    let names = config.settings(&[], None).health.units;
    let expected = [
        "crio.service",
        "getty@tty1.service",
        "var-lib-my\\x2ddata.mount",
    ];
    assert_eq!(names, expected);
}

#[test]
fn no_time_at_all_can_be_asked_for_where_that_makes_sense() {
    let read = |key: &str, value: &str| {
        let (table, key) = key.split_once('.').unwrap();
        toml::from_str::<Config>(&format!("[{table}]\n{key} = {value:?}\n"))
    };
    // Nothing is done faster than a second without end, nor given up before it began.
    let table = [
        ("check.period", false),
        ("check.jitter", true),
        ("check.start", true),
        ("retry.first", false),
        ("retry.cap", false),
        ("drain.evict_every", false),
        ("reboot.shutdown", false),
        ("health.settle", true),
        ("health.deadline", false),
    ];
    for (key, allowed) in table {
        assert_eq!(read(key, "0s").is_ok(), allowed, "{key}");
        for (value, fits) in [("1s", true), ("500ms", false), ("-5s", false)] {
            assert_eq!(read(key, value).is_ok(), fits, "{key} = {value}");
        }
    }
    let config = read("check.jitter", "0s").unwrap();
    let shown = toml::to_string(&config).unwrap();
    assert!(shown.contains("jitter = \"0s\""), "{shown}");
    assert_eq!(toml::from_str(&shown), Ok(config));
}

#[test]
fn a_sentinel_is_a_file_with_its_whole_path() {
    for (value, fits) in [
        ("/run/reboot-required", true),
        ("run/reboot-required", false),
        ("/run/", false),
        ("", false),
    ] {
        let text = format!("[reboot]\nsentinel = {value:?}\n");
        assert_eq!(toml::from_str::<Config>(&text).is_ok(), fits, "{value}");
    }
}

#[test]
fn a_textfile_is_a_file_that_node_exporter_reads() {
    let read = |value: &str| {
        let text = format!("[metrics]\ntextfile = {value:?}\n");
        let read = toml::from_str::<Config>(&text);
        read.map(|config| config.metrics.textfile.below("/root".as_ref()))
            .map_err(|error| error.message().to_owned())
    };
    for (value, expected) in [
        ("", None),
        ("/cuo.prom", Some("/root/cuo.prom")),
        ("/srv/a b/x.cuo.prom", Some("/root/srv/a b/x.cuo.prom")),
    ] {
        assert_eq!(read(value), Ok(expected.map(Into::into)), "{value}");
    }
    for value in [
        "cuo.prom",
        "/srv/cuo.txt",
        "/srv/",
        "/srv/.prom",
        "/prom",
        "/a.prom/",
    ] {
        let expected = format!(
            "expected the path of a file that begins with `/` and ends with `.prom`, or \"\" for no file, found {value:?}"
        );
        assert_eq!(read(value), Err(expected));
    }
}

#[test]
fn other_drivers_are_units_too() {
    let text = "[drivers]\nunits = [\"acme-update.timer\"]\n";
    let config = toml::from_str::<Config>(text).unwrap();
    assert_eq!(config.drivers.names(), ["acme-update.timer"]);
    assert!(toml::to_string(&config).unwrap().contains(text));
    let wrong = toml::from_str::<Config>("[drivers]\nunits = [\"acme\"]\n");
    assert!(wrong.is_err());
}

#[test]
fn what_zincati_says_of_the_graph_comes_before_what_the_agent_says() {
    let root = root(&[
        (
            "usr/lib/zincati/config.d/50-fedora-coreos-cincinnati.toml",
            "[cincinnati]\nbase_url = \"https://vendor\"\n[agent]\nx = 1",
        ),
        (
            "etc/zincati/config.d/90-wary.toml",
            "[identity]\nrollout_wariness = 0.5\ngroup = \"workers\"\n[updates]\nenabled = false",
        ),
        ("etc/zincati/config.d/91-broken.toml", "[identity"),
        (
            "etc/zincati/config.d/92-nonsense.toml",
            "[identity]\nrollout_wariness = 7",
        ),
        (
            "etc/cuo-agent/config.d/50-graph.toml",
            "[graph]\ngroup = \"own\"",
        ),
    ]);
    let (config, errors) = Config::load(root.path());
    let expected = Graph {
        url: "https://vendor".into(),
        rollout_wariness: Some(Wariness(0.5)),
        group: "own".into(),
        ..Graph::default()
    };
    assert_eq!((config.graph, errors), (expected, vec![]));

    let (shown, _) = Config::shown(root.path()).unwrap();
    let at = |path: &str| root.path().join(path).display().to_string();
    let expected = [
        format!(
            "group = \"own\" # {}",
            at("etc/cuo-agent/config.d/50-graph.toml")
        ),
        format!(
            "rollout_wariness = 0.5 # {}",
            at("etc/zincati/config.d/90-wary.toml")
        ),
        format!(
            "url = \"https://vendor\" # {}",
            at("usr/lib/zincati/config.d/50-fedora-coreos-cincinnati.toml")
        ),
    ];
    let graph = shown.split("[graph]\n").nth(1).unwrap();
    let lines: Vec<_> = graph.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(lines, expected);
    assert!(shown.starts_with("hold = false # default\n"), "{shown}");
    // It can be read back as it is.
    assert_eq!(
        toml::from_str::<Config>(&shown),
        Ok(Config::load(root.path()).0)
    );
}

#[test]
fn what_is_configured_of_releases_is_what_is_preferred() {
    use cuo_core::release::{Preference, Source};
    let text = "[release]\nsource = \"graph\"\nallow = [\"quay.io/acme/*\", \"h:5000/os\"]\nallow_downgrade = true\n";
    let config: Config = toml::from_str(text).unwrap();
    let expected = Preference {
        source: Some(Source::Graph),
        allow: vec!["quay.io/acme/*".into(), "h:5000/os".into()],
        allow_downgrade: true,
    };
    assert_eq!(config.release.preference(), expected);
    assert_eq!(
        Config::default().release.preference(),
        Preference::default()
    );
}
