//! What a driver consists of, and what it does under a borrow.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use slab::Slab;

use super::event::{Abandoned, Answered, Event, Partial};
use super::pool::{Pool, PoolConfig};
use super::ring_tables::RingTables;
use super::slots::{
    CANCELLED, FileRef, Head, Key, MultishotVTable, NONE, OURS, OWN, OpVTable, Slots, State,
};
use super::stubborn::Stubborn;
use super::timer::Timers;
use crate::Error;
use crate::sys::{self, Completion, Entry, Promised, Ring, RingConfig, RingId, Wait};

/// What the driver has counted since it was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) enters: u64,
    pub(crate) submissions: u64,
    pub(crate) completions: u64,
    /// Completions that found no operation.
    pub(crate) stale: u64,
    /// Entries that had to wait because the submission queue was full.
    pub(crate) backlogged: u64,
    /// Zero-copy sends that the kernel has carried out.
    pub(crate) zero_copy_sends: u64,
    /// Those of them whose bytes it copied all the same.
    pub(crate) zero_copy_copied: u64,
}

/// One completion of a multishot operation that its stream has not taken yet.
#[derive(Debug)]
struct Queued {
    result: i32,
    flags: u32,
    /// The list is a ring: the last one's `next` is the first.
    next: u32,
}

pub(super) struct Inner<W: 'static, F: 'static> {
    /// `None` once the driver is shut down.
    pub(super) ring: Option<Ring>,
    pub(super) slots: Slots<W, F>,
    queued: Slab<Queued>,
    /// Entries that did not fit, in order.
    pub(super) backlog: VecDeque<Promised<Entry>>,
    pub(super) timers: Timers<W>,
    pub(super) counters: Counters,
    /// The coarse clock at the last turn.
    pub(super) now: u32,
    pub(super) pool: Rc<Pool>,
    pub(super) tables: RingTables,
    pub(super) stubborn: Stubborn,
    /// How many completions there were when its owner was last about to wait by a descriptor.
    pub(super) rested_at: u64,
    /// This process is a child of the one that made the ring.
    pub(super) forked: bool,
}

const FORKED: &str = "this process is a child of fork(2) and the ring is its parent's; make another runtime here, or call \
                      exec(2), as std::process::Command does";

impl<W, F> Inner<W, F> {
    pub(super) fn new(config: &RingConfig, pool: PoolConfig, id: RingId) -> Result<Self, Error> {
        Ok(Inner {
            ring: Some(Ring::new(config)?),
            slots: Slots::new(),
            queued: Slab::new(),
            backlog: VecDeque::new(),
            timers: Timers::new(Instant::now()),
            counters: Counters::default(),
            now: sys::coarse_millis(),
            pool: Rc::new(Pool::new(pool, id)),
            tables: RingTables::default(),
            stubborn: Stubborn::default(),
            rested_at: 0,
            forked: false,
        })
    }

    #[inline]
    pub(super) fn push(&mut self, entry: Promised<&Entry>) {
        let Some(ring) = &mut self.ring else { return };
        self.counters.submissions += 1;
        if !self.backlog.is_empty() || !ring.push(&entry) {
            self.counters.backlogged += 1;
            self.backlog.push_back(entry.into_owned());
        }
    }

    /// Moves entries from the backlog to the queue while there is room.
    fn drain_backlog(&mut self) {
        let Some(ring) = &mut self.ring else { return };
        while let Some(entry) = self.backlog.front() {
            if !ring.push(&entry.borrow()) {
                break;
            }
            self.backlog.pop_front();
        }
    }

    #[inline(always)] // Returns right after a system call are mispredicted: inlined, a nop costs 4 % less.
    pub(super) fn turn(&mut self, park: bool, limit: Duration) -> io::Result<()> {
        self.now = sys::coarse_millis();
        if self.stubborn.is_due() {
            self.cancel_again();
        }
        loop {
            self.drain_backlog();
            let wait = self.wait(park, limit);
            let Some(ring) = &mut self.ring else {
                return match self.forked {
                    false => Ok(()),
                    true => Err(io::Error::other(FORKED)),
                };
            };
            self.counters.enters += u64::from(ring.enter(wait)?);
            // A queue that the kernel would not empty has to wait until completions were reaped, or its thread is there.
            if self.backlog.is_empty() || ring.unsubmitted() > 0 {
                return Ok(());
            }
        }
    }

    fn wait(&mut self, park: bool, limit: Duration) -> Wait {
        let ready = self.ring.as_mut().is_some_and(Ring::has_completions);
        if !park || ready || !self.backlog.is_empty() {
            return Wait::No;
        }
        let timer = match self.due() {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => Duration::MAX,
        };
        match timer.min(limit) {
            Duration::ZERO => Wait::No,
            Duration::MAX => Wait::Forever,
            time => Wait::For(time),
        }
    }

    /// When the next timer fires, or what could not be cancelled is cancelled again.
    #[inline]
    pub(super) fn due(&self) -> Option<Instant> {
        let deadlines = [self.timers.next_deadline(), self.stubborn.deadline()];
        deadlines.into_iter().flatten().min()
    }

    #[inline(always)] // Into the loop over completions, where alone it is hot.
    pub(super) fn next_event(&mut self) -> Option<Event<W, F>> {
        let cqe = self.ring.as_mut()?.reap()?;
        self.counters.completions += 1;
        if cqe.user_data() & OURS != 0 {
            self.note_cancel(cqe);
            return Some(Event::Handled);
        }
        let Some(key) = self.slots.find(cqe.user_data()) else {
            self.counters.stale += 1;
            return Some(Event::Handled);
        };
        let head = self.slots.head(key);
        let Some(vtable) = head.vtable else {
            return Some(Event::Handled);
        };
        let state = head.state;
        if let Some(multishot) = &vtable.multishot {
            if cqe.buffer().is_some() {
                // SAFETY: the operation is in its cell until it is taken out with its last completion, which is this
                // one at the earliest.
                if let Some(group) = unsafe { (multishot.group)(key.payload()) } {
                    self.pool.taken(group);
                }
            }
            if state == State::InFlight {
                return Some(self.queue_answer(key, vtable, multishot, cqe));
            }
        }
        match state {
            State::InFlight => Some(self.file_answer(key, vtable, cqe)),
            State::Orphan => Some(self.leave_to_orphan(key, vtable, cqe)),
            State::Free | State::Reserved | State::Waiting | State::Ending | State::Complete => {
                self.counters.stale += 1;
                Some(Event::Handled)
            }
        }
    }

    /// Files the completion of a single-shot operation for its future.
    #[inline(always)]
    fn file_answer(
        &mut self,
        key: Key<W, F>,
        vtable: &'static OpVTable<F>,
        cqe: Completion,
    ) -> Event<W, F> {
        let head = self.slots.head(key);
        if head.file.is_some() {
            if let Some(done) = head.part(cqe) {
                return Event::Partial(Partial { key, vtable, done });
            }
        }
        head.state = State::Complete;
        head.a = cqe.raw_result() as u32;
        head.b = cqe.flags();
        self.slots.in_flight -= 1;
        let head = self.slots.head(key);
        Event::Answered(Answered {
            waiter: head.waiter.take(),
            file: head.file.take(),
            turn: head.ending_turn(),
            result: cqe.raw_result(),
        })
    }

    /// Queues a completion of a multishot operation for its stream.
    fn queue_answer(
        &mut self,
        key: Key<W, F>,
        vtable: &'static OpVTable<F>,
        multishot: &'static MultishotVTable,
        cqe: Completion,
    ) -> Event<W, F> {
        let last = !cqe.has_more();
        let head = self.slots.head(key);
        if multishot.notifies
            && head.tag & CANCELLED == 0
            // SAFETY: as for the group: the operation is in its cell.
            && unsafe { (multishot.refused)(key.payload(), cqe) }
        {
            return match last {
                true => Event::Partial(Partial {
                    key,
                    vtable,
                    done: 0,
                }),
                false => Event::Handled,
            };
        }
        let answered = Answered {
            waiter: head.waiter.take(),
            file: head.let_go_of_file(last || multishot.notifies),
            turn: head.ending_turn(),
            result: cqe.raw_result(),
        };
        if last {
            head.state = State::Complete;
            self.slots.in_flight -= 1;
        }
        self.enqueue(key, cqe);
        Event::Answered(answered)
    }

    /// Leaves a completion to the operation itself, as its future is gone.
    #[cold]
    fn leave_to_orphan(
        &mut self,
        key: Key<W, F>,
        vtable: &'static OpVTable<F>,
        cqe: Completion,
    ) -> Event<W, F> {
        let last = !cqe.has_more();
        let notifies = vtable
            .multishot
            .as_ref()
            .is_some_and(|multi| multi.notifies);
        let head = self.slots.head(key);
        let (file, turn) = (head.let_go_of_file(last || notifies), head.ending_turn());
        if last {
            head.state = State::Ending;
            let own = head.tag & OWN != 0;
            self.slots.in_flight -= 1;
            self.slots.orphans -= 1;
            self.slots.own -= u32::from(own);
        }
        Event::Abandoned(Abandoned {
            key,
            vtable,
            cqe,
            file,
            turn,
        })
    }

    /// Appends a completion to the queue of its multishot operation.
    pub(super) fn enqueue(&mut self, key: Key<W, F>, cqe: Completion) {
        let node = self.queued.insert(Queued {
            result: cqe.raw_result(),
            flags: cqe.flags(),
            next: NONE,
        });
        let head = self.slots.head(key);
        let last = std::mem::replace(&mut head.b, node as u32);
        head.queued = head.queued.saturating_add(1);
        let full = head
            .multishot()
            .is_some_and(|multi| multi.queued_max == head.queued);
        if last == NONE {
            self.queued[node].next = node as u32;
        } else {
            let first = std::mem::replace(&mut self.queued[last as usize].next, node as u32);
            self.queued[node].next = first;
        }
        if full {
            self.push_cancel(key);
        }
    }

    /// Takes the first completion out of the queue of a multishot operation.
    pub(super) fn dequeue(&mut self, key: Key<W, F>) -> Option<Completion> {
        let head = self.slots.head(key);
        let last = head.b;
        if last == NONE {
            return None;
        }
        head.queued = head.queued.saturating_sub(1);
        let first = self.queued[last as usize].next;
        if first == last {
            head.b = NONE;
        } else {
            self.queued[last as usize].next = self.queued[first as usize].next;
        }
        let taken = self.queued.remove(first as usize);
        Some(Completion::new(0, taken.result, taken.flags))
    }
}

impl<W, F> Head<W, F> {
    /// The file, which the kernel uses up to the `answer`: the last completion, or the first of two.
    #[inline]
    fn let_go_of_file(&mut self, answer: bool) -> Option<FileRef> {
        if answer { self.file.take() } else { None }
    }

    /// How much of an operation is done that is to be done as a whole, if the rest is to follow.
    #[inline]
    fn part(&self, cqe: Completion) -> Option<usize> {
        if self.b == 0 || self.tag & CANCELLED != 0 {
            return None;
        }
        match cqe.raw_result() {
            result if result == -libc::EINTR => Some(0),
            result @ 1.. if (result as u32) < self.b => Some(result as usize),
            _ => None,
        }
    }
}
