//! What is said of a loop that stands still, and when: from what was seen and how much time has passed, without a clock or a
//! thread.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::task::{Holder, Look};

/// How many lines there are at most in a minute, for all runtimes of the process.
const LINES_MAX: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// One loop, as the watchdog sees it.
#[derive(Debug)]
pub(super) struct Sight {
    bound: Duration,
    /// Which task has had its turn at the last look.
    running: Option<u32>,
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
    pub(super) fn new(bound: Duration) -> Self {
        Sight {
            bound,
            running: None,
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
        let still = self.still.saturating_add(passed);
        if look.is_well() {
            let stalled = self.due > self.bound;
            *self = Sight::new(self.bound);
            self.running = Some(look.running());
            return match stalled {
                true => Finding::Over(still),
                false => Finding::Nothing,
            };
        }
        self.still = still;
        let before = self.running.replace(look.running());
        self.by_one &= before.is_none_or(|before| before == look.running());
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
        let (millis, who) = (still.as_millis(), self.with("holds"));
        let more = more(left_out);
        format!("{core} has not turned its loop for {millis} ms: {who}{more}")
    }

    /// The line of a loop that turns again.
    pub(super) fn over(&self, core: &str, still: Duration, left_out: u64) -> String {
        let (millis, who) = (still.as_millis(), self.with("held"));
        let more = more(left_out);
        format!("{core} turns its loop again, after about {millis} ms: {who}{more}")
    }

    fn with(&self, holds: &str) -> String {
        let who = match &self.holder {
            Some(Holder::Task(id, note)) => {
                let name = note.name.as_ref().map(|name| format!(" {name:?}"));
                let name = name.unwrap_or_default();
                format!("task {id}{name}, spawned at {}, {holds} it", note.place)
            }
            Some(Holder::Root(place)) => {
                format!("the future of block_on, called at {place}, {holds} it")
            }
            Some(Holder::Loop) => {
                format!("no task {holds} it, but the kernel or a foreign waker")
            }
            None => format!("who {holds} it could not be seen"),
        };
        match self.by_one {
            true => who,
            false => format!("several tasks, one after the other, and now {who}"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Note;

    const BOUND: Duration = Duration::from_millis(100);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn stalls(still: u64, first: bool) -> Finding {
        Finding::Stalls {
            still: ms(still),
            first,
            by_one: true,
        }
    }

    /// What the sight says of looks, each so many milliseconds after the one before.
    fn findings(looks: &[(Look, u64)]) -> Vec<Finding> {
        let mut sight = Sight::new(BOUND);
        let looks = looks.iter();
        looks
            .map(|&(look, passed)| sight.see(look, ms(passed)))
            .collect()
    }

    #[test]
    fn a_loop_that_stands_still_is_told_with_doubling_times_and_when_it_is_over() {
        let mut looks = vec![(Look::of(true, 7), 25)];
        looks.extend(vec![(Look::of(false, 7), 25); 33]);
        looks.push((Look::of(true, 7), 25));
        looks.extend(vec![(Look::of(false, 7), 25); 4]);
        let told: Vec<_> = findings(&looks)
            .into_iter()
            .enumerate()
            .filter(|(_, finding)| *finding != Finding::Nothing)
            .collect();
        assert_eq!(
            told,
            [
                (4, stalls(100, true)),
                (8, stalls(200, false)),
                (16, stalls(400, false)),
                (32, stalls(800, false)),
                (34, Finding::Over(ms(850))),
                (38, stalls(100, true)),
            ]
        );
    }

    #[test]
    fn a_long_gap_is_told_once() {
        let at = Look::of(false, 7);
        assert_eq!(
            findings(&[(Look::of(true, 7), 25), (at, 1000), (at, 599), (at, 1)]),
            [
                Finding::Nothing,
                stalls(1000, true),
                Finding::Nothing,
                stalls(1600, false)
            ]
        );
    }

    #[test]
    fn a_loop_that_moves_or_waits_is_not_told() {
        let moves = (1..50).map(|_| (Look::of(true, 7), 99));
        let waits = (0..50).map(|_| (Look::away(), 99));
        let looks: Vec<_> = moves.chain(waits).collect();
        assert!(findings(&looks).iter().all(|one| *one == Finding::Nothing));
        // The time before it is not that of the new turn.
        let one = [(Look::away(), 1000), (Look::of(true, 0), 1000)];
        assert_eq!(findings(&one), [Finding::Nothing; 2]);
    }

    #[test]
    fn tasks_that_share_a_turn_are_told_as_several() {
        let shared = [
            (Look::of(true, 1), 50),
            (Look::of(false, 2), 50),
            (Look::of(false, 2), 50),
        ];
        let told = findings(&shared)[2];
        let expected = Finding::Stalls {
            still: BOUND,
            first: true,
            by_one: false,
        };
        assert_eq!(told, expected);
        // The next turn has nothing of it.
        let mut next = shared.to_vec();
        next.extend([(Look::of(true, 2), 0), (Look::of(false, 2), 100)]);
        assert_eq!(findings(&next)[4], stalls(100, true));
    }

    #[test]
    fn lines_beyond_the_limit_are_counted_and_the_next_one_tells_it() {
        let began = Instant::now();
        let mut limit = Limit::new();
        for line in 0..LINES_MAX as u64 {
            assert_eq!(limit.admit(began + ms(line)), Some(0));
        }
        assert_eq!(limit.admit(began + ms(500)), None);
        // The first has left the minute, the second has not.
        assert_eq!(limit.admit(began + MINUTE), Some(1));
        assert_eq!(limit.admit(began + MINUTE), None);
        assert_eq!(limit.admit(began + MINUTE), None);
        assert_eq!(limit.admit(began + MINUTE * 2), Some(2));
        assert_eq!(limit.admit(began + MINUTE * 2), Some(0));
    }

    #[test]
    fn who_holds_it_is_one_line() {
        let place = std::panic::Location::caller();
        let task = |name: Option<&str>| {
            let name = name.map(str::to_owned);
            Some(Holder::Task(17, Note { name, place }))
        };
        let line = |holder, by_one, left_out| {
            Who::new(holder, by_one).stalls("core \"a\"", BOUND, left_out)
        };
        let stands = "core \"a\" has not turned its loop for 100 ms:";
        assert_eq!(
            line(task(Some("two\nlines")), true, 0),
            format!("{stands} task 17 \"two\\nlines\", spawned at {place}, holds it")
        );
        assert_eq!(
            line(task(None), false, 1),
            format!(
                "{stands} several tasks, one after the other, and now task 17, spawned at {place}, holds it (1 more report left out)"
            )
        );
        assert_eq!(
            line(Some(Holder::Root(place)), true, 3),
            format!(
                "{stands} the future of block_on, called at {place}, holds it (3 more reports left out)"
            )
        );
        assert_eq!(
            line(Some(Holder::Loop), true, 0),
            format!("{stands} no task holds it, but the kernel or a foreign waker")
        );
        assert_eq!(
            Who::new(None, true).over("core \"a\"", BOUND, 0),
            "core \"a\" turns its loop again, after about 100 ms: who held it could not be seen"
        );
    }
}
