//! Thread per core: a runtime on each of several CPUs, and ways between them.
//!
//! [`Cores`] starts a thread with a runtime on each CPU, and calls the same closure on all. What a core has is its own: tasks,
//! connections and values stay on its thread, need not be `Send`, and are reached without a lock. Between cores go
//!
//! - connections: [`Cores::bind`] and [`Core::serve`] share a port, as [`Balance`] says. A
//!   [`TcpListener`](crate::net::TcpListener) that each core binds by itself shares its port, too;
//! - closures: [`Core::call`] runs one on another core, and gives its result back;
//! - messages: a [`Mesh`] has a mailbox on each core;
//! - values: [`PerCore`] has one a core, reached by closures;
//! - and from other threads and runtimes [`Handle`] and [`runtime::Handle`](crate::runtime::Handle) give work to a core.
//!
//! Everything that a core sends goes in lots: gathered while its tasks run, and handed over before it looks at the kernel again.
//! A core that is busy is never woken, one that waits once a lot.
//!
//! # A server on all cores
//!
//! ```no_run
//! use saferring::cores::{Balance, Cores};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut cores = Cores::builder().build()?;
//!     let listener = cores.bind("127.0.0.1:7000", Balance::Hash)?;
//!     println!("{} cores serve {}", cores.count(), listener.local_addr());
//!     let handle = cores.handle();
//!     cores.run(async |core| {
//!         core.serve(&listener, |stream| async move {
//!             let (mut reader, mut writer) = stream.into_split();
//!             let _ = saferring::io::copy(&mut reader, &mut writer).await;
//!         })
//!         .await
//!     })?;
//!     println!("{}", handle.report());
//!     Ok(())
//! }
//! ```
//!
//! `#[saferring::main(cores = "all")]` is the short form, for a `main` that every core runs.
//!
//! # The end
//!
//! `SIGINT`, `SIGTERM`, [`Handle::shutdown`] and the first error or panic of a core tell all cores to stop:
//! [`Core::serve`] accepts nothing more and ends with its last connection, [`Core::stopping`] completes for everybody else who asks.
//! What has not ended within [`Builder::grace`] is cut off, also by a second signal. [`Handle::report`] tells what has become of
//! each core.
//!
//! # What differs from others
//!
//! Seastar's `smp::submit_to` is [`Core::call`], `sharded` is [`PerCore`]; glommio's mesh is [`Mesh`], and is connected from
//! birth. Requests are bounded and answers are not, so that cores which call each other cannot block each other. Nothing moves
//! between cores by itself: no work is stolen.
#![forbid(unsafe_code)]

mod balance;
mod bell;
mod builder;
mod call;
mod core;
#[allow(clippy::module_inception)] // A type's file has the type's name, here as elsewhere.
mod cores;
mod error;
mod handle;
mod listener;
mod main;
mod mesh;
mod metrics;
mod outbox;
mod per_core;
mod placement;
mod ports;
mod report;
mod room;
mod serve;
mod serving;
mod settings;
mod shared;
mod stop;
mod thread;

pub use self::core::Core;
pub use balance::Balance;
pub use builder::Builder;
pub use cores::Cores;
pub use error::{CoreOutput, RunError};
pub use handle::Handle;
pub use listener::Listener;
#[doc(hidden)]
pub use main::{MainOutput, run_main};
pub use mesh::{Mesh, SendError};
pub use metrics::{CoreMetrics, Metrics};
pub use per_core::PerCore;
pub use placement::{Placement, PlacementError};
pub use report::{CoreReport, Report};
pub use settings::OnPanic;
