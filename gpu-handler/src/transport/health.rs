//! `health`: whether the handler beside this process answers, for a container's health check, so that the
//! image needs neither a shell nor curl.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use reelmill_shared::secret::Secret;
use reqwest::{
    Client, StatusCode,
    header::{AUTHORIZATION, HeaderValue},
};

/// Longer than any answer takes while all processors encode; shorter than what a container host waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a handler counts as unhealthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// The key cannot stand in a header: no caller can ever show it.
    #[error("HANDLER_API_KEY has characters that no HTTP header may have")]
    Key,
    /// It does not answer, or not in time.
    #[error("no answer from http://{0}: {1}")]
    Silent(SocketAddr, reqwest::Error),
    /// It answers with an error.
    #[error("http://{0} answers {1}")]
    Refused(SocketAddr, StatusCode),
}

/// Asks the handler that serves on `listen` to those who know `key` how it is.
///
/// # Errors
/// [`Unhealthy`].
pub async fn ask(client: &Client, listen: SocketAddr, key: &Secret) -> Result<(), Unhealthy> {
    let place = reachable(listen);
    let mut shown = HeaderValue::from_bytes(&[b"Bearer ", key.expose()].concat())
        .map_err(|_| Unhealthy::Key)?;
    shown.set_sensitive(true);
    let request = client
        .get(format!("http://{place}/v2/local/health"))
        .header(AUTHORIZATION, shown)
        .timeout(PATIENCE);
    let answer =
        request.send().await.map_err(|error| Unhealthy::Silent(place, error.without_url()))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(Unhealthy::Refused(place, status)),
    }
}

/// Where a listener is reached from its own machine: "every address" is no address to call.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0.0.0.0:8788", "127.0.0.1:8788")]
    #[case("[::]:8788", "[::1]:8788")]
    #[case("10.1.2.3:80", "10.1.2.3:80")]
    fn a_listener_is_called_where_it_can_be(#[case] listen: &str, #[case] reached: &str) {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(reachable(address(listen)), address(reached));
    }
}
