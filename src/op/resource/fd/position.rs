//! Where a file is read or written.

use super::queues::Side;
use super::stash::Order;

/// The offset that stands for a file's own position.
pub(crate) const CURRENT: u64 = u64::MAX;

/// Where a file is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// At this offset, at any time.
    At(u64),
    /// At the position that the file has, for everybody who shares it; that is moved. In turn with other reads and writes
    /// there.
    Cursor,
    /// It has no positions: in turn with other reads, or with other writes.
    Stream,
}

impl Position {
    pub(in crate::op) fn offset(self) -> u64 {
        match self {
            Position::At(offset) => offset,
            Position::Cursor | Position::Stream => CURRENT,
        }
    }

    /// The turn of an operation of this side.
    pub(in crate::op) fn turn(self, side: Side) -> Option<Side> {
        match self {
            Position::At(_) => None,
            // Reads and writes move the same position.
            Position::Cursor => Some(Side::Read),
            Position::Stream => Some(side),
        }
    }
}

/// Where an operation by cursor has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::op) struct Begun {
    pub(super) at: u64,
    /// No other has it.
    pub(super) number: Order,
    pub(super) writes: bool,
}
