//! A small upload object over a model of R2 and of a database, whose every step can be its last.

use std::collections::BTreeMap;

use super::{Intake, Part, Position, Step};
use crate::problem::ProblemCode;

/// Small, so that a few hundred bytes make many parts.
pub(super) const PART: u64 = 16;

/// The object died; what it held in memory is gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Crash;

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// With this offset.
    Offset(u64),
    Refused(ProblemCode),
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) offset: u64,
    pub(super) body: Vec<u8>,
    /// Sizes of the pieces in which the body arrives, over and over.
    pub(super) pieces: Vec<u8>,
    /// Whether its length is known beforehand.
    pub(super) announced: bool,
    /// After how many bytes the line breaks.
    pub(super) cut: Option<usize>,
    /// Whether it has a checksum, and whether that is right.
    pub(super) checksum: Option<bool>,
    /// After how many pieces memory is short, over and over.
    pub(super) pressed: Option<u8>,
    pub(super) length: Option<u64>,
    /// What others ask for while the body comes in: after how many turns, and what.
    pub(super) meanwhile: BTreeMap<usize, Meanwhile>,
}

/// What another client asks for while a request is under way.
#[derive(Debug, Clone)]
pub(super) enum Meanwhile {
    /// To append at this offset, too.
    Patch { offset: u64, body: Vec<u8> },
    /// The offset, which ends the request that is under way.
    Head,
}

/// R2, as strict as it is: parts of one size but the last, of the entity tags it gave last.
#[derive(Debug, Default)]
pub(super) struct R2 {
    parts: BTreeMap<u16, (u64, Vec<u8>)>,
    tags: u64,
    pub(super) object: Option<Vec<u8>>,
}

impl R2 {
    fn put_part(&mut self, number: u16, bytes: Vec<u8>) -> u64 {
        self.tags += 1;
        self.parts.insert(number, (self.tags, bytes));
        self.tags
    }

    fn complete(&mut self, named: &BTreeMap<u16, u64>) {
        if self.parts.is_empty() {
            return;
        }
        let mut object = Vec::new();
        for (at, (number, tag)) in named.iter().enumerate() {
            let (known, bytes) = &self.parts[number];
            assert_eq!((usize::from(*number), known), (at + 1, tag), "a stale or missing part");
            assert!(
                at + 1 == named.len() || bytes.len() as u64 == PART,
                "a part of {} bytes that is not the last",
                bytes.len()
            );
            object.extend(bytes);
        }
        self.parts.clear();
        self.object = Some(object);
    }
}

/// What survives a crash.
#[derive(Debug, Default)]
pub(super) struct Durable {
    pub(super) position: Position,
    pub(super) length: Option<u64>,
    pub(super) spool: BTreeMap<u64, Vec<u8>>,
    tags: BTreeMap<u16, u64>,
}

/// The upload object.
#[derive(Debug, Default)]
pub(super) struct Upload {
    pub(super) durable: Durable,
    pub(super) r2: R2,
    pub(super) limit: u64,
    /// How many more steps it lives.
    pub(super) fuse: Option<u32>,
    /// Whether a request is under way: lost in a crash, like all that is in memory.
    pub(super) locked: bool,
}

/// One request's memory.
struct Run {
    intake: Intake,
    memory: Vec<u8>,
    sending: Option<(Part, u64)>,
}

impl Upload {
    pub(super) fn offset(&self) -> u64 {
        self.durable.position.offset()
    }

    fn step(&mut self) -> Result<(), Crash> {
        match &mut self.fuse {
            Some(0) => Err(Crash),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// One request after the other, whoever asks: the lock is all that keeps them apart.
    pub(super) fn patch(&mut self, request: &Request) -> Result<Answer, Crash> {
        if self.locked {
            return Ok(Answer::Refused(ProblemCode::UploadLocked));
        }
        self.locked = true;
        let answer = self.append(request);
        self.locked = false;
        answer
    }

    fn append(&mut self, request: &Request) -> Result<Answer, Crash> {
        let mut intake = Intake::new(PART, self.durable.length, self.limit, self.durable.position);
        if let Some(length) = request.length
            && let Err(refused) = intake.set_length(length)
        {
            return Ok(Answer::Refused(refused.code));
        }
        let size = request.announced.then_some(request.body.len() as u64);
        if let Err(refused) = intake.begin(request.offset, size, request.checksum.is_some()) {
            return Ok(Answer::Refused(refused.code));
        }
        self.drop_what_does_not_count();
        self.durable.length = intake.length();
        self.step()?;
        let mut run = Run { intake, memory: Vec::new(), sending: None };
        let whole = self.receive(&mut run, request)?;
        if run.sending.is_some() {
            self.part_arrived(&mut run)?;
        }
        let refused = match whole {
            Err(code) => Some(code),
            Ok(()) if request.checksum == Some(false) => Some(ProblemCode::ChunkChecksumMismatch),
            Ok(()) => None,
        };
        match refused {
            Some(ProblemCode::LengthExceeded) => {}
            Some(_) if request.checksum.is_some() => self.drop_what_does_not_count(),
            Some(_) => self.spill(&mut run)?,
            None => {
                run.intake.verified();
                self.commit(&run)?;
                self.keep_rest(run)?;
            }
        }
        Ok(refused.map_or(Answer::Offset(self.offset()), Answer::Refused))
    }

    fn drop_what_does_not_count(&mut self) {
        let (offset, parts) = (self.offset(), self.durable.position.parts);
        self.durable.spool.retain(|start, _| *start < offset);
        self.durable.tags.retain(|number, _| *number <= parts);
    }

    fn receive(
        &mut self,
        run: &mut Run,
        request: &Request,
    ) -> Result<Result<(), ProblemCode>, Crash> {
        let end = request.cut.unwrap_or(usize::MAX).min(request.body.len());
        let (mut at, mut turns) = (0, 0_usize);
        loop {
            turns += 1;
            match request.meanwhile.get(&turns) {
                Some(Meanwhile::Head) => return Ok(Err(ProblemCode::UploadInterrupted)),
                Some(Meanwhile::Patch { offset, body }) => self.intrude(*offset, body)?,
                None => {}
            }
            let piece = usize::from(request.pieces[turns % request.pieces.len()]);
            let pressed = request.pressed.is_some_and(|every| turns % usize::from(every) == 0);
            let room = match run.intake.next() {
                Step::Send(part) => {
                    let bytes = self.bytes_of(part, &run.memory);
                    run.intake.begun(part);
                    self.step()?;
                    run.sending = Some((part, self.r2.put_part(part.number, bytes)));
                    continue;
                }
                Step::Wait => {
                    self.part_arrived(run)?;
                    continue;
                }
                Step::Receive(_) if pressed && run.sending.is_some() => {
                    self.part_arrived(run)?;
                    continue;
                }
                Step::Receive(_) if pressed && !run.memory.is_empty() => {
                    self.spill(run)?;
                    continue;
                }
                Step::Receive(room) => usize::try_from(room).expect("small"),
                Step::End if at < end => return Ok(Err(ProblemCode::LengthExceeded)),
                Step::End => 1,
            };
            assert!(room > 0, "nothing can happen any more");
            if at == end {
                let cut = end < request.body.len();
                return Ok(if cut { Err(ProblemCode::LengthMismatch) } else { Ok(()) });
            }
            let taken = room.min(piece).min(end - at);
            run.memory.extend(&request.body[at..at + taken]);
            run.intake.took(taken as u64);
            at += taken;
        }
    }

    /// Another client sends the same upload something: it is refused, and nothing changes.
    fn intrude(&mut self, offset: u64, body: &[u8]) -> Result<(), Crash> {
        let intruder = Request {
            offset,
            body: body.to_owned(),
            pieces: vec![5],
            announced: true,
            cut: None,
            checksum: None,
            pressed: None,
            length: self.durable.length,
            meanwhile: BTreeMap::new(),
        };
        let before = self.durable.position;
        assert_eq!(self.patch(&intruder)?, Answer::Refused(ProblemCode::UploadLocked));
        assert_eq!(self.durable.position, before);
        Ok(())
    }

    fn bytes_of(&self, part: Part, memory: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < part.spooled {
            let row = &self.durable.spool[&(part.start + bytes.len() as u64)];
            bytes.extend(row);
        }
        assert_eq!(bytes.len() as u64, part.spooled, "a row reaches into the next part");
        let missing = usize::try_from(part.size - part.spooled).expect("small");
        bytes.extend(&memory[..missing]);
        bytes
    }

    fn part_arrived(&mut self, run: &mut Run) -> Result<(), Crash> {
        let (part, tag) = run.sending.take().expect("a part is being sent");
        self.step()?;
        let freed = usize::try_from(run.intake.sent()).expect("small");
        run.memory.drain(..freed);
        self.durable.tags.insert(part.number, tag);
        self.commit(run)
    }

    fn spill(&mut self, run: &mut Run) -> Result<(), Crash> {
        self.step()?;
        let start = run.intake.stored().offset();
        if !run.memory.is_empty() {
            self.durable.spool.insert(start, std::mem::take(&mut run.memory));
        }
        run.intake.spooled();
        self.commit(run)
    }

    /// In one transaction with what came before it.
    fn commit(&mut self, run: &Run) -> Result<(), Crash> {
        self.durable.position = run.intake.position();
        let sent = self.durable.position.sent;
        self.durable.spool.retain(|start, _| *start >= sent);
        Ok(())
    }

    fn keep_rest(&mut self, mut run: Run) -> Result<(), Crash> {
        while let Some(part) = run.intake.rest() {
            let bytes = self.bytes_of(part, &run.memory);
            run.intake.begun(part);
            self.step()?;
            run.sending = Some((part, self.r2.put_part(part.number, bytes)));
            self.part_arrived(&mut run)?;
        }
        self.spill(&mut run)?;
        self.finish()
    }

    /// What the alarm does, too.
    pub(super) fn finish(&mut self) -> Result<(), Crash> {
        let position = self.durable.position;
        if self.durable.length != Some(position.offset()) {
            return Ok(());
        }
        let mut intake = Intake::new(PART, self.durable.length, self.limit, position);
        intake.verified();
        let mut run = Run { intake, memory: Vec::new(), sending: None };
        while let Some(part) = run.intake.rest() {
            let bytes = self.bytes_of(part, &run.memory);
            run.intake.begun(part);
            self.step()?;
            run.sending = Some((part, self.r2.put_part(part.number, bytes)));
            self.part_arrived(&mut run)?;
        }
        self.step()?;
        self.r2.complete(&self.durable.tags);
        Ok(())
    }
}
