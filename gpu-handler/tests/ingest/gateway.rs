//! A gateway that falters or refuses, and a job that is cancelled.

use gpu_handler::stop::Reason;
use reelmill_shared::job::{FailureCode, Outcome};
use rstest::rstest;

use crate::{
    ingesting::{Ingest, content},
    origin::{Origin, Piece, Request, head, honest},
    tus::Fate,
};

#[rstest]
#[case::half_a_piece(|patch| if patch % 2 == 0 { Fate::Cut } else { Fate::Stored })]
#[case::an_answer_lost(|patch| if patch % 2 == 0 { Fate::StoredUnheard } else { Fate::Stored })]
#[case::locked(|patch| if patch == 1 { Fate::Refused(423) } else { Fate::Stored })]
#[case::interrupted(|patch| if patch == 2 { Fate::Refused(409) } else { Fate::Stored })]
#[case::down(|patch| if (2..5).contains(&patch) { Fate::Refused(503) } else { Fate::Stored })]
#[tokio::test]
async fn a_gateway_that_falters_gets_every_byte_once(
    #[case] fate: fn(usize) -> Fate,
    #[values(true, false)] length: bool,
) {
    let script = move |request: &Request| {
        if length {
            return honest(request, &[]);
        }
        vec![head("200 OK", &[]), Piece::Bytes(content())]
    };
    let origin = Origin::start(script).await;
    let mut ingest = Ingest::to(&origin.url("/"), fate).await;
    ingest.brings(&content()).await;
    assert!(ingest.gateway.desk.lock().expect("a lock").heads > 0);
    assert_eq!(origin.requests().len(), 1, "the pieces were kept");
}

#[rstest]
#[case(410, FailureCode::Cancelled)]
#[case(404, FailureCode::Cancelled)]
#[case(413, FailureCode::SourceTooLarge)]
#[case(403, FailureCode::StoreFailed)]
#[case(503, FailureCode::StoreFailed)]
#[tokio::test]
async fn a_gateway_that_refuses_ends_it(#[case] status: u16, #[case] code: FailureCode) {
    let origin = Origin::start(|request| honest(request, &[])).await;
    let fate = move |patch| if patch == 0 { Fate::Stored } else { Fate::Refused(status) };
    Ingest::to(&origin.url("/"), fate).await.fails(code).await;
}

#[tokio::test]
async fn a_cancelled_job_lets_go_of_both_sides() {
    let script = |_: &Request| vec![head("200 OK", &[]), Piece::Bytes(content()), Piece::Silence];
    let origin = Origin::start(script).await;
    let mut ingest = Ingest::of(&origin.url("/")).await;
    let (stop, desk) = (ingest.stop.clone(), ingest.gateway.desk.clone());
    let stopping = async move {
        while desk.lock().expect("a lock").bytes.is_empty() {
            tokio::task::yield_now().await;
        }
        stop.now(Reason::Cancelled);
    };
    let ((report, _), ()) = tokio::join!(ingest.report(), stopping);
    let Outcome::Failed { error } = report.outcome else { panic!("it did not fail") };
    assert_eq!(error.code, FailureCode::Cancelled);
    assert_eq!(report.source_sha256, None);
}
