//! Addresses that the kernel writes.

use socket2::{SockAddr, SockAddrStorage};

/// An address as the first `size` bytes of `from`, if that is one.
pub(in crate::op) fn from_bytes(from: &[u8], size: usize) -> Option<SockAddr> {
    let mut storage = SockAddrStorage::zeroed();
    let size = size.min(from.len()).min(storage.size_of() as usize);
    if size < size_of::<libc::sa_family_t>() {
        return None;
    }
    // SAFETY: both sides have at least `size` bytes and are different memory. `SockAddrStorage` is `repr(transparent)`
    // over `sockaddr_storage`, plain numbers for which any bytes are valid.
    unsafe {
        std::ptr::copy_nonoverlapping(from.as_ptr(), (&raw mut storage).cast::<u8>(), size);
    }
    // SAFETY: the storage holds an address of `size` bytes, as the kernel wrote it.
    Some(unsafe { SockAddr::new(storage, size as libc::socklen_t) })
}
