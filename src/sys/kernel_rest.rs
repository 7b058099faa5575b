//! A kernel's ring whose owner waits by a descriptor, and not in io_uring_enter(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use super::config::Wait;
use super::flags;
use super::kernel_ring::{KernelRing, passing_only};
use super::readiness::{Readiness, new_event};

impl KernelRing {
    /// What poll(2) finds readable when the ring has something for its owner.
    ///
    /// # Errors
    ///
    /// If no descriptor is free; those of io_uring_register(2).
    pub(super) fn readiness(&mut self) -> io::Result<Readiness> {
        if self.setup_flags & flags::DEFER_TASKRUN == 0 {
            return Readiness::of_ring(self.ring.as_fd());
        }
        let event = new_event()?;
        self.ring.submitter().register_eventfd(event.as_raw_fd())?;
        self.event = Some(Arc::clone(&event));
        Ok(Readiness::of_event(event))
    }

    /// Has the kernel forget whether it has put off a signal to the eventfd: it might never send another.
    ///
    /// # Errors
    ///
    /// Those of io_uring_register(2), and then nothing is signalled.
    fn renew(&self) -> io::Result<()> {
        let Some(event) = &self.event else {
            return Ok(());
        };
        // It is not there if the last try has failed in the middle.
        let _ = self.ring.submitter().unregister_eventfd();
        self.ring.submitter().register_eventfd(event.as_raw_fd())
    }

    /// Whether work that waits for the owner to enter is not told of in memory.
    fn is_silent(&self) -> bool {
        self.setup_flags & flags::DEFER_TASKRUN != 0 && self.setup_flags & flags::TASKRUN_FLAG == 0
    }

    /// Whether what has come is only to be had by [`enter`](Self::enter), or may be.
    pub(super) fn look(&mut self) -> bool {
        self.is_silent() || self.wants_enter()
    }

    /// Whether there is nothing to do until the descriptor of [`readiness`](Self::readiness) becomes readable, which was
    /// lowered before. Whatever has raised it until then shows here: the kernel publishes a completion, and sets the flag that
    /// tells of work, before it signals the eventfd. `renews`: something was completed since the last time.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter); those of io_uring_register(2).
    pub(super) fn rests(&mut self, renews: bool) -> io::Result<bool> {
        let deferred = self.setup_flags & flags::DEFER_TASKRUN != 0;
        if deferred && renews {
            if let Err(error) = self.renew() {
                passing_only(error)?;
                return Ok(false); // To be tried again.
            }
        }
        if self.is_silent() {
            self.enter(Wait::No)?;
        }
        // The kernel's thread, if there is one, takes entries by itself.
        let is_taken = self.setup_flags & flags::SQPOLL != 0 || self.unsubmitted() == 0;
        Ok(is_taken && !self.has_completions() && !self.wants_enter())
    }
}
