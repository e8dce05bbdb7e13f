//! Reads a source from its own server, from its first byte to its last, however often that breaks off.
//!
//! Every connection begins at the source's URL and goes through the [`Guard`] at each redirect. What
//! was broken off goes on with a range where the server names a version to hold it to (`If-Range`);
//! else it is fetched again from the start and compared on the way, so that two versions never mix.

mod answer;

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff};
use bytes::Bytes;
use reelmill_shared::{
    job::{Failure, FailureCode},
    source_url::SourceUrl,
};
use reqwest::{
    Response,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderValue, IF_RANGE, RANGE},
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{Options, guard::Guard};

use answer::Answer;

/// Redirects that are followed.
pub const MAX_REDIRECTS: usize = 5;
/// So many bytes have to arrive within [`Options::idle`], and count as progress.
pub const LEAST: u64 = 16 << 10;
/// How often a body may end early at the same byte before that is taken for its real length.
const MAX_SAME_END: u32 = 3;

/// What the job says of the source.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Its size, if its owner declared one.
    pub size: Option<u64>,
    /// The most that is taken, in bytes.
    pub most: u64,
}

/// A source that is being read.
pub struct Origin {
    guard: Arc<Guard>,
    url: SourceUrl,
    expected: Expected,
    options: Options,
    waits: ExponentialBackoff,
    body: Option<Body>,
    /// Bytes so far, and how many of them were there when the waits last began anew.
    reached: u64,
    counted: u64,
    hash: Sha256,
    total: Option<u64>,
    /// What tells this version of the source from others.
    validator: Option<HeaderValue>,
    /// Where bodies ended early last, and how often in a row.
    same_end: (u64, u32),
    ended: bool,
}

/// One answer that is being read.
struct Body {
    response: Response,
    /// What is fetched again: so many bytes more, hashed as they come.
    again: Option<(u64, Sha256)>,
    /// What arrived in the current stretch of waiting.
    waited: Duration,
    arrived: u64,
}

/// Why there is no next chunk at the moment.
enum Trouble {
    /// Trying again may help.
    Passing(Failure),
    /// It will not.
    Lasting(Failure),
}

impl Origin {
    /// A source that nothing is known of but its URL.
    pub fn new(guard: Arc<Guard>, url: SourceUrl, expected: Expected, options: Options) -> Self {
        Self {
            guard,
            url,
            expected,
            options,
            waits: options.backoff.build(),
            body: None,
            reached: 0,
            counted: 0,
            hash: Sha256::new(),
            total: None,
            validator: None,
            same_end: (0, 0),
            ended: false,
        }
    }

    /// Bytes that were read.
    pub const fn reached(&self) -> u64 {
        self.reached
    }

    /// How many there are, as soon as that is known.
    pub const fn total(&self) -> Option<u64> {
        self.total
    }

    /// SHA-256 of what was read, lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The next bytes, or `None` at the end.
    ///
    /// # Errors
    /// One of the `source_…` codes.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let failure = match self.step().await {
                Ok(chunk) => return Ok(chunk),
                Err(Trouble::Lasting(failure)) => return Err(failure),
                Err(Trouble::Passing(failure)) => failure,
            };
            self.body = None;
            if self.reached - self.counted >= LEAST {
                self.waits = self.options.backoff.build();
                self.counted = self.reached;
            }
            let Some(wait) = self.waits.next() else { return Err(failure) };
            tracing::warn!(%failure, reached = self.reached, ?wait, "a download broke off");
            tokio::time::sleep(wait).await;
        }
    }

    async fn step(&mut self) -> Result<Option<Bytes>, Trouble> {
        while !self.ended {
            let mut body = match self.body.take() {
                Some(body) => body,
                None => self.connect().await?,
            };
            let chunk = self.chunk(&mut body).await?;
            let chunk = match chunk {
                Some(chunk) => self.compare(&mut body, chunk)?,
                None => {
                    self.end(&body)?;
                    continue;
                }
            };
            self.body = Some(body);
            if !chunk.is_empty() {
                return self.take(chunk).map(Some);
            }
        }
        Ok(None)
    }

    async fn connect(&mut self) -> Result<Body, Trouble> {
        let mut url = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let client = self.guard.admit(&url).await.map_err(|failure| match failure.code {
                FailureCode::SourceUnreachable => Trouble::Passing(failure),
                _ => Trouble::Lasting(failure),
            })?;
            let mut request = client
                .get(url.expose().clone())
                .header(ACCEPT, "*/*")
                // As it is: what is packed to bytes might unpack to terabytes.
                .header(ACCEPT_ENCODING, "identity");
            let range = self.validator.as_ref().filter(|_| self.reached > 0);
            if let Some(validator) = range {
                request = request
                    .header(RANGE, format!("bytes={}-", self.reached))
                    .header(IF_RANGE, validator);
            }
            let response = match tokio::time::timeout(self.options.idle, request.send()).await {
                Ok(Ok(response)) => response,
                Ok(Err(_)) => return Err(passing(UNREACHABLE, "its server could not be reached")),
                Err(_) => return Err(passing(TIMED_OUT, "its server does not answer")),
            };
            match answer::judge(&response, range.is_some())? {
                Answer::Redirect(location) => {
                    url = url.redirected(location).map_err(|refused| {
                        lasting(FailureCode::SourceUrlRefused, &format!("a redirect {refused}"))
                    })?;
                }
                Answer::Whole(total) => return self.begin(response, total),
                Answer::From { first, total } => return self.go_on(response, first, total),
                Answer::EndsAt(end) => {
                    return Err(if end == Some(self.reached) {
                        lasting(LENGTH, "it is shorter than its server said")
                    } else {
                        lasting(CHANGED, "it became shorter")
                    });
                }
            }
        }
        Err(lasting(FailureCode::SourceUrlRefused, "it redirects more than five times"))
    }

    /// The whole source is coming, perhaps again.
    fn begin(&mut self, response: Response, total: Option<u64>) -> Result<Body, Trouble> {
        if self.reached > 0 && total != self.total {
            return Err(lasting(CHANGED, "it became another one"));
        }
        self.total = total;
        if let Some(total) = total {
            self.check_size(total)?;
            if self.expected.size.is_some_and(|size| size != total) {
                return Err(lasting(LENGTH, "it is not as long as was declared"));
            }
        }
        self.validator = answer::validator(&response);
        let again = (self.reached > 0).then(|| (self.reached, Sha256::new()));
        Ok(Body { response, again, waited: Duration::ZERO, arrived: 0 })
    }

    /// The rest of it is coming.
    fn go_on(
        &mut self,
        response: Response,
        first: u64,
        total: Option<u64>,
    ) -> Result<Body, Trouble> {
        if first != self.reached {
            // Next time without ranges, then.
            self.validator = None;
            return Err(passing(UNREACHABLE, "its server answers with another range"));
        }
        if total.is_some() && self.total.is_some() && total != self.total {
            return Err(lasting(LENGTH, "its server tells several lengths"));
        }
        Ok(Body { response, again: None, waited: Duration::ZERO, arrived: 0 })
    }

    async fn chunk(&mut self, body: &mut Body) -> Result<Option<Bytes>, Trouble> {
        let since = Instant::now();
        let chunk = match tokio::time::timeout(self.options.idle, body.response.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            Ok(Err(_)) => return Err(self.ended_early(body)),
            Err(_) => return Err(passing(TIMED_OUT, "its server fell silent")),
        };
        // Time that the gateway takes is not held against the origin.
        body.waited += since.elapsed();
        body.arrived += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if body.waited >= self.options.idle {
            if body.arrived < LEAST && chunk.is_some() {
                return Err(passing(TIMED_OUT, "its server sends next to nothing"));
            }
            (body.waited, body.arrived) = (Duration::ZERO, 0);
        }
        Ok(chunk)
    }

    /// Drops from `chunk` what was read before, if it is the same.
    fn compare(&self, body: &mut Body, mut chunk: Bytes) -> Result<Bytes, Trouble> {
        let Some((left, hash)) = &mut body.again else { return Ok(chunk) };
        let known = chunk.split_to(chunk.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
        hash.update(&known);
        *left -= known.len() as u64;
        if *left == 0 {
            if hash.clone().finalize() != self.hash.clone().finalize() {
                return Err(lasting(CHANGED, "it became another one"));
            }
            body.again = None;
        }
        Ok(chunk)
    }

    fn take(&mut self, chunk: Bytes) -> Result<Bytes, Trouble> {
        self.reached += chunk.len() as u64;
        self.check_size(self.reached)?;
        if self.expected.size.is_some_and(|size| self.reached > size) {
            return Err(lasting(LENGTH, "it is longer than was declared"));
        }
        if self.total.is_some_and(|total| self.reached > total) {
            return Err(lasting(LENGTH, "it is longer than its server said"));
        }
        self.hash.update(&chunk);
        Ok(chunk)
    }

    fn end(&mut self, body: &Body) -> Result<(), Trouble> {
        if body.again.is_some() {
            return Err(lasting(CHANGED, "it became shorter"));
        }
        if self.total.is_some_and(|total| self.reached < total) {
            return Err(self.ended_early(body));
        }
        if self.expected.size.is_some_and(|size| self.reached < size) {
            return Err(lasting(LENGTH, "it is shorter than was declared"));
        }
        self.total = Some(self.reached);
        self.ended = true;
        Ok(())
    }

    /// A connection that broke, or the end of a source that its server said is longer.
    fn ended_early(&mut self, body: &Body) -> Trouble {
        if body.again.is_none() && self.total.is_some() {
            let (at, times) = self.same_end;
            self.same_end = (self.reached, if at == self.reached { times + 1 } else { 1 });
            if self.same_end.1 >= MAX_SAME_END {
                return lasting(LENGTH, "it is shorter than its server said");
            }
        }
        passing(UNREACHABLE, "its server broke off")
    }

    fn check_size(&self, size: u64) -> Result<(), Trouble> {
        let most = self.expected.most;
        if size <= most {
            return Ok(());
        }
        let message = format!("the source is larger than the {most} bytes that are taken");
        Err(Trouble::Lasting(Failure::new(FailureCode::SourceTooLarge, message)))
    }
}

const CHANGED: FailureCode = FailureCode::SourceChanged;
const LENGTH: FailureCode = FailureCode::SourceLengthMismatch;
const TIMED_OUT: FailureCode = FailureCode::SourceTimedOut;
const UNREACHABLE: FailureCode = FailureCode::SourceUnreachable;

fn passing(code: FailureCode, why: &str) -> Trouble {
    Trouble::Passing(Failure::new(code, format!("the source could not be fetched: {why}")))
}

fn lasting(code: FailureCode, why: &str) -> Trouble {
    Trouble::Lasting(Failure::new(code, format!("the source could not be fetched: {why}")))
}
