//! Which URLs webhooks may be sent to.
//!
//! An endpoint's URL is chosen by a caller and fetched by us, so it must not reach what only we can
//! reach (server-side request forgery). Cloudflare's network does not route to private addresses
//! either; this check is for clear errors and for gateways run elsewhere.

use std::net::IpAddr;

use reelmill_shared::address::is_public;
use url::{Host, Url};

/// Longest URL, in bytes.
const MAX_LENGTH: usize = 2048;

/// Why a URL is not accepted, as a sentence for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefused {
    /// No URL, or a very long one.
    #[error("`url` is not a URL of at most 2048 characters.")]
    Malformed,
    /// Another scheme than `https`.
    #[error("`url` must begin with https://.")]
    Scheme,
    /// User name or password.
    #[error("`url` must not contain credentials.")]
    Credentials,
    /// A private, local or reserved host.
    #[error("`url` must name a host on the public internet.")]
    PrivateHost,
}

/// Checks an endpoint's URL. With `allow_private`, for local development, `http:` and private hosts
/// pass.
pub fn check(text: &str, allow_private: bool) -> Result<Url, UrlRefused> {
    let url = Url::parse(text).map_err(|_| UrlRefused::Malformed)?;
    if text.len() > MAX_LENGTH || url.host().is_none() {
        return Err(UrlRefused::Malformed);
    }
    if url.scheme() != "https" && !(allow_private && url.scheme() == "http") {
        return Err(UrlRefused::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlRefused::Credentials);
    }
    let public = match url.host() {
        Some(Host::Domain(name)) => is_public_name(name),
        Some(Host::Ipv4(address)) => is_public(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_public(IpAddr::V6(address)),
        None => false,
    };
    if public || allow_private { Ok(url) } else { Err(UrlRefused::PrivateHost) }
}

fn is_public_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let reserved =
        ["localhost", "internal", "local", "lan", "home", "corp", "test", "invalid", "onion"];
    // A name without a dot is a machine next door.
    name.contains('.')
        && !reserved.iter().any(|suffix| name.ends_with(&format!(".{suffix}")))
        && name != "home.arpa"
        && !name.ends_with(".home.arpa")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://example.com/hook?x=1")]
    #[case("https://hooks.example.co.uk:8443/")]
    #[case("https://8.8.8.8/")]
    #[case("https://[2606:4700::1111]/")]
    fn takes(#[case] url: &str) {
        assert!(check(url, false).is_ok());
    }

    #[rstest]
    #[case("http://example.com/", UrlRefused::Scheme)]
    #[case("file:///etc/passwd", UrlRefused::Malformed)]
    #[case("example.com", UrlRefused::Malformed)]
    #[case("https://user:pass@example.com/", UrlRefused::Credentials)]
    #[case("https://localhost/", UrlRefused::PrivateHost)]
    #[case("https://LOCALHOST./", UrlRefused::PrivateHost)]
    #[case("https://foo.localhost/", UrlRefused::PrivateHost)]
    #[case("https://metadata.google.internal/", UrlRefused::PrivateHost)]
    #[case("https://printer.local/", UrlRefused::PrivateHost)]
    #[case("https://intranet/", UrlRefused::PrivateHost)]
    #[case("https://127.0.0.1/", UrlRefused::PrivateHost)]
    #[case("https://2130706433/", UrlRefused::PrivateHost)]
    #[case("https://0x7f.1/", UrlRefused::PrivateHost)]
    #[case("https://10.1.2.3/", UrlRefused::PrivateHost)]
    #[case("https://169.254.169.254/latest/meta-data", UrlRefused::PrivateHost)]
    #[case("https://100.100.100.200/", UrlRefused::PrivateHost)]
    #[case("https://0.0.0.0/", UrlRefused::PrivateHost)]
    #[case("https://255.255.255.255/", UrlRefused::PrivateHost)]
    #[case("https://[::1]/", UrlRefused::PrivateHost)]
    #[case("https://[::]/", UrlRefused::PrivateHost)]
    #[case("https://[fe80::1]/", UrlRefused::PrivateHost)]
    #[case("https://[fd00:ec2::254]/", UrlRefused::PrivateHost)]
    #[case("https://[::ffff:10.0.0.1]/", UrlRefused::PrivateHost)]
    #[case("https://[64:ff9b::a00:1]/", UrlRefused::PrivateHost)]
    #[case("https://[2002:7f00:1::]/", UrlRefused::PrivateHost)]
    #[case("https://[2001:db8::1]/", UrlRefused::PrivateHost)]
    fn refuses(#[case] url: &str, #[case] why: UrlRefused) {
        assert_eq!(check(url, false), Err(why));
    }

    #[test]
    fn local_development_may_go_next_door() {
        assert!(check("http://127.0.0.1:9000/hook", true).is_ok());
        assert_eq!(check("ftp://127.0.0.1/", true), Err(UrlRefused::Scheme));
    }
}
