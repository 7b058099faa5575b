//! `IORING_OP_RECV`: recv(2).

use crate::buf::{BufResult, IoBufMut};
use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{ReadInto, SharedFd, Side, len_u32};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Do not try before there is data: `IORING_RECVSEND_POLL_FIRST`.
const POLL_FIRST: u16 = 1 << 0;

/// Receives from a connected socket.
///
/// Receives on one socket take turns. What arrives for one that was dropped is stashed for the next.
#[derive(Debug)]
pub struct Recv<B>(ReadInto<B>);

impl<B: IoBufMut> Recv<B> {
    pub(crate) fn new(fd: &SharedFd, buf: B) -> Op<Self> {
        Op::new(Recv(ReadInto::new(fd, buf)))
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBufMut` stays valid and
// unaliased while it is not moved or touched; the descriptor is counted.
unsafe impl<B: IoBufMut> Operation for Recv<B> {
    const CODE: u8 = opcode::Recv::CODE;
    const NAME: &'static str = "recv";
    const BY_SLOT: bool = true;
    const READS: bool = true;
    type Output = BufResult<usize, B>;

    /// None for a buffer without room, which is refused at once.
    #[inline]
    fn turn(&self) -> Option<Side> {
        self.0.has_room().then_some(Side::Read)
    }

    #[inline]
    fn early(&mut self) -> Option<i32> {
        self.0.early(true)
    }

    #[inline]
    fn has_stashed(&self) -> bool {
        self.0.fd.has_stashed()
    }

    #[inline]
    fn file(&self) -> Option<&SharedFd> {
        Some(&self.0.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.0.begin();
        let ReadInto { fd, buf, .. } = &mut self.0;
        let len = len_u32(buf.buf_capacity());
        let entry = Entry::from(opcode::Recv::new(fd.target(), buf.buf_mut_ptr(), len).build());
        if fd.is_drained() {
            entry.with_ioprio(POLL_FIRST)
        } else {
            entry
        }
    }

    #[inline]
    fn complete(self, mut cqe: Completion) -> Self::Output {
        if self.0.has_begun() {
            self.0.fd.note_receive(cqe);
            cqe = self.0.fd.or_write_error(cqe);
        }
        self.0.complete(cqe)
    }

    fn abandon(mut self, cqe: Completion) {
        if self.0.has_begun() {
            self.0.fd.note_receive(cqe);
            self.0.stash(cqe);
        }
    }
}
