//! The report as a text with tables and plots, for a repository to keep.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::keys::REDIS;
use crate::web::TOKIO_AGAIN;

use super::plots::{bars, colour, escape, latencies, scaling};
use super::{Entry, Outcome, RAW, Report, WEB_HEAD, Workload, grouped, time};

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
    let timed = || report.timed();
    let mut all: Vec<_> = timed()
        .map(|work| (work.name.clone(), bars(work)))
        .collect();
    let curves =
        timed().filter_map(|work| Some((format!("latency-{}", work.name), latencies(work)?)));
    let costs = [64, 1024, 16384].into_iter();
    let costs =
        costs.filter_map(|size| Some((format!("connections-{size}"), scaling(report, size)?)));
    let names = report.names();
    all.extend(
        curves
            .chain(costs)
            .map(|(name, svg)| (name, with_legend(&svg, &names))),
    );
    all
}

/// Puts the names that have a line under a plot.
fn with_legend(svg: &str, names: &[&str]) -> String {
    const EACH: f64 = 138.0;
    const ROW: f64 = 16.0;
    let names = names.iter().map(|name| (escape(name), colour(name)));
    let drawn = names.filter(|(name, _)| svg.contains(&format!("<title>{name}</title>")));
    let mut legend = String::new();
    let mut rows = 0.0;
    for (i, (name, colour)) in drawn.enumerate() {
        rows = (i / 4) as f64;
        let (x, y) = ((i % 4) as f64 * EACH + 4.0, rows * ROW + 312.0);
        let (text_x, text_y) = (x + 15.0, y + 9.0);
        // Writing to a string does not fail, here and below.
        let _ = write!(
            legend,
            "<rect x='{x}' y='{y}' width='10' height='10' rx='3' fill='{colour}'/>\
             <text x='{text_x}' y='{text_y}'>{name}</text>"
        );
    }
    let height = 332.0 + rows * ROW;
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
    let Report {
        made,
        rounds,
        slice_ms,
        system,
        ..
    } = report;
    let (cpu, kernel) = (&system.cpu, &system.kernel);
    let head =
        format!("{made}, {rounds} rounds of {slice_ms} ms slices; {cpu}, Linux {kernel}.\n\n");
    head + &against_raw(report)
        + &against_rivals(report)
        + &against_redis(report)
        + &web(report)
        + &memory(report)
        + &latency(report)
}

/// A heading, what there is to say, and a table; nothing without rows.
fn section(heading: &str, text: &str, head: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    let row = |cells: Vec<String>| line(&cells.iter().map(String::as_str).collect::<Vec<_>>());
    let rows: String = rows.into_iter().map(row).collect();
    format!("### {heading}\n\n{text}{}{rule}{rows}\n", line(head))
}

/// A table of all that was timed beside the base: names at the head, and a cell for each.
fn matrix(
    report: &Report,
    base: &str,
    [heading, text]: [&str; 2],
    names: Vec<&str>,
    cells: impl Fn(&Workload, &[&str]) -> Vec<String>,
) -> String {
    let row = |work: &Workload| [vec![work.title.clone()], cells(work, &names)].concat();
    let works = report.timed().filter(|work| work.base == base);
    let rows = works.map(row).collect();
    section(heading, text, &[vec!["work"], names.clone()].concat(), rows)
}

/// The forms of saferring and of raw, with their intervals.
fn against_raw(report: &Report) -> String {
    let mut names = report.names();
    names.retain(|name| name.starts_with(RAW) || name.starts_with("saferring"));
    let text = "CPU time an operation: raw's, and ratios to it with their 95 % intervals.\n\n";
    matrix(
        report,
        RAW,
        ["Beside the hand-written loop", text],
        names,
        intervals,
    )
}

/// Servers of keys.
fn against_redis(report: &Report) -> String {
    let names = report.names_with(|work, entry| work.base == REDIS && entry.figures.is_some());
    let text = "CPU time a request: redis's, and ratios to it with their 95 % intervals.\n\n";
    matrix(report, REDIS, ["Beside redis", text], names, intervals)
}

/// HTTP and frames.
fn web(report: &Report) -> String {
    let rows = report.web_rows().into_iter().map(Vec::from);
    section("HTTP and frames", "", &WEB_HEAD, rows.collect())
}

fn intervals(work: &Workload, names: &[&str]) -> Vec<String> {
    let cell = |name: &&str| {
        let entry = work.entry(name);
        entry.map_or("–".into(), |entry| interval(work, entry))
    };
    names.iter().map(cell).collect()
}

fn interval(work: &Workload, entry: &Entry) -> String {
    match (&entry.outcome, entry.cpu_to_raw(), &entry.figures) {
        (Outcome::Failed(_), ..) => "failed".into(),
        (_, Some(it), _) => format!("{:.3} [{:.3}, {:.3}]", it.ratio, it.low, it.high),
        (_, None, Some(figures)) if entry.contender == work.base => time(figures.cpu.median),
        _ => "–".into(),
    }
}

fn against_rivals(report: &Report) -> String {
    let mut names = report.names();
    names.retain(|name| {
        !name.starts_with(RAW)
            && (*name == "saferring" || !name.contains("saferring"))
            && !name.starts_with(REDIS)
            && *name != TOKIO_AGAIN
    });
    let text = "The same ratios; the least of each row is bold.\n\n";
    matrix(
        report,
        RAW,
        ["Beside the rivals", text],
        names,
        |work, names| {
            let ratio = |name: &&str| Some(work.entry(name)?.cpu_to_raw()?.ratio);
            let ratios = names.iter().map(ratio);
            let best = ratios.clone().flatten().fold(f64::MAX, f64::min);
            let cell = |ratio| match ratio {
                None => "–".into(),
                Some(ratio) if ratio == best => format!("**{ratio:.2}**"),
                Some(ratio) => format!("{ratio:.2}"),
            };
            ratios.map(cell).collect()
        },
    )
}

fn memory(report: &Report) -> String {
    let figure = |entry: &Entry| Some(format!("{} {}", entry.contender, grouped(entry.memory?, 0)));
    let row = |work: &Workload| {
        let figures: Vec<_> = work.entries.iter().filter_map(figure).collect();
        vec![work.title.clone(), figures.join(", ")]
    };
    let works = report.workloads.iter().filter(|work| work.is_memory());
    section(
        "Memory",
        "",
        &["what", "bytes each"],
        works.map(row).collect(),
    )
}

fn latency(report: &Report) -> String {
    let row = |work: &Workload, name: &str| {
        let figures = work.entry(name)?.figures.as_ref()?;
        let latency = figures.latency.as_ref()?;
        let times = [latency.p50, latency.p99, latency.p999].map(|nanos| time(nanos as f64));
        let rate = grouped(figures.throughput.median, 0);
        Some(
            [
                vec![work.title.clone(), name.into()],
                times.into(),
                vec![rate],
            ]
            .concat(),
        )
    };
    let names = [
        RAW,
        REDIS,
        "saferring",
        "saferring (spin)",
        "tokio",
        "monoio-t",
    ];
    let rows = report
        .timed()
        .flat_map(|work| names.iter().filter_map(move |name| row(work, name)));
    let head = ["work", "", "p50", "p99", "p99.9", "a second"];
    section("Latency", "", &head, rows.collect())
}
