//! What a ring can do: asked, not guessed from the kernel's version; and what is done without that which it cannot.

mod facts;
mod found;
mod idle;
mod refusal;
mod status;
mod table;
mod trials;
mod without;

pub(crate) use facts::counts_sends;
pub use found::Features;
pub(crate) use found::features;
pub(in crate::sys) use idle::plan;
pub use status::Status;
