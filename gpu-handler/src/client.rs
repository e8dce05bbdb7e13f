//! The one HTTP client, for sources, outputs and reports.

use std::time::Duration;

use reqwest::{Client, redirect::Policy};

/// A client that follows no redirects, since a capability URL is exact, and heeds no proxy settings
/// of the environment. It gives up when nothing arrives for half a minute.
///
/// # Errors
/// The platform's TLS could not be set up.
pub fn client() -> reqwest::Result<Client> {
    Client::builder()
        .user_agent(concat!("reelmill-handler/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(30))
        .build()
}
