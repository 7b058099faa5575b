//! A descriptor, and all that belongs to it: turns, what arrived for nobody, its cursor, its slot in the ring's table.

mod accepts;
mod arrivals;
mod backoff;
mod closing;
mod cursor;
mod linger;
mod position;
mod queues;
mod registering;
mod shared;
mod slot;
mod stash;
mod turns;

pub(in crate::op) use backoff::descriptor_closed;
pub(crate) use backoff::{Backoff, Pause};
pub(in crate::op) use linger::linger;
pub(in crate::op) use position::Begun;
pub(crate) use position::{CURRENT, Position};
pub use queues::Side;
pub(crate) use shared::SharedFd;
pub(in crate::op) use slot::Slot;
pub(in crate::op) use stash::Order;
pub(crate) use turns::{handle, in_flight, lose};
