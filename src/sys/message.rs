//! A message to a ring, from a thread that need not have one (6.13).

use std::io;
use std::os::fd::RawFd;

use io_uring::{opcode, types};

/// The user data of messages that only end a wait.
const IGNORED: u64 = u64::MAX;

const SEND_MSG_RING: u32 = 31;

/// Sends an empty message to a ring, without a ring.
pub(super) fn send(ring: RawFd) -> io::Result<()> {
    let message = opcode::MsgRingData::new(types::Fd(ring), 0, IGNORED, None).build();
    // SAFETY: the call reads one entry, which lives across it, and which points to nothing.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            -1,
            SEND_MSG_RING,
            &raw const message,
            1,
        )
    };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
