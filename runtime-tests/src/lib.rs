//! What the tests share: a bound on their time, a look at what they leave behind, child processes, limits and filters,
//! buffers that tell when they are dropped, and the process's descriptors.

mod accounts;
pub mod adversary;
mod both;
mod child;
mod container;
mod example;
mod fds;
mod kernel_only;
mod limits;
pub mod quarantine;
mod seccomp;
mod skip;
mod tracked;

use std::io::Write;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub use accounts::{Account, alone, leaks_on_purpose};
pub use both::{is_software, run_on_software};
pub use child::{in_child, in_child_within, note};
pub use container::container_filter;
pub use example::{Killed, example, first_line};
pub use fds::{a_thread_is_in, fd_link, holders, open_fds, ring_fds};
pub use kernel_only::{KERNEL_ONLY, KernelOnly};
pub use limits::{limit, lockable, pin, small_pool, unprivileged};
pub use seccomp::{Refusal, allow_list, allow_only, refuse, refuse_waits};
pub use skip::{is_masked, skipped, uses};
pub use tracked::{Tracked, Watch};

/// How long a test may take before it counts as hanging.
pub const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Runs `body` on a thread of its own, and ends the process with a message if that takes longer than [`TIME_LIMIT`]:
/// a test that hangs fails. So does one that leaves something behind: a descriptor, a driver, an operation (see
/// [`Account`], and [`leaks_on_purpose`] for those that must).
///
/// Tests of one process wait for each other here, because all of that is counted for the process, not for a test. Within
/// `body`, on its own thread, it only bounds the time.
///
/// # Panics
///
/// With what `body` panics, and if something is left behind.
#[track_caller]
pub fn bounded(body: impl FnOnce() + Send + 'static) {
    bounded_by(TIME_LIMIT, body);
}

/// [`bounded`] with a limit of its own.
///
/// # Panics
///
/// As [`bounded`].
#[track_caller]
pub fn bounded_by(limit: Duration, body: impl FnOnce() + Send + 'static) {
    let books = accounts::Books::open();
    if let Err(panic) = run(limit, body) {
        // What is left then would hide why.
        resume_unwind(panic);
    }
    if let Some(books) = books {
        books.close();
    }
}

#[track_caller]
fn run(limit: Duration, body: impl FnOnce() + Send + 'static) -> std::thread::Result<()> {
    let caller = std::panic::Location::caller();
    let (ended, end) = mpsc::channel::<()>();
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    let thread = std::thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            // Dropped when `body` ends, by a panic or not.
            let _ended = ended;
            accounts::enter_test();
            body();
        });
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => panic!("cannot start a thread: {error}"),
    };
    if let Err(mpsc::RecvTimeoutError::Timeout) = end.recv_timeout(limit) {
        // Not by a macro: what those write is kept by libtest, and lost with the process.
        let text = format!("{name} ({caller}) did not end within {limit:?}\n");
        let _ = std::io::stderr().write_all(text.as_bytes());
        std::process::abort();
    }
    thread.join()
}

/// Round trips through the ring until `condition` holds.
///
/// # Panics
///
/// If that takes longer than half of [`TIME_LIMIT`]; `what` says what did not come.
#[track_caller]
pub fn until(what: &'static str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let started = Instant::now();
    async move {
        while !condition() {
            assert!(
                started.elapsed() < TIME_LIMIT / 2,
                "{what}: did not come; in flight: {:?}",
                saferring::runtime::in_flight()
            );
            // Other threads, those of the kernel too, may have to get on with it first.
            std::thread::yield_now();
            let _ = saferring::op::nop().await;
        }
    }
}

/// Yields the thread until `condition` holds.
///
/// # Panics
///
/// As [`until`].
#[track_caller]
pub fn spin_until(what: &'static str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < TIME_LIMIT / 2, "{what}: did not come");
        std::thread::yield_now();
    }
}

/// How often to do what is done many times: `usually`, or a tenth of that in an emulated machine, as
/// `SAFERRING_TESTS_EMULATED` says.
pub fn rounds(usually: usize) -> usize {
    match std::env::var_os("SAFERRING_TESTS_EMULATED") {
        Some(_) => usually / 10,
        None => usually,
    }
}

/// Polls `future` once, and says whether it was ready.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// The byte at `offset` of a stream of which no two stretches look alike.
pub fn pattern(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// The bytes of [`pattern`] in a range.
pub fn pattern_bytes(from: u64, len: usize) -> Vec<u8> {
    (from..from + len as u64).map(pattern).collect()
}

/// Random numbers from a seed: xorshift64*.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Random(seed | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.number() >> 16) % end
    }
}

#[cfg(test)]
also_on_software!();
