//! Where in registered memory a buffer lies.

use std::num::NonZeroU64;

/// Names memory that a runtime's ring has registered. Only this crate makes one; what a buffer passes on of a buffer
/// inside it can at worst make the kernel refuse an address.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The number of the ring that it is registered with, which no other ring ever has.
    pub(crate) ring: NonZeroU64,
    /// Its slot in that ring's table.
    pub(crate) index: u16,
}
