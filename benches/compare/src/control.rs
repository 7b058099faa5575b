//! The harness's end inside a contender's process, and the messages it sends.

use std::fs;
use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use saferring_benches::measure::Cpu;
use serde::{Deserialize, Serialize};

/// What a contender's process says, each on a line of its standard output.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// It asks for the first slice: it is set up.
    Ready,
    Slice(Slice),
    Memory {
        before: u64,
        after: u64,
        items: usize,
    },
    Ended,
    Unsupported,
    Failed(String),
}

/// For latencies of up to a minute, in nanoseconds: three digits of them.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000_000, 3).expect("these bounds make sense")
}

/// What one slice of work cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Slice {
    pub(crate) ops: u64,
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    /// Values and how often each occurred, in nanoseconds.
    pub(crate) latencies: Vec<(u64, u64)>,
}

pub(crate) fn say(message: &Message) {
    // If nobody listens any more, this process is about to be killed.
    if let Ok(text) = serde_json::to_string(message) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }
}

/// Hands out slices. Blocking is fine: nothing else lives in the process.
#[derive(Debug, Default)]
pub(crate) struct Control {
    said_ready: bool,
}

/// The clocks at the start of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    cpu: Duration,
    wall: Instant,
}

// Not every contender uses all of it.
#[allow(dead_code)]
impl Control {
    /// How many operations the next slice has; `None`: exit.
    pub(crate) fn next(&mut self) -> Option<u64> {
        if !self.said_ready {
            self.said_ready = true;
            say(&Message::Ready);
        }
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).ok()?;
        line.trim().parse().ok()
    }

    /// Starts to measure.
    pub(crate) fn start(&self) -> Meter {
        Meter {
            cpu: Cpu::Process.time(),
            wall: Instant::now(),
        }
    }

    /// Ends the slice, in which so many operations were really done, at least as many as were asked for.
    pub(crate) fn report(&mut self, meter: Meter, ops: u64, latencies: Option<&Histogram<u64>>) {
        let (wall, cpu) = (meter.wall.elapsed(), Cpu::Process.time());
        let pairs = |histogram: &Histogram<u64>| {
            let recorded = histogram.iter_recorded();
            recorded
                .map(|value| (value.value_iterated_to(), value.count_at_value()))
                .collect()
        };
        say(&Message::Slice(Slice {
            ops,
            cpu: cpu.saturating_sub(meter.cpu),
            wall,
            latencies: latencies.map(pairs).unwrap_or_default(),
        }));
    }

    /// The resident anonymous memory of this process, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        anonymous_memory("self").unwrap_or(0)
    }

    /// Reports what `items` items need, made since `before` was read by [`memory`](Control::memory).
    pub(crate) fn report_memory(&mut self, before: u64, items: usize) {
        let after = self.memory();
        say(&Message::Memory {
            before,
            after,
            items,
        });
    }
}

/// The resident anonymous bytes of a process (a number, or `self`).
pub(crate) fn anonymous_memory(process: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kib: Option<u64> = kib.and_then(|kib| kib.trim().parse().ok());
    let unknown = || io::Error::other("the kernel does not tell how much memory is anonymous");
    Ok(kib.ok_or_else(unknown)? * 1024)
}
