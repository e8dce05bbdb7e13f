//! Sources from URLs, over real sockets: from servers that do what they like, to a gateway that may
//! falter.

mod faults;
mod gateway;
mod guard;
mod ingesting;
mod limits;
mod origin;
mod tus;
