//! The report as a text with tables and plots, for a repository to keep.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use super::plots::{bars, colour, escape, latencies, scaling};
use super::{Entry, Outcome, RAW, Report, Workload, grouped, time};

/// Writes `report.md` into a directory, and beside it `plots/*.svg`.
pub(crate) fn write(report: &Report, out: &Path) -> io::Result<()> {
    let plots = out.join("plots");
    fs::create_dir_all(&plots)?;
    for (name, svg) in drawings(report) {
        fs::write(plots.join(format!("{name}.svg")), standing_alone(&svg))?;
    }
    fs::write(out.join("report.md"), text(report))
}

/// Every plot with its name.
fn drawings(report: &Report) -> Vec<(String, String)> {
    let measured = || {
        report
            .workloads
            .iter()
            .filter(|workload| workload.skipped.is_none() && !workload.is_memory())
    };
    let bars = measured().map(|workload| (workload.name.clone(), bars(workload)));
    let latencies =
        measured().filter_map(|work| Some((format!("latency-{}", work.name), latencies(work)?)));
    let messages = [64, 1024, 16384];
    let costs = messages
        .iter()
        .filter_map(|&size| Some((format!("connections-{size}"), scaling(report, size)?)));
    let lines: Vec<_> = latencies.chain(costs).collect();
    let names: Vec<&str> = report
        .contenders
        .iter()
        .map(|about| about.name.as_str())
        .collect();
    bars.chain(
        lines
            .into_iter()
            .map(|(name, svg)| (name, with_legend(&svg, &names))),
    )
    .collect()
}

/// Puts the names that have a line under a plot.
fn with_legend(svg: &str, names: &[&str]) -> String {
    const EACH: f64 = 138.0;
    const ROW: f64 = 16.0;
    let drawn: Vec<_> = names
        .iter()
        .filter(|name| svg.contains(&format!("<title>{}</title>", escape(name))))
        .collect();
    let rows = drawn.len().div_ceil(4) as f64;
    let mut legend = String::new();
    for (i, name) in drawn.iter().enumerate() {
        let (x, y) = ((i % 4) as f64 * EACH + 4.0, (i / 4) as f64 * ROW + 312.0);
        // Writing to a string does not fail, here and below.
        let _ = write!(
            legend,
            "<rect x='{x}' y='{y}' width='10' height='10' rx='3' fill='{}'/><text x='{}' y='{}'>{}</text>",
            colour(name),
            x + 15.0,
            y + 9.0,
            escape(name)
        );
    }
    let height = 300.0 + rows * ROW + 16.0;
    svg.replacen("560 300'", &format!("560 {height}'"), 1)
        .replace("</svg>", &format!("{legend}</svg>"))
}

/// An image of its own: with a background, and the page's style.
fn standing_alone(svg: &str) -> String {
    const STYLE: &str = "text{fill:#1d2129;font:12px system-ui,sans-serif}.soft{fill:#667085;font-size:11px}\
        .grid{stroke:#e4e2dc}.axis{stroke:#667085}.whisker{stroke:#1d2129;stroke-width:1.4;opacity:.75}\
        .curve{fill:none;stroke-width:1.8;stroke-linejoin:round}.ours{stroke-width:3}";
    let svg = svg.replacen("<svg ", "<svg xmlns='http://www.w3.org/2000/svg' ", 1);
    let inside = format!(
        "><style>{STYLE}</style><rect x='-20' y='-20' width='2000' height='2000' fill='#ffffff'/>"
    );
    svg.replacen('>', &inside, 1)
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "{}, {} rounds of {} ms slices; {}, Linux {}.\n\n",
        report.made, report.rounds, report.slice_ms, report.system.cpu, report.system.kernel
    );
    text += &against_raw(report);
    text += &against_rivals(report);
    text += &memory(report);
    text += &latency(report);
    text
}

fn measured(report: &Report) -> impl Iterator<Item = &Workload> {
    report
        .workloads
        .iter()
        .filter(|workload| workload.skipped.is_none() && !workload.is_memory())
}

/// The forms of saferring and of raw, with their intervals.
fn against_raw(report: &Report) -> String {
    let ours: Vec<&str> = report
        .contenders
        .iter()
        .map(|about| about.name.as_str())
        .filter(|name| *name != RAW && (name.starts_with(RAW) || name.starts_with("saferring")))
        .collect();
    let mut table = format!("| work | raw | {} |\n|---|---|", ours.join(" | "));
    table += &"---|".repeat(ours.len());
    table.push('\n');
    for workload in measured(report) {
        let raw = workload.entry(RAW).and_then(|raw| raw.figures.as_ref());
        let cost = raw.map_or("–".into(), |raw| time(raw.cpu.median));
        let _ = write!(table, "| {} | {cost} |", workload.title);
        for name in &ours {
            let _ = write!(
                table,
                " {} |",
                workload.entry(name).map_or("–".into(), interval)
            );
        }
        table.push('\n');
    }
    format!(
        "### Beside the hand-written loop\n\nCPU time an operation: raw's, and ratios to it with their 95 % intervals.\n\n{table}\n"
    )
}

fn interval(entry: &Entry) -> String {
    match (&entry.outcome, entry.cpu_to_raw()) {
        (Outcome::Failed(_), _) => "failed".into(),
        (_, Some(ratio)) => {
            format!("{:.3} [{:.3}, {:.3}]", ratio.ratio, ratio.low, ratio.high)
        }
        _ => "–".into(),
    }
}

fn against_rivals(report: &Report) -> String {
    let names: Vec<&str> = report
        .contenders
        .iter()
        .map(|about| about.name.as_str())
        .filter(|name| {
            !name.starts_with(RAW) && (*name == "saferring" || !name.contains("saferring"))
        })
        .collect();
    let mut table = format!("| work | {} |\n|---|", names.join(" | "));
    table += &"---|".repeat(names.len());
    table.push('\n');
    for workload in measured(report) {
        let ratios: Vec<_> = names
            .iter()
            .map(|name| Some(workload.entry(name)?.cpu_to_raw()?.ratio))
            .collect();
        let best = ratios.iter().flatten().copied().fold(f64::MAX, f64::min);
        let _ = write!(table, "| {} |", workload.title);
        for ratio in ratios {
            let cell = match ratio {
                None => "–".into(),
                Some(ratio) if ratio == best => format!("**{ratio:.2}**"),
                Some(ratio) => format!("{ratio:.2}"),
            };
            let _ = write!(table, " {cell} |");
        }
        table.push('\n');
    }
    format!("### Beside the rivals\n\nThe same ratios; the least of each row is bold.\n\n{table}\n")
}

fn memory(report: &Report) -> String {
    let mut table = String::new();
    for workload in report.workloads.iter().filter(|work| work.is_memory()) {
        let figures: Vec<String> = workload
            .entries
            .iter()
            .filter_map(|entry| Some(format!("{} {}", entry.contender, grouped(entry.memory?, 0))))
            .collect();
        let _ = writeln!(table, "| {} | {} |", workload.title, figures.join(", "));
    }
    if table.is_empty() {
        return String::new();
    }
    format!("### Memory\n\n| what | bytes each |\n|---|---|\n{table}\n")
}

fn latency(report: &Report) -> String {
    let mut table = String::new();
    for workload in measured(report) {
        for name in [RAW, "saferring", "saferring (spin)", "tokio", "monoio-t"] {
            let Some(figures) = workload
                .entry(name)
                .and_then(|entry| entry.figures.as_ref())
            else {
                continue;
            };
            let Some(latency) = &figures.latency else {
                continue;
            };
            let _ = writeln!(
                table,
                "| {} | {name} | {} | {} | {} | {} |",
                workload.title,
                time(latency.p50 as f64),
                time(latency.p99 as f64),
                time(latency.p999 as f64),
                grouped(figures.throughput.median, 0)
            );
        }
    }
    if table.is_empty() {
        return String::new();
    }
    format!(
        "### Latency\n\n| work | | p50 | p99 | p99.9 | a second |\n|---|---|---|---|---|---|\n{table}\n"
    )
}
