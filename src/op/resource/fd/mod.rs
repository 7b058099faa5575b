//! A descriptor, and all that belongs to it: turns, what arrived for nobody, its cursor, its slot in the ring's table.

mod accepts;
mod arrivals;
mod closing;
mod cursor;
mod shared;
mod slots;
mod turns;

pub(crate) use shared::SharedFd;
pub(crate) use turns::{handle, in_flight, lose};
