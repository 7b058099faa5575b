//! What a test leaves behind: looked for at the end of each, whatever it is about.

use std::cell::Cell;
use std::fmt::Write as _;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use saferring::runtime::{Accounts, accounts};

use crate::open_fds;

/// How long what a test has started may need to end: threads of the blocking pool, those of the kernel.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
/// How many descriptors are named that are left.
const NAMED_MAX: usize = 10;

/// What is accounted for when a test ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// Open descriptors.
    Descriptors,
    /// Drivers alive: a runtime that was not dropped, or an operation, whose future keeps its driver.
    Drivers,
    /// Operations that the kernel did not give back at a shutdown.
    Lost,
    /// Operations in the table of a driver that is gone: nobody has taken them, and nobody can.
    Forgotten,
}

/// The tests of a process run one after the other: descriptors and accounts are the process's, not a test's.
static ALONE: Mutex<()> = Mutex::new(());
/// Held by a test that counts descriptors for itself: the tests of this process share them.
pub fn alone() -> MutexGuard<'static, ()> {
    // A test that failed has poisoned it.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the running test leaves behind on purpose: a bit for each account.
static ON_PURPOSE: AtomicU8 = AtomicU8::new(0);

thread_local! {
    static IN_TEST: Cell<bool> = const { Cell::new(false) };
}

/// Tells that the running test leaves something behind on purpose, and why: these accounts are not looked at when it ends.
///
/// # Panics
///
/// Without a reason.
pub fn leaks_on_purpose(what: &[Account], why: &str) {
    assert!(!why.is_empty(), "no reason given");
    println!("leaks {what:?} on purpose: {why}");
    let bits = what.iter().map(|&account| 1 << account as u8).sum();
    ON_PURPOSE.fetch_or(bits, Ordering::Relaxed);
}

/// Whether an account is looked at in this test. `SAFERRING_TESTS_DESCRIPTORS=0` says that the process has descriptors that
/// come and go: those of a sanitizer.
fn is_looked_at(account: Account) -> bool {
    if account == Account::Descriptors
        && std::env::var_os("SAFERRING_TESTS_DESCRIPTORS").is_some_and(|value| value == "0")
    {
        return false;
    }
    ON_PURPOSE.load(Ordering::Relaxed) & (1 << account as u8) == 0
}

/// What there was when the running test began. While it lives no other test runs.
#[derive(Debug)]
pub(crate) struct Books {
    fds: Vec<(RawFd, String)>,
    accounts: Accounts,
    _alone: MutexGuard<'static, ()>,
}

impl Books {
    /// Waits for its turn, and notes what there is. `None` inside a test, whose end looks for all that is left.
    pub(crate) fn open() -> Option<Self> {
        if IN_TEST.get() {
            return None;
        }
        let alone = alone();
        ON_PURPOSE.store(0, Ordering::Relaxed);
        Some(Books {
            fds: open_fds(),
            accounts: accounts(),
            _alone: alone,
        })
    }

    /// Fails if there is more than at the beginning, and stays.
    #[track_caller]
    pub(crate) fn close(self) {
        if let Some(left) = self.left_after(SETTLE_LIMIT) {
            panic!("the test left something behind:{left}");
        }
    }

    fn left_after(&self, limit: Duration) -> Option<String> {
        let started = Instant::now();
        loop {
            let left = self.left();
            if left.is_empty() {
                return None;
            }
            if started.elapsed() >= limit {
                return Some(left);
            }
            std::thread::yield_now();
        }
    }

    /// What there is more than at the beginning, a line each.
    fn left(&self) -> String {
        let mut left = String::new();
        if is_looked_at(Account::Descriptors) {
            let mut fds = open_fds();
            fds.retain(|fd| !self.fds.contains(fd));
            for (fd, link) in fds.iter().take(NAMED_MAX) {
                let _ = write!(left, "\n  descriptor {fd} of {link}");
            }
            if let Some(more @ 1..) = fds.len().checked_sub(NAMED_MAX) {
                let _ = write!(left, "\n  {more} more descriptors");
            }
        }
        let (before, now) = (self.accounts, accounts());
        for (account, before, now, what) in [
            (
                Account::Drivers,
                before.drivers,
                now.drivers,
                "drivers alive",
            ),
            (
                Account::Lost,
                before.lost,
                now.lost,
                "operations left with the kernel at a shutdown",
            ),
            (
                Account::Forgotten,
                before.forgotten,
                now.forgotten,
                "operations that nobody took from their driver",
            ),
        ] {
            if now > before && is_looked_at(account) {
                let _ = write!(left, "\n  {} {what}", now - before);
            }
        }
        left
    }
}

/// The calling thread runs a test.
pub(crate) fn enter_test() {
    IN_TEST.set(true);
}

#[cfg(test)]
mod tests {
    use std::mem::forget;

    use saferring::op::nop;
    use saferring::runtime::Runtime;

    use super::*;
    use crate::bounded;

    /// What is left after `body`, without a wait.
    fn left(body: impl FnOnce() + Send + 'static) -> Option<String> {
        let books = Books::open().unwrap();
        std::thread::spawn(body).join().unwrap();
        books.left_after(Duration::ZERO)
    }

    #[test]
    fn nothing_is_left_of_what_was_dropped() {
        let left = left(|| {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async { nop().await.unwrap() });
            drop(nop());
        });
        assert_eq!(left, None);
    }

    #[test]
    fn descriptors_are_named() {
        let left = left(|| forget(std::fs::File::open("Cargo.toml").unwrap())).unwrap();
        assert!(
            left.contains("runtime-tests/Cargo.toml") && left.lines().count() == 2,
            "{left}"
        );
    }

    #[test]
    fn runtimes_and_operations_are_counted() {
        let whole = left(|| forget(Runtime::new().unwrap())).unwrap();
        assert!(
            whole.contains("1 drivers alive")
                && (whole.contains("io_uring") || whole.contains("eventpoll")),
            "{whole}"
        );
        let future = left(|| {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async { forget(nop().submit()) });
        });
        assert_eq!(future.as_deref(), Some("\n  1 drivers alive"));
    }

    #[test]
    fn what_is_on_purpose_is_not_looked_at() {
        let forgotten = left(|| {
            forget(Runtime::new().unwrap());
            leaks_on_purpose(&[Account::Descriptors], "to see it not looked at");
        });
        assert_eq!(forgotten.as_deref(), Some("\n  1 drivers alive"));
        assert!(
            left(|| forget(Runtime::new().unwrap())).is_some(),
            "the next test is"
        );
    }

    #[test]
    fn tests_within_tests_belong_to_them() {
        bounded(|| {
            bounded(|| bounded(|| leaks_on_purpose(&[Account::Drivers], "to see that it ends")))
        });
    }
}
