//! Memory of our own to share with the kernel.

use std::io;
use std::ptr::{self, NonNull};

/// The size of a huge page on the architectures that matter; where it is another, such pages are just not obtained.
const HUGE_PAGE: usize = 2 << 20;

/// Anonymous memory, full of zeros, page-aligned, not shared with a child of fork(). Pages are taken as they are first
/// touched, which for memory that is registered with a ring is then, by the calling thread: on its own NUMA node.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it lets nobody reach the memory, but only knows where it is; any thread may unmap it.
unsafe impl Send for Memory {}

// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps `len` bytes, in huge pages if that is at least one and the system has them.
    ///
    /// # Errors
    ///
    /// Those of mmap(2).
    pub(crate) fn map_huge(len: usize) -> io::Result<Self> {
        if len < HUGE_PAGE {
            return Self::map(len);
        }
        // Huge pages lie on multiples of their size: map more, and give back what is before and behind.
        let whole = Self::map(len.saturating_add(HUGE_PAGE))?;
        let before = whole.start.as_ptr().align_offset(HUGE_PAGE) % HUGE_PAGE;
        let whole = std::mem::ManuallyDrop::new(whole);
        // SAFETY: `before < HUGE_PAGE`, so `before + len` is inside the mapping of `len + HUGE_PAGE`.
        let start = unsafe { whole.start.add(before) };
        for (at, len) in [(0, before), (before + len, HUGE_PAGE - before)] {
            if len > 0 {
                // SAFETY: a part of the fresh mapping, before or behind what is kept, that nobody knows. A failure
                // leaves address space mapped that is never touched.
                unsafe { libc::munmap(whole.start.add(at).as_ptr().cast(), len) };
            }
        }
        // SAFETY: the range is mapped and ours. A failure only means small pages.
        unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
        Ok(Memory { start, len })
    }

    /// Maps `len` bytes.
    ///
    /// # Errors
    ///
    /// Those of mmap(2).
    pub(crate) fn map(len: usize) -> io::Result<Self> {
        // SAFETY: a new private mapping, at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // A child finds zeros there. (Nothing at all would be as well, but that a drop in the child unmaps the range, where
        // something else may be by then.)
        // SAFETY: the range is the mapping just made. A failure only means that a child would get a copy.
        unsafe { libc::madvise(start, len, libc::MADV_WIPEONFORK) };
        match NonNull::new(start.cast()) {
            Some(start) => Ok(Memory { start, len }),
            None => Err(io::Error::from_raw_os_error(libc::ENOMEM)),
        }
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: `map` made this mapping, and whoever owns it has nobody left who points into it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_memory_begins_where_a_huge_page_may() {
        for len in [HUGE_PAGE, HUGE_PAGE + 4096, 3 * HUGE_PAGE] {
            let memory = Memory::map_huge(len).unwrap();
            assert_eq!(memory.start().addr().get() % HUGE_PAGE, 0);
            // SAFETY: the last byte of the mapping, which nobody else knows.
            unsafe { memory.start().add(len - 1).write(1) };
        }
        assert_eq!(Memory::map_huge(8192).unwrap().len(), 8192);
    }
}
