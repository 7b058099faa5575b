//! An owned-buffer, completion-based async runtime for Linux.

#[cfg(not(target_os = "linux"))]
compile_error!("saferring drives io_uring, which only Linux has");

mod error;
mod sys;

pub mod buf;

mod driver;
pub mod task;

pub mod op;

pub mod runtime;

pub mod time;

pub use error::Error;
pub use runtime::spawn_blocking;
#[cfg(feature = "macros")]
pub use saferring_macros::{main, test};
pub use sys::{Features, features};
pub use task::{JoinHandle, spawn};
