//! Where a stranger's URL must not lead: redirects, names whose addresses change, and what is told
//! to whom on the way.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{FutureExt, future::BoxFuture};
use gpu_handler::ingest::{
    guard::{Guard, Resolver},
    origin::MAX_REDIRECTS,
};
use reelmill_shared::job::FailureCode;
use rstest::rstest;

use crate::{
    ingesting::{Ingest, PIECE, SIZE, content, one_loopback},
    origin::{Origin, Piece, Request, answer, head},
};

/// A server on the address that must not be reached, at the port of another.
async fn forbidden(port: u16) -> Origin {
    let address = SocketAddr::from(([127, 0, 0, 2], port));
    Origin::start_at(address, |_| answer("200 OK", &[], &content())).await
}

fn redirect(location: &str) -> Vec<Piece> {
    vec![head("302 Found", &[("location", location), ("content-length", "0")])]
}

/// `/5` leads to `/4`, and so on, to `/0`, which is the source.
fn chain(request: &Request) -> Vec<Piece> {
    let path = request.head.split(' ').nth(1).expect("a request line");
    match path.trim_start_matches('/').parse::<usize>().expect("a number") {
        0 => answer("200 OK", &[], &content()),
        left => redirect(&format!("/{}", left - 1)),
    }
}

#[tokio::test]
async fn five_redirects_are_followed_and_no_sixth() {
    let origin = Origin::start(chain).await;
    Ingest::of(&origin.url(&format!("/{MAX_REDIRECTS}"))).await.brings(&content()).await;
    assert_eq!(MAX_REDIRECTS, 5);
    let mut ingest = Ingest::of(&origin.url("/6")).await;
    ingest.fails(FailureCode::SourceUrlRefused).await;
    assert_eq!(ingest.creations(), 0);
}

#[tokio::test]
async fn a_redirect_in_a_circle_ends() {
    let origin = Origin::start(|_| redirect("/again")).await;
    Ingest::of(&origin.url("/")).await.fails(FailureCode::SourceUrlRefused).await;
    assert_eq!(origin.requests().len(), 1 + MAX_REDIRECTS);
}

#[rstest]
#[case::elsewhere("http://127.0.0.2:{port}/")]
#[case::without_a_scheme("//127.0.0.2:{port}/latest/meta-data/")]
#[case::as_a_number("http://2130706434:{port}/")]
#[case::mapped("http://[::ffff:127.0.0.2]:{port}/")]
#[case::v6("http://[::1]:{port}/")]
#[case::file("file:///etc/passwd")]
#[case::credentials("http://me:secret@127.0.0.1:{port}/")]
#[tokio::test]
async fn a_redirect_is_judged_like_any_url(#[case] location: &'static str) {
    let script = move |request: &Request| {
        let port = request.header("host").and_then(|host| host.rsplit(':').next());
        redirect(&location.replace("{port}", port.expect("a port")))
    };
    let origin = Origin::start(script).await;
    let forbidden = forbidden(origin.port).await;
    let mut ingest = Ingest::of(&origin.url("/")).await;
    ingest.fails(FailureCode::SourceUrlRefused).await;
    assert_eq!((origin.requests().len(), forbidden.requests().len()), (1, 0));
    assert_eq!(ingest.creations(), 0);
}

/// The guard of a handler as it is configured by default, and not one of these tests.
#[tokio::test]
async fn this_machine_is_not_reached_by_default() {
    let origin = Origin::start(|_| answer("200 OK", &[], &content())).await;
    for host in ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.1", "[::ffff:127.0.0.1]"] {
        let mut ingest = Ingest::of(&format!("http://{host}:{}/", origin.port)).await;
        ingest.guard = Guard::new(false);
        ingest.fails(FailureCode::SourceUrlRefused).await;
    }
    assert!(origin.requests().is_empty());
}

/// A name whose address is another one at each look-up.
#[derive(Debug, Clone)]
struct Changing {
    lookups: Arc<AtomicUsize>,
    addresses: &'static [&'static [[u8; 4]]],
}

impl Changing {
    fn new(addresses: &'static [&'static [[u8; 4]]]) -> Self {
        Self { lookups: Arc::default(), addresses }
    }

    fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }
}

impl Resolver for Changing {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        assert_eq!(host, "cdn.example");
        let number = self.lookups.fetch_add(1, Ordering::SeqCst);
        let found = self.addresses[number.min(self.addresses.len() - 1)];
        std::future::ready(Ok(found.iter().map(|octets| IpAddr::from(*octets)).collect())).boxed()
    }
}

const PUBLIC: &[[u8; 4]] = &[[127, 0, 0, 1]];
const PRIVATE: &[[u8; 4]] = &[[127, 0, 0, 2]];

/// The address that was judged is the one that is connected to: between the two nobody asks again.
#[tokio::test]
async fn a_name_is_looked_up_once_for_a_connection() {
    let origin = Origin::start(|_| answer("200 OK", &[], &content())).await;
    let forbidden = forbidden(origin.port).await;
    let resolver = Changing::new(&[PUBLIC, PRIVATE]);
    let mut ingest = Ingest::of(&format!("http://cdn.example:{}/", origin.port)).await;
    ingest.guard = Guard::with(resolver.clone(), one_loopback);
    ingest.brings(&content()).await;
    assert_eq!((resolver.lookups(), forbidden.requests().len()), (1, 0));
}

/// Every further connection is judged anew: one that broke off, and one after a redirect.
#[rstest]
#[case::broke_off(|_: &Request| {
    let size = SIZE.to_string();
    let head = head("200 OK", &[("content-length", &size), ("etag", "\"v1\"")]);
    vec![head, Piece::Bytes(content()[..2 * PIECE].to_vec())]
})]
#[case::redirected(|_: &Request| redirect("/there"))]
#[tokio::test]
async fn a_name_that_becomes_private_at_the_second_look_up(
    #[case] script: fn(&Request) -> Vec<Piece>,
) {
    let origin = Origin::start(script).await;
    let forbidden = forbidden(origin.port).await;
    let resolver = Changing::new(&[PUBLIC, PRIVATE]);
    let mut ingest = Ingest::of(&format!("http://cdn.example:{}/", origin.port)).await;
    ingest.guard = Guard::with(resolver.clone(), one_loopback);
    ingest.fails(FailureCode::SourceUrlRefused).await;
    assert_eq!((resolver.lookups(), forbidden.requests().len()), (2, 0));
}

#[tokio::test]
async fn one_private_address_among_public_ones_is_one_too_many() {
    let origin = Origin::start(|_| answer("200 OK", &[], &content())).await;
    let resolver = Changing::new(&[&[[127, 0, 0, 1], [127, 0, 0, 2]]]);
    let mut ingest = Ingest::of(&format!("http://cdn.example:{}/", origin.port)).await;
    ingest.guard = Guard::with(resolver, one_loopback);
    ingest.fails(FailureCode::SourceUrlRefused).await;
    assert!(origin.requests().is_empty());
}

/// Where log lines of every level end up.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a lock").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_reach_neither_logs_nor_the_next_host() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // Also what libraries log in their own way.
    tracing_subscriber::util::SubscriberInitExt::init(subscriber);
    let last = Origin::start(|request| match request.number {
        0 => {
            let head = head("200 OK", &[("content-length", "300007"), ("etag", "\"v1\"")]);
            vec![head, Piece::Bytes(content()[..1000].to_vec())]
        }
        _ => vec![head("403 Forbidden", &[("content-length", "0")])],
    })
    .await;
    let target = last.url("/film.mp4?X-Amz-Signature=s3cret-two");
    let first = Origin::start(move |_| {
        let cookie = ("set-cookie", "session=s3cret-three; path=/");
        vec![head("307 Temporary Redirect", &[("location", &target), cookie])]
    })
    .await;
    let mut ingest = Ingest::of(&first.url("/a?token=s3cret-one")).await;
    let failure = ingest.fails(FailureCode::SourceRefused).await;
    let log = String::from_utf8(log.0.lock().expect("a lock").clone()).expect("text");
    assert!(log.contains("a download broke off"), "it is logged at all: {log}");
    assert!(!log.contains("s3cret"), "{log}");
    assert!(!failure.to_string().contains("s3cret"), "{failure}");
    assert!(first.requests()[0].head.contains("token=s3cret-one"), "it is sent where it belongs");
    for request in first.requests().iter().skip(1).chain(&last.requests()) {
        for name in ["cookie", "referer", "authorization", "proxy-authorization"] {
            assert_eq!(request.header(name), None, "{}", request.head);
        }
    }
    assert_eq!(last.requests().len(), 2);
}
