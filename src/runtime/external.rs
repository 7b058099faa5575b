//! A runtime that another event loop drives: it is polled like a descriptor, and run when that is readable.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

use super::context;
use super::runtime::Runtime;
use crate::foreign::Scope;

impl Runtime {
    /// Runs what there is to run, and never waits: for an event loop that is not this runtime's own, such as that of a toolkit, of
    /// a game, or of another runtime. The [runtime's page](super#inside-another-event-loop) shows one.
    ///
    /// Takes in what the kernel has completed and what other threads have sent, fires the timers that are due, polls tasks that
    /// are ready, at most [`Builder::event_interval`](super::Builder::event_interval) times, and submits what they have prepared. So
    /// other sources of the loop have their turn soon, however much there is to do here.
    ///
    /// True: there is more to do, so call it again at once, perhaps after a look at the other sources. False: there is
    /// nothing until the [descriptor](Runtime::try_as_fd) is readable, or the time of [`next_deadline`](Runtime::next_deadline) has
    /// come. (That time is now as long as there is more to do.) To call it for nothing does no harm.
    ///
    /// It may take turns with [`block_on`](Runtime::block_on). The time between two calls is no
    /// [stall](super::Builder::stall_detector), and a task that panics does so into its
    /// [`JoinHandle`](crate::task::JoinHandle), as ever. [`Metrics::ticks`](super::Metrics::ticks) counts the calls.
    ///
    /// # Panics
    ///
    /// If a runtime is running on this thread already, be it this one, or if the kernel breaks the ring.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::runtime::Runtime;
    ///
    /// let runtime = Runtime::new()?;
    /// let task = runtime.spawn(async { saferring::op::nop().await });
    /// while !task.is_finished() {
    ///     runtime.run_once(); // Burns a core: a loop waits by the descriptor if this is false.
    /// }
    /// assert_eq!(runtime.metrics().tasks, 0);
    /// # Ok::<_, saferring::Error>(())
    /// ```
    #[must_use = "true: it is to be called again at once"]
    pub fn run_once(&self) -> bool {
        let core = &*self.core;
        // As in `block_on`: foreign code runs at one point of the tick, the rest of it after the runtime was left.
        let _scope = Scope::enter();
        let _entered = context::enter(&self.core);
        let _running = core.runs();
        core.tick_outside()
    }

    /// When [`run_once`](Runtime::run_once) must be called at the latest, although the descriptor is not readable: when the
    /// next timer is due, or before that where many timers have to be told apart first. `None`: there are no timers.
    ///
    /// A time that has passed says "at once". That is so before the first call, while `run_once` has said that there is more to do,
    /// and after something was done on this thread of which the descriptor does not tell: a future that was dropped with an
    /// operation in flight, for one, has a cancel to be submitted. So ask for it just before each wait, and round up what is left until then: a wait in whole milliseconds that is
    /// rounded down ends too early.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// use saferring::runtime::Runtime;
    ///
    /// let runtime = Runtime::new()?;
    /// while runtime.run_once() {}
    /// assert_eq!(runtime.next_deadline(), None);
    ///
    /// let hour = Duration::from_secs(3600);
    /// let _sleeps = runtime.spawn(saferring::time::sleep(hour));
    /// assert!(runtime.next_deadline() <= Some(Instant::now())); // It has not run yet.
    /// while runtime.run_once() {}
    /// assert!(runtime.next_deadline() > Some(Instant::now()));
    /// # Ok::<_, saferring::Error>(())
    /// ```
    pub fn next_deadline(&self) -> Option<Instant> {
        self.core.due()
    }

    /// A descriptor that is readable when there is something to do for [`run_once`](Runtime::run_once): for poll(2), select(2),
    /// epoll(7), level- or edge-triggered, and what stands on these. It does not tell of timers
    /// ([`next_deadline`](Runtime::next_deadline)), nor of what is left when `run_once` says true.
    ///
    /// It becomes readable when the kernel has completed something, and when another thread wakes a task, sends by a
    /// [`Handle`](super::Handle), or ends a job of [`spawn_blocking`](super::spawn_blocking). So it does when a task is
    /// spawned, woken or aborted on this thread outside of the runtime; when [`block_on`](Runtime::block_on) has ended; and once in
    /// the beginning. Now and then it is readable for nothing. Only `run_once` makes it unreadable: do not read from it, nor
    /// write to it.
    ///
    /// It is made by the first call, of this or of [`AsFd`], and stays the same as long as the runtime lives. [`AsFd`] and
    /// [`AsRawFd`] give it, too, and panic where this fails.
    ///
    /// # Errors
    ///
    /// If no descriptor is free (`EMFILE`, `ENFILE`), or a filter forbids io_uring_register(2) to this thread. In a child of
    /// fork(2), whose parent's the runtime is.
    ///
    /// # Kernel
    ///
    /// With [`Setup::Deferred`](super::Setup) it is an eventfd(2) that the ring signals (`IORING_REGISTER_EVENTFD`), which costs the
    /// kernel some 200 ns a completion or turn, from the first call of this on. The ring's own descriptor would not do: from 6.3 on it
    /// wakes nobody for completions that are put off until the ring's owner enters the kernel, which is how that setup has
    /// them. Else, and so before 6.1, it is an epoll(7) that has the ring's own; on the software ring its epoll(7).
    ///
    /// With `Setup::Deferred` the kernel tells some ten milliseconds late of an operation on an eventfd of the program's, or on an epoll(7)
    /// that has one; [`Setup::Cooperative`](super::Setup) has it told at once, and spares two calls of io_uring_register(2) a wait,
    /// 1 to 2 µs. Without `Setup::Deferred` epoll_wait(2) may end with `EINTR` when something was completed, and a wait of
    /// poll(2) begins anew by itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use rustix::event::{PollFd, PollFlags, poll};
    /// use saferring::runtime::Runtime;
    ///
    /// let runtime = Runtime::new()?;
    /// let fd = runtime.try_as_fd()?;
    /// let (sender, receiver) = saferring::sync::oneshot::channel();
    /// let task = runtime.spawn(receiver);
    /// let thread = std::thread::spawn(|| sender.send(42));
    /// loop {
    ///     while runtime.run_once() {}
    ///     if task.is_finished() {
    ///         break;
    ///     }
    ///     poll(&mut [PollFd::new(&fd, PollFlags::IN)], None)?;
    /// }
    /// assert_eq!(runtime.block_on(task)?, Ok(42));
    /// # thread.join().unwrap().unwrap();
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_as_fd(&self) -> io::Result<BorrowedFd<'_>> {
        let core = &*self.core;
        if let Some(readiness) = core.readiness.get() {
            return Ok(readiness.as_fd());
        }
        let made = core.driver.readiness()?;
        let readiness = core.readiness.get_or_init(|| made);
        // What has come before, it has not heard of.
        core.raise();
        Ok(readiness.as_fd())
    }
}

/// [`Runtime::try_as_fd`].
///
/// # Panics
///
/// If that fails. Once it has not, it never does.
impl AsFd for Runtime {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.try_as_fd() {
            Ok(fd) => fd,
            Err(error) => panic!(
                "the runtime has no descriptor to be polled by ({error}): ask for it by Runtime::try_as_fd, which says so"
            ),
        }
    }
}

/// The number of [`Runtime::try_as_fd`].
///
/// # Panics
///
/// As [`AsFd`].
impl AsRawFd for Runtime {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
