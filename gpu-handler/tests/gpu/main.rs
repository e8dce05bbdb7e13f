//! GPUs of every class, and what becomes of a job when one gives up, on a card made of software
//! (`nvidia.py`): detection, planning, fallback and the report are the real ones.

mod card;
mod classes;
mod demands;
mod known;
mod trouble;
#[expect(dead_code, reason = "shared with tests that need no card")]
#[path = "../support/workbench.rs"]
mod workbench;
