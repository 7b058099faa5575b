//! `IORING_OP_RECVMSG` of a datagram whose sender is not asked for.

use super::recv_msg::RecvMsg;
use crate::buf::{BufResult, IoBufMut};
use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{SharedFd, Side};
use crate::sys::{Completion, Entry, RingId};

/// Receives a datagram.
///
/// The kernel is asked for the sender all the same: a datagram that arrives for a receive that was dropped is stashed for the
/// next, which may want to know.
#[derive(Debug)]
pub struct RecvDatagram<B>(RecvMsg<[B; 1]>);

impl<B: IoBufMut> RecvDatagram<B> {
    pub(crate) fn new(fd: &SharedFd, buf: B) -> Op<Self> {
        Op::new(RecvDatagram(RecvMsg::with(fd, [buf])))
    }
}

// SAFETY: what it says and does is what `RecvMsg` does, which lies in it and moves with it.
unsafe impl<B: IoBufMut> Operation for RecvDatagram<B> {
    const CODE: u8 = <RecvMsg<[B; 1]> as Operation>::CODE;
    const NAME: &'static str = "recvmsg";
    const BY_SLOT: bool = true;
    const READS: bool = true;
    type Output = BufResult<usize, B>;

    fn turn(&self) -> Option<Side> {
        self.0.turn()
    }

    fn early(&mut self) -> Option<i32> {
        self.0.early()
    }

    fn has_stashed(&self) -> bool {
        self.0.has_stashed()
    }

    fn file(&self) -> Option<&SharedFd> {
        self.0.file()
    }

    fn prepare(&mut self, ring: RingId) -> Entry {
        self.0.prepare(ring)
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        let (received, [buf]) = self.0.complete(cqe);
        (received.map(|message| message.len), buf)
    }

    fn abandon(self, cqe: Completion) {
        self.0.abandon(cqe);
    }
}
