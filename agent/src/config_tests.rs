use super::*;

fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

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
    ]);
    let (config, errors) = Config::load(root.path());
    let expected = Config {
        node_name: Some("run".into()),
        check: Check {
            period: minutes(90),
            jitter: minutes(5),
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
