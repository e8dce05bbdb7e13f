//! `runpod-simulator`: RunPod on this machine, for trying a worker or a client by hand.

use std::net::SocketAddr;

use anyhow::Result;
use clap::Parser;
use runpod_simulator::{Options, Simulator, Templates};

/// RunPod's queue on this machine. Prints the environment of a worker, then what workers do wrong.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8790")]
    listen: SocketAddr,
    /// The worker's id.
    #[arg(long, default_value = "worker-1")]
    worker: String,
    /// URL templates without query strings.
    #[arg(long)]
    bare: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let options = Options::default();
    let key = options.client_key.clone();
    let simulator = Simulator::start_on(arguments.listen, options).await?;
    let templates = if arguments.bare { Templates::Bare } else { Templates::WithQuery };
    for (name, value) in simulator.environment(&arguments.worker, templates) {
        println!("export {name}='{value}'");
    }
    println!("# for clients: {} with `Authorization: Bearer {key}`", simulator.api());
    let mut told = 0;
    let watching = async {
        loop {
            simulator.happens(|record| record.violations.len() > told).await;
            for violation in simulator.look(|record| record.violations[told..].to_vec()) {
                println!("# {violation}");
                told += 1;
            }
        }
    };
    tokio::select! {
        () = watching => unreachable!("it watches for ever"),
        signal = tokio::signal::ctrl_c() => Ok(signal?),
    }
}
