//! Buffers that the kernel may read from.

use std::ops::{Deref, RangeBounds};
use std::rc::Rc;
use std::sync::Arc;

use super::registration::Registration;
use super::slice::Slice;

/// A buffer that the kernel may read from: what a write or a send takes.
///
/// `self` is moved to its final address first; then the pointer and the length are read **once**, when the operation
/// is submitted. So a buffer whose bytes live in the value itself, such as `[u8; N]`, is a lawful buffer.
///
/// # Safety
///
/// Let `ptr = buf_ptr()` and `len = buf_len()`, read one after the other from a value that does not move in between.
///
/// - **Valid.** `ptr` is not null, even when `len` is 0, and `ptr..ptr + len` lies within one allocation that the
///   value owns, shares or borrows for `'static`. From the calls on until the value is moved, borrowed by `&mut` or
///   dropped, the range stays allocated and readable. Forgetting the value counts as none of these.
/// - **Initialised.** All `len` bytes are initialised.
/// - **Unchanging.** Until the value is borrowed by `&mut` or dropped, nobody writes to the range: it may be viewed as
///   `&[u8]` for as long as a `&self` lives. Memory that another process or thread may write to does not qualify.
/// - **Stable.** `buf_len()` changes only through `&mut self`: not through `&self` (no interior mutability), and not by
///   moving the value. [`Slice`] relies on it. `buf_ptr()` changes only so, or when the value moves.
/// - **Quiet.** The accessors have no side effects, do not panic and do not call into the runtime.
/// - Provided methods are not overridden.
///
/// # Examples
///
/// ```
/// use saferring::buf::IoBuf;
///
/// struct Packet { bytes: Vec<u8> }
///
/// // SAFETY: forwards to `Vec<u8>`, a private field that is never changed: the vector owns its initialised bytes.
/// unsafe impl IoBuf for Packet {
///     fn buf_ptr(&self) -> *const u8 { self.bytes.buf_ptr() }
///     fn buf_len(&self) -> usize { self.bytes.buf_len() }
/// }
/// assert_eq!(&Packet { bytes: b"header+body".to_vec() }.slice(7..)[..], b"body");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no buffer that an operation can own and write from",
    label = "a buffer goes in by value, and comes back beside the result",
    note = "instead of `&buf` give `buf`, and take it back: `let (written, buf) = stream.write_all(buf).await;`",
    note = "instead of `&buf[a..b]` give `buf.slice(a..b)`, of `saferring::buf::IoBuf`; `into_inner` gives the whole back",
    note = "`saferring::buf::owned_buffers` tells which buffers there are, how to share one, and more"
)]
pub unsafe trait IoBuf: 'static {
    /// The address of the first byte. Never null.
    fn buf_ptr(&self) -> *const u8;

    /// How many initialised bytes there are, from the first on.
    fn buf_len(&self) -> usize;

    /// The registered memory that the buffer lies in. Only buffers of this crate lie in any.
    #[doc(hidden)]
    #[inline]
    fn registration(&self) -> Option<Registration> {
        None
    }

    /// Narrows the buffer to `range`, for one operation; [`Slice::into_inner`] gives it back.
    ///
    /// The start must lie within the buffer's length. The end is a bound, not a demand: an operation that writes the
    /// buffer out stops at the length if that comes first, and one that reads into it stops at the capacity. So
    /// `Vec::with_capacity(n).slice(..n)` receives at most `n` bytes.
    ///
    /// `Bytes` has a `slice(&self, …)` of its own, which this one shadows where the trait is in scope: write
    /// `Bytes::slice(&bytes, …)` for that.
    ///
    /// # Panics
    ///
    /// If the range starts after the buffer's length, or after its own end.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::buf::IoBuf;
    ///
    /// let slice = String::from("hello, world").slice(7..);
    /// assert_eq!(&slice[..], b"world");
    /// assert_eq!(slice.into_inner(), "hello, world");
    /// ```
    #[must_use = "the slice owns the buffer, which is dropped with it"]
    #[track_caller]
    fn slice(self, range: impl RangeBounds<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        let len = self.buf_len();
        Slice::new(self, len, range)
    }
}

// SAFETY: a vector owns its allocation, which is neither freed nor reallocated without `&mut` or drop and stays put
// when the vector moves; its first `len` bytes are initialised, and `as_ptr` is never null.
unsafe impl IoBuf for Vec<u8> {
    fn buf_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn buf_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: the box owns `len` initialised bytes, which live until it is dropped; nothing but `&mut` can change them.
unsafe impl IoBuf for Box<[u8]> {
    fn buf_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn buf_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: the value is the `N` initialised bytes; they stay at `self` until it is moved or dropped, and change only
// through `&mut`. A reference, hence the pointer, is never null.
unsafe impl<const N: usize> IoBuf for [u8; N] {
    fn buf_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn buf_len(&self) -> usize {
        N
    }
}

// SAFETY: a string is a vector of initialised bytes with a promise about their values; reading keeps that promise.
unsafe impl IoBuf for String {
    fn buf_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn buf_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: a shared `'static` borrow: `len` initialised bytes that are never freed and, without an `UnsafeCell` inside,
// never written.
unsafe impl IoBuf for &'static [u8] {
    fn buf_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn buf_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: a shared `'static` borrow of `N` initialised bytes that are never freed or written. The pointer is taken from
// the array behind the reference, not from the reference's own place.
unsafe impl<const N: usize> IoBuf for &'static [u8; N] {
    fn buf_ptr(&self) -> *const u8 {
        self.as_slice().as_ptr()
    }

    fn buf_len(&self) -> usize {
        N
    }
}

// SAFETY: a shared `'static` borrow: `len` initialised bytes that are never freed or written.
unsafe impl IoBuf for &'static str {
    fn buf_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn buf_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: this value holds a strong count, so the bytes live as long as it does and no other owner can get a `&mut` to
// them (`Arc::get_mut` wants the only count; `Arc::make_mut` copies). They are initialised, and sit on the heap.
unsafe impl IoBuf for Arc<[u8]> {
    fn buf_ptr(&self) -> *const u8 {
        (**self).as_ptr()
    }

    fn buf_len(&self) -> usize {
        (**self).len()
    }
}

// SAFETY: as for `Arc<[u8]>`: the strong count held here keeps the initialised bytes alive and rules out `&mut`.
unsafe impl IoBuf for Rc<[u8]> {
    fn buf_ptr(&self) -> *const u8 {
        (**self).as_ptr()
    }

    fn buf_len(&self) -> usize {
        (**self).len()
    }
}

// SAFETY: by the invariant the range `begin..min(end, len)` lies within the `len` bytes that `B` vouches for, so every
// promise of `B` holds for it too. `begin` and `end` never change, so the length changes only as that of `B` does.
unsafe impl<B: IoBuf> IoBuf for Slice<B> {
    fn buf_ptr(&self) -> *const u8 {
        // Within the bytes of `inner`, by the invariant.
        self.inner.buf_ptr().wrapping_add(self.begin)
    }

    fn buf_len(&self) -> usize {
        self.end.min(self.inner.buf_len()) - self.begin
    }

    fn registration(&self) -> Option<Registration> {
        self.inner.registration()
    }
}

impl<B: IoBuf> Slice<B> {
    /// Narrows the slice further; `range` counts from the slice's own start. The types do not stack.
    ///
    /// # Panics
    ///
    /// If the range starts after the slice's initialised bytes, or after its own end.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::buf::{IoBuf, Slice};
    ///
    /// let world: Slice<&str> = "hello, world!".slice(7..12);
    /// let or: Slice<&str> = world.slice(1..3);
    /// assert_eq!(&or[..], b"or");
    /// ```
    #[must_use = "the slice owns the buffer, which is dropped with it"]
    #[track_caller]
    pub fn slice(self, range: impl RangeBounds<usize>) -> Self {
        let len = self.buf_len();
        self.narrow(len, range)
    }
}

impl<B: IoBuf> Deref for Slice<B> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        bytes(self)
    }
}

/// What is in a buffer.
pub(crate) fn bytes(buf: &impl IoBuf) -> &[u8] {
    // SAFETY: the contract of `IoBuf`: `buf_len` initialised bytes in one allocation, from a pointer on that is not null, which
    // nobody writes to while `buf` is borrowed.
    unsafe { std::slice::from_raw_parts(buf.buf_ptr(), buf.buf_len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would read.
    fn bytes_of(buf: &impl IoBuf) -> Vec<u8> {
        assert!(!buf.buf_ptr().is_null());
        // SAFETY: the contract of `IoBuf`: `buf_len` initialised bytes that nobody writes while `buf` is borrowed.
        unsafe { std::slice::from_raw_parts(buf.buf_ptr(), buf.buf_len()) }.to_vec()
    }

    #[test]
    fn every_readable_buffer_shows_its_bytes() {
        assert_eq!(bytes_of(&b"vec".to_vec()), b"vec");
        assert_eq!(bytes_of(&b"boxed".to_vec().into_boxed_slice()), b"boxed");
        assert_eq!(bytes_of(b"array"), b"array");
        assert_eq!(bytes_of(&String::from("string")), b"string");
        assert_eq!(bytes_of(&(b"slice" as &'static [u8])), b"slice");
        assert_eq!(bytes_of(&(b"literal" as &'static [u8; 7])), b"literal");
        assert_eq!(bytes_of(&"str"), b"str");
        assert_eq!(bytes_of(&Arc::<[u8]>::from(&b"arc"[..])), b"arc");
        assert_eq!(bytes_of(&Rc::<[u8]>::from(&b"rc"[..])), b"rc");
    }

    #[test]
    fn empty_buffers_have_an_address_and_no_length() {
        assert_eq!(bytes_of(&Vec::new()), b"");
        assert_eq!(bytes_of(&Box::<[u8]>::default()), b"");
        assert_eq!(bytes_of(&[0u8; 0]), b"");
        assert_eq!(bytes_of(&String::new()), b"");
        assert_eq!(bytes_of(&(&[] as &'static [u8])), b"");
        assert_eq!(bytes_of(&(&[] as &'static [u8; 0])), b"");
        assert_eq!(bytes_of(&""), b"");
        assert_eq!(bytes_of(&Arc::<[u8]>::default()), b"");
        assert_eq!(bytes_of(&Rc::<[u8]>::default()), b"");
    }

    #[test]
    fn spare_capacity_is_not_readable() {
        let mut vec = Vec::with_capacity(64);
        vec.extend_from_slice(b"four");
        assert_eq!(vec.buf_len(), 4);
    }

    #[test]
    fn heap_buffers_keep_their_address_when_moved_and_arrays_do_not_need_to() {
        let vec = vec![1u8, 2, 3];
        let before = vec.buf_ptr();
        let moved = Box::new(vec);
        assert_eq!(moved.buf_ptr(), before);

        let array = Box::new([1u8, 2, 3]);
        assert_eq!((*array).buf_ptr(), (&raw const *array).cast());
    }

    #[test]
    fn a_reference_to_an_array_is_not_the_array_itself() {
        static BYTES: [u8; 4] = *b"data";
        let reference = &BYTES;
        assert_eq!(IoBuf::buf_ptr(&reference), BYTES.as_ptr());
    }

    #[test]
    fn shared_buffers_share_their_bytes() {
        let one = Arc::<[u8]>::from(&b"shared"[..]);
        let other = Arc::clone(&one);
        assert_eq!(one.buf_ptr(), other.buf_ptr());
    }
}
