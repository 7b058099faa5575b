//! The only code that talks to the kernel's rings.
//!
//! [`Ring`] is the whole interface to io_uring: push an entry, enter (submit, wait with a timeout), reap completions. The rest
//! is what goes through it ([`Entry`], [`Completion`]), what the kernel shares with us ([`Memory`], [`BufRing`]), and how
//! another thread ends its wait ([`Notifier`]).

mod buf_ring;
mod clock;
mod config;
mod entry;
mod features;
mod kernel_ring;
mod memory;
mod notifier;
mod ring_id;
mod setup;

pub(crate) use buf_ring::BufRing;
pub(crate) use clock::coarse_millis;
pub(crate) use config::{RingConfig, RingTuning, Wait};
pub use config::{RingInfo, Setup};
pub use entry::{Completion, Entry};
pub(crate) use entry::{ELAPSED, ENDED, NO_THREAD, OTHER_RUNTIME, Promised, Target, opcode, types};
pub use features::{Features, features};
pub(crate) use kernel_ring::KernelRing as Ring;
pub(crate) use memory::Memory;
pub(crate) use notifier::{Notifier, note_fork};
pub use ring_id::RingId;
pub(crate) use setup::memlock;
