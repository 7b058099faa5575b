//! `IORING_OP_NOP`: nothing, through the ring and back.

use std::io;

use crate::op::mechanism::{Op, Operation};
use crate::sys::{Completion, Entry, RingId, opcode};

/// An operation that does nothing; see [`nop`].
#[derive(Debug)]
pub struct Nop(());

/// A round trip through the ring that does nothing else: what any operation costs at least.
///
/// # Errors
///
/// Only if it is cancelled or the driver is out of room.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// saferring::op::nop().await.unwrap();
/// # });
/// ```
pub fn nop() -> Op<Nop> {
    Op::new(Nop(()))
}

// SAFETY: the entry points to nothing.
unsafe impl Operation for Nop {
    const CODE: u8 = opcode::Nop::CODE;
    const NAME: &'static str = "nop";
    type Output = io::Result<()>;

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::Nop::new().build().into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result().map(drop)
    }
}
