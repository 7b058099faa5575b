//! Plots, as SVG that needs nothing but the page's style.

use std::fmt::Write as _;

use super::{Entry, RAW, Report, Workload, time};

/// The colour of a contender, the same in all plots.
pub(crate) fn colour(name: &str) -> &'static str {
    match name {
        "raw" => "#7c8798",
        "raw (again)" => "#aab3c0",
        "raw-single" => "#566b8c",
        "raw-fixed" => "#3f8296",
        "saferring" => "#e8590c",
        "saferring (fs::copy)" => "#f59f5b",
        "saferring (plain)" => "#c2410c",
        "saferring (spin)" => "#fb923c",
        "tokio" => "#3b82f6",
        "monoio-t" => "#0ea573",
        "monoio" => "#74cfab",
        "compio-t" => "#9b51e0",
        "compio" => "#c79bf2",
        "compio-managed" => "#6d28d9",
        "glommio" => "#d6a400",
        "tokio-uring-t" | "tokio-uring (coop)" => "#db2777",
        "tokio-uring" => "#f28ab8",
        "kimojio" => "#65a30d",
        other => {
            const MORE: [&str; 4] = ["#0891b2", "#a16207", "#be123c", "#4d7c0f"];
            MORE[other.len() % MORE.len()]
        }
    }
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const BAR: f64 = 22.0;
const LABEL: f64 = 150.0;
const WIDTH: f64 = 560.0;

/// A bar for each contender's CPU ratio to raw, with the 95 % interval. Beyond three times raw the axis is cut.
pub(crate) fn bars(workload: &Workload) -> String {
    let entries = workload
        .entries
        .iter()
        .filter_map(|entry| Some((entry, entry.cpu_to_raw()?)));
    let entries: Vec<_> = entries.collect();
    let largest = entries.iter().map(|(_, ratio)| ratio.high);
    let end = largest.fold(1.2, f64::max).min(3.0);
    let x = |ratio: f64| LABEL + (ratio.min(end) / end) * (WIDTH - LABEL - 64.0);
    let height = entries.len() as f64 * BAR + 26.0;
    let mut svg =
        format!("<svg viewBox='0 0 {WIDTH} {height}' role='img' aria-label='CPU ratios to raw'>");
    let bottom = height - 18.0;
    let step = if end > 2.0 { 0.5 } else { 0.25 };
    for i in 0..=(end / step) as u32 {
        let at = f64::from(i) * step;
        let class = if at == 1.0 { "axis" } else { "grid" };
        let x = x(at);
        // Writing to a string does not fail, here and below.
        let _ = write!(
            svg,
            "<line class='{class}' x1='{x:.1}' x2='{x:.1}' y1='0' y2='{bottom}'/>\
             <text class='soft' x='{x:.1}' y='{height}' text-anchor='middle'>{at}</text>"
        );
    }
    for (i, (entry, ratio)) in entries.iter().enumerate() {
        let (y, middle) = (i as f64 * BAR + 4.0, i as f64 * BAR + 11.0);
        let name = escape(&entry.contender);
        let (start, value) = (x(0.0), x(ratio.ratio));
        let (low, high) = (x(ratio.low), x(ratio.high));
        let cut = if ratio.ratio > end { " ▸" } else { "" };
        let _ = write!(
            svg,
            "<g><title>{name}: {:.3} of raw, 95 % interval {:.3} to {:.3}, p = {:.4}</title>\
             <text x='{:.1}' y='{:.1}' text-anchor='end'>{name}</text>\
             <rect class='bar' x='{start:.1}' y='{y:.1}' width='{:.1}' height='14' rx='3' fill='{}'/>\
             <line class='whisker' x1='{low:.1}' x2='{high:.1}' y1='{middle}' y2='{middle}'/>\
             <text x='{:.1}' y='{:.1}'>{:.2}{cut}</text></g>",
            ratio.ratio,
            ratio.low,
            ratio.high,
            ratio.p,
            LABEL - 8.0,
            middle + 4.0,
            value - start,
            colour(&entry.contender),
            value.max(high) + 6.0,
            middle + 4.0,
            ratio.ratio
        );
    }
    svg + "</svg>"
}

/// One line of a plot.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = WIDTH - 26.0;
const BOTTOM: f64 = HEIGHT - 40.0;

/// Lines over two axes, x already scaled to 0 to 1, y logarithmic in nanoseconds.
fn plot(lines: &[Line], ticks: &[(f64, String)], x_name: &str, y_name: &str) -> String {
    let values = || {
        lines
            .iter()
            .flat_map(|line| line.points.iter().map(|point| point.1))
    };
    let (least, most) = (
        values().fold(f64::MAX, f64::min),
        values().fold(1.0, f64::max),
    );
    let (low, high) = ((least * 0.9).max(1.0).ln(), (most * 1.1).ln());
    let x = |at: f64| LEFT + at * (RIGHT - LEFT);
    let y = |nanos: f64| BOTTOM - (nanos.max(1.0).ln() - low) / (high - low) * (BOTTOM - TOP);
    let mut svg = format!("<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{y_name}'>");
    for nanos in nice_steps(least * 0.9, most * 1.1) {
        let at = y(nanos);
        let _ = write!(
            svg,
            "<line class='grid' x1='{LEFT}' x2='{RIGHT}' y1='{at:.1}' y2='{at:.1}'/>\
             <text class='soft' x='{}' y='{:.1}' text-anchor='end'>{}</text>",
            LEFT - 6.0,
            at + 4.0,
            short_time(nanos)
        );
    }
    for (at, name) in ticks {
        let at = x(*at);
        let _ = write!(
            svg,
            "<line class='grid' x1='{at:.1}' x2='{at:.1}' y1='{TOP}' y2='{BOTTOM}'/>\
             <text class='soft' x='{at:.1}' y='{:.1}' text-anchor='middle'>{name}</text>",
            BOTTOM + 15.0
        );
    }
    let _ = write!(
        svg,
        "<line class='axis' x1='{LEFT}' x2='{RIGHT}' y1='{BOTTOM}' y2='{BOTTOM}'/>\
         <text class='soft' x='{}' y='{}' text-anchor='end'>{x_name}</text>",
        RIGHT,
        HEIGHT - 6.0
    );
    for line in lines {
        svg += &curve(line, x, y);
    }
    svg + "</svg>"
}

/// A line with its points, which say what they are when hovered over.
fn curve(line: &Line, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let points: Vec<String> = line
        .points
        .iter()
        .map(|&(at, nanos)| format!("{:.1},{:.1}", x(at), y(nanos)))
        .collect();
    let ours = if line.name == "saferring" {
        " ours"
    } else {
        ""
    };
    let (name, stroke) = (escape(&line.name), colour(&line.name));
    let mut svg = format!(
        "<g><title>{name}</title><polyline class='curve{ours}' stroke='{stroke}' points='{}'/>",
        points.join(" ")
    );
    for &(at, nanos) in &line.points {
        let _ = write!(
            svg,
            "<circle cx='{:.1}' cy='{:.1}' r='3' fill='{stroke}'><title>{name}: {}</title></circle>",
            x(at),
            y(nanos),
            time(nanos)
        );
    }
    svg + "</g>"
}

/// 1, 2 and 5 times the powers of ten between two values; finer where that would leave too few.
fn nice_steps(low: f64, high: f64) -> Vec<f64> {
    let within = |factors: &[f64]| -> Vec<f64> {
        let powers = (0..11).flat_map(|power| factors.iter().map(move |f| f * 10f64.powi(power)));
        powers.filter(|step| (low..=high).contains(step)).collect()
    };
    let coarse = within(&[1.0, 2.0, 5.0]);
    match coarse.len() {
        0..=2 => within(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
        10.. => within(&[1.0]),
        _ => coarse,
    }
}

fn short_time(nanos: f64) -> String {
    match nanos {
        n if n < 1e3 => format!("{n} ns"),
        n if n < 1e6 => format!("{} µs", n / 1e3),
        n if n < 1e9 => format!("{} ms", n / 1e6),
        n => format!("{} s", n / 1e9),
    }
}

/// Latency against percentile: each step to the right is ten times rarer. `None` if nothing was timed.
pub(crate) fn latencies(workload: &Workload) -> Option<String> {
    let rarity = |percent: f64| -(1.0 - percent / 100.0).log10();
    let curve = |entry: &'_ Entry| {
        let curve = &entry.figures.as_ref()?.latency.as_ref()?.curve;
        Some((entry.contender.clone(), curve.clone()))
    };
    let curves: Vec<_> = workload.entries.iter().filter_map(curve).collect();
    let percents = curves
        .iter()
        .flat_map(|(_, curve)| curve.iter().map(|point| point.0));
    let rarest = rarity(percents.fold(90.0, f64::max));
    let lines: Vec<Line> = curves
        .into_iter()
        .map(|(name, curve)| Line {
            name,
            points: curve
                .into_iter()
                .map(|(at, nanos)| (rarity(at) / rarest, nanos as f64))
                .collect(),
        })
        .collect();
    let ticks: Vec<(f64, String)> = [10.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 99.999]
        .into_iter()
        .filter(|percent| rarity(*percent) <= rarest + 1e-9)
        .map(|percent| (rarity(percent) / rarest, percent.to_string()))
        .collect();
    (!lines.is_empty()).then(|| plot(&lines, &ticks, "percentile", "latency"))
}

/// CPU time of a request against the number of connections, for messages of one size. `None` of a single number.
pub(crate) fn scaling(report: &Report, message: usize) -> Option<String> {
    let mut cells: Vec<(usize, &Workload)> = report
        .workloads
        .iter()
        .filter(|workload| workload.message == Some(message) && workload.skipped.is_none())
        .filter_map(|workload| Some((workload.connections?, workload)))
        .collect();
    cells.sort_by_key(|(connections, _)| *connections);
    if cells.len() < 2 {
        return None;
    }
    let most = cells
        .last()
        .map_or(1.0, |(connections, _)| *connections as f64);
    let place = |connections: usize| (connections as f64).ln() / most.ln();
    let line = |name: &str| {
        let points = cells.iter().filter_map(|(connections, workload)| {
            let figures = workload.entry(name)?.figures.as_ref()?;
            Some((place(*connections), figures.cpu.median))
        });
        Line {
            name: name.into(),
            points: points.collect(),
        }
    };
    let names = report.contenders.iter().map(|about| about.name.as_str());
    let mut lines: Vec<Line> = names
        .map(line)
        .filter(|line| !line.points.is_empty())
        .collect();
    lines.sort_by_key(|line| line.name == RAW || line.name == "saferring"); // On top of the others.
    let ticks: Vec<(f64, String)> = cells
        .iter()
        .map(|(connections, _)| (place(*connections), super::grouped(*connections as f64, 0)))
        .collect();
    Some(plot(&lines, &ticks, "connections", "CPU time of a request"))
}
