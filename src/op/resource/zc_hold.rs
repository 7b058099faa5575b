//! What a zero-copy send holds of its socket, and how it goes on.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::fd::SharedFd;
use super::zc_usage::Usage;
use crate::feature::Feature;
use crate::op::context::{current, has};
use crate::sys::{Completion, Target, types};

/// `IORING_SEND_ZC_REPORT_USAGE`, an `ioprio` flag.
const REPORT_USAGE: u16 = 1 << 3;
/// `IORING_NOTIF_USAGE_ZC_COPIED`, in the result of a notification.
const COPIED: u32 = 1 << 31;

/// Whether the kernel tells if it copied; also where it has said so falsely, and answers `EINVAL`.
static REPORTS: AtomicBool = AtomicBool::new(true);

/// The flags of an entry.
pub(in crate::op) fn zc_flags() -> u16 {
    match has(Feature::ZeroCopyReport) && REPORTS.load(Ordering::Relaxed) {
        true => REPORT_USAGE,
        false => 0,
    }
}

/// The descriptor and the turn up to the first answer; then no more than what was learned.
pub(in crate::op) struct Hold {
    fd: RefCell<Option<SharedFd>>,
    usage: Rc<Usage>,
    way: Cell<Way>,
}

/// How a send goes.
#[derive(Clone, Copy)]
enum Way {
    ZeroCopy,
    /// It was refused, and the kernel has yet to let go of the memory.
    Refused(Refusal),
    /// With a copy, after that refusal.
    Plain(Refusal),
}

/// Why the kernel did not send this way what it may send the plain way.
#[derive(Clone, Copy)]
enum Refusal {
    /// The socket cannot do it: not of the Internet families, say.
    Socket,
    /// No memory that may be locked; or a datagram in too many pieces.
    Memory,
    /// The flags, perhaps, before 6.2.
    Flags,
}

impl Refusal {
    fn of(result: i32) -> Option<Self> {
        // A notification may have the highest bit set.
        match result.wrapping_neg() {
            libc::EOPNOTSUPP => Some(Refusal::Socket),
            libc::ENOMEM | libc::EMSGSIZE => Some(Refusal::Memory),
            libc::EINVAL => Some(Refusal::Flags),
            _ => None,
        }
    }
}

impl Hold {
    pub(in crate::op) fn new(fd: &SharedFd, usage: &Rc<Usage>) -> Self {
        Hold {
            fd: RefCell::new(Some(fd.clone())),
            usage: Rc::clone(usage),
            way: Cell::new(Way::ZeroCopy),
        }
    }

    /// Whether it goes with a copy, as it was refused without.
    pub(in crate::op) fn is_plain(&self) -> bool {
        matches!(self.way.get(), Way::Plain(_))
    }

    /// [`Multishot::refused`](crate::op::mechanism::Multishot::refused).
    pub(in crate::op) fn refused(&self, cqe: Completion) -> bool {
        let refusal = match self.way.get() {
            Way::ZeroCopy => Refusal::of(cqe.raw_result()),
            Way::Refused(refusal) => Some(refusal),
            Way::Plain(_) => None,
        };
        let Some(refusal) = refusal else { return false };
        if let Way::ZeroCopy = self.way.get() {
            match refusal {
                Refusal::Socket => self.usage.refuse(),
                Refusal::Memory => self.usage.learn(true),
                Refusal::Flags => {}
            }
        }
        self.way.set(match cqe.has_more() {
            true => Way::Refused(refusal),
            false => Way::Plain(refusal),
        });
        true
    }

    /// The answer as the user is to get it: one that was cancelled when it was about to go on the plain way says so.
    pub(in crate::op) fn answer(&self, cqe: Completion) -> Completion {
        let stopped = match self.way.get() {
            Way::ZeroCopy => Refusal::of(cqe.raw_result()).is_some(),
            Way::Refused(_) => true,
            Way::Plain(refusal) => {
                if matches!(refusal, Refusal::Flags) && cqe.raw_result() >= 0 {
                    REPORTS.store(false, Ordering::Relaxed);
                }
                false
            }
        };
        match stopped {
            true => Completion::new(cqe.user_data(), -libc::ECANCELED, cqe.flags()),
            false => cqe,
        }
    }

    /// The descriptor, for as long as it is held.
    pub(in crate::op) fn file(&self) -> Option<&SharedFd> {
        // SAFETY: the place is emptied by `let_go` alone, which is called with the answer. Who asks here does so before
        // (the operation is on its way to the kernel, or in the queue), or in one expression, and calls nothing meanwhile
        // that takes an answer.
        unsafe { (*self.fd.as_ptr()).as_ref() }
    }

    /// The descriptor for an entry.
    pub(in crate::op) fn target(&self) -> Target {
        self.file().map_or(types::Fd(-1), SharedFd::target)
    }

    /// The error of a write that was dropped.
    pub(in crate::op) fn early(&self) -> Option<i32> {
        self.file()?.take_write_error()
    }

    /// Lets go of the descriptor, as the answer is there.
    fn let_go(&self) -> Option<SharedFd> {
        self.fd.borrow_mut().take()
    }

    /// Reads a completion for which nobody waits.
    pub(in crate::op) fn abandon(&self, cqe: Completion) {
        if let Some(fd) = self.file() {
            fd.stash_write_error(cqe.raw_result());
        }
        self.next(cqe);
    }

    /// Reads a completion: the answer, or the notification.
    pub(in crate::op) fn next(&self, cqe: Completion) {
        if self.let_go().is_some() {
            let sent = matches!(self.way.get(), Way::ZeroCopy) && cqe.raw_result() >= 0;
            count(sent, false);
        } else {
            let copied = cqe.raw_result() as u32 & COPIED != 0;
            self.usage.learn(copied);
            count(false, copied);
        }
    }
}

fn count(sent: bool, copied: bool) {
    if let Some(driver) = current() {
        driver.count_zero_copy(sent, copied);
    }
}
