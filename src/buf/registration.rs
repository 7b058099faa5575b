//! Where in registered memory a buffer lies.

/// Names memory that a runtime's ring has registered. Only this crate makes one; what a buffer passes on of a buffer
/// inside it can at worst make the kernel refuse an address.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The address of the driver that registered it.
    pub(crate) driver: usize,
    /// Its slot in that driver's table.
    pub(crate) index: u16,
}
