//! How an operation goes to the kernel and comes back, whatever it is: the traits, the futures, and where it lies meanwhile.
//!
//! Nothing in here knows any particular operation. A new one needs no change here.

mod block_cache;
mod bound;
mod deadline;
mod flight;
mod multi;
mod op;
mod operation;
mod storage;
mod stored;
mod vtable;
mod zc_buf;
mod zc_send;

pub(crate) use bound::{Asked, ask, cancellation, checkpoint, unless_cancelled};
pub(crate) use flight::submit_detached;
pub(crate) use multi::Multi;
pub use op::{Op, Submitted};
pub use operation::{Multishot, Operation};
pub use zc_buf::ZcBuf;
pub(crate) use zc_send::{ZcSend, ZeroCopy};
