//! The HTTP client for sources, outputs and reports, and the one for long polls.

use std::time::Duration;

use reqwest::{Client, ClientBuilder, redirect::Policy};

/// A client that follows no redirects, since a capability URL is exact, and heeds no proxy settings
/// of the environment. It gives up when nothing arrives for half a minute.
///
/// # Errors
/// The platform's TLS could not be set up.
pub fn client() -> reqwest::Result<Client> {
    builder().read_timeout(Duration::from_secs(30)).build()
}

/// The same, but one that waits for answers as long as each request says: for long polls of a
/// platform's queue.
///
/// # Errors
/// The platform's TLS could not be set up.
pub fn patient_client() -> reqwest::Result<Client> {
    builder().build()
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("reelmill-handler/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_secs(5))
}
