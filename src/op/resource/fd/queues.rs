//! The queues of a descriptor, in which operations wait for their turn.

use std::rc::Weak;

use crate::driver::Key;
use crate::op::context::Driver;
use crate::op::resource::queue::Queue;
use crate::task::WakeRef;

/// Which of the two queues of a descriptor an operation stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(unreachable_pub)] // The trait `Operation` names it, so that it has to be public where nobody can reach it.
pub enum Side {
    /// That of reads.
    Read = 1,
    /// That of writes.
    Write = 2,
}

impl Side {
    /// As the driver keeps it.
    pub(in crate::op) fn tag(side: Option<Self>) -> u8 {
        side.map_or(0, |side| side as u8)
    }

    pub(super) fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(Side::Read),
            2 => Some(Side::Write),
            _ => None,
        }
    }
}

/// An operation that waits, in its cell.
pub(super) struct Waiting {
    pub(super) driver: Weak<Driver>,
    pub(super) key: Key<WakeRef>,
}

/// Those that wait, on either side.
#[derive(Default)]
pub(super) struct Queues {
    read: Queue<Waiting>,
    write: Queue<Waiting>,
}

impl Queues {
    pub(super) fn of(&mut self, side: Side) -> &mut Queue<Waiting> {
        match side {
            Side::Read => &mut self.read,
            Side::Write => &mut self.write,
        }
    }
}
