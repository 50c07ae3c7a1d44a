use super::*;

fn said(found: Result<Uri, String>) -> Result<String, String> {
    found.map(|uri| uri.to_string())
}

fn whole(found: fn(&str) -> Result<Uri, String>, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(said(found(text)), Ok((*expected).to_owned()), "{text}");
    }
}

/// Each with what is said of it, which comes after the text itself.
fn wrong(found: fn(&str) -> Result<Uri, String>, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let expected = format!("{text:?} {expected}");
        assert_eq!(said(found(text)), Err(expected), "{text}");
    }
}

#[test]
fn the_address_of_a_server_is_a_whole_one() {
    let cases = [
        ("https://192.0.2.1:6443", "https://192.0.2.1:6443/"),
        ("https://[::1]:7443", "https://[::1]:7443/"),
        ("https://api.example.com", "https://api.example.com/"),
        (
            "HTTPS://example.com/k8s/c-1/",
            "https://example.com/k8s/c-1/",
        ),
        ("http://localhost:8080/", "http://localhost:8080/"),
    ];
    whole(server, &cases);
    let scheme = "does not begin with https:// or http://";
    let space = "has a space or a line break in it";
    let host = "has a host that is neither a name nor an IP address";
    let port = "has a port that is no number from 1 to 65535";
    let cases = [
        ("", scheme),
        ("10.0.0.1:6443", scheme),
        ("//10.0.0.1", scheme),
        ("/etc", scheme),
        (" https://10.0.0.1", space),
        ("https://10.0.0.1 ", space),
        ("https://10.0.0.1\n", space),
        ("ftp://10.0.0.1", "has a scheme that is none of https, http"),
        ("://10.0.0.1", "has a scheme that is none of https, http"),
        ("https://", "has no host"),
        ("https:///a", "has no host"),
        ("https://:6443", "has no host"),
        ("https://[::1", host),
        ("https://[::x]:1", host),
        ("https://[]", host),
        ("https://a..b", host),
        ("https://999.0.0.1", host),
        ("https://10.0.0.1:99999", port),
        ("https://10.0.0.1:", port),
        ("https://10.0.0.1:0", port),
        ("https://10.0.0.1:+443", port),
        ("https://[::1]6443", port),
        ("https://a:1:2", port),
        (
            "https://h/?a=b",
            "has more after its path, which is for nothing",
        ),
        ("https://h/<>", "is no address: invalid uri character"),
    ];
    wrong(server, &cases);
}

#[test]
fn the_address_of_a_proxy_has_a_port_and_may_have_a_user() {
    let cases = [
        ("http://proxy.example.com", "http://proxy.example.com:80/"),
        (
            "https://u:p%40ss@proxy:3129",
            "https://u:p%40ss@proxy:3129/",
        ),
        ("https://proxy", "https://proxy:443/"),
        ("socks5://[::1]", "socks5://[::1]:1080/"),
    ];
    whole(proxy, &cases);
    let scheme = "does not begin with http:// or https:// or socks5://";
    let other = "has a scheme that is none of http, https, socks5";
    wrong(
        proxy,
        &[
            ("proxy:3128", scheme),
            ("socks4://proxy", other),
            ("socks5h://proxy", other),
        ],
    );
}

#[test]
fn what_may_have_a_password_in_it_or_is_endless_is_not_shown() {
    let long = format!("https://h/{}", "a".repeat(LONGEST));
    let user = "has a user in it, who belongs to the kubeconfig's users";
    let socks = "has a user in it, which does not work with socks5; use a proxy of the scheme http, or one without a password";
    for (found, expected) in [
        (server("https://u:secret@h"), user),
        (
            server("u:secret@h"),
            "does not begin with https:// or http://",
        ),
        (server(&long), "is longer than 2048 characters"),
        (proxy("socks5://u:secret@h"), socks),
        (
            proxy("http://u:secret@h:x"),
            "has a port that is no number from 1 to 65535",
        ),
        (
            proxy("u:secret@h://x"),
            "has a scheme that is none of http, https, socks5",
        ),
    ] {
        assert_eq!(said(found), Err(expected.to_owned()));
    }
}
