//! Smaller parts of the page.

use std::fmt::Write as _;

use crate::report::lines::judgement;
use crate::report::plots::escape;
use crate::report::{Entry, Outcome, RAW, Report, Workload, grouped, time};

/// What the tiles stand for: a name, and the workloads of which it is the geometric mean.
const TILES: [(&str, fn(&Workload) -> bool); 6] = [
    ("TCP echo, 50 connections and more", |workload| {
        workload
            .connections
            .is_some_and(|connections| connections >= 50)
    }),
    ("connect, echo, close", |workload| workload.name == "churn"),
    ("random reads, O_DIRECT", |workload| {
        workload.name.starts_with("read-direct")
    }),
    ("random reads, page cache", |workload| {
        workload.name.starts_with("read-cached")
    }),
    ("file copy", |workload| workload.name == "copy"),
    ("nop round trip", |workload| {
        workload.name.starts_with("nop")
    }),
];

/// saferring's ratio to raw in a few words, and the best of the other runtimes'.
pub(super) fn tiles(report: &Report) -> String {
    let mut tiles = String::new();
    for (name, wanted) in TILES {
        let mean = |contender: &str| {
            let chosen = report.workloads.iter().filter(|workload| wanted(workload));
            let ratios =
                chosen.map(|workload| Some(workload.entry(contender)?.cpu_to_raw()?.ratio.ln()));
            // Only of those that did all of it.
            let logs: Vec<f64> = ratios.collect::<Option<_>>()?;
            let sum: f64 = logs.iter().sum();
            (!logs.is_empty()).then(|| (sum / logs.len() as f64).exp())
        };
        let Some(ours) = mean("saferring") else {
            continue;
        };
        let names = report.contenders.iter().map(|about| about.name.as_str());
        let others =
            names.filter(|name| !name.starts_with("raw") && !name.starts_with("saferring"));
        let best = others
            .filter_map(|name| Some((name, mean(name)?)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let best = best.map_or("no other does it".into(), |(name, ratio)| {
            format!("best of the others: {} {ratio:.2}", escape(name))
        });
        // Writing to a string does not fail, here and below.
        let _ = write!(
            tiles,
            "<div class='tile'><span>{name}</span><b>{ours:.2} <small>× raw</small></b><span>{best}</span></div>"
        );
    }
    format!("<div class='tiles'>{tiles}</div>")
}

/// A cell of the summary, coloured by how far the ratio is from 1.
pub(super) fn ratio_cell(entry: &Entry) -> String {
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
    if entry.contender == RAW {
        return format!("<td>1 <small>{}</small></td>", time(figures.cpu.median));
    }
    let Some(ratio) = entry.cpu_to_raw() else {
        return format!("<td>{}</td>", time(figures.cpu.median));
    };
    let strength = (ratio.ratio.log2().abs() * 0.4).min(0.45);
    let hue = if ratio.ratio < 1.0 { "good" } else { "bad" };
    let (style, class) = match ratio.significant {
        true => (
            format!(" style='background:rgba(var(--{hue}),{strength:.2})'"),
            "",
        ),
        false => (String::new(), " class='unsure'"),
    };
    format!(
        "<td{class}{style} title='{}; CPU {} ± {}; overhead {}'>{:.*}</td>",
        attribute(&entry.contender),
        time(figures.cpu.mean),
        time(figures.cpu.margin),
        judgement(&ratio),
        if ratio.ratio < 10.0 { 3 } else { 1 },
        ratio.ratio
    )
}

fn attribute(text: &str) -> String {
    escape(text).replace('\'', "&#39;")
}

/// All figures of a workload, folded.
pub(super) fn details(workload: &Workload) -> String {
    let mut table = format!(
        "<details><summary>figures</summary><div class='scroll'><table><thead><tr><th></th><th>CPU a {}</th>\
         <th>deviation</th><th>user</th><th>a second</th><th>system calls</th><th>mean</th><th>p50</th><th>p95</th><th>p99</th>\
         <th>p99.9</th><th>overhead (CPU)</th><th>overhead (time)</th><th>U (CPU)</th></tr></thead><tbody>",
        escape(&workload.operation)
    );
    for entry in &workload.entries {
        let Some(figures) = &entry.figures else {
            continue;
        };
        let unknown = || "–".to_owned();
        let latency = |pick: fn(&crate::report::Latency) -> f64| {
            figures
                .latency
                .as_ref()
                .map_or_else(unknown, |latency| time(pick(latency)))
        };
        let judged =
            |ratio: &Option<crate::report::Ratio>| ratio.as_ref().map_or_else(unknown, judgement);
        let _ = write!(
            table,
            "<tr><td>{}</td><td>{} ± {}</td><td>{}</td><td>{}</td><td>{} ± {}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&entry.contender),
            time(figures.cpu.mean),
            time(figures.cpu.margin),
            time(figures.cpu.deviation),
            figures
                .user_share
                .map_or_else(unknown, |share| format!("{:.0} %", share * 100.0)),
            grouped(figures.throughput.mean, 0),
            grouped(figures.throughput.margin, 0),
            figures
                .syscalls
                .map_or_else(unknown, |calls| format!("{calls:.3}")),
            latency(|latency| latency.mean),
            latency(|latency| latency.p50 as f64),
            latency(|latency| latency.p95 as f64),
            latency(|latency| latency.p99 as f64),
            latency(|latency| latency.p999 as f64),
            judged(&figures.cpu_to_raw),
            judged(&figures.wall_to_raw),
            figures
                .cpu_to_raw
                .map_or_else(unknown, |ratio| grouped(ratio.mann_whitney_u, 1)),
        );
    }
    table + "</tbody></table></div></details>"
}
