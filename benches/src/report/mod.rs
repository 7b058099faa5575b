//! What is reported, and how figures are written.

pub(crate) mod html;
pub(crate) mod markdown;
mod plots;
pub(crate) mod terminal;

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::stats::{Column, Ratio};
use crate::system::System;
use crate::web::TOKIO;

/// Raised whenever a report could be misread by an older reader.
pub(crate) const VERSION: u32 = 1;

/// The contender that all are compared with, where there is a hand-written loop.
pub(crate) const RAW: &str = "raw";

#[derive(Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) version: u32,
    /// In UTC.
    pub(crate) made: String,
    pub(crate) rounds: usize,
    pub(crate) slice_ms: u64,
    pub(crate) quick: bool,
    pub(crate) system: System,
    pub(crate) contenders: Vec<About>,
    pub(crate) workloads: Vec<Workload>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) what: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) operation: String,
    /// Bytes that an operation moves, where throughput is in bytes.
    pub(crate) bytes: Option<u64>,
    /// Of TCP echo.
    pub(crate) connections: Option<usize>,
    /// Of TCP echo.
    pub(crate) message: Option<usize>,
    /// The contender that the others are compared with.
    #[serde(default = "raw")]
    pub(crate) base: String,
    /// Why it was not run.
    pub(crate) skipped: Option<String>,
    pub(crate) entries: Vec<Entry>,
}

fn raw() -> String {
    RAW.into()
}

/// One contender at one workload.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) contender: String,
    pub(crate) outcome: Outcome,
    pub(crate) figures: Option<Figures>,
    /// Bytes an item, of workloads that measure memory.
    pub(crate) memory: Option<f64>,
}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Measured,
    Unsupported,
    /// It died, hung or gave wrong results; there may be figures from before.
    Failed(String),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Nanoseconds of CPU time an operation.
    pub(crate) cpu: Column,
    /// Nanoseconds an operation: the inverse of throughput.
    pub(crate) wall: Column,
    /// Operations a second.
    pub(crate) throughput: Column,
    /// What part of the CPU time was spent in user space.
    pub(crate) user_share: Option<f64>,
    pub(crate) latency: Option<Latency>,
    /// Calls of io_uring_enter(2) an operation, of those who count them.
    #[serde(default)]
    pub(crate) enters: Option<f64>,
    /// System calls an operation.
    pub(crate) syscalls: Option<f64>,
    /// To the workload's base; not of the base itself.
    pub(crate) cpu_to_raw: Option<Ratio>,
    /// To the workload's base; not of the base itself.
    pub(crate) wall_to_raw: Option<Ratio>,
}

/// Nanoseconds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
    pub(crate) p50: u64,
    pub(crate) p95: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
    /// Per cent and the value there.
    pub(crate) curve: Vec<(f64, u64)>,
}

/// The head of [`Report::web_rows`].
pub(crate) const WEB_HEAD: [&str; 7] = [
    "HTTP and frames",
    "contender",
    "CPU a request",
    "ratio to tokio",
    "95 % interval",
    "a second",
    "ratio to tokio",
];

impl Report {
    /// For programs.
    pub(crate) fn write_json(&self, path: &Path) -> io::Result<()> {
        fs::write(path, serde_json::to_string_pretty(self)?)
    }

    /// Reads an earlier one.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is no report, or one of a version that this program does not know.
    pub(crate) fn read_json(path: &Path) -> io::Result<Self> {
        let explain = |what: &dyn Display| io::Error::other(format!("{}: {what}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| explain(&error))?;
        let value: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| explain(&format_args!("this is no JSON: {error}")))?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => serde_json::from_value(value)
                .map_err(|error| explain(&format_args!("this report is damaged: {error}"))),
            Some(version) => Err(explain(&format_args!(
                "this is a report of version {version}, and only version {VERSION} is known"
            ))),
            None => Err(explain(&"this is no report of a comparison")),
        }
    }

    /// Whether everything could be measured.
    pub(crate) fn is_complete(&self) -> bool {
        let failed = |entry: &Entry| matches!(entry.outcome, Outcome::Failed(_));
        let complete = |work: &Workload| work.skipped.is_none() && !work.entries.iter().any(failed);
        self.workloads.iter().all(complete)
    }

    /// All contenders.
    pub(crate) fn names(&self) -> Vec<&str> {
        let names = self.contenders.iter().map(|about| about.name.as_str());
        names.collect()
    }

    /// Contenders of which any workload has what is wanted.
    pub(crate) fn names_with(&self, wanted: impl Fn(&Workload, &Entry) -> bool) -> Vec<&str> {
        let mut names = self.names();
        names.retain(|name| {
            let mut works = self.workloads.iter();
            works.any(|work| work.entry(name).is_some_and(|entry| wanted(work, entry)))
        });
        names
    }

    /// A row for each server of HTTP or frames, with its cost and its rate, under [`WEB_HEAD`].
    pub(crate) fn web_rows(&self) -> Vec<[String; 7]> {
        let row = |work: &Workload, entry: &Entry| {
            let figures = entry.figures.as_ref()?;
            let (cpu, rate) = (&figures.cpu, &figures.throughput);
            let is_base = entry.contender == work.base;
            let known =
                |text: Option<String>| text.unwrap_or(if is_base { "1" } else { "?" }.into());
            let cpu_ratio = figures.cpu_to_raw;
            let interval = cpu_ratio.map(|it| format!("[{:.3}, {:.3}]", it.low, it.high));
            Some([
                work.title.clone(),
                entry.contender.clone(),
                time(cpu.median),
                known(cpu_ratio.map(|it| format!("{:.3}", it.ratio))),
                interval.unwrap_or_default(),
                grouped(rate.median, 0),
                known(
                    figures
                        .wall_to_raw
                        .map(|it| format!("{:.3}", 1.0 / it.ratio)),
                ),
            ])
        };
        let works = self.workloads.iter().filter(|work| work.base == TOKIO);
        let rows = works.flat_map(|work| work.entries.iter().map(move |entry| (work, entry)));
        rows.filter_map(|(work, entry)| row(work, entry)).collect()
    }

    /// Workloads that were run and measure time.
    pub(crate) fn timed(&self) -> impl Iterator<Item = &Workload> {
        let works = self.workloads.iter();
        works.filter(|work| work.skipped.is_none() && !work.is_memory())
    }
}

impl Workload {
    pub(crate) fn entry(&self, contender: &str) -> Option<&Entry> {
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.contender == contender)
    }

    pub(crate) fn is_memory(&self) -> bool {
        self.entries.iter().any(|entry| entry.memory.is_some())
    }
}

impl Entry {
    pub(crate) fn cpu_to_raw(&self) -> Option<Ratio> {
        self.figures.as_ref().and_then(|figures| figures.cpu_to_raw)
    }
}

impl Figures {
    /// Each with its name, in the order of interest; a dash for what is not known.
    pub(crate) fn all(&self) -> Vec<(&'static str, String)> {
        let known = |text: Option<String>| text.unwrap_or("–".into());
        let number = |value: Option<f64>| known(value.map(|value| format!("{value:.3}")));
        let share = self
            .user_share
            .map(|share| format!("{:.0} %", share * 100.0));
        let latency = |pick: fn(&Latency) -> f64| {
            known(self.latency.as_ref().map(|latency| time(pick(latency))))
        };
        let judged = |ratio: &Option<Ratio>| known(ratio.as_ref().map(judgement));
        let u = self
            .cpu_to_raw
            .map(|ratio| grouped(ratio.mann_whitney_u, 1));
        let (cpu, rate) = (&self.cpu, &self.throughput);
        let rate = format!("{} ± {}", grouped(rate.mean, 0), grouped(rate.margin, 0));
        vec![
            ("CPU", format!("{} ± {}", time(cpu.mean), time(cpu.margin))),
            ("deviation", time(cpu.deviation)),
            ("user", known(share)),
            ("a second", rate),
            ("enters", number(self.enters)),
            ("system calls", number(self.syscalls)),
            ("mean latency", latency(|latency| latency.mean)),
            ("p50", latency(|latency| latency.p50 as f64)),
            ("p95", latency(|latency| latency.p95 as f64)),
            ("p99", latency(|latency| latency.p99 as f64)),
            ("p99.9", latency(|latency| latency.p999 as f64)),
            ("overhead (CPU)", judged(&self.cpu_to_raw)),
            ("overhead (time)", judged(&self.wall_to_raw)),
            ("U (CPU)", known(u)),
        ]
    }
}

/// As in `3.3 % ± 2.1 % (p = 0.023, significant)`.
pub(crate) fn judgement(ratio: &Ratio) -> String {
    let p = match ratio.p {
        p if p < 0.001 => "p < 0.001".into(),
        p => format!("p = {p:.3}"),
    };
    let not = if ratio.significant { "" } else { "not " };
    // Rounded, so that no minus stands before a zero.
    let overhead = ((ratio.ratio - 1.0) * 1000.0).round() / 10.0 + 0.0;
    let margin = (ratio.high - ratio.low) * 50.0;
    format!("{overhead:.1} % ± {margin:.1} % ({p}, {not}significant)")
}

/// A number with its thousands apart, and so many decimals.
pub(crate) fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::from(if value < 0.0 { "-" } else { "" });
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// A time, given in nanoseconds.
pub(crate) fn time(nanos: f64) -> String {
    match nanos {
        n if n.is_nan() => "?".into(),
        n if n < 100.0 => format!("{n:.1} ns"),
        n if n < 10_000.0 => format!("{} ns", grouped(n, 0)),
        n if n < 1e6 => format!("{:.1} µs", n / 1e3),
        n if n < 1e9 => format!("{:.1} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}
