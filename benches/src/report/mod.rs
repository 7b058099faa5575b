//! What is reported, and how figures are written.

pub(crate) mod html;
pub(crate) mod json;
mod lines;
pub(crate) mod markdown;
mod plots;
pub(crate) mod rows;
pub(crate) mod terminal;

use serde::{Deserialize, Serialize};

use crate::contender::Contender;
use crate::stats::{Comparison, Summary, summary};
use crate::system::System;

/// Raised whenever a report could be misread by an older reader.
pub(crate) const VERSION: u32 = 1;

/// The contender that all are compared with.
pub(crate) const RAW: &str = "raw";

#[derive(Debug, Serialize, Deserialize)]
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

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) what: String,
}

#[derive(Debug, Serialize, Deserialize)]
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
    /// Why it was not run.
    pub(crate) skipped: Option<String>,
    pub(crate) entries: Vec<Entry>,
}

/// One contender at one workload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) contender: String,
    pub(crate) outcome: Outcome,
    pub(crate) figures: Option<Figures>,
    /// Bytes an item, of workloads that measure memory.
    pub(crate) memory: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Measured,
    Unsupported,
    /// It died, hung or gave wrong results; there may be figures from before.
    Failed(String),
}

#[derive(Debug, Serialize, Deserialize)]
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
    /// Not of raw itself.
    pub(crate) cpu_to_raw: Option<Ratio>,
    /// Not of raw itself.
    pub(crate) wall_to_raw: Option<Ratio>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) mean: f64,
    /// Half of the 95 % interval of the mean.
    pub(crate) margin: f64,
    pub(crate) deviation: f64,
    pub(crate) median: f64,
    /// In the order of the rounds.
    pub(crate) rounds: Vec<f64>,
}

impl Column {
    pub(crate) fn new(rounds: Vec<f64>) -> Self {
        let Summary {
            mean,
            margin,
            deviation,
            median,
            ..
        } = summary(&rounds);
        Column {
            mean,
            margin,
            deviation,
            median,
            rounds,
        }
    }
}

/// Nanoseconds.
#[derive(Debug, Serialize, Deserialize)]
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

/// A ratio of medians, ours to raw's.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) ratio: f64,
    /// The ends of the 95 % interval.
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) mann_whitney_u: f64,
    pub(crate) p: f64,
    pub(crate) significant: bool,
}

impl From<Comparison> for Ratio {
    fn from(comparison: Comparison) -> Self {
        Ratio {
            ratio: comparison.ratio.median,
            low: comparison.ratio.low,
            high: comparison.ratio.high,
            mann_whitney_u: comparison.test.u,
            p: comparison.test.p,
            significant: comparison.significant,
        }
    }
}

impl About {
    pub(crate) fn of(contender: &Contender) -> Self {
        About {
            name: contender.name.into(),
            what: contender.what.into(),
        }
    }
}

impl Report {
    /// Whether everything could be measured.
    pub(crate) fn is_complete(&self) -> bool {
        let failed = |entry: &Entry| matches!(entry.outcome, Outcome::Failed(_));
        let complete = |work: &Workload| work.skipped.is_none() && !work.entries.iter().any(failed);
        self.workloads.iter().all(complete)
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

/// A number with its thousands apart, and so many decimals.
pub(crate) fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::from(if value < 0.0 { "-" } else { "" });
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
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

/// Per cent by which the ratio is above 1, as in `3.3`.
pub(crate) fn overhead(ratio: f64) -> f64 {
    // Rounded, so that no minus stands before a zero.
    ((ratio - 1.0) * 1000.0).round() / 10.0 + 0.0
}
