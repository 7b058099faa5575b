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
        "redis" => "#b91c1c",
        "redis (again)" => "#e08a8a",
        "tokio" => "#3b82f6",
        "tokio (again)" => "#93bbf9",
        "monoio-t" => "#0ea573",
        "monoio" => "#74cfab",
        "compio-t" => "#9b51e0",
        "compio" => "#c79bf2",
        "compio-managed" => "#6d28d9",
        "glommio" => "#d6a400",
        "tokio-uring-t" => "#db2777",
        "tokio-uring" => "#f28ab8",
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

/// A line across or down, with a word at its end.
fn grid(class: &str, from: (f64, f64), to: (f64, f64), word: &str) -> String {
    let ((x1, y1), (x2, y2)) = (from, to);
    let place = match x1 == x2 {
        true => format!("x='{x1:.1}' y='{:.1}' text-anchor='middle'", y2 + 15.0),
        false => format!("x='{:.1}' y='{:.1}' text-anchor='end'", x1 - 6.0, y1 + 4.0),
    };
    format!(
        "<line class='{class}' x1='{x1:.1}' x2='{x2:.1}' y1='{y1:.1}' y2='{y2:.1}'/>\
         <text class='soft' {place}>{word}</text>"
    )
}

/// A bar for each contender's CPU ratio to the base, with the 95 % interval. Beyond three times raw the axis is cut.
pub(crate) fn bars(workload: &Workload) -> String {
    let (entries, base) = (workload.entries.iter(), escape(&workload.base));
    let entries = entries.filter_map(|entry| Some((&entry.contender, entry.cpu_to_raw()?)));
    let entries: Vec<_> = entries.collect();
    let largest = entries.iter().map(|(_, ratio)| ratio.high);
    let end = largest.fold(1.2, f64::max).min(3.0);
    let x = |ratio: f64| LABEL + (ratio.min(end) / end) * (WIDTH - LABEL - 64.0);
    let bottom = entries.len() as f64 * BAR + 8.0;
    let height = bottom + 18.0;
    let mut svg = format!(
        "<svg viewBox='0 0 {WIDTH} {height}' role='img' aria-label='CPU ratios to {base}'>"
    );
    let step = if end > 2.0 { 0.5 } else { 0.25 };
    for at in (0..=(end / step) as u32).map(|i| f64::from(i) * step) {
        let class = if at == 1.0 { "axis" } else { "grid" };
        svg += &grid(class, (x(at), 0.0), (x(at), bottom), &at.to_string());
    }
    for (i, (name, it)) in entries.iter().enumerate() {
        let (top, fill, name) = (i as f64 * BAR, colour(name), escape(name));
        let [start, value, low, high] = [0.0, it.ratio, it.low, it.high].map(x);
        let (label, width, after) = (LABEL - 8.0, value - start, value.max(high) + 6.0);
        let cut = if it.ratio > end { " ▸" } else { "" };
        // Writing to a string does not fail, here and below.
        let _ = write!(
            svg,
            "<g transform='translate(0 {top})'>\
             <title>{name}: {:.3} of {base}, 95 % interval {:.3} to {:.3}, p = {:.4}</title>\
             <text x='{label}' y='15' text-anchor='end'>{name}</text>\
             <rect class='bar' x='{start:.1}' y='4' width='{width:.1}' height='14' rx='3' fill='{fill}'/>\
             <line class='whisker' x1='{low:.1}' x2='{high:.1}' y1='11' y2='11'/>\
             <text x='{after:.1}' y='15'>{:.2}{cut}</text></g>",
            it.ratio, it.low, it.high, it.p, it.ratio
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
    let points = lines.iter().flat_map(|line| &line.points);
    let (least, most) = points.fold((f64::MAX, 1.0), |(least, most), point| {
        (point.1.min(least), point.1.max(most))
    });
    let (low, high) = ((least * 0.9).max(1.0).ln(), (most * 1.1).ln());
    let x = |at: f64| LEFT + at * (RIGHT - LEFT);
    let y = |nanos: f64| BOTTOM - (nanos.max(1.0).ln() - low) / (high - low) * (BOTTOM - TOP);
    let mut svg = format!("<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{y_name}'>");
    for nanos in nice_steps(least * 0.9, most * 1.1) {
        let (at, word) = (y(nanos), short_time(nanos));
        svg += &grid("grid", (LEFT, at), (RIGHT, at), &word);
    }
    for (at, word) in ticks {
        svg += &grid("grid", (x(*at), TOP), (x(*at), BOTTOM), word);
    }
    svg += &grid("axis", (LEFT, BOTTOM), (RIGHT, BOTTOM), "");
    let below = HEIGHT - 6.0;
    let _ = write!(
        svg,
        "<text class='soft' x='{RIGHT}' y='{below}' text-anchor='end'>{x_name}</text>"
    );
    for line in lines {
        svg += &curve(line, x, y);
    }
    svg + "</svg>"
}

/// A line with its points, which say what they are when hovered over.
fn curve(line: &Line, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let ours = if line.name == "saferring" {
        " ours"
    } else {
        ""
    };
    let (name, stroke) = (escape(&line.name), colour(&line.name));
    let (mut points, mut circles) = (String::new(), String::new());
    for &(at, nanos) in &line.points {
        let (x, y, time) = (x(at), y(nanos), time(nanos));
        let _ = write!(points, "{x:.1},{y:.1} ");
        let _ = write!(
            circles,
            "<circle cx='{x:.1}' cy='{y:.1}' r='3' fill='{stroke}'><title>{name}: {time}</title></circle>"
        );
    }
    format!(
        "<g><title>{name}</title><polyline class='curve{ours}' stroke='{stroke}' points='{points}'/>{circles}</g>"
    )
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
        let latency = entry.figures.as_ref()?.latency.as_ref()?;
        Some((entry.contender.clone(), latency.curve.clone()))
    };
    let curves: Vec<_> = workload.entries.iter().filter_map(curve).collect();
    let percents = curves.iter().flat_map(|(_, curve)| curve);
    let rarest = rarity(percents.map(|point| point.0).fold(90.0, f64::max));
    let point = |(at, nanos)| (rarity(at) / rarest, nanos as f64);
    let line = |(name, curve): (String, Vec<_>)| Line {
        name,
        points: curve.into_iter().map(point).collect(),
    };
    let lines: Vec<Line> = curves.into_iter().map(line).collect();
    let ticks = [10.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 99.999].into_iter();
    let ticks = ticks.filter(|percent| rarity(*percent) <= rarest + 1e-9);
    let ticks: Vec<_> = ticks
        .map(|at| (rarity(at) / rarest, at.to_string()))
        .collect();
    (!lines.is_empty()).then(|| plot(&lines, &ticks, "percentile", "latency"))
}

/// CPU time of a request against the number of connections, for messages of one size. `None` of a single number.
pub(crate) fn scaling(report: &Report, message: usize) -> Option<String> {
    let works = report.workloads.iter();
    let works = works.filter(|work| work.message == Some(message) && work.skipped.is_none());
    let cells = works.filter_map(|work| Some((work.connections? as f64, work)));
    let mut cells: Vec<(f64, &Workload)> = cells.collect();
    cells.sort_by(|a, b| a.0.total_cmp(&b.0));
    let [(_, _), .., (most, _)] = cells[..] else {
        return None;
    };
    let at = |connections: f64| connections.ln() / most.ln();
    let line = |name: &str| {
        let points = cells.iter().filter_map(|(connections, workload)| {
            let figures = workload.entry(name)?.figures.as_ref()?;
            Some((at(*connections), figures.cpu.median))
        });
        Line {
            name: name.into(),
            points: points.collect(),
        }
    };
    let mut lines: Vec<Line> = report.names().into_iter().map(line).collect();
    lines.retain(|line| !line.points.is_empty());
    lines.sort_by_key(|line| line.name == RAW || line.name == "saferring"); // On top of the others.
    let tick = |(connections, _): &(f64, _)| (at(*connections), super::grouped(*connections, 0));
    let ticks: Vec<_> = cells.iter().map(tick).collect();
    Some(plot(&lines, &ticks, "connections", "CPU time of a request"))
}
