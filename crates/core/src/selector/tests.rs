use super::*;

#[test]
fn demands_hold_as_in_kubernetes() {
    let cases = [
        ("{}", "", true),
        (r#"{"matchLabels":{"a":"1"}}"#, "a=1", true),
        (r#"{"matchLabels":{"a":"2"}}"#, "a=2", false),
        (r#"{"matchLabels":{"c":"1"}}"#, "c=1", false),
        (
            r#"{"matchLabels":{"a":"1"},"matchExpressions":[{"key":"b","operator":"In","values":["x","y"]}]}"#,
            "a=1,b in (x,y)",
            true,
        ),
        (
            r#"{"matchExpressions":[{"key":"b","operator":"In","values":["y"]}]}"#,
            "b in (y)",
            false,
        ),
        (
            r#"{"matchExpressions":[{"key":"b","operator":"NotIn","values":["y"]}]}"#,
            "b notin (y)",
            true,
        ),
        (
            r#"{"matchExpressions":[{"key":"c","operator":"NotIn","values":["y"]}]}"#,
            "c notin (y)",
            true,
        ),
        (
            r#"{"matchExpressions":[{"key":"b","operator":"NotIn","values":["x"]}]}"#,
            "b notin (x)",
            false,
        ),
        (
            r#"{"matchExpressions":[{"key":"c","operator":"Exists"}]}"#,
            "c",
            false,
        ),
        (
            r#"{"matchExpressions":[{"key":"c","operator":"DoesNotExist"}]}"#,
            "!c",
            true,
        ),
    ];
    let labels = [("a", "1"), ("b", "x")].map(|(key, value)| (key.into(), value.into()));
    for (text, shown, expected) in cases {
        let selector: Selector = serde_json::from_str(text).unwrap();
        assert_eq!(selector.matches(&labels.clone().into()), expected, "{text}");
        assert_eq!(selector.to_string(), shown);
        assert_eq!(serde_json::to_string(&selector).unwrap(), text);
        assert_eq!(
            shown.parse().ok(),
            Some(selector).filter(|_| !shown.is_empty())
        );
    }
}

#[test]
fn selectors_are_read_as_kubectl_reads_them() {
    let same = [
        ("a=1", "a=1"),
        ("a==1", "a=1"),
        (" a = 1 , !b ", "a=1,!b"),
        ("a!=1", "a notin (1)"),
        ("a=,b", "a=,b"),
        ("x.io/a in (1, 2),b", "x.io/a in (1,2),b"),
        ("a notin(1)", "a notin (1)"),
    ];
    for (text, shown) in same {
        let found = text.parse::<Selector>().map(|found| found.to_string());
        assert_eq!(found, Ok(shown.to_owned()), "{text}");
    }
    for text in ["", ",", "a b", "in (x)", "!", "a=1,b,(", "ä"] {
        assert!(text.parse::<Selector>().is_err(), "{text}");
    }
}
