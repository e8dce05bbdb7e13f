//! One request's bytes: from its body into memory, and on to R2 or into the spool.
//!
//! The next part is received while the last one is being sent. However the request ends, what was
//! received of it is stored before the lock is given back; only where a checksum was to be met and
//! was not, it is as if the request had never been.

use std::{future::poll_fn, rc::Rc, task::Poll, time::Duration};

use futures_channel::oneshot;
use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, Shared, select},
};
use jiff::SignedDuration;
use reelmill_shared::{
    problem::ProblemCode,
    upload::{
        checksum::{Algorithm, Checksum},
        intake::{Intake, Step},
    },
};
use serde_json::Value;
use worker::{Delay, crypto::DigestStreamAlgorithm, js_sys::Uint8Array};

use super::{
    Inner,
    body::{Body, Cut, drain},
    command::Chunk,
    commands::reply,
    hasher::Hasher,
    memory::Memory,
    record::{Purpose, Stage},
};
use crate::{
    clock,
    error::{ApiError, ApiResult},
};

/// How long whoever interrupts a request waits until it has stored what it has.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a running request says that the media is to be kept.
const HOLD_EVERY: SignedDuration = SignedDuration::from_secs(8);

/// Why a running request is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody wants to know the offset: store what is there.
    Keep,
    /// The upload is over: let go of everything.
    Discard,
}

/// The request that holds the lock.
pub(super) struct Running {
    stop: Option<oneshot::Sender<Stop>>,
    ended: Shared<oneshot::Receiver<()>>,
}

/// How a body ended.
pub(super) enum End {
    Whole,
    Stopped(Stop),
    Cut,
    /// There were more bytes than there may be: what came before them may be no better.
    Exceeded,
    Failed(ApiError),
}

/// What one request works with.
pub(super) struct Run {
    pub(super) intake: Intake,
    pub(super) memory: Memory,
    pub(super) sending: Option<LocalBoxFuture<'static, ApiResult<String>>>,
    pub(super) checksum: Option<(Checksum, Hasher)>,
    /// SHA-256 over the whole upload, if nothing was missed.
    pub(super) sha256: Option<Hasher>,
}

impl Run {
    /// A run that begins with what is stored.
    pub(super) fn new(intake: Intake) -> Self {
        let memory = Memory::default();
        Self { intake, memory, sending: None, checksum: None, sha256: None }
    }

    async fn hash(&mut self, bytes: &Uint8Array) -> ApiResult<()> {
        if let Some((_, hasher)) = &mut self.checksum {
            hasher.write(bytes).await?;
        }
        if let Some(hasher) = &mut self.sha256 {
            hasher.write(bytes).await?;
        }
        Ok(())
    }
}

/// What happened first.
enum Happened {
    Read(ApiResult<Result<Option<Uint8Array>, Cut>>),
    Sent(ApiResult<String>),
    Stopped(Stop),
}

impl Inner {
    /// Appends a chunk and replies with the upload as it is then. The work is tied to no answer:
    /// what a caller sent who goes away is stored all the same.
    pub(super) async fn append(self: Rc<Self>, chunk: Chunk) -> ApiResult<Value> {
        let (checksum, intake) = match self.begin(&chunk) {
            Ok(begun) => begun,
            Err(error) => {
                if let Some(body) = &chunk.body {
                    drain(body).await;
                }
                return Err(error);
            }
        };
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        self.running.replace(Some(Running { stop: Some(stop), ended: ended.shared() }));
        let (answer, answered) = oneshot::channel();
        let working = Rc::clone(&self);
        self.state.wait_until(async move {
            let outcome = working.take_in(intake, checksum, chunk, stopped).await;
            working.running.replace(None);
            // Nobody listens to either if nobody waits.
            let _ = end.send(());
            let _ = answer.send(outcome);
        });
        answered.await.map_err(ApiError::internal)??;
        reply(&self.view()?)
    }

    /// Checks whether a chunk may come in.
    fn begin(&self, chunk: &Chunk) -> ApiResult<(Option<Checksum>, Intake)> {
        let (about, progress) = self.living()?;
        if matches!(about.purpose, Purpose::Assembly { .. }) {
            return Err(ProblemCode::FinalUpload.into());
        }
        if self.running.borrow().is_some() {
            return Err(ProblemCode::UploadLocked.into());
        }
        let part_size = about.part_size();
        let mut intake = Intake::new(part_size, progress.length, about.limit, progress.position);
        let checksum = chunk.patch.checksum();
        if let Some(length) = chunk.patch.length {
            intake.set_length(length)?;
        }
        intake.begin(chunk.patch.offset, chunk.patch.size, checksum.is_some())?;
        Ok((checksum, intake))
    }

    /// Asks the request that is sending bytes to end, and waits until it has, within reason.
    pub(super) async fn interrupt(&self, why: Stop) {
        let ended = {
            let mut running = self.running.borrow_mut();
            let Some(running) = running.as_mut() else { return };
            if let Some(stop) = running.stop.take() {
                let _ = stop.send(why);
            }
            running.ended.clone()
        };
        select(ended, Delay::from(PATIENCE).boxed_local()).await;
    }

    async fn take_in(
        self: &Rc<Self>,
        intake: Intake,
        checksum: Option<Checksum>,
        chunk: Chunk,
        stopped: oneshot::Receiver<Stop>,
    ) -> ApiResult<()> {
        let offset = intake.offset();
        let mut run = Run::new(intake);
        // What an earlier request left behind that did not count.
        self.store.drop_after(offset, run.intake.position().parts)?;
        let (length, expires_at) = (run.intake.length(), self.about()?.expires(clock::now()));
        self.change(|progress| {
            // A chunk that proves wrong leaves the upload as it was, its length too.
            if checksum.is_none() {
                progress.length = length;
            }
            progress.expires_at = expires_at;
        })?;
        self.keep_media().await?;

        if let Some(checksum) = checksum {
            let hasher = Hasher::new(match checksum.algorithm {
                Algorithm::Sha1 => DigestStreamAlgorithm::Sha1,
                Algorithm::Sha256 => DigestStreamAlgorithm::Sha256,
            })?;
            run.checksum = Some((checksum, hasher));
        }
        run.sha256 = match self.sha256.take() {
            Some(hasher) if hasher.seen() == offset => Some(hasher),
            _ if offset == 0 => Some(Hasher::new(DigestStreamAlgorithm::Sha256)?),
            _ => None,
        };
        let end = match &chunk.body {
            Some(body) => {
                let mut body = Body::new(body);
                let end = self.receive(&mut run, &mut body, stopped).await;
                match end {
                    End::Whole | End::Cut => {}
                    End::Exceeded => body.drain().await,
                    End::Stopped(_) | End::Failed(_) => body.cancel(),
                }
                end
            }
            None => End::Whole,
        };
        self.settle(run, end).await
    }

    /// Keeps the media waiting for this upload, and others out, while bytes come in.
    async fn keep_media(&self) -> ApiResult<()> {
        if self.progress()?.stage != Stage::Open {
            // The media has its source, or is about to.
            return Ok(());
        }
        let (now, about) = (clock::now(), self.about()?);
        if self.held_until.get().is_some_and(|until| now < until) {
            return Ok(());
        }
        let again = HOLD_EVERY.min(SignedDuration::from_secs(about.patience) / 4);
        self.held_until.set(Some(now + again));
        self.change(|progress| progress.expires_at = about.expires(now))?;
        self.hold_media().await
    }

    async fn receive(
        self: &Rc<Self>,
        run: &mut Run,
        body: &mut Body,
        mut stopped: oneshot::Receiver<Stop>,
    ) -> End {
        loop {
            let step = run.intake.next();
            let room = match step {
                Step::Send(part) => {
                    self.begin_sending(run, part);
                    continue;
                }
                Step::Receive(_) if run.memory.is_pressed() && run.sending.is_none() => {
                    if let Err(error) = self.spill(run) {
                        return End::Failed(error);
                    }
                    continue;
                }
                // What is being sent will make room.
                Step::Receive(_) if run.memory.is_pressed() => 0,
                Step::Receive(room) => room,
                Step::Wait => 0,
                // One byte beyond the end is enough to tell.
                Step::End => 1,
            };
            if room > 0 {
                body.ask(room);
            }
            let happened = poll_fn(|context| {
                if let Poll::Ready(Ok(stop)) = stopped.poll_unpin(context) {
                    return Poll::Ready(Happened::Stopped(stop));
                }
                if let Some(sending) = &mut run.sending
                    && let Poll::Ready(sent) = sending.poll_unpin(context)
                {
                    return Poll::Ready(Happened::Sent(sent));
                }
                body.poll(context).map(Happened::Read)
            })
            .await;
            let failed = match happened {
                Happened::Stopped(stop) => return End::Stopped(stop),
                Happened::Sent(sent) => {
                    run.sending = None;
                    self.record_sent(run, sent)
                }
                Happened::Read(Ok(Ok(None))) => return End::Whole,
                Happened::Read(Ok(Err(Cut))) => return End::Cut,
                Happened::Read(Err(error)) => Err(error),
                Happened::Read(Ok(Ok(Some(bytes)))) => {
                    let taken = match step {
                        Step::End => Ok(()),
                        _ => self.take(run, &bytes).await,
                    };
                    body.give_back(&bytes);
                    if step == Step::End {
                        return End::Exceeded;
                    }
                    taken
                }
            };
            if let Err(error) = failed {
                return End::Failed(error);
            }
        }
    }

    async fn take(&self, run: &mut Run, bytes: &Uint8Array) -> ApiResult<()> {
        let room = match run.intake.next() {
            Step::Receive(room) => room,
            _ => 0,
        };
        run.memory.append(bytes, room);
        run.intake.took(u64::from(bytes.length()));
        run.hash(bytes).await?;
        self.keep_media().await
    }
}
