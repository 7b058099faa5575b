//! The report on the terminal.

use super::{Entry, Outcome, Report, WEB_HEAD, Workload, grouped, judgement, time};
use crate::settings::Settings;
use crate::stats::Column;

/// All of it: a line for each pair, then the table.
pub(crate) fn print(report: &Report) {
    report.workloads.iter().for_each(print_workload);
    let counted = |_: &Workload, entry: &Entry| {
        let mut figures = entry.figures.iter();
        figures.any(|figures| figures.syscalls.is_some())
    };
    if report.names_with(counted).is_empty() {
        println!(
            "\nsystem calls an operation: not known (counting them takes tracefs, by `mount -t tracefs tracefs \
             /sys/kernel/tracing`, and the right to use perf_event_open)"
        );
    }
    println!(
        "\nCPU time an operation, as a ratio to raw, of keys to redis, of HTTP and frames to tokio (bytes of memory an item, where so marked; * significant)\n"
    );
    let names = report.names_with(|_, entry| entry.outcome != Outcome::Unsupported);
    let columns = |cell: &dyn Fn(&str) -> String| -> String {
        let cell = |name: &&str| {
            let width = name.chars().count().max(9) + 2;
            format!("{:>width$}", cell(name))
        };
        names.iter().map(cell).collect()
    };
    println!("{:<26}{}", "workload", columns(&|name| name.into()));
    let run = report.workloads.iter();
    for workload in run.filter(|workload| workload.skipped.is_none()) {
        let unit = if workload.is_memory() { " (B)" } else { "" };
        let cells = columns(&|name| {
            workload
                .entry(name)
                .map_or(String::new(), |entry| ratio(workload, entry))
        });
        println!("{:<26}{cells}", format!("{}{unit}", workload.name));
    }
    print_web(&report.web_rows());
}

/// HTTP and frames: CPU time and rates side by side.
fn print_web(rows: &[[String; 7]]) {
    if rows.is_empty() {
        return;
    }
    let head = WEB_HEAD.map(String::from);
    println!();
    for [title, contender, cpu, ratio, interval, rate, rate_ratio] in
        [&head].into_iter().chain(rows)
    {
        println!(
            "{title:<46} {contender:<18} {cpu:>14} {ratio:>15} {interval:>15} {rate:>10} {rate_ratio:>15}"
        );
    }
}

fn ratio(workload: &Workload, entry: &Entry) -> String {
    match (&entry.outcome, entry.memory, entry.cpu_to_raw()) {
        (Outcome::Unsupported, ..) => "–".into(),
        (Outcome::Failed(_), ..) => "failed".into(),
        (_, Some(bytes), _) => grouped(bytes, 0),
        (_, _, Some(ratio)) => {
            let mark = if ratio.significant { "*" } else { " " };
            format!("{:.3}{mark}", ratio.ratio)
        }
        _ if entry.contender == workload.base => "1    ".into(),
        _ => "?".into(),
    }
}

/// A line for each contender of a workload, and what else is known of it.
fn print_workload(workload: &Workload) {
    let title = &workload.title;
    if let Some(reason) = &workload.skipped {
        println!("{title}: skipped: {reason}");
    }
    let base = workload.entry(&workload.base);
    for entry in &workload.entries {
        let name = &entry.contender;
        if let Outcome::Failed(error) = &entry.outcome {
            println!("{title}: {name} failed: {error}");
            continue;
        }
        if let Some(line) = sentence(workload, entry, base) {
            println!("{line}");
        }
        if let Some(figures) = &entry.figures {
            let known = figures.all().into_iter().take(11);
            let known = known.filter(|(_, value)| value != "–");
            let known: Vec<_> = known
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            println!("    {name}: {}", known.join(", "));
        }
    }
}

/// As in "file copy, 1 GiB, 64 KiB buffers: saferring 1,247 ± 23 MB/s, raw 1,289 ± 19 MB/s, overhead 3.3 % ± 2.1 %
/// (p = 0.023, significant)". `None` if there is nothing to say: the base itself, or no figures.
fn sentence(workload: &Workload, entry: &Entry, base: Option<&Entry>) -> Option<String> {
    let Workload {
        title,
        operation,
        base: base_name,
        ..
    } = workload;
    let name = &entry.contender;
    if let Some(bytes) = entry.memory {
        return Some(format!("{title}: {name} {} bytes", grouped(bytes, 0)));
    }
    let figures = entry.figures.as_ref().filter(|_| name != base_name)?;
    let ours = throughput(&figures.throughput, workload.bytes);
    let Some(theirs) = base.and_then(|base| base.figures.as_ref()) else {
        return Some(format!("{title}: {name} {ours}, nothing to compare with"));
    };
    let rate = throughput(&theirs.throughput, workload.bytes);
    let overhead = figures.wall_to_raw.as_ref().map(judgement)?;
    let cpu_overhead = figures.cpu_to_raw.as_ref().map(judgement)?;
    let (cpu, base_cpu) = (time(figures.cpu.median), time(theirs.cpu.median));
    Some(format!(
        "{title}: {name} {ours}, {base_name} {rate}, overhead {overhead}; CPU {cpu} to {base_cpu} a {operation}, overhead \
         {cpu_overhead}"
    ))
}

/// As in `1,247 ± 23 MB/s`.
fn throughput(column: &Column, bytes: Option<u64>) -> String {
    let (scale, unit) = match (bytes, column.mean) {
        (Some(bytes), _) => (bytes as f64 / 1e6, "MB/s"),
        (None, mean) if mean >= 1e6 => (1e-6, "M/s"),
        (None, mean) if mean >= 1e4 => (1e-3, "k/s"),
        _ => (1.0, "/s"),
    };
    let (mean, margin) = (column.mean * scale, column.margin * scale);
    let decimals = match mean {
        mean if mean < 10.0 => 3,
        mean if mean < 100.0 => 2,
        mean if mean < 1000.0 && unit != "/s" => 1,
        _ => 0,
    };
    let (mean, margin) = (grouped(mean, decimals), grouped(margin, decimals));
    format!("{mean} ± {margin} {unit}")
}

/// The head of the table of ratios.
pub(crate) fn print_head(settings: &Settings) {
    let Settings {
        rounds,
        restarts,
        slice,
        ..
    } = settings;
    println!(
        "{rounds} rounds of {slice:?}, {restarts} set-ups; CPU time, ratios to raw: of the medians of the rounds \
         [95 % interval]\n"
    );
    let columns = ["contender", "CPU/op", "wall/op", "ratio", "", "enters/op"];
    print_row("workload", &columns.map(String::from));
}

fn print_row(workload: &str, [contender, cpu, wall, ratio, interval, enters]: &[String; 6]) {
    println!(
        "{workload:<16} {contender:<21} {cpu:>10} {wall:>10} {ratio:>8} {interval:>18} {enters:>9}"
    );
}

/// The rows of a workload in the table of ratios.
pub(crate) fn print_rows(workload: &Workload) {
    let mut title = workload.name.as_str();
    for entry in &workload.entries {
        let name = &entry.contender;
        if let Outcome::Failed(error) = &entry.outcome {
            println!("{title:<16} {name:<21} failed: {error}");
        }
        let Some(figures) = &entry.figures else {
            continue;
        };
        let (ratio, interval) = match figures.cpu_to_raw {
            Some(it) => (
                format!("{:.3}", it.ratio),
                format!("[{:.3}, {:.3}]", it.low, it.high),
            ),
            None => ("1".into(), String::new()),
        };
        // A server does not tell how often it enters the kernel, but all its system calls may have been counted.
        let enters = figures.enters.or(figures.syscalls);
        let enters = enters.map_or("-".into(), |enters| format!("{enters:.3}"));
        let (cpu, wall) = (time(figures.cpu.median), time(figures.wall.median));
        print_row(title, &[name.clone(), cpu, wall, ratio, interval, enters]);
        title = "";
    }
}
