//! Sleeping, deadlines and intervals, on the runtime's timer wheel.
//!
//! A timer is an entry in the wheel, not a request to the kernel: making and dropping one costs no system call. The
//! wheel turns in milliseconds; a timer never fires early, and fires at the first tick of the loop after its time.
#![forbid(unsafe_code)]

mod interval;
mod sleep;
mod timeout;

pub use std::time::{Duration, Instant};

pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};
