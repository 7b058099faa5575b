//! Receiving without giving the buffer away: recv(2) when there is something, and `IORING_OP_POLL_ADD` until then.

use std::io;

use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};

use super::ready::Ready;
use crate::op::mechanism::{Op, Operation, cancellation};
use crate::op::resource::{SharedFd, Side, byte_count};
use crate::sys::{Completion, Entry, RingId, opcode};
use crate::task::{cooperative, is_cancelled};

/// How much room a full buffer gets.
const ROOM: usize = 4096;

/// Waits for the reads before it. It has its turn for no time, and the kernel hears nothing of it, so that one that is dropped
/// keeps nobody waiting.
#[derive(Debug)]
struct ReadsBefore(SharedFd);

// SAFETY: the entry points to nothing.
unsafe impl Operation for ReadsBefore {
    const CODE: u8 = opcode::Nop::CODE;
    const NAME: &'static str = "nop";
    type Output = io::Result<()>;

    fn turn(&self) -> Option<Side> {
        Some(Side::Read)
    }

    /// At once, when its turn comes.
    fn early(&mut self) -> Option<i32> {
        Some(0)
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.0)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::Nop::new().build().into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result().map(drop)
    }
}

impl SharedFd {
    /// Receives what is there, at least one byte, behind what `buf` holds; waits if there is nothing. The kernel never has the
    /// buffer while this waits, so whoever drops it has everything still.
    pub(crate) async fn receive_behind(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        cooperative(self.receive_uncounted(buf)).await
    }

    async fn receive_uncounted(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            if is_cancelled() {
                return Err(cancellation());
            }
            // What the kernel has for another read, or an orphan, comes first.
            if !self.is_free(Side::Read) {
                Op::new(ReadsBefore(self.clone())).await?;
                continue;
            }
            if let Some(received) = self.receive_now(buf) {
                return received;
            }
            Ready::read(self).await?;
        }
    }

    /// Receives without waiting; `None` if there is nothing.
    fn receive_now(&self, buf: &mut Vec<u8>) -> Option<io::Result<usize>> {
        let stashed = self.stashed_bytes(false, |bytes, _, _| {
            buf.extend_from_slice(bytes);
            bytes.len()
        });
        if let Some(result) = stashed {
            return Some(byte_count(Completion::new(0, result, 0)));
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
        Some(byte_count(
            self.or_write_error(Completion::new(0, result, 0)),
        ))
    }
}
