//! A buffer that somebody elsewhere waits for: it goes back to its owner wherever it ends up.

use std::ptr::NonNull;
use std::sync::Arc;

use super::io_buf::IoBuf;
use super::io_buf_mut::IoBufMut;

/// Who has lent a buffer.
pub(crate) trait Lender<B>: Send + Sync {
    /// The operation is gone without an answer, and this is its buffer. The kernel is done with it.
    fn give_back(self: Arc<Self>, buf: B);
}

/// A buffer on loan to an operation. If it is dropped, because its task or its runtime has ended, its lender gets the buffer.
pub(crate) struct Lent<B: 'static>(Option<(B, Arc<dyn Lender<B>>)>);

impl<B> Lent<B> {
    pub(crate) fn new(buf: B, lender: Arc<dyn Lender<B>>) -> Self {
        Lent(Some((buf, lender)))
    }

    /// The buffer, of which the lender hears in another way. `None` if it was given back, which no operation does.
    pub(crate) fn into_inner(mut self) -> Option<B> {
        self.0.take().map(|(buf, _)| buf)
    }
}

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        if let Some((buf, lender)) = self.0.take() {
            lender.give_back(buf);
        }
    }
}

// SAFETY: forwards to `B`, which the value holds and lends to nobody, and which meets the contract; moves, borrows and drops of
// the one are those of the other. Without a buffer, which is only so while the value is dropped, it is a range of no bytes.
unsafe impl<B: IoBuf> IoBuf for Lent<B> {
    fn buf_ptr(&self) -> *const u8 {
        match &self.0 {
            Some((buf, _)) => buf.buf_ptr(),
            None => NonNull::dangling().as_ptr(),
        }
    }

    fn buf_len(&self) -> usize {
        self.0.as_ref().map_or(0, |(buf, _)| buf.buf_len())
    }
}

// SAFETY: as above; `set_filled` is what `B` makes of it.
unsafe impl<B: IoBufMut> IoBufMut for Lent<B> {
    fn buf_mut_ptr(&mut self) -> *mut u8 {
        match &mut self.0 {
            Some((buf, _)) => buf.buf_mut_ptr(),
            None => NonNull::dangling().as_ptr(),
        }
    }

    fn buf_capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |(buf, _)| buf.buf_capacity())
    }

    fn fill_len(&self) -> usize {
        self.0.as_ref().map_or(0, |(buf, _)| buf.fill_len())
    }

    unsafe fn set_filled(&mut self, n: usize) {
        if let Some((buf, _)) = &mut self.0 {
            // SAFETY: the caller's promise is about our capacity and bytes, which are those of `buf`.
            unsafe { buf.set_filled(n) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Shelf(Mutex<Vec<Vec<u8>>>);

    impl Lender<Vec<u8>> for Shelf {
        fn give_back(self: Arc<Self>, buf: Vec<u8>) {
            self.0.lock().unwrap().push(buf);
        }
    }

    #[test]
    fn it_is_the_buffer_and_goes_back_when_it_is_dropped() {
        let shelf = Arc::new(Shelf::default());
        let mut lent = Lent::new(Vec::with_capacity(8), Arc::clone(&shelf) as _);
        assert_eq!(lent.fill_from(b"bytes"), 5);
        assert_eq!((lent.buf_len(), lent.fill_len()), (5, 5));
        assert_eq!(lent.buf_mut_ptr().cast_const(), lent.buf_ptr());
        drop(lent.slice(2..));
        assert_eq!(*shelf.0.lock().unwrap(), [b"bytes"]);
    }

    #[test]
    fn what_is_taken_out_goes_nowhere() {
        let shelf = Arc::new(Shelf::default());
        let lent = Lent::new(b"bytes".to_vec(), Arc::clone(&shelf) as _);
        assert_eq!(lent.into_inner().as_deref(), Some(&b"bytes"[..]));
        assert!(shelf.0.lock().unwrap().is_empty());
    }
}
