//! Against a server that keeps to tus, but loses connections, forgets and refuses as it is told.

use std::{
    collections::VecDeque,
    fs,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body as AxumBody, Bytes},
    extract::State,
    http::{HeaderMap, Method as Verb, StatusCode as Status},
    response::{IntoResponse, Response as Answer},
};
use rstest::rstest;

use super::*;

/// What the server does to one PATCH.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Stored,
    /// So many bytes are stored, then the connection breaks.
    CutAfter(usize),
    /// Everything is stored, but the answer gets lost.
    Unanswered,
    /// Refused with a status; nothing is stored.
    Refused(u16),
}

#[derive(Default)]
struct Server {
    stored: Vec<u8>,
    length: usize,
    fates: VecDeque<Fate>,
    /// What HEAD answers with, instead of the offset.
    head: Option<u16>,
    requests: Vec<String>,
}

type Shared = Arc<Mutex<Server>>;

async fn serve(
    State(server): State<Shared>,
    verb: Verb,
    headers: HeaderMap,
    body: AxumBody,
) -> Answer {
    let number =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    assert_eq!(headers["tus-resumable"], "1.0.0");
    let body: Result<Bytes, _> = axum::body::to_bytes(body, usize::MAX).await;
    let mut server = server.lock().expect("no panic");
    let at = number("upload-offset");
    server.requests.push(at.map_or(verb.to_string(), |at| format!("{verb} {at}")));
    let offset = |stored: usize| ("upload-offset", stored.to_string());
    match verb.as_str() {
        "POST" => {
            server.length = number("upload-length").expect("a length");
            (Status::CREATED, [("location", "/files/1")]).into_response()
        }
        "HEAD" => match server.head {
            Some(status) => Status::from_u16(status).expect("a status").into_response(),
            None => {
                let length = ("upload-length", server.length.to_string());
                ([offset(server.stored.len()), length], ()).into_response()
            }
        },
        _ => {
            assert_eq!(headers["content-type"], "application/offset+octet-stream");
            let body = body.expect("a whole body");
            assert_eq!(number("content-length"), Some(body.len()));
            if at != Some(server.stored.len()) {
                return Status::CONFLICT.into_response();
            }
            match server.fates.pop_front().unwrap_or(Fate::Stored) {
                Fate::Stored => {
                    server.stored.extend_from_slice(&body);
                    (Status::NO_CONTENT, [offset(server.stored.len())]).into_response()
                }
                Fate::CutAfter(bytes) => {
                    server.stored.extend_from_slice(&body[..bytes]);
                    broken(server)
                }
                Fate::Unanswered => {
                    server.stored.extend_from_slice(&body);
                    broken(server)
                }
                Fate::Refused(status) => {
                    Status::from_u16(status).expect("a status").into_response()
                }
            }
        }
    }
}

/// No answer: the connection goes away with its task, and without a word in the test's output.
fn broken(server: MutexGuard<'_, Server>) -> Answer {
    drop(server);
    std::panic::resume_unwind(Box::new("told to"))
}

#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Vec<u64>>>, Arc<Mutex<usize>>);

impl Observer for Watch {
    fn sent(&self, bytes: u64) {
        self.0.lock().expect("no panic").push(bytes);
    }

    fn trouble(&self, failure: Option<&Failure>) {
        *self.1.lock().expect("no panic") += usize::from(failure.is_some());
    }
}

struct Rig {
    server: Shared,
    endpoint: Url,
    source: Source,
    content: Vec<u8>,
    watch: Watch,
    _file: tempfile::NamedTempFile,
}

const SIZE: usize = 1000;

async fn rig(fates: &[Fate]) -> Rig {
    let server = Shared::default();
    server.lock().expect("no panic").fates = fates.iter().copied().collect();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().fallback(serve).with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
    let file = tempfile::NamedTempFile::new().expect("a file");
    let content: Vec<u8> = (0..SIZE).map(|at| (at * 7 + at / 251) as u8).collect();
    fs::write(file.path(), &content).expect("written");
    let source = Source::open(file.path()).expect("a source");
    let endpoint = format!("http://{address}/files?token=x").parse().expect("a URL");
    Rig { server, endpoint, source, content, watch: Watch::default(), _file: file }
}

/// In pieces of 300 bytes, with pauses that tests do not notice.
fn tus(times: usize) -> Tus {
    let brief = Duration::from_millis(1);
    let patience = Patience { first: brief, longest: brief, times };
    Tus { piece: 300, ..Tus::new(patience) }
}

impl Rig {
    async fn send(&self) -> Result<Ended, Failure> {
        let tus = tus(3);
        let upload = tus.create(&self.endpoint, SIZE as u64).await?;
        assert_eq!(upload.path(), "/files/1");
        tus.send(&upload, &self.source, &self.watch).await
    }

    fn requests(&self) -> Vec<String> {
        self.server.lock().expect("no panic").requests.clone()
    }

    fn stored(&self) -> Vec<u8> {
        self.server.lock().expect("no panic").stored.clone()
    }
}

#[tokio::test]
async fn sends_a_file_in_pieces_and_tells_how_far_it_is() {
    let rig = rig(&[]).await;
    assert_eq!(rig.send().await, Ok(Ended::Complete));
    assert_eq!(rig.stored(), rig.content);
    assert_eq!(rig.requests(), ["POST", "HEAD", "PATCH 0", "PATCH 300", "PATCH 600", "PATCH 900"]);
    let seen = rig.watch.0.lock().expect("no panic").clone();
    assert!(seen.is_sorted() && seen.last() == Some(&1000), "{seen:?}");
}

#[rstest]
#[case(&[Fate::CutAfter(120), Fate::CutAfter(0), Fate::CutAfter(299)])]
#[case(&[Fate::Unanswered, Fate::Unanswered, Fate::Unanswered, Fate::Unanswered])]
#[case(&[Fate::Refused(409), Fate::Refused(423), Fate::Refused(503)])]
#[case(&[Fate::Refused(500), Fate::Stored, Fate::Refused(500), Fate::Refused(502), Fate::Stored, Fate::Refused(429)])]
#[tokio::test]
async fn goes_on_where_the_server_is(#[case] fates: &[Fate]) {
    let rig = rig(fates).await;
    assert_eq!(rig.send().await, Ok(Ended::Complete));
    assert_eq!(rig.stored(), rig.content);
    assert!(*rig.watch.1.lock().expect("no panic") > 0, "trouble is told");
}

#[tokio::test]
async fn gives_up_when_nothing_moves_any_more() {
    let rig = rig(&[
        Fate::Stored,
        Fate::CutAfter(0),
        Fate::CutAfter(0),
        Fate::CutAfter(0),
        Fate::CutAfter(0),
    ])
    .await;
    assert_eq!(rig.send().await.expect_err("a failure").kind, Kind::Unreachable);
    assert_eq!(rig.stored(), rig.content[..300]);
}

#[rstest]
#[case(404, Ok(Ended::Lost))]
#[case(410, Ok(Ended::Lost))]
#[case(403, Err(Kind::Auth))]
#[case(412, Err(Kind::Refused))]
#[tokio::test]
async fn a_refusal_is_no_trouble_to_sit_out(
    #[case] status: u16,
    #[case] expected: Result<Ended, Kind>,
) {
    let rig = rig(&[]).await;
    rig.server.lock().expect("no panic").head = Some(status);
    assert_eq!(rig.send().await.map_err(|failure| failure.kind), expected);
    assert_eq!(rig.requests(), ["POST", "HEAD"]);
}

#[tokio::test]
async fn a_file_that_changes_on_the_way_is_not_mixed() {
    let rig = rig(&[Fate::Stored]).await;
    fs::write(&rig.source.path, vec![0; SIZE + 1]).expect("written");
    let failure = rig.send().await.expect_err("a failure");
    assert_eq!((failure.kind, rig.stored().len()), (Kind::Failed, 0));
}

#[tokio::test]
async fn another_upload_in_its_place_is_refused() {
    let rig = rig(&[]).await;
    let upload = tus(0).create(&rig.endpoint, 5).await.expect("created");
    let ended = tus(0).send(&upload, &rig.source, &rig.watch).await;
    assert_eq!(ended.expect_err("a failure").kind, Kind::Refused);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    // It takes connections and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/1", listener.local_addr().expect("an address")).parse();
    let rig = rig(&[]).await;
    let impatient = Tus { stall: Duration::from_millis(20), ..tus(1) };
    let ended = impatient.send(&url.expect("a URL"), &rig.source, &rig.watch).await;
    assert_eq!(ended.expect_err("a failure").kind, Kind::Unreachable);
}
