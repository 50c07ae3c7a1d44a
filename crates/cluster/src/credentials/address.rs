//! The addresses in a kubeconfig.
//!
//! The client library accepts anything that can be parsed as a URI. It aborts the program when an address without a scheme is used, and
//! replaces an invalid port by the default one.

use std::net::Ipv6Addr;

use http::Uri;
use rustls::pki_types::ServerName;

/// Longer than any real address. The library aborts the program when an address and a path together are too long for a URI (64 KiB).
const LONGEST: usize = 2048;

/// A scheme, and its default port.
type Kind = (&'static str, u16);

const SERVERS: &[Kind] = &[("https", 443), ("http", 80)];
/// The schemes of client-go: with `socks5`, the proxy resolves names.
const PROXIES: &[Kind] = &[("http", 80), ("https", 443), ("socks5", 1080)];

/// Parses the address of an API server.
pub(super) fn server(text: &str) -> Result<Uri, String> {
    let address = Address::parse(text, SERVERS).and_then(|address| match address.user {
        Some(_) => Err("has a user in it, who belongs to the kubeconfig's users".to_owned()),
        None => Ok(address),
    });
    address
        .and_then(|address| address.uri())
        .map_err(|why| reported(text, &why))
}

/// Parses the address of a proxy, with its port.
pub(super) fn proxy(text: &str) -> Result<Uri, String> {
    let address = Address::parse(text, PROXIES).and_then(|mut address| {
        let (scheme, port) = address.kind;
        if scheme == "socks5" && address.user.is_some() {
            let why = "has a user in it, which does not work with socks5; use a proxy of the scheme http, or one without a password";
            return Err(why.to_owned());
        }
        address.port.get_or_insert(port);
        Ok(address)
    });
    address
        .and_then(|address| address.uri())
        .map_err(|why| reported(text, &why))
}

/// Formats an error without a password in the address.
fn reported(text: &str, why: &str) -> String {
    if text.contains('@') || text.len() > LONGEST {
        why.to_owned()
    } else {
        format!("{text:?} {why}")
    }
}

struct Address<'a> {
    kind: Kind,
    /// User and password.
    user: Option<&'a str>,
    host: &'a str,
    port: Option<u16>,
    path: &'a str,
}

impl<'a> Address<'a> {
    fn parse(text: &'a str, kinds: &[Kind]) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} characters"));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("has a space or a line break in it".to_owned());
        }
        let names = || kinds.iter().map(|kind| kind.0).collect::<Vec<_>>();
        let Some((scheme, rest)) = text.split_once("://") else {
            let scheme = names().join(":// or ");
            return Err(format!("does not begin with {scheme}://"));
        };
        let kind = kinds
            .iter()
            .find(|kind| kind.0.eq_ignore_ascii_case(scheme))
            .ok_or_else(|| format!("has a scheme that is none of {}", names().join(", ")))?;
        if rest.contains(['?', '#']) {
            return Err("has more after its path, which is for nothing".to_owned());
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = split(place)?;
        Ok(Self {
            kind: *kind,
            user,
            host,
            port: port.map(number).transpose()?,
            path,
        })
    }

    fn uri(&self) -> Result<Uri, String> {
        let user = self.user.map(|user| format!("{user}@")).unwrap_or_default();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let built = Uri::builder()
            .scheme(self.kind.0)
            .authority(format!("{user}{}{port}", self.host))
            .path_and_query(if self.path.is_empty() { "/" } else { self.path });
        built
            .build()
            .map_err(|error| format!("is no address: {error}"))
    }
}

/// Splits into host and port, with the colon; the host keeps the brackets of IP version 6.
fn split(place: &str) -> Result<(&str, Option<&str>), &'static str> {
    let wrong = "has a host that is neither a name nor an IP address";
    let end = match place.strip_prefix('[') {
        Some(inner) => inner.find(']').ok_or(wrong)? + 2,
        None => place.find(':').unwrap_or(place.len()),
    };
    let (host, rest) = place.split_at(end);
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let good = match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => ServerName::try_from(host).is_ok(),
    };
    match host {
        "" => Err("has no host"),
        host if good => Ok((host, (!rest.is_empty()).then_some(rest))),
        _ => Err(wrong),
    }
}

fn number(text: &str) -> Result<u16, &'static str> {
    let digits = text.strip_prefix(':').unwrap_or_default();
    let port = Some(digits).filter(|digits| digits.bytes().all(|c| c.is_ascii_digit()));
    port.and_then(|port| port.parse().ok())
        .filter(|port| *port > 0)
        .ok_or("has a port that is no number from 1 to 65535")
}

#[cfg(test)]
mod tests;
