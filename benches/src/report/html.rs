//! The report as one page that needs nothing else.

mod parts;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use self::parts::{details, ratio_cell, tiles};
use super::plots::{bars, colour, escape, latencies, scaling};
use super::{Outcome, Report, Workload};

const STYLE: &str = include_str!("html/style.css");

pub(crate) fn write(report: &Report, path: &Path) -> io::Result<()> {
    fs::write(path, page(report))
}

fn page(report: &Report) -> String {
    let mut page = format!(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>\
         <meta name='viewport' content='width=device-width, initial-scale=1'>\
         <title>saferring, compared</title><style>{STYLE}</style></head><body><main>\
         <header><h1>saferring, compared</h1><p>The same work on saferring, on a hand-written io_uring loop (raw, which is \
         the limit) and on other runtimes: CPU time, user and system, of each contender’s process. {}; {} rounds of {} ms \
         slices{}; {}, Linux {}.</p>\
         <nav><a href='#summary'>Summary</a><a href='#ratios'>Ratios</a><a href='#scaling'>Cost and connections</a>\
         <a href='#latency'>Latency</a><a href='#method'>How it was measured</a><a href='#system'>System</a></nav></header>",
        report.made,
        report.rounds,
        report.slice_ms,
        if report.quick {
            ", a quick look only"
        } else {
            ""
        },
        escape(&report.system.cpu),
        escape(&report.system.kernel),
    );
    page += &tiles(report);
    page += &summary(report);
    page += &ratios(report);
    page += &costs(report);
    page += &latency(report);
    page += METHOD;
    page += &about(report);
    page + "<footer>Written by <code>cargo bench --bench compare</code>; the figures are in report.json.</footer></main></body></html>\n"
}

/// Those that had something to do in any workload.
fn names(report: &Report) -> Vec<&str> {
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
    names
}

fn legend(names: &[&str]) -> String {
    let entries = names.iter().map(|name| {
        let (colour, name) = (colour(name), escape(name));
        format!("<span><i style='background:{colour}'></i>{name}</span>")
    });
    format!("<div class='legend'>{}</div>", entries.collect::<String>())
}

fn summary(report: &Report) -> String {
    let names = names(report);
    let mut table = String::from(
        "<h2 id='summary'>Summary</h2><p>CPU time an operation as a ratio to raw; memory in bytes an item. Green is cheaper \
         than raw, red dearer; grey figures do not differ from raw significantly. Hover for intervals.</p>\
         <div class='card scroll'><table class='summary'><thead><tr><th>workload</th>",
    );
    for name in &names {
        // Writing to a string does not fail, here and below.
        let _ = write!(table, "<th>{}</th>", escape(name));
    }
    table += "</tr></thead><tbody>";
    for workload in &report.workloads {
        let title = escape(&workload.title);
        let _ = write!(table, "<tr><td>{title}</td>");
        if let Some(reason) = &workload.skipped {
            let _ = write!(
                table,
                "<td colspan='{}' class='unsure' style='text-align:left'>skipped: {}</td></tr>",
                names.len(),
                escape(reason)
            );
            continue;
        }
        for name in &names {
            table += &workload.entry(name).map_or("<td></td>".into(), ratio_cell);
        }
        table += "</tr>";
    }
    table + "</tbody></table></div>"
}

fn ratios(report: &Report) -> String {
    let mut section = String::from(
        "<h2 id='ratios'>Ratios to raw</h2><p>CPU time an operation, with 95 % intervals. <em>raw (again)</em> is a second \
         process of the same loop: a difference no larger than its own means nothing. Axes end at 3.</p><div class='cards'>",
    );
    for workload in report
        .workloads
        .iter()
        .filter(|workload| has_figures(workload))
    {
        let _ = write!(
            section,
            "<div class='card'><h3>{}</h3><p>{}</p>{}{}</div>",
            escape(&workload.title),
            escape(&workload.name),
            bars(workload),
            details(workload)
        );
    }
    section + "</div>"
}

fn has_figures(workload: &Workload) -> bool {
    workload.entries.iter().any(|entry| entry.figures.is_some())
}

fn costs(report: &Report) -> String {
    let mut messages: Vec<usize> = report
        .workloads
        .iter()
        .filter_map(|workload| workload.message)
        .collect();
    messages.sort_unstable();
    messages.dedup();
    let plots: String = messages
        .iter()
        .filter_map(|&message| {
            let plot = scaling(report, message)?;
            Some(format!(
                "<div class='card'><h3>{message} bytes a message</h3>{plot}</div>"
            ))
        })
        .collect();
    if plots.is_empty() {
        return String::new();
    }
    format!(
        "<h2 id='scaling'>Cost and connections</h2><p>CPU time of one echoed request against the number of connections; both \
         axes logarithmic.</p>{}<div class='cards'>{plots}</div>",
        legend(&served(report))
    )
}

/// Those that echoed.
fn served(report: &Report) -> Vec<&str> {
    let mut names = names(report);
    names.retain(|name| {
        let mut echoes = report
            .workloads
            .iter()
            .filter(|workload| workload.message.is_some());
        echoes.any(|workload| {
            workload
                .entry(name)
                .is_some_and(|entry| entry.figures.is_some())
        })
    });
    names
}

fn latency(report: &Report) -> String {
    let plots: String = report
        .workloads
        .iter()
        .filter_map(|workload| {
            let plot = latencies(workload)?;
            Some(format!(
                "<div class='card'><h3>{}</h3>{plot}</div>",
                escape(&workload.title)
            ))
        })
        .collect();
    if plots.is_empty() {
        return String::new();
    }
    format!(
        "<h2 id='latency'>Latency</h2><p>What the clients saw, with one request in flight on each connection and the server \
         saturated: with many connections this is mostly the queue. Each step to the right is ten times rarer.</p>\
         {}<div class='cards'>{plots}</div>",
        legend(&served(report))
    )
}

const METHOD: &str = "<h2 id='method'>How it was measured</h2><div class='card'>\
<p>Each contender works in a process of its own, pinned to one core; the load generator, the same for all, is on another. All \
contenders of a workload are alive at once, and the load goes round in short slices, in an order shuffled anew each round, so \
that the machine’s slow and fast phases meet all of them alike.</p>\
<p>What counts is CPU time: that of the whole process, with all its threads and those that the kernel makes for it, before and \
after each slice. A ratio is that of the medians over the rounds; its 95 % interval is a bootstrap over the rounds, which \
belong together in pairs. A difference counts as significant if the interval does not hold 1 and a Mann-Whitney U test gives \
p &lt; 0.05.</p>\
<p>Echo clients keep one request in flight on each connection; every answer’s length is checked, and the bytes of some. Files \
in the page cache are read just before each round; a copy’s target is emptied and synced before each slice. Memory is resident \
anonymous memory, without what the kernel holds for sockets.</p></div>";

fn about(report: &Report) -> String {
    let mut section = String::from(
        "<h2 id='system'>System and contenders</h2><div class='cards'><div class='card'><table class='plain'>",
    );
    for (name, value) in report.system.rows() {
        let _ = write!(
            section,
            "<tr><td>{name}</td><td>{}</td></tr>",
            escape(&value)
        );
    }
    section += "</table></div><div class='card'><table class='plain'>";
    for about in &report.contenders {
        let (name, what) = (escape(&about.name), escape(&about.what));
        let _ = write!(section, "<tr><td>{name}</td><td>{what}</td></tr>");
    }
    section + "</table></div></div>"
}
