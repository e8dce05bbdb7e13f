//! What is tried in each home. A case that has something to do with a home's own ways asks the home what
//! to expect.

pub(crate) mod bad_input;
pub(crate) mod buckets;
pub(crate) mod cancel;
pub(crate) mod crash;
pub(crate) mod duplicates;
pub(crate) mod misfit;
pub(crate) mod outcome;
pub(crate) mod poison;
pub(crate) mod shutdown;
