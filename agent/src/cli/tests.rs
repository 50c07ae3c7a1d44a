use super::*;

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_page_that_a_page_names_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let man = Command::Man {
        directory: Some(directory.path().to_owned()),
    };
    once(Path::new("/"), man).unwrap();
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let mut text = String::new();
    let mut names: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            text += &std::fs::read_to_string(&path).unwrap();
            path.file_name().unwrap().to_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    names.rotate_right(1);
    let commands = [
        "",
        "-check",
        "-config-show",
        "-config",
        "-credentials",
        "-doctor",
        "-forget",
        "-run",
        "-status",
    ];
    assert_eq!(names, commands.map(|name| format!("cuo-agent{name}.8")));
    for name in &commands[1..] {
        let reference = format!("cuo\\-agent{}(8)", name.replace('-', "\\-"));
        assert!(text.contains(&reference), "{reference}");
    }
}

#[test]
fn the_page_about_credentials_names_every_place() {
    let mut command = Cli::command();
    let about = command.find_subcommand_mut("credentials").unwrap();
    let text = about.get_long_about().unwrap().to_string();
    for place in cuo_cluster::credentials::PLACES {
        assert!(text.contains(place), "{place}");
    }
}

#[test]
fn only_an_identity_or_all_can_be_forgotten() {
    assert!(forgettable("all").is_ok() && forgettable(&"ab".repeat(32)).is_ok());
    assert!(forgettable("everything").unwrap_err().contains("or `all`"));
}
