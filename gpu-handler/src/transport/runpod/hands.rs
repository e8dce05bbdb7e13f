//! The jobs in hand: from when they are taken until their result is delivered.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::stop::{Reason, Stop};

/// All of them, by RunPod's id.
#[derive(Debug, Clone, Default)]
pub(super) struct Hands {
    held: Arc<Mutex<BTreeMap<String, Held>>>,
}

/// One of them. It is in hand until this is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    hands: Hands,
    id: String,
    /// Fires when the platform takes the job back: it is told nothing about it any more.
    pub(super) withdrawn: CancellationToken,
}

#[derive(Debug)]
struct Held {
    withdrawn: CancellationToken,
    stop: Stop,
}

impl Hands {
    /// Takes a job in hand that `stop` stops, unless it is in hand already.
    pub(super) fn hold(&self, id: &str, stop: Stop) -> Option<Hold> {
        let mut held = self.lock();
        if held.contains_key(id) {
            return None;
        }
        let withdrawn = CancellationToken::new();
        held.insert(id.to_owned(), Held { withdrawn: withdrawn.clone(), stop });
        Some(Hold { hands: self.clone(), id: id.to_owned(), withdrawn })
    }

    /// Whether this job is in hand.
    pub(super) fn has(&self, id: &str) -> bool {
        self.lock().contains_key(id)
    }

    /// Stops a job that the platform takes back; gives whether it was in hand.
    pub(super) fn withdraw(&self, id: &str) -> bool {
        let held = self.lock();
        let Some(job) = held.get(id) else { return false };
        job.withdrawn.cancel();
        job.stop.now(Reason::Cancelled);
        true
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Their ids with commas between them, or `None` without any.
    pub(super) fn list(&self) -> Option<String> {
        let held = self.lock();
        let ids: Vec<&str> = held.keys().map(String::as_str).collect();
        (!ids.is_empty()).then(|| ids.join(","))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        // Nothing panics with the lock held but an allocation, which changes nothing by halves.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.hands.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_in_hand_once_until_it_is_let_go() {
        let hands = Hands::default();
        let (a, b) = (hands.hold("a", Stop::default()), hands.hold("b", Stop::default()));
        assert!(a.is_some() && hands.hold("a", Stop::default()).is_none());
        assert_eq!((hands.list().as_deref(), hands.count()), (Some("a,b"), 2));
        drop(a);
        assert!(!hands.has("a") && hands.has("b"));
        drop(b);
        assert_eq!(hands.list(), None);
    }

    #[test]
    fn a_withdrawn_job_is_stopped() {
        let (hands, stop) = (Hands::default(), Stop::default());
        let hold = hands.hold("a", stop.clone()).expect("new");
        assert!(!hands.withdraw("b") && stop.reason().is_none());
        assert!(hands.withdraw("a") && hold.withdrawn.is_cancelled());
        assert_eq!(stop.reason(), Some(Reason::Cancelled));
    }
}
