//! How accepts wait that have found no descriptor, or no memory.

use std::time::{Duration, Instant};

use super::backoff::{FIRST, Pause};
use super::shared::SharedFd;

/// The longest pause. Each is twice as long as the one before, up to that.
const LONGEST: Duration = Duration::from_millis(500);

/// Whether an error says that there is no descriptor, or no memory, and nothing about the operation itself.
fn is_shortage(result: i32) -> bool {
    matches!(
        -result,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM
    )
}

impl SharedFd {
    /// Takes note of how an accept has ended: after a shortage, the next waits for a while.
    #[inline]
    pub(crate) fn note_accept(&self, result: i32) {
        if result < 0 && is_shortage(result) {
            self.with_rare(|rare| {
                let longer = (rare.pause * 2).min(LONGEST);
                rare.pause = longer.max(FIRST);
                rare.paused_until = Instant::now().checked_add(rare.pause);
            });
        } else if result >= 0 && self.0.rare.borrow().is_some() {
            self.with_rare(|rare| {
                rare.pause = Duration::ZERO;
                rare.paused_until = None;
            });
        }
    }

    /// The pause that an accept has to make first. It is over for all when one has made it, and stays if that one is dropped.
    #[inline]
    pub(crate) fn pause(&self) -> Option<Pause> {
        if self.0.rare.borrow().is_none() {
            return None;
        }
        let until = self.with_rare(|rare| rare.paused_until)?;
        Some(Pause::for_descriptor(until))
    }

    /// A pause has been made.
    pub(crate) fn end_pause(&self) {
        self.with_rare(|rare| rare.paused_until = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fd() -> SharedFd {
        SharedFd::new(std::fs::File::open("/dev/null").unwrap().into())
    }

    /// Both ways of accepting tell each answer so, and ask for the pause before the next.
    #[test]
    fn each_shortage_makes_the_next_wait_and_nothing_else_does() {
        for shortage in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            let fd = fd();
            fd.note_accept(-shortage);
            let first = fd.with_rare(|rare| rare.pause);
            assert!(fd.pause().is_some() && first == FIRST, "{shortage}");
            for _ in 0..20 {
                fd.note_accept(-shortage);
            }
            assert_eq!(fd.with_rare(|rare| rare.pause), LONGEST);
            fd.note_accept(0);
            assert!(fd.pause().is_none(), "{shortage}");
        }
        for other in [libc::ECONNABORTED, libc::EPERM, libc::EBADF, libc::EINVAL] {
            let fd = fd();
            fd.note_accept(-other);
            assert!(fd.pause().is_none(), "{other}");
        }
    }
}
