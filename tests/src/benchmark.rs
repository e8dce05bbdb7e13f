//! What benchmarks share: what they say of many measurements and of the machine, and where.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result};

/// Runs a benchmark to its end, on one thread.
///
/// # Panics
/// Where no runtime can be built.
pub fn run(bench: impl Future<Output = Result<()>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    match runtime.block_on(bench) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The middle value; of an even number the mean of the middle two.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which a share of all values lies; between two of them the way from one to the
/// other.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// The median in bold, with the least and the greatest behind it.
pub fn spread(values: &[f64]) -> String {
    let (least, greatest) = (quantile(values, 0.0), quantile(values, 1.0));
    format!("**{:.2}** ({least:.2}–{greatest:.2})", median(values))
}

/// How many cores of what.
pub fn machine() -> Result<String> {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("an unknown processor");
    Ok(format!("{} cores of {model}", std::thread::available_parallelism()?))
}

/// Prints a report, and writes it to a file too. What was written by hand below the tables there
/// stays: whoever measures anew looks it over.
pub fn publish(mut text: String, path: Option<&Path>) -> Result<()> {
    print!("{text}");
    let Some(path) = path else { return Ok(()) };
    if let Some(reading) = fs::read_to_string(path).ok().as_deref().and_then(reading) {
        text = format!("{text}\n{reading}");
        eprintln!("look over \"Reading it\" in {}: it was not measured", path.display());
    }
    fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))
}

/// What people wrote below the tables of an earlier report, its heading included.
fn reading(report: &str) -> Option<&str> {
    report.find("\n## Reading it\n").map(|at| &report[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_by_hand_is_found() {
        let report = "# Benchmarks\n\n| a |\n\n## Reading it\n\n- It is so.\n";
        assert_eq!(reading(report), Some("## Reading it\n\n- It is so.\n"));
        assert_eq!(reading("# Benchmarks\n"), None);
    }
}
