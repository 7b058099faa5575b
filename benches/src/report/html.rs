//! The report as one page that needs nothing else.

use std::fs;
use std::io;
use std::path::Path;

use super::plots::{bars, colour, escape, latencies, scaling};
use super::{Entry, Outcome, RAW, Report, Workload, grouped, judgement, time};

const STYLE: &str = include_str!("style.css");

pub(crate) fn write(report: &Report, path: &Path) -> io::Result<()> {
    let (head, foot) = (head(report), "</main></body></html>\n");
    let figures = [
        tiles(report),
        summary(report),
        ratios(report),
        costs(report),
        latency(report),
    ];
    let figures = figures.concat();
    let about = about(report);
    fs::write(
        path,
        format!("{head}{figures}{METHOD}{about}{FOOTER}{foot}"),
    )
}

fn head(report: &Report) -> String {
    let Report {
        made,
        rounds,
        slice_ms,
        ..
    } = report;
    let quick = if report.quick {
        ", a quick look only"
    } else {
        ""
    };
    let (cpu, kernel) = (escape(&report.system.cpu), escape(&report.system.kernel));
    format!(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>\
         <meta name='viewport' content='width=device-width, initial-scale=1'>\
         <title>saferring, compared</title><style>{STYLE}</style></head><body><main>\
         <header><h1>saferring, compared</h1><p>The same work on saferring, on a hand-written io_uring loop (raw, which is \
         the limit) and on other runtimes: CPU time, user and system, of each contender’s process. {made}; {rounds} rounds \
         of {slice_ms} ms slices{quick}; {cpu}, Linux {kernel}.</p>\
         <nav><a href='#summary'>Summary</a><a href='#ratios'>Ratios</a><a href='#scaling'>Cost and connections</a>\
         <a href='#latency'>Latency</a><a href='#method'>How it was measured</a><a href='#system'>System</a></nav></header>"
    )
}

/// What the tiles stand for: a name, and the workloads of which it is the geometric mean.
const TILES: [(&str, fn(&Workload) -> bool); 7] = [
    ("TCP echo, 50 connections and more", |work| {
        work.connections >= Some(50)
    }),
    ("TCP echo on two cores", |work| {
        work.name.starts_with("echo2")
    }),
    ("connect, echo, close", |work| work.name == "churn"),
    ("random reads, O_DIRECT", |work| {
        work.name.starts_with("read-direct")
    }),
    ("random reads, page cache", |work| {
        work.name.starts_with("read-cached")
    }),
    ("file copy", |work| work.name == "copy"),
    ("nop round trip", |work| work.name.starts_with("nop")),
];

/// saferring's ratio to raw in a few words, and the best of the other runtimes'.
fn tiles(report: &Report) -> String {
    let tile = |&(title, wanted): &(_, fn(&Workload) -> bool)| {
        let mean = |contender: &str| {
            let chosen = report.workloads.iter().filter(|work| wanted(work));
            let log = |work: &Workload| Some(work.entry(contender)?.cpu_to_raw()?.ratio.ln());
            // Only of those that did all of it.
            let logs: Vec<f64> = chosen.map(log).collect::<Option<_>>()?;
            let sum: f64 = logs.iter().sum();
            (!logs.is_empty()).then(|| (sum / logs.len() as f64).exp())
        };
        let ours = mean("saferring")?;
        let mut others = report.names();
        others.retain(|name| !name.starts_with(RAW) && !name.starts_with("saferring"));
        let others = others
            .into_iter()
            .filter_map(|name| Some((name, mean(name)?)));
        let best = others.min_by(|a, b| a.1.total_cmp(&b.1));
        let best = best.map_or("no other does it".into(), |(name, ratio)| {
            format!("best of the others: {} {ratio:.2}", escape(name))
        });
        Some(format!(
            "<div class='tile'><span>{title}</span><b>{ours:.2} <small>× raw</small></b><span>{best}</span></div>"
        ))
    };
    let tiles: String = TILES.iter().filter_map(tile).collect();
    format!("<div class='tiles'>{tiles}</div>")
}

fn legend(names: &[&str]) -> String {
    let entry = |name: &&str| {
        let (colour, name) = (colour(name), escape(name));
        format!("<span><i style='background:{colour}'></i>{name}</span>")
    };
    let entries: String = names.iter().map(entry).collect();
    format!("<div class='legend'>{entries}</div>")
}

fn summary(report: &Report) -> String {
    let names = report.names_with(|_, entry| entry.outcome != Outcome::Unsupported);
    let head: String = names
        .iter()
        .map(|name| format!("<th>{}</th>", escape(name)))
        .collect();
    let row = |work: &Workload| {
        let cell = |name: &&str| {
            work.entry(name)
                .map_or("<td></td>".into(), |entry| ratio_cell(work, entry))
        };
        let cells = match &work.skipped {
            None => names.iter().map(cell).collect(),
            Some(reason) => format!(
                "<td colspan='{}' class='unsure' style='text-align:left'>skipped: {}</td>",
                names.len(),
                escape(reason)
            ),
        };
        format!("<tr><td>{}</td>{cells}</tr>", escape(&work.title))
    };
    let rows: String = report.workloads.iter().map(row).collect();
    format!(
        "<h2 id='summary'>Summary</h2><p>CPU time an operation as a ratio to raw, of keys to redis, of HTTP and frames to tokio; memory in bytes an item. \
         Green is cheaper than that, red dearer; grey figures do not differ from it significantly. Hover for intervals.</p>\
         <div class='card scroll'><table class='summary'><thead><tr><th>workload</th>{head}</tr></thead>\
         <tbody>{rows}</tbody></table></div>"
    )
}

/// A cell of the summary, coloured by how far the ratio is from 1.
fn ratio_cell(work: &Workload, entry: &Entry) -> String {
    if let Outcome::Failed(error) = &entry.outcome {
        return format!(
            "<td class='failed' title='{}'>failed</td>",
            attribute(error)
        );
    }
    if let Some(bytes) = entry.memory {
        return format!("<td>{} <small>B</small></td>", grouped(bytes, 0));
    }
    let Some(figures) = &entry.figures else {
        return "<td class='unsure'>–</td>".into();
    };
    let cpu = time(figures.cpu.median);
    let Some(ratio) = entry.cpu_to_raw() else {
        let one = if entry.contender == work.base {
            "1"
        } else {
            "?"
        };
        return format!("<td>{one} <small>{cpu}</small></td>");
    };
    let strength = (ratio.ratio.log2().abs() * 0.4).min(0.45);
    let hue = if ratio.ratio < 1.0 { "good" } else { "bad" };
    let look = match ratio.significant {
        true => format!(" style='background:rgba(var(--{hue}),{strength:.2})'"),
        false => " class='unsure'".into(),
    };
    let (name, overhead) = (attribute(&entry.contender), judgement(&ratio));
    let (mean, margin) = (time(figures.cpu.mean), time(figures.cpu.margin));
    let decimals = if ratio.ratio < 10.0 { 3 } else { 1 };
    format!(
        "<td{look} title='{name}; CPU {mean} ± {margin}; overhead {overhead}'>{:.decimals$}</td>",
        ratio.ratio
    )
}

fn attribute(text: &str) -> String {
    escape(text).replace('\'', "&#39;")
}

fn ratios(report: &Report) -> String {
    let figures = |work: &&Workload| work.entries.iter().any(|entry| entry.figures.is_some());
    let card = |work: &Workload| {
        let [title, name, base] = [&work.title, &work.name, &work.base].map(|text| escape(text));
        let (bars, details) = (bars(work), details(work));
        format!(
            "<div class='card'><h3>{title}</h3><p>{name}, beside {base}</p>{bars}{details}</div>"
        )
    };
    let cards: String = report.workloads.iter().filter(figures).map(card).collect();
    format!(
        "<h2 id='ratios'>Ratios</h2><p>CPU time an operation, with 95 % intervals. <em>raw (again)</em> is a second \
         process of the same loop: a difference no larger than its own means nothing. Axes end at 3.</p>\
         <div class='cards'>{cards}</div>"
    )
}

/// All figures of a workload, folded.
fn details(work: &Workload) -> String {
    let entries = work.entries.iter();
    let entries =
        entries.filter_map(|entry| Some((&entry.contender, entry.figures.as_ref()?.all())));
    let entries: Vec<_> = entries.collect();
    let cell = |kind, text: &str| format!("<{kind}>{}</{kind}>", escape(text));
    let names = entries.iter().take(1).flat_map(|(_, figures)| figures);
    let head: String = names.map(|(name, _)| cell("th", name)).collect();
    let row = |(name, figures): &(&String, Vec<(&str, String)>)| {
        let figures: String = figures.iter().map(|(_, value)| cell("td", value)).collect();
        format!("<tr>{}{figures}</tr>", cell("td", name))
    };
    let (rows, each): (String, _) = (entries.iter().map(row).collect(), escape(&work.operation));
    format!(
        "<details><summary>figures</summary><div class='scroll'><table><thead><tr><th>a {each}</th>{head}</tr></thead>\
         <tbody>{rows}</tbody></table></div></details>"
    )
}

/// A section of plots with the colours of all who echoed; nothing without plots.
fn plots(report: &Report, head: &str, plots: impl Iterator<Item = (String, String)>) -> String {
    let card = |(title, plot)| format!("<div class='card'><h3>{title}</h3>{plot}</div>");
    let cards: String = plots.map(card).collect();
    if cards.is_empty() {
        return cards;
    }
    let echoed = report.names_with(|work, entry| work.message.is_some() && entry.figures.is_some());
    format!("{head}{}<div class='cards'>{cards}</div>", legend(&echoed))
}

fn costs(report: &Report) -> String {
    let works = report.workloads.iter();
    let mut messages: Vec<usize> = works.filter_map(|work| work.message).collect();
    messages.sort_unstable();
    messages.dedup();
    let head = "<h2 id='scaling'>Cost and connections</h2><p>CPU time of one echoed request against the number of \
                connections; both axes logarithmic.</p>";
    let plot = |message| {
        Some((
            format!("{message} bytes a message"),
            scaling(report, message)?,
        ))
    };
    plots(report, head, messages.into_iter().filter_map(plot))
}

fn latency(report: &Report) -> String {
    let head = "<h2 id='latency'>Latency</h2><p>What the clients saw, with one request in flight on each connection and \
                the server saturated: with many connections this is mostly the queue. Each step to the right is ten times \
                rarer.</p>";
    let plot = |work: &Workload| Some((escape(&work.title), latencies(work)?));
    plots(report, head, report.workloads.iter().filter_map(plot))
}

const METHOD: &str = "<h2 id='method'>How it was measured</h2><div class='card'>\
<p>Each contender works in a process of its own, pinned to one core; the load generator, the same for all, is on another. \
Servers on two cores share both with it. All contenders of a workload are alive at once, and the load goes round in short \
slices, in an order shuffled anew each round, so \
that the machine’s slow and fast phases meet all of them alike.</p>\
<p>What counts is CPU time: that of the whole process, with all its threads and those that the kernel makes for it, before and \
after each slice. A ratio is that of the medians over the rounds; its 95 % interval is a bootstrap over the rounds, which \
belong together in pairs. A difference counts as significant if the interval does not hold 1 and a Mann-Whitney U test gives \
p &lt; 0.05.</p>\
<p>Echo clients keep one request in flight on each connection; every answer’s length is checked, and the bytes of some. HTTP is \
asked by <code>wrk</code>, which is stopped between its slices. Files \
in the page cache are read just before each round; a copy’s target is emptied and synced before each slice. Memory is resident \
anonymous memory, without what the kernel holds for sockets.</p></div>";

const FOOTER: &str = "<footer>Written by <code>cargo bench --bench compare</code>; the figures are in report.json.</footer>";

fn about(report: &Report) -> String {
    let row = |name: &str, text: &str| {
        let (name, text) = (escape(name), escape(text));
        format!("<tr><td>{name}</td><td>{text}</td></tr>")
    };
    let system = report.system.rows().into_iter();
    let system: String = system.map(|(name, value)| row(name, &value)).collect();
    let contenders = report.contenders.iter();
    let contenders: String = contenders
        .map(|about| row(&about.name, &about.what))
        .collect();
    let card = |rows| format!("<div class='card'><table class='plain'>{rows}</table></div>");
    format!(
        "<h2 id='system'>System and contenders</h2><div class='cards'>{}{}</div>",
        card(system),
        card(contenders)
    )
}
