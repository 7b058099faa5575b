//! Sleeping, deadlines and intervals.
//!
//! A program that does something every 10 ms, for at most 100 ms:
//!
//! ```
//! use saferring::time::{Duration, interval, timeout};
//!
//! #[saferring::main]
//! async fn main() {
//!     let mut ticks = interval(Duration::from_millis(10));
//!     let work = async {
//!         loop {
//!             let due = ticks.tick().await;
//!             println!("due at {due:?}");
//!         }
//!     };
//!     let ended = timeout(Duration::from_millis(100), work).await;
//!     assert!(ended.is_err()); // The time was over first.
//! }
//! ```
//!
//! # What differs from tokio
//!
//! - Instants are those of std.
//! - A timer is an entry in a wheel of the runtime, not a request to the kernel: making and dropping one costs no
//!   system call.
//! - The wheel counts milliseconds. A timer never fires early. It fires in the first tick of the loop after its time.
//! - A deadline of one operation is better set on the operation, because that gives its buffer back: see
//!   [`Op::timeout`](crate::op::Op::timeout). One of an async function whose operations are to give back their buffers is
//!   [`deadline`].
#![forbid(unsafe_code)]

mod deadline;
mod interval;
mod sleep;
mod timeout;

pub use std::time::{Duration, Instant};

pub use deadline::{Deadline, deadline, deadline_at};
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};
