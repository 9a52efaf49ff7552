//! What holds for the fields that tell the upstream who asks, whatever a client sends; fuzz/ and the test below look
//! for what breaks it.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::{Believed, ClientFrom, X_REQUEST_ID, address_value, client, forget_client, forward};
use super::{host_of, keep_believed, request_id, strip_request};
use crate::message::fields;
use crate::message::peer::{Address, Proxies};

/// A byte that says who connects, then lines of fields.
///
/// # Panics
/// When something that a stranger says about who asks goes on, or the trusted proxy is not in the list of those that
/// the request passed.
pub fn forwarded(input: &[u8]) {
    let Some((who, lines)) = input.split_first() else {
        return;
    };
    let headers = headers(lines);
    let secure = who & 1 != 0;
    let (peer, proxies) = (peer(*who), proxies(*who));
    let authority = headers.get("host").cloned();
    let authority = authority.unwrap_or_else(|| HeaderValue::from_static(""));
    if let Ok(authority) = authority.to_str() {
        let host = host_of(authority);
        assert!(
            !host.bytes().any(|byte| byte.is_ascii_uppercase()),
            "{host}"
        );
    }
    let from = match who & 0x80 {
        0 => ClientFrom::XForwardedFor,
        _ => ClientFrom::Forwarded,
    };
    let believed = Believed {
        proxies: &proxies,
        from,
    };
    let found = client(&headers, peer, secure, believed);
    let id = request_id(&headers, found.trusted);
    assert!((1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic));
    assert_eq!(found.trusted, proxies.has(peer.to_canonical()));
    let mut sent = headers.clone();
    let seen = strip_request(&mut sent);
    match found.trusted {
        true => keep_believed(&mut sent, peer, &found, believed),
        false if seen.identity => forget_client(&mut sent),
        false => {}
    }
    let chosen = sent.get_all("forwarded").iter().count();
    assert!(chosen == 0 || found.trusted && from == ClientFrom::Forwarded);
    let address = address_value(peer);
    forward(
        &mut sent,
        address.as_ref(),
        secure,
        &authority,
        &found,
        from,
    );
    if from == ClientFrom::Forwarded {
        // The field that goes on says what was believed of it, and nothing of who has no address.
        let behind = address_behind();
        let again = client(&sent, behind, secure, believed);
        let address = found.address.ip().map_or(behind, Address::Ip);
        assert_eq!((again.address, again.trusted), (address, true));
        sent.remove("forwarded");
    }
    let last = sent.get_all("x-forwarded-for").iter().next_back();
    let last = last.and_then(|list| list.as_bytes().rsplit(|byte| *byte == b',').next());
    if address.is_some() || !found.trusted {
        let address = address.as_ref().map(HeaderValue::as_bytes);
        assert_eq!(last.map(<[u8]>::trim_ascii), address);
    }
    if !found.trusted {
        assert_eq!((found.address, found.secure), (peer.to_canonical(), secure));
        assert!(headers.get(X_REQUEST_ID) != Some(&id));
        let told = [address.as_ref(), Some(&scheme(secure)), Some(&authority)];
        check_stranger(&sent, told);
    }
}

/// Who is believed.
fn proxies(who: u8) -> Proxies {
    let networks: [IpNet; 2] =
        ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("the network is a sound one"));
    Proxies {
        networks: networks.to_vec(),
        unix: who & 0x40 != 0,
    }
}

/// Who connects.
fn peer(who: u8) -> Address {
    let peer = [
        "10.1.2.3",
        "fd00::1",
        "::ffff:10.0.0.1",
        "6.6.6.6",
        "2001:db8::6",
        "::ffff:6.6.6.6",
        "unix:",
    ][usize::from(who >> 1) % 7];
    peer.parse().expect("the address is a sound one")
}

/// The next gateway sees this one as a trusted proxy.
fn address_behind() -> Address {
    Address::Ip([10, 0, 0, 99].into())
}

/// Only the gateway's own three fields tell who asks, even to a server that takes `_` or any other byte for `-` as CGI
/// does.
fn check_stranger(sent: &HeaderMap, [address, scheme, authority]: [Option<&HeaderValue>; 3]) {
    for (name, value) in sent {
        let read = name
            .as_str()
            .replace(|part: char| !part.is_ascii_alphanumeric(), "-");
        if !fields::tells_client(&read) {
            continue;
        }
        let own = match name.as_str() {
            "x-forwarded-for" => address,
            "x-forwarded-proto" => scheme,
            "x-forwarded-host" => authority,
            _ => None,
        };
        assert_eq!(own, Some(value), "{name} goes on");
        assert_eq!(sent.get_all(name).iter().count(), 1, "{name}");
    }
}

fn scheme(secure: bool) -> HeaderValue {
    HeaderValue::from_static(if secure { "https" } else { "http" })
}

/// The lines that are fields.
fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use crate::corpora;

    #[test]
    fn nothing_that_a_stranger_says_of_itself_goes_on() {
        corpora::replay("forwarded", super::forwarded);
    }
}
