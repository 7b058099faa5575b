//! A buffer on a page boundary, as O_DIRECT wants it, in the terms of each runtime.

use std::mem::MaybeUninit;

#[derive(Clone, Copy)]
#[repr(align(4096))]
struct Page(#[expect(dead_code, reason = "read and written through pointers alone")] [u8; PAGE]);

const PAGE: usize = 4096;

/// Whole pages, all of them initialized, that never move.
pub(super) struct Block(Box<[Page]>);

impl Block {
    pub(super) fn new(len: usize) -> Self {
        assert!(len.is_multiple_of(PAGE));
        Block(vec![Page([0; PAGE]); len / PAGE].into_boxed_slice())
    }

    pub(super) fn len(&self) -> usize {
        size_of_val(&*self.0)
    }

    fn start(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }

    fn start_mut(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

// SAFETY: `start` points into a boxed slice, which stays where it is when the box moves, for `len` bytes, which are
// within it and were initialized when it was made.
unsafe impl monoio::buf::IoBuf for Block {
    fn read_ptr(&self) -> *const u8 {
        self.start()
    }

    fn bytes_init(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above; `start_mut` is the same place, for writing.
unsafe impl monoio::buf::IoBufMut for Block {
    fn write_ptr(&mut self) -> *mut u8 {
        self.start_mut()
    }

    fn bytes_total(&mut self) -> usize {
        self.len()
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

// SAFETY: as for monoio above.
unsafe impl tokio_uring::buf::IoBuf for Block {
    fn stable_ptr(&self) -> *const u8 {
        self.start()
    }

    fn bytes_init(&self) -> usize {
        self.len()
    }

    fn bytes_total(&self) -> usize {
        self.len()
    }
}

// SAFETY: as for monoio above.
unsafe impl tokio_uring::buf::IoBufMut for Block {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.start_mut()
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

impl compio::buf::IoBuf for Block {
    fn as_init(&self) -> &[u8] {
        // SAFETY: the first `len` bytes of the pages are within the allocation and initialized, and the shared borrow
        // of `self` keeps them from being written to.
        unsafe { std::slice::from_raw_parts(self.start(), self.len()) }
    }
}

impl compio::buf::SetLen for Block {
    unsafe fn set_len(&mut self, _: usize) {}
}

impl compio::buf::IoBufMut for Block {
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        let len = self.len();
        // SAFETY: as in `as_init`, with an exclusive borrow; `MaybeUninit<u8>` is laid out as `u8`. The trait's users
        // write initialized bytes alone, so all stay initialized.
        unsafe { std::slice::from_raw_parts_mut(self.start_mut().cast(), len) }
    }
}
