use super::*;

#[test]
fn names_keep_their_text() {
    let hex = "0941d40c0f136423cd968a12f552d3027dfa43a6e854722eafa4565c4b7c1589";
    for text in [hex.to_owned(), format!("sha256:{hex}")] {
        assert_eq!(text.parse::<ReleaseId>().unwrap().to_string(), text);
    }
    let boot = "0f3a9b2c-1111-4222-8333-abcdefabcdef";
    assert_eq!(boot.parse::<BootId>().unwrap().to_string(), boot);
    assert_eq!(boot.parse::<BootId>().unwrap().salt(), 0x0f3a_9b2c);
    let machine = "0f3a9b2c111142228333abcdefabcdef";
    assert_eq!(machine.parse::<MachineId>().unwrap().to_string(), machine);
    assert_eq!(
        "17-0f3a9b2c".parse::<GrantId>().unwrap().to_string(),
        "17-0f3a9b2c"
    );
    assert_eq!(
        "n1.example".parse::<NodeName>().unwrap().as_str(),
        "n1.example"
    );
}

#[test]
fn other_texts_are_refused() {
    let upper = "0941D40C0F136423CD968A12F552D3027DFA43A6E854722EAFA4565C4B7C1589";
    let longer = "0".repeat(66);
    for text in ["", "sha256:", "abc", upper, "sha512:00", &longer] {
        assert!(text.parse::<ReleaseId>().is_err(), "{text}");
    }
    for text in [
        "",
        "0f3a9b2c111142228333abcdefabcdef",
        "0f3a9b2c-1111-4222-8333-abcdefabcdeg",
    ] {
        assert!(text.parse::<BootId>().is_err(), "{text}");
    }
    let boot = "0f3a9b2c-1111-4222-8333-abcdefabcdef";
    for text in [
        "",
        "uninitialized",
        "0F3A9B2C111142228333ABCDEFABCDEF",
        boot,
    ] {
        assert!(text.parse::<MachineId>().is_err(), "{text}");
    }
    for text in [
        "",
        "17",
        "-0f3a9b2c",
        "+1-0f3a9b2c",
        "17-0f3a9b2",
        "17-0F3A9B2C",
        "99999999999999999999-00000000",
    ] {
        assert!(text.parse::<GrantId>().is_err(), "{text}");
    }
    for text in ["", "-n", "n.", "N1", "a_b", &"a".repeat(254)] {
        assert!(text.parse::<NodeName>().is_err(), "{text}");
    }
}
