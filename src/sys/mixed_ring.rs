//! A kernel's ring that lacks something, and a software ring beside it for just that.
//!
//! The kernel's ring is the one that waits. Of the other one's readiness it hears by a poll of its epoll descriptor.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::{opcode, types};

use super::config::{RingConfig, Wait};
use super::entry::{Completion, Entry, Promised};
use super::features::Features;
use super::kernel_ring::KernelRing;
use super::software::SoftwareRing;
use super::sqe::{FIXED_FILE, POLL_FIRST, Sqe};
use crate::feature::Feature;

/// The user data of the poll by which the kernel's ring hears of the other one.
const BESIDE: u64 = u64::MAX - 1;

/// What a kernel's ring does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lacks {
    /// The operations, by their numbers.
    opcodes: u128,
    /// A receive that waits before it tries.
    poll_first: bool,
    /// A send that names an address.
    send_address: bool,
    /// A table of files that lets go of them.
    file_table: bool,
}

pub(crate) struct MixedRing {
    kernel: KernelRing,
    /// Made when something is first asked of it.
    software: Option<SoftwareRing>,
    lacks: Lacks,
    config: RingConfig,
    /// The poll is with the kernel.
    watched: bool,
    /// What cannot be done for want of descriptors.
    refused: VecDeque<Completion>,
}

impl MixedRing {
    /// What there is that the kernel's ring does not do; `None` if it does all.
    pub(super) fn lacks(features: &Features) -> Option<Lacks> {
        // A cancellation goes to the ring that has what it cancels.
        let all = Feature::opcodes(false) & !(1 << opcode::AsyncCancel::CODE);
        let lacks = Lacks {
            opcodes: all & !features.opcodes(),
            poll_first: !features.has(Feature::PollFirst),
            send_address: !features.has(Feature::SendAddress),
            file_table: !features.registered_files(),
        };
        let nothing = Lacks {
            opcodes: 0,
            poll_first: false,
            send_address: false,
            file_table: false,
        };
        (lacks != nothing).then_some(lacks)
    }

    pub(super) fn new(kernel: KernelRing, lacks: Lacks, config: &RingConfig) -> Self {
        MixedRing {
            kernel,
            software: None,
            lacks,
            config: config.clone(),
            watched: false,
            refused: VecDeque::new(),
        }
    }

    pub(super) fn kernel(&mut self) -> &mut KernelRing {
        &mut self.kernel
    }

    /// The ring beside the kernel's.
    ///
    /// # Errors
    ///
    /// If no descriptors are free.
    fn software(&mut self) -> io::Result<&mut SoftwareRing> {
        match &mut self.software {
            Some(ring) => Ok(ring),
            none => Ok(none.insert(SoftwareRing::new(&self.config)?)),
        }
    }

    /// Whether an entry is for the ring beside the kernel's.
    fn is_for_software(&self, sqe: &Sqe) -> bool {
        let has_address = sqe.opcode == opcode::Send::CODE && sqe.has_send_address();
        let uses_table = sqe.flags & FIXED_FILE != 0 || sqe.opens_into_slot();
        if uses_table && !self.lacks.file_table {
            // The kernel has the table. (And so it has the operations, be they switched off.)
            return false;
        }
        if self.lacks.opcodes & 1 << sqe.opcode != 0 || self.lacks.send_address && has_address {
            return true;
        }
        if sqe.opcode == opcode::AsyncCancel::CODE {
            return match &self.software {
                Some(software) => software.has(sqe.cancels()),
                None => false,
            };
        }
        uses_table
    }

    pub(super) fn push(&mut self, entry: &Promised<&Entry>) -> bool {
        let sqe = entry.read();
        if self.is_for_software(&sqe) {
            return match self.software() {
                Ok(software) => software.push(entry),
                Err(error) => {
                    let number = error.raw_os_error().unwrap_or(libc::ENOMEM);
                    let refusal = Completion::new(sqe.user_data, -number, 0);
                    self.refused.push_back(refusal);
                    true
                }
            };
        }
        if self.lacks.poll_first && sqe.opcode == opcode::Recv::CODE && sqe.ioprio & POLL_FIRST != 0
        {
            let tries = Entry::clone(entry.entry()).with_ioprio(sqe.ioprio & !POLL_FIRST);
            // SAFETY: it points to the same as `entry`, which is not used itself.
            return self.kernel.push(&unsafe { Promised::new(&tries) });
        }
        self.kernel.push(entry)
    }

    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<bool> {
        let Some(software) = &mut self.software else {
            let wait = if self.refused.is_empty() {
                wait
            } else {
                Wait::No
            };
            return self.kernel.enter(wait);
        };
        software.enter(Wait::No)?;
        if !self.watched && software.wants_enter() {
            let fd = types::Fd(software.epoll().as_raw_fd());
            let mut poll = Entry::from(opcode::PollAdd::new(fd, libc::POLLIN as u32).build());
            poll.set_user_data(BESIDE);
            // SAFETY: a poll points to nothing.
            self.watched = self.kernel.push(&unsafe { Promised::new(&poll) });
        }
        let has_some = software.has_completions() || !self.refused.is_empty();
        // Without the poll, or if threads have brought something since, it is not to sleep.
        let watched = self.watched || !software.wants_enter();
        let sleeps = wait != Wait::No && !has_some && watched && software.remote().park();
        let entered = self.kernel.enter(if sleeps { wait } else { Wait::No });
        if sleeps {
            software.remote().unpark();
        }
        entered
    }

    pub(super) fn reap(&mut self) -> Option<Completion> {
        while let Some(cqe) = self.kernel.reap() {
            if cqe.user_data() != BESIDE {
                return Some(cqe);
            }
            self.watched = false;
            if let Some(software) = &mut self.software {
                // What fails here fails in the next enter, which says so.
                let _ = software.poll();
            }
        }
        if let Some(refusal) = self.refused.pop_front() {
            return Some(refusal);
        }
        self.software.as_mut()?.reap()
    }

    pub(super) fn has_completions(&mut self) -> bool {
        let software = self.software.as_ref();
        self.kernel.has_completions()
            || !self.refused.is_empty()
            || software.is_some_and(SoftwareRing::has_completions)
    }

    pub(super) fn unsubmitted(&mut self) -> usize {
        let beside = self.software.as_ref().map_or(0, SoftwareRing::unsubmitted);
        self.kernel.unsubmitted() + beside
    }

    pub(super) fn wants_enter(&mut self) -> bool {
        let software = self.software.as_ref();
        self.kernel.wants_enter() || software.is_some_and(SoftwareRing::has_brought)
    }

    /// Whether what has come is only to be had by [`enter`](Self::enter), for an owner that has waited otherwise.
    pub(super) fn look(&mut self) -> bool {
        let Some(software) = &self.software else {
            return self.kernel.look();
        };
        software.remote().unpark();
        let unwatched = !self.watched && software.wants_enter();
        unwatched || software.has_brought() || self.kernel.look()
    }

    /// Whether there is nothing to do until the descriptor of the kernel's ring becomes readable.
    ///
    /// # Errors
    ///
    /// As those of the kernel's ring.
    pub(super) fn rests(&mut self, renews: bool) -> io::Result<bool> {
        // What is completed beside the kernel's ring is not counted.
        let renews = renews || self.software.is_some();
        if self.unsubmitted() > 0 || self.has_completions() || !self.kernel.rests(renews)? {
            return Ok(false);
        }
        Ok(match &self.software {
            None => true,
            Some(software) => {
                let watched = self.watched || !software.wants_enter();
                let remote = software.remote();
                let parks = || match &self.kernel.event {
                    Some(event) => remote.park_by(event),
                    None => remote.park(),
                };
                watched && !software.has_brought() && parks()
            }
        })
    }

    /// # Errors
    ///
    /// Those of the ring that has the table.
    pub(super) fn make_file_table(&mut self, slots: u32) -> io::Result<()> {
        match self.lacks.file_table {
            true => self.software()?.make_file_table(slots),
            false => self.kernel.make_file_table(slots),
        }
    }

    /// # Errors
    ///
    /// Those of the ring that has the table.
    pub(super) fn set_file(&mut self, slot: u32, fd: RawFd) -> io::Result<()> {
        match self.lacks.file_table {
            true => self.software()?.set_file(slot, fd),
            false => self.kernel.set_file(slot, fd),
        }
    }
}
