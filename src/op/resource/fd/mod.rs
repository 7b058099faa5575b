//! A descriptor ([`SharedFd`]), and what belongs to it.
//!
//! `shared` has the record that all its users count. Beside it stand the parts of that record, which know nothing of it
//! (`queues`, `stash`, `slot`, `position`, `backoff`, `linger`), and what is done with each (`turns`, `arrivals`,
//! `registering`, `cursor`, `accepts`, `closing`).

mod accepts;
mod arrivals;
mod backoff;
mod closing;
mod cursor;
mod linger;
mod position;
mod queues;
mod receive_now;
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
