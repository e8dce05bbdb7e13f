//! Where a stranger's URL may have us connect to (against server-side request forgery).
//!
//! A host is looked up once for each connection, every address that comes back has to be public
//! ([`address`]), and the connection is made to just those: a name that resolves to another address a
//! moment later gains nothing. Nothing else of the environment takes part: no proxy, no cookies, no
//! credentials, no connection that was made for somebody else.

use std::{
    fmt::Debug,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use reelmill_shared::{
    address,
    job::{Failure, FailureCode},
    source_url::SourceUrl,
};
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use url::Host;

/// How long a look-up and a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks hosts up.
pub trait Resolver: Debug + Send + Sync {
    /// All addresses of a host.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
#[derive(Debug)]
pub struct System;

impl Resolver for System {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()) }
            .boxed()
    }
}

/// Decides where to connect to.
#[derive(Debug)]
pub struct Guard {
    resolver: Box<dyn Resolver>,
    allowed: fn(IpAddr) -> bool,
}

impl Guard {
    /// Lets through what is on the public internet; with `allow_private`, for local development,
    /// everything.
    pub fn new(allow_private: bool) -> Self {
        Self::with(System, if allow_private { |_| true } else { address::is_public })
    }

    /// With another resolver and another idea of what is allowed.
    pub fn with(resolver: impl Resolver + 'static, allowed: fn(IpAddr) -> bool) -> Self {
        Self { resolver: Box::new(resolver), allowed }
    }

    /// A client for one request to `url`, which can connect to nowhere but to the addresses that its
    /// host has now.
    ///
    /// # Errors
    /// `source_url_refused` where any of them is not allowed, `source_unreachable` where there are
    /// none.
    pub async fn admit(&self, url: &SourceUrl) -> Result<Client, Failure> {
        let addresses = match url.expose().host() {
            Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
            Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
            Some(Host::Domain(name)) => self.look_up(name).await?,
            None => Vec::new(),
        };
        if addresses.is_empty() {
            return Err(unknown_host());
        }
        // All and not just some: a host with a private address beside is up to no good.
        if !addresses.iter().all(|address| (self.allowed)(*address)) {
            let message = "the source's URL leads to an address that is not public";
            return Err(Failure::new(FailureCode::SourceUrlRefused, message));
        }
        let client = Client::builder()
            .user_agent(concat!("reelmill-handler/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(PATIENCE)
            // How long an answer may take, the origin's reader decides.
            .dns_resolver(Pinned(addresses))
            .build();
        client.map_err(|_| Failure::new(FailureCode::Internal, "TLS could not be set up"))
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        match tokio::time::timeout(PATIENCE, self.resolver.resolve(name)).await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(_)) | Err(_) => Err(unknown_host()),
        }
    }
}

fn unknown_host() -> Failure {
    Failure::new(FailureCode::SourceUnreachable, "the source's host could not be found")
}

/// Answers every look-up with what was found before.
struct Pinned(Vec<IpAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _: Name) -> Resolving {
        // Port 0: that of the URL.
        let addresses: Vec<_> = self.0.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
        let addresses: Addrs = Box::new(addresses.into_iter());
        std::future::ready(Ok(addresses)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[derive(Debug)]
    struct Fixed(&'static [&'static str]);

    impl Resolver for Fixed {
        fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            let found = self.0.iter().map(|text| text.parse().expect("an address")).collect();
            std::future::ready(Ok(found)).boxed()
        }
    }

    async fn admit(guard: &Guard, url: &str) -> Option<FailureCode> {
        let url = SourceUrl::parse(url).expect("a URL");
        guard.admit(&url).await.err().map(|failure| failure.code)
    }

    #[rstest]
    #[case(&["93.184.216.34", "2606:4700::1111"], None)]
    #[case(&["93.184.216.34", "10.0.0.1"], Some(FailureCode::SourceUrlRefused))]
    #[case(&["169.254.169.254"], Some(FailureCode::SourceUrlRefused))]
    #[case(&["64:ff9b::7f00:1"], Some(FailureCode::SourceUrlRefused))]
    #[case(&[], Some(FailureCode::SourceUnreachable))]
    #[tokio::test]
    async fn judges_every_address_of_a_name(
        #[case] addresses: &'static [&'static str],
        #[case] expected: Option<FailureCode>,
    ) {
        let guard = Guard::with(Fixed(addresses), address::is_public);
        assert_eq!(admit(&guard, "https://cdn.example/a.mp4").await, expected);
    }

    #[rstest]
    #[case("http://127.0.0.1/")]
    #[case("http://2130706433/")]
    #[case("http://0x7f.1/")]
    #[case("http://017700000001/")]
    #[case("http://127.1:8080/")]
    #[case("http://[::1]/")]
    #[case("http://[::ffff:169.254.169.254]/latest/meta-data/")]
    #[case("http://[fd00:ec2::254]/")]
    #[case("http://0/")]
    #[tokio::test]
    async fn an_address_needs_no_look_up(#[case] url: &str) {
        let guard = Guard::with(Fixed(&["93.184.216.34"]), address::is_public);
        assert_eq!(admit(&guard, url).await, Some(FailureCode::SourceUrlRefused));
    }

    #[tokio::test]
    async fn the_systems_name_for_itself_is_no_way_in() {
        let refused = admit(&Guard::new(false), "http://LOCALHOST/").await;
        assert_eq!(refused, Some(FailureCode::SourceUrlRefused));
        assert_eq!(admit(&Guard::new(true), "http://LOCALHOST/").await, None);
    }
}
