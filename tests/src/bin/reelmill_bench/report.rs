//! The measurements as Markdown.

use std::{fmt::Write, path::Path};

use anyhow::Result;
use e2e::{
    benchmark::{self, median, quantile, spread},
    process::command,
};

use crate::{
    gateway::{self, Latencies},
    measure::Cost,
    pipeline::{PRESET, Round},
};

/// One of the three ways' cost in a round.
type Way = fn(&Round) -> Cost;

/// What was measured where.
pub(crate) fn heading() -> Result<String> {
    let ffmpeg = command("ffmpeg").arg("-version").output()?.stdout;
    let ffmpeg = String::from_utf8_lossy(&ffmpeg);
    let ffmpeg = ffmpeg.split(' ').nth(2).unwrap_or_default();
    Ok(format!(
        "# Benchmarks\n\n\
         Written by `just bench` on {}, on {}, with FFmpeg {ffmpeg} and x264's \
         preset `{PRESET}`. What is compared alternates within one run; a quotient is the median of \
         the rounds' own quotients, with the least and the greatest of them behind it.\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        benchmark::machine()?,
    ))
}

/// The table of one source.
pub(crate) fn pipeline(source: &Path, rounds: &[Round]) -> String {
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    let all = |cost: Way, what: fn(&Cost) -> f64| -> Vec<f64> {
        rounds.iter().map(|round| what(&cost(round))).collect()
    };
    let sequential: Way = |round| round.sequential;
    let single: Way = |round| round.single;
    let ours: Way = |round| round.ours;
    let mut text = format!(
        "\n## Whole pipeline: {name}, {} rounds\n\n\
         | | CPU s | wall s | playable after s |\n|---|---|---|---|\n",
        rounds.len()
    );
    for (label, cost) in [
        ("(a) one ffmpeg run a rendition, one after the other", sequential),
        ("(b) the best single ffmpeg command, same outputs", single),
        ("(c) Reelmill", ours),
    ] {
        let first: Vec<f64> = rounds.iter().filter_map(|round| cost(round).first).collect();
        let first =
            if first.is_empty() { "–".to_owned() } else { format!("{:.2}", median(&first)) };
        let (cpu, wall) = (all(cost, |cost| cost.cpu), all(cost, |cost| cost.wall));
        writeln!(text, "| {label} | {:.2} | {:.2} | {first} |", median(&cpu), median(&wall))
            .expect("a String takes everything");
    }
    text += "\n| quotient | CPU | wall | target |\n|---|---|---|---|\n";
    for (label, other, target) in
        [("(c) ÷ (a)", sequential, "≤ 0.75"), ("(c) ÷ (b)", single, "≤ 1.05")]
    {
        let quotients = |what: fn(&Cost) -> f64| {
            spread(&rounds.iter().map(|r| what(&ours(r)) / what(&other(r))).collect::<Vec<_>>())
        };
        let (cpu, wall) = (quotients(|cost| cost.cpu), quotients(|cost| cost.wall));
        writeln!(text, "| {label} | {cpu} | {wall} | {target} |")
            .expect("a String takes everything");
    }
    let share: Vec<f64> = rounds
        .iter()
        .filter_map(|round| Some(100.0 * round.ours.first? / round.ours.wall))
        .collect();
    let peak = rounds.iter().map(|round| round.ours.peak).max().unwrap_or_default();
    let share = if share.is_empty() { f64::NAN } else { median(&share) };
    text + &format!(
        "\nPlayable after {share:.0} % of the job's time (target: 15 %, or 5 s). Peak memory of our \
         own process: {:.1} MiB (target: below 64 MiB).\n",
        peak as f64 / 1024.0 / 1024.0
    )
}

/// The table of the gateway.
pub(crate) fn gateway(latencies: &Latencies) -> String {
    let row = |label: &str, values: &[f64]| {
        format!(
            "| {label} | {:.2} | {:.2} | {:.2} |\n",
            quantile(values, 0.5),
            quantile(values, 0.95),
            quantile(values, 0.99)
        )
    };
    format!(
        "\n## Gateway: GET of a segment of {} bytes in workerd, {} requests each, in turn\n\n\
         | | p50 ms | p95 ms | p99 ms |\n|---|---|---|---|\n{}{}\n\
         Quotient of the p50: {:.2} (target: ≤ 2).\n",
        gateway::SEGMENT,
        latencies.gateway.len(),
        row("Reelmill, signed (Rust, wasm)", &latencies.gateway),
        row("plain Worker, unsigned (JavaScript)", &latencies.plain),
        quantile(&latencies.gateway, 0.5) / quantile(&latencies.plain, 0.5),
    )
}
