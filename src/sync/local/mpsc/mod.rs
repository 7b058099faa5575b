//! Many values from many tasks of a core to one: [`channel`] with a bound, [`unbounded_channel`] without.
//!
//! ```
//! use saferring::sync::local::mpsc;
//!
//! # saferring::runtime::Runtime::new().unwrap().block_on(async {
//! let (sender, mut receiver) = mpsc::channel(4);
//! saferring::spawn(async move {
//!     for n in 0..10 {
//!         sender.send(n).await.unwrap();
//!     }
//! });
//! let mut sum = 0;
//! while let Some(n) = receiver.recv().await {
//!     sum += n;
//! }
//! assert_eq!(sum, 45);
//! # });
//! ```

mod chan;
mod permit;
mod receiver;
mod sender;
mod unbounded;

pub use permit::{Permit, PermitIterator};
pub use receiver::{Receiver, channel};
pub use sender::{OwnedPermit, Sender, WeakSender};
pub use tokio::sync::mpsc::error;
pub use unbounded::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};
