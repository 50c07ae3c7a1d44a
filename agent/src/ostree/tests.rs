use super::*;

#[test]
fn the_last_error_is_quoted_without_what_only_says_where_it_is_from() {
    let full = "Finalizing deployment: Installing kernel: regfile copy: No space left on device";
    for (text, expected) in [
        ("", None),
        ("-- No entries --\n", None),
        ("error:\n", None),
        ("error: \n", None),
        ("an error: none\n", None),
        (&*format!("error: {HANDED_ON}{full}\n"), Some(full)),
        (
            &*format!("Finalizing staged deployment\nerror: old\n  OK\nerror: {full}\n"),
            Some(full),
        ),
        (
            "error: semodule:\n\x1b[31mno such\tfile\n",
            Some("semodule:  [31mno such file"),
        ),
    ] {
        assert_eq!(last_error(text).as_deref(), expected, "{text}");
    }
    let long = last_error(&format!("error: {}", "é".repeat(2000)));
    assert_eq!(long, Some("é".repeat(KEPT)));
}

fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    command
}

#[tokio::test]
async fn a_journal_that_does_not_answer_costs_neither_time_nor_memory() {
    let soon = Duration::from_millis(200);
    let asked = async |line: &str| ask(shell(line), LIMIT).await;
    assert_eq!(
        asked("printf '\\377'; echo x >&2").await,
        Ok("\u{fffd}".into())
    );
    let refused = asked("echo 'No journal files were opened.' >&2; exit 1").await;
    let expected = "sh: exit status: 1: No journal files were opened.";
    assert_eq!(refused, Err(expected.into()));
    let endless = asked("exec cat /dev/zero").await.unwrap_err();
    assert!(endless.starts_with("sh: signal: 13"), "{endless}");
    let silent = ask(shell("exec sleep 60"), soon).await;
    assert_eq!(silent, Err("sh did not answer within 200ms".into()));
    let missing = ask(Command::new("/no/journalctl"), LIMIT).await;
    let missing = missing.unwrap_err();
    assert!(
        missing.starts_with("/no/journalctl: No such file"),
        "{missing}"
    );
}
