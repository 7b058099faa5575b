//! Groups of tasks that share the time of their thread.
//!
//! A group has a queue of its own. While any task is in a group, each turn goes to the queue, of those that are not empty, that
//! has had the least of the time so far, in proportion to its shares. A queue that was empty begins where the others are: it
//! is next, and has nothing to catch up on. Without groups there is one queue, and no clock is read.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

use super::flags::GROUP_SHIFT;
use super::queue::{Link, RunQueue};

/// The shares of all tasks that are in no group, together.
pub const DEFAULT_SHARES: u32 = 100;

/// What a turn counts for at least, so that a task that wakes itself all the time pays for it.
const QUANTUM: Duration = Duration::from_micros(1);

/// How long turns follow one another before the loop looks at the kernel: a group's turns may be long.
pub(super) const SLICE: Duration = Duration::from_millis(1);

/// Tasks that have a share of their thread's time, together, as work that may take as long as it likes beside work that
/// someone waits for.
///
/// While several groups have tasks that are ready, each gets time in proportion to its shares; what one does not use, the
/// others have. All tasks that are in no group have 100 shares ([`DEFAULT_SHARES`]) between them. Shares are counted in
/// whole turns: a task that does not give way cannot be interrupted.
///
/// A clone is the same group. A group may be used in several runtimes; in each its tasks have its shares.
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// use saferring::task::Group;
///
/// let batch = Group::new(10); // a tenth of what the connections have, while they want it
/// let compaction = batch.spawn(async { /* ... */ });
/// compaction.await.unwrap();
/// # });
/// ```
#[derive(Clone)]
pub struct Group {
    shares: Rc<Cell<u32>>,
}

impl Group {
    /// A group of no tasks. Shares of 0 count as 1.
    #[must_use]
    pub fn new(shares: u32) -> Self {
        Group {
            shares: Rc::new(Cell::new(shares.max(1))),
        }
    }

    /// The group's shares.
    #[must_use]
    pub fn shares(&self) -> u32 {
        self.shares.get()
    }

    /// Changes the group's shares, from the next turn on. 0 counts as 1.
    pub fn set_shares(&self, shares: u32) {
        self.shares.set(shares.max(1));
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("shares", &self.shares())
            .finish_non_exhaustive()
    }
}

/// What a queue has had of the time: in millionths of a nanosecond, of a group that has one share.
#[derive(Default)]
struct Account {
    used: Cell<u128>,
}

impl Account {
    fn charge(&self, time: Duration, shares: u32) {
        // At least one, however many shares. It never comes to the end of its range.
        let nanos = time.max(QUANTUM).as_nanos() * 1_000_000 / u128::from(shares);
        self.used.set(self.used.get() + nanos.max(1));
    }
}

/// A group in one executor.
struct Lane<L> {
    shares: Rc<Cell<u32>>,
    queue: RunQueue<L>,
    account: Account,
    /// How many of its tasks are alive.
    members: Cell<usize>,
}

/// The groups of an executor. The owner's.
pub(super) struct Groups<L> {
    /// Never borrowed while code of a user runs.
    lanes: RefCell<Slab<Rc<Lane<L>>>>,
    /// Whether any was in one when that was last looked at: one load tells that none is.
    used: Cell<bool>,
    /// How many tasks are in groups.
    members: Rc<Cell<usize>>,
    /// How many of them are queued.
    queued: Cell<usize>,
    /// Of the tasks that are in no group.
    others: Account,
    /// What the queue that had the last turn had used before.
    clock: Cell<u128>,
}

/// Who had a turn.
pub(super) struct Turn<L>(Option<Rc<Lane<L>>>);

impl<L: Link> Groups<L> {
    pub(super) fn new() -> Self {
        Groups {
            lanes: RefCell::new(Slab::new()),
            used: Cell::new(false),
            members: Rc::default(),
            queued: Cell::new(0),
            others: Account::default(),
            clock: Cell::new(0),
        }
    }

    /// Whether any task is in a group, so that turns are counted.
    #[inline]
    pub(super) fn is_used(&self) -> bool {
        self.used.get()
    }

    /// Notes whether the last task in a group has ended.
    pub(super) fn note_end(&self) {
        self.used
            .set(self.members.get() > 0 || self.queued.get() > 0);
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queued.get() == 0
    }

    /// A new task of the group: its flags, and what it holds until its end.
    pub(super) fn join(&self, group: &Group) -> (u32, Member<L>) {
        let mut lanes = self.lanes.borrow_mut();
        let known = |lane: &Lane<L>| Rc::ptr_eq(&lane.shares, &group.shares);
        let key = match lanes.iter().find(|(_, lane)| known(lane)) {
            Some((key, _)) => key,
            None => {
                lanes.retain(|_, lane| lane.members.get() > 0 || !lane.queue.is_empty());
                lanes.insert(Rc::new(Lane {
                    shares: Rc::clone(&group.shares),
                    queue: RunQueue::new(),
                    account: Account::default(),
                    members: Cell::new(0),
                }))
            }
        };
        assert!(key < 1 << (32 - GROUP_SHIFT), "too many groups of tasks");
        let lane = Rc::clone(&lanes[key]);
        lane.members.set(lane.members.get() + 1);
        self.members.set(self.members.get() + 1);
        self.used.set(true);
        let member = Member {
            all: Rc::clone(&self.members),
            lane,
        };
        ((key as u32 + 1) << GROUP_SHIFT, member)
    }

    /// Queues a task, which is in the group that its flags say.
    #[cold]
    pub(super) fn push(&self, flags: u32, task: L, others: &RunQueue<L>) {
        let key = (flags >> GROUP_SHIFT) as usize - 1;
        // A task at its end may have no group any more.
        let lane = self.lanes.borrow().get(key).map(Rc::clone);
        let Some(lane) = lane else {
            return others.push(task);
        };
        if lane.queue.is_empty() {
            let begins = lane.account.used.get().max(self.clock.get());
            lane.account.used.set(begins);
        }
        lane.queue.push(task);
        self.queued.set(self.queued.get() + 1);
        self.used.set(true);
    }

    /// Takes the task whose turn it is.
    pub(super) fn pop(&self, others: &RunQueue<L>) -> Option<(L, Turn<L>)> {
        let lane = {
            let lanes = self.lanes.borrow();
            let ready = lanes.iter().map(|(_, lane)| lane);
            let ready = ready.filter(|lane| !lane.queue.is_empty());
            ready
                .min_by_key(|lane| lane.account.used.get())
                .map(Rc::clone)
        };
        let before = self.others.used.get().max(self.clock.get());
        let lane = lane.filter(|lane| others.is_empty() || lane.account.used.get() < before);
        if let Some(lane) = lane {
            let task = lane.queue.pop()?;
            self.queued.set(self.queued.get() - 1);
            self.clock
                .set(lane.account.used.get().max(self.clock.get()));
            return Some((task, Turn(Some(lane))));
        }
        let task = others.pop()?;
        self.others.used.set(before);
        self.clock.set(before);
        Some((task, Turn(None)))
    }

    /// Says how long the turn took.
    pub(super) fn charge(&self, turn: Turn<L>, time: Duration) {
        match turn.0 {
            Some(lane) => lane.account.charge(time, lane.shares.get()),
            None => self.others.charge(time, DEFAULT_SHARES),
        }
    }
}

/// A task is in a group for as long as it has a future.
pub(super) struct Member<L> {
    all: Rc<Cell<usize>>,
    lane: Rc<Lane<L>>,
}

impl<L> Drop for Member<L> {
    fn drop(&mut self) {
        self.all.set(self.all.get() - 1);
        self.lane.members.set(self.lane.members.get() - 1);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    struct Job {
        lane: usize,
        next: crate::task::sync::Cell<Option<Rc<Job>>>,
    }

    // SAFETY: the cell is on the heap, where it stays.
    unsafe impl Link for Rc<Job> {
        fn next(&self) -> &crate::task::sync::Cell<Option<Self>> {
            &self.next
        }
    }

    /// Groups of these shares, with tasks that are always ready. Lane 0 is what is in no group.
    struct Race {
        groups: Groups<Rc<Job>>,
        others: RunQueue<Rc<Job>>,
        flags: Vec<u32>,
        _members: Vec<Member<Rc<Job>>>,
    }

    impl Race {
        fn new(shares: &[u32]) -> Self {
            let groups = Groups::new();
            let (mut flags, mut members) = (vec![0], Vec::new());
            for &shares in shares {
                let (flag, member) = groups.join(&Group::new(shares));
                flags.push(flag);
                members.push(member);
            }
            Race {
                groups,
                others: RunQueue::new(),
                flags,
                _members: members,
            }
        }

        fn push(&self, lane: usize) {
            let job = Rc::new(Job {
                lane,
                next: crate::task::sync::Cell::new(None),
            });
            match self.flags[lane] {
                0 => self.others.push(job),
                flags => self.groups.push(flags, job, &self.others),
            }
        }

        /// How many of so many turns each lane has, which come back as long as `stays` says so.
        fn turns(&self, turns: usize, time: Duration, stays: impl Fn(usize) -> bool) -> Vec<usize> {
            let mut had = vec![0; self.flags.len()];
            for _ in 0..turns {
                let Some((job, turn)) = self.groups.pop(&self.others) else {
                    break;
                };
                had[job.lane] += 1;
                if stays(job.lane) {
                    self.push(job.lane);
                }
                self.groups.charge(turn, time);
            }
            had
        }
    }

    #[test]
    fn turns_go_by_shares() {
        for time in [Duration::ZERO, QUANTUM, Duration::from_millis(3)] {
            let race = Race::new(&[10, 300]);
            for lane in [0, 1, 1, 1, 1, 2] {
                race.push(lane);
            }
            let had = race.turns(41_000, time, |_| true);
            for (had, share) in had.iter().zip([10_000, 1000, 30_000]) {
                assert!(had.abs_diff(share) <= 3, "{had} turns of {share}");
            }
        }
    }

    #[test]
    fn a_longer_turn_counts_for_more() {
        let race = Race::new(&[DEFAULT_SHARES]);
        race.push(0);
        race.push(1);
        let mut had = [0_usize; 2];
        for _ in 0..11_000 {
            let (job, turn) = race.groups.pop(&race.others).unwrap();
            had[job.lane] += 1;
            race.push(job.lane);
            let time = if job.lane == 0 { QUANTUM } else { QUANTUM * 10 };
            race.groups.charge(turn, time);
        }
        assert!(had[1].abs_diff(1000) <= 2, "{had:?}");
    }

    #[test]
    fn who_was_away_is_next_and_has_nothing_to_catch_up_on() {
        for away in [0, 1] {
            let race = Race::new(&[DEFAULT_SHARES, 10]);
            race.push(2);
            race.push(away);
            race.turns(2, QUANTUM, |_| true);
            race.turns(10_000, QUANTUM, |lane| lane != away);
            race.push(away);
            let had = race.turns(2, QUANTUM, |_| true);
            assert!(had[away] >= 1, "lane {away}: {had:?}");
            let had = race.turns(11_000, QUANTUM, |_| true);
            assert!(had[2].abs_diff(1000) <= 12, "lane {away}: {had:?}");
        }
    }

    #[test]
    fn a_group_without_tasks_has_no_lane() {
        let groups = Groups::<Rc<Job>>::new();
        let kept = Group::new(1);
        let (_, _member) = groups.join(&kept);
        for _ in 0..10_000 {
            drop(groups.join(&Group::new(1)));
        }
        assert!(groups.lanes.borrow().len() <= 2);
        assert!(groups.is_used());
        drop(_member);
        groups.note_end();
        assert!(!groups.is_used());
    }
}
