//! A ring without io_uring: the same entries, carried out with plain system calls, and the same completions.
//!
//! What can be tried without blocking is tried at once. What cannot be had yet waits until epoll(7) says that it is ready, and
//! what would block without telling goes to threads. So there is one body for each operation, above, and what this ring does
//! not know is refused by its number.
//!
//! As with the kernel's ring, what an entry points to is used from [`push`](SoftwareRing::push) to the final completion that
//! carries its user data, and no longer. Threads never touch what belongs to the ring: they get a copy of the entry, and
//! bring the result.

mod attempt;
mod blocking;
mod calls;
mod files;
mod net;
mod numbers;
mod operation;
mod pending;
mod provided;
mod remote;
mod rw;
mod serve;
mod start;
mod tables;
#[cfg(test)]
mod tests;
mod unblocked;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use self::blocking::Call;
use self::files::Files;
use self::pending::Pending;
use self::remote::Answer;
use self::tables::Tables;
use super::buf_ring::BufRing;
use super::config::{RingConfig, Wait};
use super::entry::{Completion, Entry, Promised};
use super::features::Features;
use super::memory::Memory;
use super::sqe::Sqe;
use super::thread_pool::ThreadPool;

pub(crate) use self::numbers::note_descriptor;
pub(in crate::sys) use self::remote::Remote;
pub(crate) use self::unblocked::make_blocking;

/// How many events are asked for at a time: fewer than a group has provided buffers, so that a turn does not use up more of them
/// than tasks can give back before the next. With 256, ten thousand connections that had one message each took 2,290 bytes each.
const EVENTS: usize = 128;
/// The most threads for what blocks, where nobody has said how many.
const THREADS: usize = 64;
/// The event of the eventfd by which threads end a sleep.
const RUNG: u64 = u64::MAX;

/// A ring that needs no io_uring.
pub(crate) struct SoftwareRing {
    /// What was pushed, and how much of it there may be.
    queue: Vec<Sqe>,
    entries: usize,
    done: VecDeque<Completion>,
    files: Files,
    events: Vec<epoll::Event>,
    pending: Pending,
    /// Operations that have done their share for now, and go on in the next turn.
    again: Vec<u32>,
    tables: Tables,
    /// Files whose slot was emptied while an operation was at work on them.
    retired: Vec<OwnedFd>,
    remote: Arc<Remote>,
    answers: Vec<Answer>,
    threads: Arc<ThreadPool<Call>>,
    /// How many completions there may be before that is called an overflow.
    completions: usize,
    overflows: u64,
    /// Whether the last turn has asked epoll(7).
    asked: bool,
    features: Features,
}

impl SoftwareRing {
    /// What the runtime may use of it.
    pub(super) fn features(&self) -> &Features {
        &self.features
    }

    /// # Errors
    ///
    /// If no descriptors are free: it needs two.
    pub(super) fn new(config: &RingConfig) -> io::Result<Self> {
        let files = Files::new()?;
        let remote = Arc::new(Remote::new()?);
        if let Some(event) = remote.event() {
            let data = EventData::new_u64(RUNG);
            epoll::add(files.epoll(), &event, data, EventFlags::IN)?;
        }
        let threads = match config.tuning.workers[0] {
            0 => THREADS,
            most => most as usize,
        };
        Ok(SoftwareRing {
            queue: Vec::new(),
            entries: config.entries.clamp(8, 1 << 15).next_power_of_two() as usize,
            done: VecDeque::new(),
            files,
            events: Vec::with_capacity(EVENTS),
            pending: Pending::default(),
            again: Vec::new(),
            tables: Tables::default(),
            retired: Vec::new(),
            remote,
            answers: Vec::new(),
            threads: ThreadPool::new("saferring-files", threads),
            completions: config.completions.max(8) as usize,
            overflows: 0,
            asked: false,
            features: Features::of_software(&config.policy),
        })
    }

    /// Puts an entry into the queue; false if there is no room.
    #[inline]
    pub(super) fn push(&mut self, entry: &Promised<&Entry>) -> bool {
        if self.queue.len() >= self.entries {
            return false;
        }
        self.queue.push(entry.read());
        true
    }

    /// Whether a multishot operation has to end, as there are too many completions: its owner begins it again.
    fn is_full(&self) -> bool {
        self.done.len() + 1 >= self.completions
    }

    /// How many completions there may be.
    pub(super) fn completions(&self) -> u32 {
        self.completions as u32
    }

    /// How often there were more.
    pub(super) fn overflows(&self) -> u64 {
        self.overflows
    }

    /// How many entries the queue has room for.
    pub(super) fn entries(&self) -> u32 {
        self.entries as u32
    }

    pub(super) fn unsubmitted(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn has_completions(&self) -> bool {
        !self.done.is_empty()
    }

    pub(super) fn reap(&mut self) -> Option<Completion> {
        self.done.pop_front()
    }

    /// Whether anything may have come that only [`enter`](Self::enter) sees.
    pub(super) fn wants_enter(&self) -> bool {
        !self.pending.is_empty() || !self.again.is_empty()
    }

    /// Whether there is anything to do for [`enter`](Self::enter) that no event tells of.
    pub(super) fn has_brought(&self) -> bool {
        !self.again.is_empty() || self.pending.in_threads > 0 && self.remote.has_answers()
    }

    /// The most threads for what blocks.
    pub(super) fn threads(&self) -> u32 {
        self.threads.most() as u32
    }

    /// Whether it knows of an operation with this user data.
    pub(super) fn has(&self, user_data: u64) -> bool {
        self.pending.find(user_data).is_some()
            || self.queue.iter().any(|sqe| sqe.user_data == user_data)
    }

    /// What epoll(7) tells of its readiness by, for a ring that waits otherwise.
    pub(super) fn epoll(&self) -> BorrowedFd<'_> {
        self.files.epoll()
    }

    /// Takes in what has come while its owner has waited otherwise.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter).
    pub(super) fn look(&mut self) -> io::Result<()> {
        self.remote.unpark();
        self.poll()
    }

    /// Whether there is nothing to do until its epoll descriptor becomes readable, or has become so anew.
    pub(super) fn rests(&mut self) -> bool {
        let is_empty = self.done.is_empty() && self.again.is_empty() && self.queue.is_empty();
        // There may be more of them.
        let was_full = self.events.len() == self.events.capacity();
        is_empty && !was_full && self.remote.park()
    }

    pub(super) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Carries out what was pushed, and waits as `wait` says for anything to be completed.
    ///
    /// # Errors
    ///
    /// If epoll(7) fails, which it has no reason to.
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.start_pushed();
        for index in mem::take(&mut self.again) {
            self.go_on(index);
        }
        self.collect();
        let idle = self.done.is_empty() && self.again.is_empty();
        let timeout = match wait {
            Wait::For(time) if idle => Some(time),
            Wait::Forever if idle => None,
            _ => Some(Duration::ZERO),
        };
        // What was sent at once is completed before anything new is asked for: a request then costs no call more than a
        // receive, a send, and one wait for all of a turn. But never twice in a row, so that nothing waits for long.
        let may_skip = !self.pending.any_waits() || !self.done.is_empty() && self.asked;
        self.asked = timeout != Some(Duration::ZERO) || !may_skip;
        if !self.asked {
            return Ok(());
        }
        let sleeps = timeout != Some(Duration::ZERO) && self.remote.park();
        let waited = self.wait(if sleeps {
            timeout
        } else {
            Some(Duration::ZERO)
        });
        if sleeps {
            self.remote.unpark();
        }
        waited?;
        self.collect();
        self.overflows += u64::from(self.done.len() > self.completions);
        Ok(())
    }

    /// Does what has become possible, without waiting: for a ring that has waited otherwise.
    pub(super) fn poll(&mut self) -> io::Result<()> {
        for index in mem::take(&mut self.again) {
            self.go_on(index);
        }
        self.wait(Some(Duration::ZERO))?;
        self.collect();
        Ok(())
    }

    /// Waits for events, and lets go on what they concern.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        // No longer than epoll_wait(2) can: epoll_pwait2(2) is missing before Linux 5.11, and in old filters.
        const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);
        let timeout = timeout.map(|time| Timespec {
            tv_sec: time.min(LONGEST).as_secs() as i64,
            tv_nsec: time.min(LONGEST).subsec_nanos().into(),
        });
        let mut events = mem::take(&mut self.events);
        events.clear();
        let spare = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(self.files.epoll(), spare, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            if event.data.u64() == RUNG {
                self.remote.was_rung();
                continue;
            }
            if let Some(fd) = self.files.note(event) {
                self.serve_file(fd);
            }
        }
        self.events = events;
        Ok(())
    }

    /// Completes what threads have done.
    fn collect(&mut self) {
        if self.pending.in_threads == 0 {
            return;
        }
        let mut answers = mem::take(&mut self.answers);
        self.remote.collect(&mut answers);
        for answer in answers.drain(..) {
            self.end_call(answer);
        }
        self.answers = answers;
    }

    /// Makes a ring of provided buffers known.
    ///
    /// # Errors
    ///
    /// `EEXIST` if the group is taken.
    pub(super) fn register_buffers(&mut self, buffers: &BufRing) -> io::Result<()> {
        self.tables.add_group(buffers)
    }

    /// # Errors
    ///
    /// `EBUSY` if there is a table.
    pub(super) fn make_buffer_table(&mut self, slots: u32) -> io::Result<()> {
        self.tables.make_buffers(slots)
    }

    /// # Errors
    ///
    /// `EINVAL` if there is no such slot.
    pub(super) fn set_buffer(&mut self, slot: u32, memory: Option<&Memory>) -> io::Result<()> {
        self.tables.set_buffer(slot, memory)
    }

    /// # Errors
    ///
    /// `EBUSY` if there is a table.
    pub(super) fn make_file_table(&mut self, slots: u32) -> io::Result<()> {
        self.tables.make_files(slots)
    }

    /// # Errors
    ///
    /// See [`Tables::set_file`].
    pub(super) fn set_file(&mut self, slot: u32, fd: RawFd) -> io::Result<()> {
        let file = match fd {
            ..0 => None,
            // SAFETY: the caller has it open, or it is no descriptor, which the kernel says.
            _ => Some(unsafe { BorrowedFd::borrow_raw(fd) }),
        };
        let before = self.tables.set_file(slot, file)?;
        if let Some(before) = before {
            self.retired.push(before);
            self.drop_retired();
        }
        Ok(())
    }
}

impl Drop for SoftwareRing {
    fn drop(&mut self) {
        // What threads are still at work on is not waited for: it stays where it is, for good.
        let grace = match self.pending.in_threads {
            0 => Duration::from_secs(1),
            _ => Duration::ZERO,
        };
        if self.pending.in_threads > 0 {
            // Nor are the files of the table closed that they may be at work on: their numbers would be others'.
            mem::forget(mem::take(&mut self.tables));
            mem::forget(mem::take(&mut self.retired));
        }
        for answer in self.remote.close() {
            // As if it had come too late.
            self.remote.answer(answer);
        }
        self.threads.close(grace);
    }
}
