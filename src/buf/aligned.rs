//! A buffer with a chosen alignment.

use std::alloc::{self, Layout};
use std::fmt;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::io_buf::bytes;
use super::io_buf_mut::bytes_mut;
use super::{IoBuf, IoBufMut};

/// The alignment that serves `O_DIRECT` on every common file system and device.
pub(super) const DEFAULT_ALIGN: usize = 4096;

/// A heap buffer whose first byte has a chosen alignment, as files opened with `O_DIRECT` want it.
///
/// It has a length and a capacity as a `Vec<u8>` does, but never grows beyond the capacity it was made with, and never
/// moves its bytes. A read sets its length to what arrived.
///
/// `O_DIRECT` also wants the length and the file offset to be multiples of the block size: choose the capacity so, and
/// see `open(2)` and `statx(2)` (`STATX_DIOALIGN`).
///
/// # Examples
///
/// ```
/// use saferring::buf::{AlignedBuf, IoBufMut};
///
/// let mut buf = AlignedBuf::with_capacity(8192);
/// assert!(buf.as_ptr().addr().is_multiple_of(4096));
/// assert!(buf.is_empty());
/// buf.fill_from(b"as a read would");
/// assert_eq!(&buf[..], b"as a read would");
/// ```
pub struct AlignedBuf {
    // Invariant: `ptr` was allocated with `layout`, or dangles at its alignment if `layout.size()` is 0; the first
    // `len <= layout.size()` bytes are initialised.
    ptr: NonNull<u8>,
    len: usize,
    layout: Layout,
}

// SAFETY: the buffer is the only owner of its memory, which holds plain bytes; an allocation may be used and freed on
// any thread.
unsafe impl Send for AlignedBuf {}

// SAFETY: through `&AlignedBuf` the memory can only be read.
unsafe impl Sync for AlignedBuf {}

/// What a new buffer is filled with.
enum Fill {
    Nothing,
    Zeros,
}

impl AlignedBuf {
    /// An empty buffer for `capacity` bytes at an address that is a multiple of `align`.
    ///
    /// # Panics
    ///
    /// If `align` is not a power of two, or `capacity`, rounded up to a multiple of it, exceeds `isize::MAX`.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::buf::AlignedBuf;
    ///
    /// let buf = AlignedBuf::new(1000, 512);
    /// assert_eq!((buf.len(), buf.capacity(), buf.alignment()), (0, 1000, 512));
    /// ```
    #[track_caller]
    pub fn new(capacity: usize, align: usize) -> Self {
        Self::allocate(layout(capacity, align), Fill::Nothing)
    }

    /// An empty buffer for `capacity` bytes, aligned to 4096.
    ///
    /// # Panics
    ///
    /// If `capacity`, rounded up to a multiple of 4096, exceeds `isize::MAX`.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::buf::AlignedBuf;
    ///
    /// assert_eq!(AlignedBuf::with_capacity(4096).alignment(), 4096);
    /// ```
    #[track_caller]
    pub fn with_capacity(capacity: usize) -> Self {
        Self::new(capacity, DEFAULT_ALIGN)
    }

    /// A full buffer of `capacity` zeros, aligned to 4096.
    ///
    /// # Panics
    ///
    /// If `capacity`, rounded up to a multiple of 4096, exceeds `isize::MAX`.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::buf::AlignedBuf;
    ///
    /// let mut block = AlignedBuf::zeroed(4096);
    /// block[..5].copy_from_slice(b"magic");
    /// assert_eq!(block.len(), 4096);
    /// ```
    #[track_caller]
    pub fn zeroed(capacity: usize) -> Self {
        Self::allocate(layout(capacity, DEFAULT_ALIGN), Fill::Zeros)
    }

    fn allocate(layout: Layout, fill: Fill) -> Self {
        if layout.size() == 0 {
            // The allocator must not be asked for nothing; an address that is aligned and not null will do.
            let align = NonZeroUsize::MIN.saturating_add(layout.align() - 1);
            let ptr = NonNull::dangling().map_addr(|_| align);
            return Self {
                ptr,
                len: 0,
                layout,
            };
        }
        let (allocate, len): (unsafe fn(Layout) -> *mut u8, _) = match fill {
            Fill::Nothing => (alloc::alloc, 0),
            Fill::Zeros => (alloc::alloc_zeroed, layout.size()),
        };
        // SAFETY: the size is not 0.
        let ptr = unsafe { allocate(layout) };
        let Some(ptr) = NonNull::new(ptr) else {
            alloc::handle_alloc_error(layout)
        };
        Self { ptr, len, layout }
    }

    /// How many bytes the buffer can hold.
    ///
    /// ```
    /// use saferring::buf::AlignedBuf;
    ///
    /// assert_eq!(AlignedBuf::with_capacity(100).capacity(), 100);
    /// ```
    pub fn capacity(&self) -> usize {
        self.layout.size()
    }

    /// The alignment the buffer was made with.
    ///
    /// ```
    /// use saferring::buf::AlignedBuf;
    ///
    /// assert_eq!(AlignedBuf::new(100, 64).alignment(), 64);
    /// ```
    pub fn alignment(&self) -> usize {
        self.layout.align()
    }

    /// Sets the length to 0.
    ///
    /// ```
    /// use saferring::buf::AlignedBuf;
    ///
    /// let mut buf = AlignedBuf::zeroed(10);
    /// buf.clear();
    /// assert!(buf.is_empty());
    /// ```
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Sets the length to `len`: cuts the buffer off, or fills it up with `value`.
    ///
    /// # Panics
    ///
    /// If `len` exceeds the capacity.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::buf::AlignedBuf;
    ///
    /// let mut buf = AlignedBuf::with_capacity(4);
    /// buf.resize(3, 7);
    /// assert_eq!(&buf[..], &[7, 7, 7]);
    /// ```
    #[track_caller]
    pub fn resize(&mut self, len: usize, value: u8) {
        let capacity = self.capacity();
        assert!(
            len <= capacity,
            "length of {len} exceeds the buffer's capacity of {capacity}"
        );
        let from = self.len.min(len);
        self.memory()[from..len].fill(MaybeUninit::new(value));
        self.len = len;
    }

    /// Appends as many of `bytes` as the capacity allows, and returns how many that were.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::buf::AlignedBuf;
    ///
    /// let mut buf = AlignedBuf::with_capacity(8);
    /// assert_eq!(buf.extend_from_slice(b"hello"), 5);
    /// assert_eq!(buf.extend_from_slice(b"world"), 3);
    /// assert_eq!(&buf[..], b"hellowor");
    /// ```
    #[must_use = "what does not fit is not appended"]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> usize {
        let len = self.len;
        let rest = &mut self.memory()[len..];
        let n = bytes.len().min(rest.len());
        for (byte, &new) in rest.iter_mut().zip(bytes) {
            byte.write(new);
        }
        self.len += n;
        n
    }

    /// All its memory.
    fn memory(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: as many bytes of one allocation (or none, at a pointer that is not null), which nobody else reaches while
        // `self` is borrowed. They need not be initialised, and whoever has the slice un-initialises none: safe code that is
        // outside this type never sees it.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr().cast(), self.layout.size()) }
    }
}

/// The layout of `capacity` bytes at `align`, or a panic that names what is wrong.
#[track_caller]
pub(super) fn layout(capacity: usize, align: usize) -> Layout {
    assert!(
        align.is_power_of_two(),
        "alignment of {align} is not a power of two"
    );
    match Layout::from_size_align(capacity, align) {
        Ok(layout) => layout,
        Err(_) => panic!("capacity of {capacity} at alignment {align} exceeds isize::MAX"),
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.layout.size() != 0 {
            // SAFETY: `ptr` was allocated with this layout, as its size is not 0, and nobody uses it any more.
            unsafe { alloc::dealloc(self.ptr.as_ptr(), self.layout) };
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        bytes(self)
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        bytes_mut(self)
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuf")
            .field("len", &self.len)
            .field("capacity", &self.capacity())
            .field("alignment", &self.alignment())
            .finish()
    }
}

// SAFETY: the buffer owns its memory until it is dropped; the first `len` bytes are initialised and change only through
// `&mut`; `ptr` is never null.
unsafe impl IoBuf for AlignedBuf {
    fn buf_ptr(&self) -> *const u8 {
        self.ptr.as_ptr()
    }

    fn buf_len(&self) -> usize {
        self.len
    }
}

// SAFETY: `ptr` reaches the whole allocation of `capacity` bytes, which only this value can touch. The capacity never
// changes, and `set_filled` writes the length alone.
unsafe impl IoBufMut for AlignedBuf {
    fn buf_mut_ptr(&mut self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    fn buf_capacity(&self) -> usize {
        self.capacity()
    }

    unsafe fn set_filled(&mut self, n: usize) {
        debug_assert!(n <= self.capacity());
        self.len = n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const _: () = {
        const fn send_and_sync<T: Send + Sync>() {}
        send_and_sync::<AlignedBuf>();
    };

    #[test]
    fn the_address_is_aligned_whatever_the_capacity() {
        for align in [1, 2, 64, 512, 4096, 1 << 16] {
            for capacity in [0, 1, 511, 512, 4097] {
                let buf = AlignedBuf::new(capacity, align);
                assert_eq!(buf.buf_ptr().addr() % align, 0, "{buf:?}");
                assert_eq!((buf.capacity(), buf.alignment()), (capacity, align));
                assert!(buf.is_empty());
            }
        }
    }

    #[test]
    #[should_panic(expected = "alignment of 3 is not a power of two")]
    fn an_alignment_that_is_no_power_of_two_panics() {
        AlignedBuf::new(1, 3);
    }

    #[test]
    #[should_panic(expected = "alignment of 0 is not a power of two")]
    fn an_alignment_of_zero_panics() {
        AlignedBuf::new(1, 0);
    }

    #[test]
    #[should_panic(expected = "exceeds isize::MAX")]
    fn a_capacity_that_overflows_panics() {
        AlignedBuf::with_capacity(isize::MAX as usize);
    }

    #[test]
    fn zeroed_is_full_of_zeros() {
        let buf = AlignedBuf::zeroed(5000);
        assert_eq!(&buf[..], &[0; 5000]);
        assert!(AlignedBuf::zeroed(0).is_empty());
    }

    #[test]
    fn a_read_sets_the_length() {
        let mut buf = AlignedBuf::zeroed(8);
        assert_eq!(buf.fill_from(b"abc"), 3);
        assert_eq!(&buf[..], b"abc");
        assert_eq!(buf.fill_from(b"0123456789"), 8);
        assert_eq!(&buf[..], b"01234567");
        assert_eq!(buf.fill_from(b""), 0);
        assert!(buf.is_empty());
    }

    #[test]
    fn an_empty_buffer_takes_nothing() {
        let mut buf = AlignedBuf::with_capacity(0);
        assert_eq!(buf.fill_from(b"x"), 0);
        assert_eq!(buf.extend_from_slice(b"x"), 0);
        buf.resize(0, 1);
        assert_eq!(&buf[..], b"");
        buf.make_ascii_uppercase();
    }

    #[test]
    fn extending_stops_at_the_capacity() {
        let mut buf = AlignedBuf::with_capacity(4);
        assert_eq!(buf.extend_from_slice(b"ab"), 2);
        assert_eq!(buf.extend_from_slice(b""), 0);
        assert_eq!(buf.extend_from_slice(b"cdef"), 2);
        assert_eq!(buf.extend_from_slice(b"g"), 0);
        assert_eq!(&buf[..], b"abcd");
    }

    #[test]
    fn resize_grows_and_cuts() {
        let mut buf = AlignedBuf::with_capacity(4);
        buf.resize(4, 9);
        buf.resize(1, 8);
        assert_eq!(&buf[..], &[9]);
        buf.resize(3, 7);
        assert_eq!(&buf[..], &[9, 7, 7]);
    }

    #[test]
    #[should_panic(expected = "length of 5 exceeds the buffer's capacity of 4")]
    fn resize_past_the_capacity_panics() {
        AlignedBuf::with_capacity(4).resize(5, 0);
    }

    #[test]
    fn a_slice_of_it_keeps_what_is_before() {
        let mut buf = AlignedBuf::with_capacity(8);
        assert_eq!(buf.extend_from_slice(b"abcd"), 4);
        let mut tail = buf.slice(2..6);
        assert_eq!(tail.fill_from(b"wxyz!"), 4);
        assert_eq!(&tail.into_inner()[..], b"abwxyz");
    }

    #[test]
    fn debug_shows_sizes_and_not_contents() {
        let buf = AlignedBuf::new(10, 8);
        assert_eq!(
            format!("{buf:?}"),
            "AlignedBuf { len: 0, capacity: 10, alignment: 8 }"
        );
    }
}
