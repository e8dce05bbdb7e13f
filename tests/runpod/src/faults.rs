//! What goes wrong, on demand: for each route a list, taken from the front, one for a request.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::traffic::Route;

/// Something that goes wrong with a request or its answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is answered with this status, and otherwise ignored.
    Status(u16),
    /// It is answered with 200 and this, and otherwise ignored.
    Says {
        /// The content type.
        content_type: &'static str,
        /// The body.
        body: String,
    },
    /// The connection breaks before it is read.
    LostRequest,
    /// It is done, and the connection breaks before that is told.
    LostAnswer,
    /// Nothing is done for so long; then it goes on as if nothing were.
    Slow(Duration),
}

/// All that is to go wrong.
#[derive(Debug, Default)]
pub struct Script {
    faults: BTreeMap<Route, VecDeque<Fault>>,
}

impl Script {
    /// Has this go wrong with the next requests of a route, one after the other.
    pub fn add(&mut self, route: Route, faults: impl IntoIterator<Item = Fault>) {
        self.faults.entry(route).or_default().extend(faults);
    }

    /// What goes wrong with this one.
    pub fn next(&mut self, route: Route) -> Option<Fault> {
        self.faults.get_mut(&route)?.pop_front()
    }

    /// How much is left to go wrong with a route.
    pub fn left(&self, route: Route) -> usize {
        self.faults.get(&route).map_or(0, VecDeque::len)
    }
}
