//! Buffers of the crate `bytes`.

use ::bytes::{Bytes, BytesMut};

use super::{IoBuf, IoBufMut};

// SAFETY: `Bytes` is a view of `len` initialised bytes which it keeps alive and which no safe code can write to while
// any view exists; it has no interior mutability that its length depends on.
unsafe impl IoBuf for Bytes {
    fn buf_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn buf_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: `BytesMut` exclusively owns its part of the allocation: `len` initialised bytes of it are readable, and they
// change only through `&mut`.
unsafe impl IoBuf for BytesMut {
    fn buf_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn buf_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: `capacity` bytes from the first on belong to this value alone, however often the allocation was split.
// `set_len` changes the length alone, and `buf_mut_ptr` restores it; neither reallocates or un-initialises anything.
unsafe impl IoBufMut for BytesMut {
    fn buf_mut_ptr(&mut self) -> *mut u8 {
        // `as_mut_ptr` goes through `&mut [u8]` and so may reach the length only. The spare part of an empty buffer is
        // all of it.
        let len = self.len();
        // SAFETY: 0 is within the capacity, and no bytes need be initialised for it.
        unsafe { self.set_len(0) };
        let ptr = self.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: `len` was the length a moment ago and its bytes were not touched since.
        unsafe { self.set_len(len) };
        ptr
    }

    fn buf_capacity(&self) -> usize {
        self.capacity()
    }

    unsafe fn set_filled(&mut self, n: usize) {
        // SAFETY: by the caller's promise `n <= capacity` and the first `n` bytes are initialised.
        unsafe { self.set_len(n) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_can_be_written_from() {
        let bytes = Bytes::from_static(b"hello");
        assert_eq!((bytes.buf_ptr(), bytes.buf_len()), (bytes.as_ptr(), 5));
        assert_eq!(Bytes::new().buf_len(), 0);
        assert!(!Bytes::new().buf_ptr().is_null());
    }

    #[test]
    fn the_slice_of_bytes_is_still_within_reach() {
        let bytes = Bytes::from_static(b"hello");
        assert_eq!(Bytes::slice(&bytes, 1..3), &b"el"[..]);
        assert_eq!(&bytes.slice(1..3)[..], b"el");
    }

    #[test]
    fn a_read_sets_the_length_of_bytes_mut() {
        let mut buf = BytesMut::with_capacity(8);
        let capacity = buf.capacity();
        let address = buf.as_mut_ptr();
        assert_eq!(buf.buf_mut_ptr(), address);
        assert_eq!(buf.fill_from(&[7; 100]), capacity);
        assert_eq!(buf, vec![7; capacity]);
        assert_eq!(buf.fill_from(b"ab"), 2);
        assert_eq!(buf, &b"ab"[..]);
        assert_eq!((buf.capacity(), buf.as_mut_ptr()), (capacity, address));
        assert_eq!(BytesMut::new().fill_from(b"x"), 0);
    }

    #[test]
    fn asking_for_the_pointer_changes_nothing() {
        let mut buf = BytesMut::from(&b"abc"[..]);
        let ptr = buf.buf_mut_ptr().cast_const();
        assert_eq!(ptr, buf.buf_ptr());
        assert_eq!(buf, &b"abc"[..]);
    }

    #[test]
    fn halves_of_a_split_buffer_do_not_reach_each_other() {
        let mut front = BytesMut::from(&b"abcdef"[..]);
        let mut back = front.split_off(3);
        assert_eq!(front.fill_from(b"XXXXXX"), 3);
        assert_eq!(back, &b"def"[..]);
        back.fill_from(b"YY");
        assert_eq!((&front[..], &back[..]), (&b"XXX"[..], &b"YY"[..]));
    }

    #[test]
    fn a_read_into_a_slice_appends() {
        let mut tail = BytesMut::from(&b"abcdef"[..]).slice(4..);
        tail.fill_from(b"X");
        assert_eq!(tail.into_inner(), &b"abcdX"[..]);
    }
}
