//! The harness's end inside a contender's process, and the messages it sends.

use std::fs;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use hdrhistogram::iterators::IterationValue;
use serde::{Deserialize, Serialize};

use crate::contender::Done;
use crate::measure::cpu_time;

/// What a contender's process says, each on a line of its standard output.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// It asks for the first slice: it is set up.
    Ready,
    /// It serves at this address.
    Listening(SocketAddr),
    Slice(Slice),
    /// Bytes an item.
    Memory(f64),
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
    /// At least as many as were asked for.
    pub(crate) ops: u64,
    /// User and system time.
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    /// Calls of io_uring_enter(2), where they are counted.
    pub(crate) enters: Option<u64>,
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
pub struct Control {
    said_ready: bool,
    /// The only slice, where no parent asks for any.
    only: Option<u64>,
    enters: Option<fn() -> u64>,
}

/// The clocks at the start of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    cpu: Duration,
    wall: Instant,
    enters: Option<u64>,
}

impl Control {
    /// Asks for one slice, and nobody listens.
    pub(crate) fn once(ops: u64) -> Self {
        Control {
            only: Some(ops),
            ..Control::default()
        }
    }

    /// Reports by how much this rises in a slice: how often the kernel was entered.
    pub(crate) fn count(self, enters: fn() -> u64) -> Self {
        Control {
            enters: Some(enters),
            ..self
        }
    }

    /// How many operations the next slice has; `None`: exit.
    pub(crate) fn next(&mut self) -> Option<u64> {
        if !std::mem::replace(&mut self.said_ready, true) {
            say(&Message::Ready);
            if self.only.is_some() {
                return self.only;
            }
        }
        let mut line = String::new();
        if self.only.is_none() {
            io::stdin().lock().read_line(&mut line).ok()?;
        }
        line.trim().parse().ok()
    }

    /// Starts to measure.
    pub(crate) fn start(&self) -> Meter {
        Meter {
            enters: self.enters.map(|enters| enters()),
            cpu: cpu_time(),
            wall: Instant::now(),
        }
    }

    /// Ends the slice, in which so many operations were really done, at least as many as were asked for.
    pub(crate) fn report(&self, meter: Meter, ops: u64, latencies: Option<&Histogram<u64>>) {
        let (wall, cpu) = (meter.wall.elapsed(), cpu_time());
        let enters = self.enters.zip(meter.enters);
        let enters = enters.map(|(now, before)| now() - before);
        let pairs = |histogram: &Histogram<u64>| {
            let values = histogram.iter_recorded();
            let pair =
                |value: IterationValue<u64>| (value.value_iterated_to(), value.count_at_value());
            values.map(pair).collect()
        };
        say(&Message::Slice(Slice {
            ops,
            cpu: cpu.saturating_sub(meter.cpu),
            wall,
            enters,
            latencies: latencies.map(pairs).unwrap_or_default(),
        }));
    }

    /// Carries out slices, each of which does at least so many operations, and says how many.
    pub(crate) fn each(mut self, mut run: impl FnMut(u64) -> io::Result<u64>) -> io::Result<Done> {
        while let Some(ops) = self.next() {
            let meter = self.start();
            let done = run(ops)?;
            self.report(meter, done, None);
        }
        Ok(Done::Ended)
    }

    /// As `each`, inside a runtime.
    pub(crate) async fn each_async(
        mut self,
        mut run: impl AsyncFnMut(u64) -> io::Result<u64>,
    ) -> io::Result<Done> {
        while let Some(ops) = self.next() {
            let meter = self.start();
            let done = run(ops).await?;
            self.report(meter, done, None);
        }
        Ok(Done::Ended)
    }
}

/// The resident anonymous bytes of a process (a number, or `self`).
pub(crate) fn anonymous_memory(process: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("Anonymous:")?.strip_suffix("kB"));
    let kib: Option<u64> = line.and_then(|kib| kib.trim().parse().ok());
    let unknown = || io::Error::other("the kernel does not tell how much memory is anonymous");
    Ok(kib.ok_or_else(unknown)? * 1024)
}
