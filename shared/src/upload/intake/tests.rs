//! Any sizes, any order, any crash: what arrives is what was sent.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    model::{Answer, Crash, Meanwhile, PART, Request, Upload},
    *,
};

const LIMIT: u64 = 1000;

/// Bytes that differ from place to place.
fn byte(at: u64) -> u8 {
    (at * 31 + at / 7) as u8
}

fn bytes(from: u64, size: u64) -> Vec<u8> {
    (from..from + size).map(byte).collect()
}

/// What a client does, relative to where the upload is.
#[derive(Debug, Clone)]
struct Act {
    /// How far its idea of the offset is off: duplicates and overlaps are behind, gaps ahead.
    off_by: i64,
    size: u64,
    pieces: Vec<u8>,
    announced: bool,
    cut: Option<usize>,
    checksum: Option<bool>,
    pressed: Option<u8>,
    /// After how many steps the object dies.
    fuse: Option<u32>,
    /// Whether the client sends more than there is.
    beyond: bool,
    /// What others do meanwhile: after how many turns, and whether they send, or ask for the offset.
    meanwhile: Vec<(usize, bool)>,
}

fn act() -> impl Strategy<Value = Act> {
    (
        prop_oneof![6 => Just(0), 1 => -40i64..40],
        prop_oneof![0u64..12, 0u64..120],
        proptest::collection::vec(1u8..40, 1..4),
        any::<bool>(),
        proptest::option::weighted(0.3, 0usize..120),
        proptest::option::weighted(0.3, any::<bool>()),
        proptest::option::weighted(0.3, 1u8..5),
        proptest::option::weighted(0.4, 0u32..12),
        prop::bool::weighted(0.05),
        proptest::collection::vec((1usize..20, prop::bool::weighted(0.8)), 0..3),
    )
        .prop_map(
            |(off_by, size, pieces, announced, cut, checksum, pressed, fuse, beyond, meanwhile)| {
                // Memory that is short at every turn would leave no turn for receiving.
                let pressed = pressed.map(|every| every + 1);
                Act {
                    off_by,
                    size,
                    pieces,
                    announced,
                    cut,
                    checksum,
                    pressed,
                    fuse,
                    beyond,
                    meanwhile,
                }
            },
        )
}

fn request(act: &Act, here: u64, total: u64, length: Option<u64>) -> Request {
    let offset = here.saturating_add_signed(act.off_by);
    let left = total.saturating_sub(offset);
    let size = if act.beyond { left + 1 } else { act.size.min(left) };
    let intruder = || Meanwhile::Patch { offset: here, body: bytes(here, total - here) };
    let meanwhile = act
        .meanwhile
        .iter()
        .map(|(turn, sends)| (*turn, if *sends { intruder() } else { Meanwhile::Head }));
    Request {
        meanwhile: meanwhile.collect::<BTreeMap<_, _>>(),
        offset,
        body: bytes(offset, size),
        pieces: act.pieces.clone(),
        announced: act.announced,
        cut: act.cut,
        checksum: act.checksum,
        pressed: act.pressed,
        length,
    }
}

/// Checks one request against what the protocol promises.
fn run(
    upload: &mut Upload,
    act: &Act,
    total: u64,
    length: Option<u64>,
) -> Result<(), TestCaseError> {
    let before = upload.offset();
    let request = request(act, before, total, length);
    upload.fuse = act.fuse;
    let answer = upload.patch(&request);
    upload.fuse = None;
    let after = upload.offset();
    prop_assert!(after >= before, "the offset went back from {before} to {after}");
    prop_assert!(after <= total);
    let sent = request.cut.unwrap_or(usize::MAX).min(request.body.len()) as u64;
    match answer {
        Err(Crash) => {}
        Ok(Answer::Offset(offset)) => {
            prop_assert_eq!((offset, after), (before + sent, before + sent));
        }
        Ok(Answer::Refused(ProblemCode::OffsetMismatch)) => {
            prop_assert!(request.offset != before);
            prop_assert_eq!(after, before);
        }
        Ok(Answer::Refused(ProblemCode::ChunkChecksumMismatch)) => prop_assert_eq!(after, before),
        Ok(Answer::Refused(ProblemCode::UploadInterrupted)) => {
            prop_assert!(after <= before + sent);
            prop_assert!(request.checksum.is_none() || after == before);
        }
        Ok(Answer::Refused(ProblemCode::LengthMismatch)) => {
            // As much as was received, or nothing where a checksum was to be met.
            let kept = if request.checksum.is_some() { 0 } else { sent };
            prop_assert_eq!(after, before + kept);
        }
        Ok(Answer::Refused(ProblemCode::LengthExceeded)) => {
            prop_assert!(act.beyond);
            prop_assert!(after < total || before == total);
            prop_assert!(!request.announced || after == before);
        }
        Ok(Answer::Refused(code)) => prop_assert!(false, "{code:?}"),
    }
    if request.checksum.is_some() && after != before {
        prop_assert_eq!(request.checksum, Some(true));
    }
    Ok(())
}

/// Sends what is left, as a patient client would.
fn finish(upload: &mut Upload, total: u64) -> Result<(), TestCaseError> {
    let left = Act {
        off_by: 0,
        size: total,
        pieces: vec![7],
        announced: true,
        cut: None,
        checksum: None,
        pressed: None,
        fuse: None,
        beyond: false,
        meanwhile: vec![],
    };
    run(upload, &left, total, Some(total))?;
    prop_assert_eq!(upload.offset(), total);
    upload.finish().expect("no crash");
    if total > 0 {
        prop_assert_eq!(upload.r2.object.as_ref(), Some(&bytes(0, total)));
    }
    prop_assert!(upload.durable.spool.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn what_arrives_is_what_was_sent(
        total in 0u64..200, deferred in any::<bool>(), acts in proptest::collection::vec(act(), 0..12),
    ) {
        let mut upload = Upload { limit: LIMIT, ..Upload::default() };
        upload.durable.length = (!deferred).then_some(total);
        let last = acts.len();
        for (at, act) in acts.iter().enumerate() {
            // A length that was deferred is told with some later request.
            let told = deferred && (at * 2 > last || upload.durable.length.is_some());
            let act = if deferred && upload.durable.length.is_none() && !told {
                &Act { beyond: false, ..act.clone() }
            } else {
                act
            };
            run(&mut upload, act, total, told.then_some(total))?;
            // The alarm may come at any time, and die over it.
            upload.fuse = act.fuse;
            let _ = upload.finish();
            upload.fuse = None;
        }
        finish(&mut upload, total)?;
    }
}

#[test]
fn memory_never_holds_more_than_two_parts() {
    let mut intake = Intake::new(PART, Some(LIMIT), LIMIT, Position::default());
    intake.begin(0, None, false).expect("the beginning");
    let mut most = 0;
    loop {
        match intake.next() {
            Step::Send(part) => intake.begun(part),
            Step::Receive(room) => intake.took(room),
            Step::Wait => drop(intake.sent()),
            Step::End => break,
        }
        most = most.max(intake.memory());
    }
    assert_eq!(most, 2 * PART);
}

#[test]
fn a_length_is_set_once() {
    let at = Position { parts: 0, sent: 0, spooled: 5 };
    let mut intake = Intake::new(PART, None, 100, at);
    let code = |outcome: Result<(), Refused>| outcome.expect_err("refused").code;
    assert_eq!(code(intake.set_length(4)), ProblemCode::InvalidUploadLength);
    assert_eq!(code(intake.set_length(101)), ProblemCode::UploadTooLarge);
    assert_eq!(intake.set_length(100), Ok(()));
    assert_eq!(intake.set_length(100), Ok(()));
    assert_eq!(code(intake.set_length(99)), ProblemCode::LengthFixed);
}

#[test]
fn what_is_too_long_is_refused_before_a_byte_is_taken() {
    let code = |length, body| {
        let mut intake = Intake::new(PART, length, 100, Position::default());
        intake.begin(0, Some(body), false).expect_err("refused").code
    };
    assert_eq!(code(Some(50), 51), ProblemCode::LengthExceeded);
    assert_eq!(code(None, 101), ProblemCode::UploadTooLarge);
}

#[test]
fn an_upload_of_unknown_length_ends_at_the_limit() {
    let mut intake = Intake::new(PART, None, PART + 1, Position::default());
    intake.took(PART);
    let Step::Send(part) = intake.next() else { panic!("a part is full") };
    intake.begun(part);
    intake.took(1);
    assert_eq!(intake.next(), Step::End);
    assert_eq!(intake.exceeded().code, ProblemCode::UploadTooLarge);
    intake.sent();
    assert_eq!(intake.next(), Step::End);
    assert_eq!(intake.rest(), None);
}

#[test]
fn a_small_upload_is_one_object_and_no_multipart_upload() {
    let mut intake = Intake::new(PART, Some(10), 100, Position::default());
    intake.took(10);
    assert!(intake.rest().expect("the rest").whole);
    let mut intake = Intake::new(PART, Some(PART), 100, Position::default());
    intake.took(PART);
    assert_eq!(intake.next(), Step::End);
    assert!(intake.rest().expect("the rest").whole);
    let mut intake = Intake::new(PART, Some(PART + 1), 100, Position::default());
    intake.took(PART);
    assert!(matches!(intake.next(), Step::Send(Part { whole: false, .. })));
}

#[test]
fn a_position_is_pinned() {
    let position = Position { parts: 1, sent: 16, spooled: 3 };
    let json = serde_json::to_string(&position).expect("JSON");
    assert_eq!(json, r#"{"parts":1,"sent":16,"spooled":3}"#);
}
