//! The number by which the kernel knows a ring of the calling thread: it saves a look-up a call (5.18).

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::IoUring;

const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;

/// `struct io_uring_rsrc_update`
#[repr(C)]
struct Update {
    offset: u32,
    resv: u32,
    data: u64,
}

/// A ring's number; given back when it is dropped, which has to be before the ring is: the thread's table keeps it open
/// otherwise. (The crate's own call keeps the number in a `Submitter` that borrows the ring, so it is made here.)
pub(super) struct RingIndex {
    ring: RawFd,
    number: u32,
}

impl RingIndex {
    /// # Errors
    ///
    /// `EBUSY` if the thread has as many as it may; others of io_uring_register(2).
    pub(super) fn register(ring: &IoUring) -> io::Result<Self> {
        let ring = ring.as_raw_fd();
        let mut update = Update {
            offset: u32::MAX,
            resv: 0,
            data: ring as u64,
        };
        change(ring, REGISTER_RING_FDS, &mut update)?;
        Ok(RingIndex {
            ring,
            number: update.offset,
        })
    }

    pub(super) fn number(&self) -> i32 {
        self.number as i32
    }
}

impl Drop for RingIndex {
    fn drop(&mut self) {
        let mut update = Update {
            offset: self.number,
            resv: 0,
            data: 0,
        };
        // A failure leaves it for the thread's exit to undo.
        let _ = change(self.ring, UNREGISTER_RING_FDS, &mut update);
    }
}

fn change(ring: RawFd, operation: u32, update: &mut Update) -> io::Result<()> {
    // SAFETY: `update` is one record of the layout that both calls read and write, and lives across the call.
    let changed = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring,
            operation,
            std::ptr::from_mut(update),
            1,
        )
    };
    match changed {
        ..0 => Err(io::Error::last_os_error()),
        0 => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        _ => Ok(()),
    }
}
