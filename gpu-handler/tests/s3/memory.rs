//! What a large source takes of memory: the windows that are on their way, and no more.

use crate::{
    job::Run,
    server::Storehouse,
    strict::{Gate, State},
};

const SIZE: u64 = 320 << 20;
const WINDOW: u64 = 8 << 20;
/// What the handler may have in memory, its own code included.
const MOST: u64 = 96 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn does_not_grow_with_the_source() {
    // The last window waits until it is seen how much all those before it took.
    let gate = Gate::at("GetRange", SIZE - WINDOW);
    let house =
        Storehouse::start(State { zeros: SIZE, gate: Some(gate), ..State::default() }).await;
    let gate = house.state.gate.as_ref().expect("a gate");
    let mut run = Run::new(&house, "zeros.bin", SIZE);
    let mut child = run.command.spawn().expect("started");
    tokio::select! {
        permit = gate.came.acquire() => permit.expect("a gate").forget(),
        status = child.wait() => panic!("it has ended: {status:?}"),
    }
    let pid = child.id().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kibibytes << 10 < MOST, "{kibibytes} KiB of memory for {} KiB", SIZE >> 10);
    assert!(house.count("GetObject") as u64 >= SIZE / WINDOW);
    child.kill().await.expect("it ran");
}
