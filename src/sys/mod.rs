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
mod flags;
mod generation;
mod helper_cpus;
mod kernel_rest;
mod kernel_ring;
mod memory;
mod message;
mod mixed_ring;
mod notifier;
mod opcode_names;
mod policy;
mod readiness;
mod reuse_port;
mod ring;
mod ring_id;
mod ring_index;
mod setup;
mod software;
mod sqe;
mod thread_pool;
mod worker_cpus;

pub(crate) use buf_ring::BufRing;
pub(crate) use clock::coarse_millis;
pub use config::{Backend, RingInfo, Setup};
pub(crate) use config::{RingConfig, RingTuning, Wait};
pub use entry::{Completion, Entry};
pub(crate) use entry::{ELAPSED, ENDED, NO_THREAD, OTHER_RUNTIME, Promised, Target, opcode, types};
pub use features::{Features, Status};
pub(crate) use features::{counts_sends, features};
pub(crate) use generation::{generation, note_fork};
pub(crate) use helper_cpus::{helper_cpus, run_on, set_helper_cpus};
pub(crate) use memory::Memory;
pub(crate) use notifier::Notifier;
pub use policy::FallbackStrategy;
pub(crate) use policy::Policy;
pub(crate) use readiness::Readiness;
pub(crate) use reuse_port::steer_by_cpu;
pub(crate) use ring::Ring;
pub use ring_id::RingId;
pub(crate) use setup::memlock;
pub(crate) use software::{make_blocking, note_descriptor};
pub(crate) use thread_pool::{Closure, Job, ThreadPool};
