//! Operations: what the kernel can be asked, as values and futures.
//!
//! [`Op`] is an operation that is not yet submitted: lazy, with setters that take it by value. Awaiting it submits it;
//! [`Op::submit`] submits it at once and gives a [`Submitted`], which can only be awaited or cancelled. Either way
//! what comes out is the operation's output: for one with a buffer `(io::Result<n>, buffer)`.
//!
//! # One mechanism
//!
//! An operation owns all that the kernel may touch: buffer, descriptor (counted), address, path. When it is submitted
//! it moves, once, into a cell of the driver whose address never changes, and takes the kernel's pointers there. It
//! moves out again when its final completion has arrived, and not before, whatever happens to the future: dropped,
//! forgotten, cancelled, or alive after its runtime. So nothing that safe code does frees or reads memory that the
//! kernel works on.
//!
//! # Examples
//!
//! A read with a deadline that gives the buffer back in either case:
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # saferring::runtime::Runtime::new()?.block_on(async {
//! use std::time::Duration;
//! use saferring::fs::File;
//!
//! let file = File::open("Cargo.toml").await?;
//! let (result, buf) = file.read_at(vec![0; 512], 0).timeout(Duration::from_secs(1)).await;
//! assert_eq!(result?, buf.len());
//! # Ok(())
//! # })
//! # }
//! ```

mod context;
mod fork;
mod mechanism;
mod operations;
mod registry;
mod resource;

pub(crate) use crate::driver::Pool;
pub use crate::sys::{Completion, Entry, RingId};
pub use context::features;
pub(crate) use context::{
    Driver, Entered, current, enter, guests, has_guests, is_elsewhere, may_use,
};
pub(crate) use fork::{at_fork, register};
pub(crate) use mechanism::{
    Asked, Multi, ask, cancellation, checkpoint, submit_detached, unless_cancelled,
};
pub use mechanism::{Multishot, Op, Operation, Submitted, ZcBuf};
pub use operations::*;
pub use registry::Registry;
pub(crate) use resource::{
    Backoff, CURRENT, Pause, Position, Received, SharedFd, Usage, handle, in_flight, lose,
};
pub use resource::{
    Batch, FixedBuf, FixedBufPool, Message, ProvidedBuf, RegisteredFd, Side, SpliceEnd,
};
