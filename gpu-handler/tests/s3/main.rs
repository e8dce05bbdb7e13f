//! Object storage with credentials: against a server in this process that verifies signatures and
//! checksums, refuses unequal parts as R2 does, and fails when told to.

mod access;
mod bench;
mod download;
mod job;
mod memory;
mod multipart;
mod server;
mod strict;
mod upload;
#[path = "../support/workbench.rs"]
mod workbench;
