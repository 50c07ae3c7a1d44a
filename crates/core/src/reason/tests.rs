use super::*;

#[test]
fn reasons_keep_their_text() {
    let reason = Reason::new(Code::DrainBlocked, "default/web-1:\n  blocked");
    assert_eq!(reason.to_string(), "DrainBlocked: default/web-1: blocked");
    assert_eq!(reason.to_string().parse::<Reason>(), Ok(reason));
    assert_eq!(
        "Nonsense: x".parse::<Reason>(),
        Err("unknown reason code \"Nonsense\"".into())
    );
    for (letter, kept) in [
        ("a", MESSAGE_LIMIT),
        ("é", MESSAGE_LIMIT),
        ("更", 333),
        ("😀", 250),
    ] {
        let long = Reason::new(Code::Hold, letter.repeat(1000));
        assert_eq!(long.message, format!("{}…", letter.repeat(kept)));
        assert!(
            long.message.len() <= 1024,
            "{letter}: too long for an Event"
        );
        let fits = letter.repeat(kept);
        assert_eq!(Reason::new(Code::Hold, &fits).message, fits);
    }
}

#[test]
fn every_code_reads_back() {
    for code in Code::ALL {
        assert_eq!(code.as_str().parse::<Code>(), Ok(*code));
        assert!(
            code.means().ends_with('.') && code.remedy().ends_with('.'),
            "{code}"
        );
    }
}

/// Two that stop nodes at the same place would hide each other.
#[test]
fn every_place_on_the_way_is_taken_once() {
    let ways = Code::ALL.iter().map(|code| code.verdict().way);
    let mut ways: Vec<_> = ways.filter(|way| *way > 0).collect();
    ways.sort_unstable();
    let most = u8::try_from(ways.len()).unwrap();
    assert_eq!(ways, (1..=most).collect::<Vec<_>>());
}
