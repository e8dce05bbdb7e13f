//! What a job is done with: how much of the GPU it gets, and with how much less it goes on when the GPU
//! gives up.

use std::sync::Arc;

use reelmill_shared::{
    job::FellBack,
    plan::{self, Hardware},
    probe::SourceInfo,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The NVENC sessions of this machine, shared by all of its jobs.
#[derive(Debug, Clone)]
pub(super) struct Sessions(Arc<Semaphore>);

impl Sessions {
    /// As many as were open at once when they were tried.
    pub(super) fn new(count: u32) -> Self {
        Self(Arc::new(Semaphore::new(count as usize)))
    }

    /// At most `wanted`, as many as are free. Waiting for more would cost more than x264 does: a
    /// session is free again when a whole job is over.
    fn take(&self, wanted: u32) -> Option<OwnedSemaphorePermit> {
        (1..=wanted).rev().find_map(|count| self.0.clone().try_acquire_many_owned(count).ok())
    }
}

/// What one take at a job is done with.
pub(super) struct Gear {
    /// What of the GPU it may use.
    pub(super) hardware: Hardware,
    /// Which take it is, for the names of renditions.
    pub(super) take: u8,
    /// Why this is less than the machine has.
    pub(super) fell_back: Option<FellBack>,
    /// Whether it is less because something failed.
    pub(super) gave_up: bool,
    /// Its NVENC sessions, free again when the gear is dropped.
    sessions: Option<OwnedSemaphorePermit>,
}

impl Gear {
    /// The best that is to be had for a source.
    pub(super) fn best(hardware: &Hardware, sessions: &Sessions, source: &SourceInfo) -> Self {
        let wanted = if hardware.sessions > 0 { plan::sessions_wanted(source) } else { 0 };
        let permit = sessions.take(wanted);
        let granted = permit
            .as_ref()
            .map_or(0, |permit| u32::try_from(permit.num_permits()).unwrap_or(u32::MAX));
        let fell_back = (granted < wanted).then_some(FellBack::EncoderSessions);
        if fell_back.is_some() {
            tracing::warn!(wanted, granted, "too few NVENC sessions are free: x264 takes the rest");
        }
        let hardware = Hardware { sessions: granted, ..hardware.clone() };
        Self { hardware, take: 1, fell_back, gave_up: false, sessions: permit }
    }

    /// Without the engine that gave up for this `reason`, or without any.
    pub(super) fn without(mut self, reason: FellBack) -> Self {
        (self.fell_back, self.gave_up) = (Some(reason), true);
        match reason {
            FellBack::DecoderRefused if self.hardware.sessions > 0 && self.decodes() => {
                self.hardware.decodes.clear();
            }
            FellBack::EncoderSessions if self.hardware.sessions > 0 && self.decodes() => {
                self.hardware.sessions = 0;
                self.sessions = None;
            }
            _ => {
                self.hardware = Hardware::default();
                self.sessions = None;
            }
        }
        self
    }

    fn decodes(&self) -> bool {
        !self.hardware.decodes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_never_more_than_there_are() {
        let sessions = Sessions::new(5);
        let first = sessions.take(4).expect("free");
        let second = sessions.take(4).expect("one is left");
        assert_eq!((first.num_permits(), second.num_permits()), (4, 1));
        assert!(sessions.take(4).is_none());
        drop(first);
        assert_eq!(sessions.take(3).expect("free again").num_permits(), 3);
        assert!(Sessions::new(8).take(0).is_none());
    }
}
