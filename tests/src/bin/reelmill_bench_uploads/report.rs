//! The measurements as Markdown.

use std::fmt::Write;

use anyhow::Result;
use e2e::benchmark::{self, median, spread};

use crate::{
    memory::Memory,
    throughput::{Manner, Round, Simulator},
};

const MIB: f64 = 1_048_576.0;

/// What was measured where.
pub(crate) fn heading() -> Result<String> {
    Ok(format!(
        "# Uploads: benchmarks\n\n\
         Written by `just bench-upload` on {}, on {}. One client, which makes the bytes as it sends \
         them; client, servers and disk are one machine. What is compared alternates within one \
         run; a quotient is the median of the rounds' own quotients, with the least and the greatest \
         of them behind it.\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        benchmark::machine()?,
    ))
}

/// The table of throughputs.
pub(crate) fn throughput(simulator: Simulator, table: &[(Manner, u64, Vec<Round>)]) -> String {
    let title = match simulator {
        Simulator::Own => "as `wrangler dev` brings R2",
        Simulator::Quick => "with a quicker loop in wrangler's simulator of R2",
    };
    let mut text = format!(
        "\n## Throughput, {title}\n\n\
         | MiB/s, medians | (a) @tus/server, file store | (b) Reelmill, `wrangler dev` | (c) \
         Reelmill, workerd without wrangler's proxy | (d) bare Worker, same parts into R2, \
         `wrangler dev` |\n|---|---|---|---|---|\n"
    );
    for (manner, size, rounds) in table {
        let speed = |way: fn(&Round) -> f64| {
            let all = rounds.iter().map(|round| *size as f64 / MIB / way(round));
            median(&all.collect::<Vec<_>>())
        };
        writeln!(
            text,
            "| {:.0} MiB, {} | {:.0} | {:.0} | {:.0} | {:.0} |",
            *size as f64 / MIB,
            manner.name,
            speed(|round| round.file_store),
            speed(|round| round.ours),
            speed(|round| round.direct),
            speed(|round| round.plain),
        )
        .expect("a String takes everything");
    }
    text += "\n| quotient of throughputs | (b) ÷ (a), target ≥ 1.0 | (c) ÷ (a) | (d) ÷ (a) | (b) ÷ \
             (d) |\n|---|---|---|---|---|\n";
    for (manner, _, rounds) in table {
        let quotient =
            |quotient: fn(&Round) -> f64| spread(&rounds.iter().map(quotient).collect::<Vec<_>>());
        writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            manner.name,
            quotient(|round| round.file_store / round.ours),
            quotient(|round| round.file_store / round.direct),
            quotient(|round| round.file_store / round.plain),
            quotient(|round| round.plain / round.ours),
        )
        .expect("a String takes everything");
    }
    text
}

/// The table of memory.
pub(crate) fn memory(memories: &[(String, Memory)]) -> String {
    let mut text = "\n## Memory\n\n\
                    The isolate is what has 128 MB on Cloudflare. Resident is the whole process of \
                    workerd: beside the isolate also the simulators of R2, D1 and Durable Objects, \
                    each with an SQLite database of its own.\n\n\
                    | most, in MiB | isolate: buffers and wasm | isolate: JavaScript heap | resident \
                    before | resident, first half | resident, second half | MiB/s |\n\
                    |---|---|---|---|---|---|---|\n"
        .to_owned();
    for (what, memory) in memories {
        let mib = |bytes: u64| bytes as f64 / MIB;
        let speed = match memory.bytes {
            0 => "–".to_owned(),
            bytes => format!("{:.0}", mib(bytes) / memory.taken),
        };
        writeln!(
            text,
            "| {what} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {speed} |",
            mib(memory.buffers),
            mib(memory.heap),
            mib(memory.before),
            mib(memory.first_half),
            mib(memory.second_half),
        )
        .expect("a String takes everything");
    }
    text
}
