//! Many values from many tasks to one, on any threads: [`channel`] with a bound, [`unbounded_channel`] without.
//!
//! ```
//! use saferring::sync::mpsc;
//!
//! # saferring::runtime::Runtime::new().unwrap().block_on(async {
//! let (sender, mut receiver) = mpsc::channel(4);
//! std::thread::spawn(move || {
//!     for n in 0..10 {
//!         sender.blocking_send(n).unwrap(); // a thread without a runtime
//!     }
//! });
//! let mut sum = 0;
//! while let Some(n) = receiver.recv().await {
//!     sum += n;
//! }
//! assert_eq!(sum, 45);
//! # });
//! ```

mod receiver;
mod sender;
mod unbounded;

pub use receiver::{Receiver, channel};
pub use sender::{OwnedPermit, Sender, WeakSender};
pub use tokio::sync::mpsc::{Permit, PermitIterator, error};
pub use unbounded::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};
