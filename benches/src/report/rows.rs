//! The table of ratios, workload by workload.

use super::{Entry, Outcome, RAW, Workload, time};
use crate::session::Settings;

pub(crate) fn head(settings: &Settings) {
    println!(
        "{} rounds of {:?}, {} set-ups; CPU time, ratios to raw: of the medians of the rounds [95 % interval]\n",
        settings.rounds, settings.slice, settings.restarts
    );
    println!(
        "{:<16} {:<21} {:>10} {:>10} {:>8} {:>18} {:>9}",
        "workload", "variant", "CPU/op", "wall/op", "ratio", "", "enters/op"
    );
}

pub(crate) fn print(workload: &Workload) {
    if let Some(reason) = &workload.skipped {
        println!("{:<16} skipped: {reason}", workload.name);
    }
    let done = |entry: &&Entry| entry.outcome != Outcome::Unsupported;
    for (i, entry) in workload.entries.iter().filter(done).enumerate() {
        let name = if i == 0 { &workload.name } else { "" };
        if let Outcome::Failed(error) = &entry.outcome {
            println!("{name:<16} {:<21} failed: {error}", entry.contender);
        }
        let Some(figures) = &entry.figures else {
            continue;
        };
        let (ratio, interval) = match figures.cpu_to_raw {
            Some(ratio) => (
                format!("{:.3}", ratio.ratio),
                format!("[{:.3}, {:.3}]", ratio.low, ratio.high),
            ),
            None if entry.contender == RAW => ("1".into(), String::new()),
            None => ("?".into(), String::new()),
        };
        // A server does not tell how often it enters the kernel, but all its system calls may have been counted.
        let enters = figures.enters.or(figures.syscalls);
        println!(
            "{name:<16} {:<21} {:>10} {:>10} {ratio:>8} {interval:>18} {:>9}",
            entry.contender,
            time(figures.cpu.median),
            time(figures.wall.median),
            enters.map_or("-".into(), |enters| format!("{enters:.3}")),
        );
    }
}
