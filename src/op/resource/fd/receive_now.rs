//! Receiving without the ring: recv(2), into a buffer that stays with its owner.

use std::io;

use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};

use super::shared::SharedFd;
use crate::sys::Completion;

/// How much room a full buffer gets.
const ROOM: usize = 4096;

impl SharedFd {
    /// Receives behind what `buf` holds, without waiting; `None` if there is nothing. Nothing else may be reading.
    pub(crate) fn receive_now(&self, buf: &mut Vec<u8>) -> Option<io::Result<usize>> {
        let stashed = self.stashed_bytes(false, |bytes, _, _| {
            buf.extend_from_slice(bytes);
            bytes.len()
        });
        if let Some(result) = stashed {
            return Some(bytes(Completion::new(0, result, 0)));
        }
        if buf.len() == buf.capacity() && buf.try_reserve(ROOM).is_err() {
            return Some(Err(io::ErrorKind::OutOfMemory.into()));
        }
        let room = buf.capacity() - buf.len();
        let result = loop {
            match recv(self, spare_capacity(buf), RecvFlags::DONTWAIT) {
                Ok((n, _)) => break n as i32,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return None,
                Err(error) => break -error.raw_os_error(),
            }
        };
        if (1..room as i64).contains(&i64::from(result)) {
            self.note_receive(Completion::new(0, result, 0));
        }
        Some(bytes(self.or_write_error(Completion::new(0, result, 0))))
    }
}

/// The number of bytes that an answer tells.
fn bytes(cqe: Completion) -> io::Result<usize> {
    cqe.result().map(|n| n as usize)
}
