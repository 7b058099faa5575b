//! What is said of a loop that stands still, and when: from what was seen and how much time has passed, without a clock or a
//! thread.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::task::{Holder, Look};

/// How many lines there are at most in a minute, for all runtimes of the process.
const LINES_MAX: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// One loop, as the watchdog sees it.
#[derive(Debug)]
pub(super) struct Sight {
    bound: Duration,
    last: Look,
    /// For how long it has been seen to stand still.
    still: Duration,
    /// When that is to be told next.
    due: Duration,
    /// All looks since have met the same task.
    by_one: bool,
}

/// What a look has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing is to be said.
    Nothing,
    /// It stands still.
    Stalls {
        still: Duration,
        first: bool,
        by_one: bool,
    },
    /// It has stood still for about so long, and turns again.
    Over(Duration),
}

impl Sight {
    pub(super) fn new(bound: Duration, look: Look) -> Self {
        Sight {
            bound,
            last: look,
            still: Duration::ZERO,
            due: bound,
            by_one: true,
        }
    }

    pub(super) fn bound(&self) -> Duration {
        self.bound
    }

    /// A look, so long after the one before.
    pub(super) fn see(&mut self, look: Look, passed: Duration) -> Finding {
        let before = std::mem::replace(&mut self.last, look);
        let still = self.still.saturating_add(passed);
        if look.is_away() || look.has_moved_since(before) {
            let stalled = self.due > self.bound;
            *self = Sight::new(self.bound, look);
            return match stalled {
                true => Finding::Over(still),
                false => Finding::Nothing,
            };
        }
        self.still = still;
        self.by_one &= !look.is_of_another_than(before);
        if still < self.due {
            return Finding::Nothing;
        }
        let first = self.due == self.bound;
        while self.due <= still {
            self.due = self.due.saturating_mul(2);
        }
        Finding::Stalls {
            still,
            first,
            by_one: self.by_one,
        }
    }
}

/// How many lines may be written.
#[derive(Debug)]
pub(super) struct Limit {
    /// When the last were written.
    lines: VecDeque<Instant>,
    left_out: u64,
}

impl Limit {
    pub(super) const fn new() -> Self {
        Limit {
            lines: VecDeque::new(),
            left_out: 0,
        }
    }

    /// Whether a line may be written now: then how many were left out before it.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        let recent = |line: &Instant| now.saturating_duration_since(*line) < MINUTE;
        while self.lines.front().is_some_and(|line| !recent(line)) {
            self.lines.pop_front();
        }
        if self.lines.len() >= LINES_MAX {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.lines.push_back(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Who holds a loop, as it is told.
#[derive(Clone, Debug)]
pub(super) struct Who {
    holder: Option<Holder>,
    by_one: bool,
}

impl Who {
    pub(super) fn new(holder: Option<Holder>, by_one: bool) -> Self {
        Who { holder, by_one }
    }

    /// The line of a loop that stands still.
    pub(super) fn stalls(&self, core: &str, still: Duration, left_out: u64) -> String {
        let millis = still.as_millis();
        format!(
            "{core} has not turned its loop for {millis} ms: {self} holds it{}",
            more(left_out)
        )
    }

    /// The line of a loop that turns again.
    pub(super) fn over(&self, core: &str, still: Duration, left_out: u64) -> String {
        let millis = still.as_millis();
        format!(
            "{core} turns its loop again, after about {millis} ms: {self} held it{}",
            more(left_out)
        )
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.by_one {
            f.write_str("one task after the other, now ")?;
        }
        match &self.holder {
            Some(Holder::Task(id, note)) => {
                write!(f, "task {id}")?;
                if let Some(name) = &note.name {
                    write!(f, " {name:?}")?;
                }
                write!(f, ", spawned at {},", note.place)
            }
            Some(Holder::Root(place)) => {
                write!(f, "the future of block_on, called at {place},")
            }
            Some(Holder::Loop) => f.write_str("no task, but the kernel or a foreign waker,"),
            None => f.write_str("what has just let go"),
        }
    }
}

fn more(left_out: u64) -> String {
    match left_out {
        0 => String::new(),
        1 => " (1 more report left out)".to_owned(),
        many => format!(" ({many} more reports left out)"),
    }
}
