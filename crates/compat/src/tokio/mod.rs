//! A runtime of saferring's in one of tokio's (feature `tokio-rt`), and what needs tokio in one of saferring's.
//!
//! # Saferring in tokio
//!
//! [`run_until`] and [`run`] drive a [`Runtime`](saferring::runtime::Runtime) beside the tasks of a thread of tokio's. It and its tasks
//! stay on that thread, so this is for a `current_thread` runtime, or a `LocalSet`. What is awaited there may be anything:
//! a [`JoinHandle`](saferring::task::JoinHandle) of a task of the runtime, or a channel.
//!
//! ```
//! # #[cfg(feature = "tokio-rt")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use saferring::runtime::Runtime;
//! use saferring_compat::tokio::run_until;
//!
//! let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! let runtime = Runtime::new()?;
//! let answer = tokio.block_on(run_until(&runtime, async {
//!     let task = runtime.spawn(async { saferring::fs::read("Cargo.toml").await });
//!     tokio::time::sleep(Duration::from_millis(1)).await;
//!     task.await
//! }))?;
//! assert!(answer??.starts_with(b"[package]"));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "tokio-rt"))]
//! # fn main() {}
//! ```
//!
//! A runtime of tokio's with many threads has [`saferring::remote`] instead, whose futures are `Send`: a file service on threads
//! of its own. Or a thread of saferring's has a [`Handle`](saferring::runtime::Handle): `handle.run(…)` can be awaited in tokio.
//!
//! # Tokio in saferring
//!
//! A library that needs tokio's reactor, such as `reqwest` or `sqlx`, finds one in a task of saferring's by the crate
//! [`async-compat`](https://docs.rs/async-compat): `async_compat::Compat::new(future)` polls the future here, on this core, and
//! the sockets and timers in it are of a runtime of tokio's on a thread beside, one for the process.
//!
//! ```
//! # saferring::runtime::Runtime::new()?.block_on(async {
//! let task = saferring::spawn(async_compat::Compat::new(async {
//!     tokio::time::sleep(std::time::Duration::from_millis(1)).await; // or reqwest::get(…)
//!     42
//! }));
//! assert_eq!(task.await.unwrap(), 42);
//! # });
//! # Ok::<_, saferring::Error>(())
//! ```
//!
//! Each of their reads then goes through another thread's epoll(7), so this is for a library that is asked now and then. Code that blocks
//! goes by [`spawn_blocking`](saferring::runtime::spawn_blocking).

#[cfg(feature = "tokio-rt")]
mod run;
mod traits;

#[cfg(feature = "tokio-rt")]
pub use run::{run, run_until};
pub use traits::FromTokio;
