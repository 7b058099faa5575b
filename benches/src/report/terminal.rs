//! The report on the terminal.

use std::fmt::Write as _;

use super::lines::sentence;
use super::{Entry, Outcome, RAW, Report, Workload, time};

/// All of it: a line for each pair, then the tables.
pub(crate) fn print(report: &Report) {
    for workload in &report.workloads {
        print_workload(workload);
    }
    let mut entries = report
        .workloads
        .iter()
        .flat_map(|workload| &workload.entries);
    let counted = |entry: &Entry| {
        entry
            .figures
            .as_ref()
            .is_some_and(|figures| figures.syscalls.is_some())
    };
    if !entries.any(counted) {
        println!(
            "\nsystem calls an operation: not known (counting them takes tracefs, by `mount -t tracefs tracefs \
             /sys/kernel/tracing`, and the right to use perf_event_open)"
        );
    }
    print!("\n{}", ratios(report));
}

/// A line for each contender of a workload, and what else is known of it.
fn print_workload(workload: &Workload) {
    if let Some(reason) = &workload.skipped {
        println!("{}: skipped: {reason}", workload.title);
        return;
    }
    let raw = workload.entry(RAW);
    for entry in &workload.entries {
        match &entry.outcome {
            Outcome::Unsupported => {}
            Outcome::Failed(error) => {
                println!("{}: {} failed: {error}", workload.title, entry.contender);
            }
            Outcome::Measured => {
                if let Some(line) = sentence(workload, entry, raw) {
                    println!("{line}");
                }
                if let Some(details) = details(workload, entry) {
                    println!("    {details}");
                }
            }
        }
    }
}

fn details(workload: &Workload, entry: &Entry) -> Option<String> {
    let figures = entry.figures.as_ref()?;
    let mut text = format!(
        "{}: CPU {} ± {} a {} (deviation {})",
        entry.contender,
        time(figures.cpu.mean),
        time(figures.cpu.margin),
        workload.operation,
        time(figures.cpu.deviation)
    );
    // Writing to a string does not fail.
    if let Some(share) = figures.user_share {
        let _ = write!(text, ", {:.0} % of it user", share * 100.0);
    }
    if let Some(latency) = &figures.latency {
        let _ = write!(
            text,
            "; latency mean {}, p50 {}, p95 {}, p99 {}, p99.9 {}",
            time(latency.mean),
            time(latency.p50 as f64),
            time(latency.p95 as f64),
            time(latency.p99 as f64),
            time(latency.p999 as f64)
        );
    }
    if let Some(calls) = figures.syscalls {
        let _ = write!(text, "; {calls:.3} system calls");
    }
    Some(text)
}

/// A compact table of CPU ratios; bytes where it is memory that counts.
fn ratios(report: &Report) -> String {
    let mut names: Vec<&str> = report
        .contenders
        .iter()
        .map(|about| about.name.as_str())
        .collect();
    names.retain(|name| {
        let mut entries = report
            .workloads
            .iter()
            .filter_map(|workload| workload.entry(name));
        entries.any(|entry| entry.outcome != Outcome::Unsupported)
    });
    let width = |name: &&str| name.chars().count().max(9) + 2;
    let mut text = String::from(
        "CPU time an operation, as a ratio to raw (bytes of memory an item, where so marked; * significant)\n\n",
    );
    let _ = write!(text, "{:<18}", "workload");
    for name in &names {
        let _ = write!(text, "{name:>width$}", width = width(name));
    }
    text.push('\n');
    for workload in report
        .workloads
        .iter()
        .filter(|workload| workload.skipped.is_none())
    {
        let memory = if workload.is_memory() { " (B)" } else { "" };
        let _ = write!(text, "{:<18}", format!("{}{memory}", workload.name));
        for name in &names {
            let cell = workload.entry(name).map_or(String::new(), cell);
            let _ = write!(text, "{cell:>width$}", width = width(name));
        }
        text.push('\n');
    }
    text
}

fn cell(entry: &Entry) -> String {
    match (&entry.outcome, entry.memory, entry.cpu_to_raw()) {
        (Outcome::Unsupported, ..) => "–".into(),
        (Outcome::Failed(_), ..) => "failed".into(),
        (_, Some(bytes), _) => super::grouped(bytes, 0),
        (_, _, Some(ratio)) => {
            let mark = if ratio.significant { "*" } else { " " };
            format!("{:.3}{mark}", ratio.ratio)
        }
        _ if entry.contender == RAW => "1    ".into(),
        _ => "?".into(),
    }
}
