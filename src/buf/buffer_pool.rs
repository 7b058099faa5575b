//! A pool of buffers that cross threads.

use std::fmt;
use std::future::Future;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::aligned::{AlignedBuf, DEFAULT_ALIGN};
use super::free_list::{FreeList, Taken};
use super::{IoBuf, IoBufMut};

/// Aligned buffers of one size that are used again and again, on whatever thread: for data that is read on one core and
/// written on another.
///
/// The handle is cheap to clone, and all clones are one pool. A buffer is allocated when one is asked for and none is
/// free, up to a maximum; it returns when it is dropped, on any thread. The memory is freed when the pool's handles and
/// all its buffers are gone.
///
/// Taking and dropping a buffer costs 14 ns together, and 50 to 190 ns while another core does the same without pause;
/// an aligned allocation of 16 KiB costs 35 ns. What counts more is that its pages are there already: filling a megabyte
/// in a new allocation takes 45 times as long as in a used one.
///
/// A buffer that stays on its core and is to be filled by a receive is better left to
/// [`recv_stream`](crate::net::TcpStream::recv_stream).
///
/// # Examples
///
/// ```
/// use saferring::buf::{BufferPool, IoBufMut};
///
/// let pool = BufferPool::new(16 * 1024, 8);
/// let mut buf = pool.try_take().unwrap();
/// buf.fill_from(b"as a read would");
/// assert_eq!((pool.available(), pool.capacity()), (7, 8));
///
/// std::thread::spawn(move || assert_eq!(&buf[..], b"as a read would")).join().unwrap();
/// assert_eq!(pool.available(), 8);
/// ```
#[derive(Clone)]
pub struct BufferPool {
    shared: Arc<Shared>,
}

struct Shared {
    list: FreeList<AlignedBuf>,
    buffer_size: usize,
    align: usize,
}

impl BufferPool {
    /// A pool of up to `max_buffers` buffers with a capacity of `buffer_size` bytes, aligned to 4096.
    ///
    /// # Panics
    ///
    /// If either is 0, or `buffer_size`, rounded up to a multiple of 4096, exceeds `isize::MAX`.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::buf::BufferPool;
    ///
    /// let buf = BufferPool::new(8192, 4).try_take().unwrap();
    /// assert!(buf.as_ptr().addr().is_multiple_of(4096));
    /// assert_eq!((buf.len(), buf.capacity()), (0, 8192));
    /// ```
    #[track_caller]
    pub fn new(buffer_size: usize, max_buffers: usize) -> Self {
        Self::with_alignment(buffer_size, max_buffers, DEFAULT_ALIGN)
    }

    /// As [`new`](Self::new), with buffers whose address is a multiple of `align`.
    ///
    /// # Panics
    ///
    /// If `align` is not a power of two, `buffer_size` or `max_buffers` is 0, or `buffer_size`, rounded up to a multiple of
    /// `align`, exceeds `isize::MAX`.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::buf::BufferPool;
    ///
    /// let pool = BufferPool::with_alignment(1000, 4, 64);
    /// assert!(pool.try_take().unwrap().as_ptr().addr().is_multiple_of(64));
    /// ```
    #[track_caller]
    pub fn with_alignment(buffer_size: usize, max_buffers: usize, align: usize) -> Self {
        assert!(buffer_size > 0, "a pool of buffers without room");
        assert!(max_buffers > 0, "a pool without buffers");
        // Whether such buffers can be is found out here, not at the first `take`.
        super::aligned::layout(buffer_size, align);
        BufferPool {
            shared: Arc::new(Shared {
                list: FreeList::new(max_buffers),
                buffer_size,
                align,
            }),
        }
    }

    /// An empty buffer; `None` if all are in use, or others wait for what comes back.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::buf::BufferPool;
    ///
    /// let pool = BufferPool::new(4096, 1);
    /// let buf = pool.try_take();
    /// assert!(buf.is_some() && pool.try_take().is_none());
    /// ```
    #[inline]
    pub fn try_take(&self) -> Option<PooledBuf> {
        let taken = self.shared.list.take()?;
        Some(self.wrap(taken))
    }

    /// An empty buffer. If all are in use it waits until one is dropped, on whatever thread; those who wait are served
    /// in the order in which they came.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives up the place in the queue, and passes on the buffer that was on its way.
    ///
    /// # Examples
    ///
    /// ```
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::buf::BufferPool;
    ///
    /// let pool = BufferPool::new(4096, 1);
    /// let buf = pool.take().await;
    /// std::thread::spawn(move || drop(buf));
    /// assert!(pool.take().await.is_empty());
    /// # });
    /// # Ok::<_, saferring::Error>(())
    /// ```
    pub async fn take(&self) -> PooledBuf {
        Take {
            pool: self,
            ticket: None,
        }
        .await
    }

    /// How many buffers can be taken now without waiting.
    pub fn available(&self) -> usize {
        self.shared.list.available()
    }

    /// How many buffers there are at most, in use and free.
    pub fn capacity(&self) -> usize {
        self.shared.list.capacity()
    }

    /// The capacity of each buffer, in bytes.
    pub fn buffer_size(&self) -> usize {
        self.shared.buffer_size
    }

    #[inline]
    fn wrap(&self, taken: Taken<AlignedBuf>) -> PooledBuf {
        let shared = Arc::clone(&self.shared);
        let buf = match taken {
            Taken::Free(buf) => buf,
            Taken::New => AlignedBuf::new(shared.buffer_size, shared.align),
        };
        PooledBuf { buf, shared }
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("buffer_size", &self.buffer_size())
            .field("alignment", &self.shared.align)
            .field("capacity", &self.capacity())
            .field("available", &self.available())
            .finish()
    }
}

/// Waits for a buffer.
struct Take<'a> {
    pool: &'a BufferPool,
    ticket: Option<u64>,
}

impl Future for Take<'_> {
    type Output = PooledBuf;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PooledBuf> {
        let (pool, list) = (self.pool, &self.pool.shared.list);
        if let Some(ticket) = self.ticket {
            return list.poll(ticket, cx.waker()).map(|buf| {
                self.ticket = None;
                pool.wrap(Taken::Free(buf))
            });
        }
        if let Some(buf) = pool.try_take() {
            return Poll::Ready(buf);
        }
        match list.take_or_wait(cx.waker().clone()) {
            Ok(taken) => Poll::Ready(pool.wrap(taken)),
            Err(ticket) => {
                self.ticket = Some(ticket);
                Poll::Pending
            }
        }
    }
}

impl Drop for Take<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.pool.shared.list.leave(ticket);
        }
    }
}

/// A buffer of a [`BufferPool`], which it returns to when it is dropped, on any thread.
///
/// It is an [`AlignedBuf`] otherwise: a read sets its length to what arrived, and it never grows beyond its capacity.
pub struct PooledBuf {
    /// In the drop, an empty one.
    buf: AlignedBuf,
    shared: Arc<Shared>,
}

impl PooledBuf {
    /// How many bytes the buffer can hold.
    pub fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    /// The alignment of its address.
    pub fn alignment(&self) -> usize {
        self.buf.alignment()
    }

    /// Sets the length to 0.
    pub fn clear(&mut self) {
        self.buf.clear();
    }

    /// Sets the length to `len`: cuts the buffer off, or fills it up with `value`.
    ///
    /// # Panics
    ///
    /// If `len` exceeds the capacity.
    #[track_caller]
    pub fn resize(&mut self, len: usize, value: u8) {
        self.buf.resize(len, value);
    }

    /// Appends as many of `bytes` as the capacity allows, and returns how many that were.
    #[must_use = "what does not fit is not appended"]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> usize {
        self.buf.extend_from_slice(bytes)
    }
}

impl Deref for PooledBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buf
    }
}

impl DerefMut for PooledBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buf
    }
}

impl AsRef<[u8]> for PooledBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for PooledBuf {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

// SAFETY: forwards to `AlignedBuf` in a private field, which meets the contract, and is replaced in the drop only.
unsafe impl IoBuf for PooledBuf {
    fn buf_ptr(&self) -> *const u8 {
        self.buf.buf_ptr()
    }

    fn buf_len(&self) -> usize {
        self.buf.buf_len()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for PooledBuf {
    fn buf_mut_ptr(&mut self) -> *mut u8 {
        self.buf.buf_mut_ptr()
    }

    fn buf_capacity(&self) -> usize {
        self.buf.buf_capacity()
    }

    unsafe fn set_filled(&mut self, n: usize) {
        // SAFETY: the caller's promise is the one asked for.
        unsafe { self.buf.set_filled(n) }
    }
}

impl Drop for PooledBuf {
    #[inline]
    fn drop(&mut self) {
        // One without capacity allocates nothing.
        let mut buf = mem::replace(&mut self.buf, AlignedBuf::new(0, 1));
        buf.clear();
        self.shared.list.put(buf);
    }
}

impl fmt::Debug for PooledBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledBuf")
            .field("len", &self.buf.len())
            .field("capacity", &self.capacity())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;

    const _: () = {
        const fn send_and_sync<T: Send + Sync>() {}
        send_and_sync::<BufferPool>();
        send_and_sync::<PooledBuf>();
    };

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll<F: Future>(future: &mut Pin<Box<F>>, count: &Arc<Count>) -> Option<F::Output> {
        let waker = Waker::from(Arc::clone(count));
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    struct Unpark(std::thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut future = std::pin::pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            std::thread::park();
        }
    }

    /// Panics when it is woken.
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("woken"));
        }
    }

    #[test]
    fn a_waker_that_panics_is_no_concern_of_who_gives_a_buffer_back() {
        let pool = BufferPool::new(8, 1);
        let (taken, count) = (pool.try_take().unwrap(), Arc::default());
        let mut wait = Box::pin(pool.take());
        let waker = Waker::from(Arc::new(Panics));
        let mut cx = Context::from_waker(&waker);
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        drop(taken);
        assert!(poll(&mut wait, &count).is_some());
    }

    #[test]
    fn buffers_are_made_as_needed_and_used_again() {
        let pool = BufferPool::new(5000, 2);
        let mut one = pool.try_take().unwrap();
        assert_eq!((one.capacity(), one.alignment()), (5000, 4096));
        assert_eq!(one.fill_from(&[1; 9000]), 5000);
        let two = pool.try_take().unwrap();
        assert_ne!(one.buf_ptr(), two.buf_ptr());
        assert!(pool.try_take().is_none());
        assert_eq!(pool.available(), 0);
        let address = one.buf_ptr();
        drop(one);
        let again = pool.clone().try_take().unwrap();
        assert_eq!((again.buf_ptr(), again.len()), (address, 0));
        drop((again, two));
        assert_eq!((pool.available(), pool.capacity()), (2, 2));
    }

    #[test]
    fn buffers_outlive_their_pool() {
        let pool = BufferPool::new(16, 2);
        let mut one = pool.try_take().unwrap();
        let two = pool.try_take().unwrap();
        let shared = Arc::downgrade(&pool.shared);
        drop(pool);
        assert_eq!(one.extend_from_slice(b"still here"), 10);
        drop(two);
        assert_eq!(&one[..], b"still here");
        drop(one);
        assert_eq!(shared.strong_count(), 0);
    }

    #[test]
    fn those_who_wait_are_served_in_order() {
        let pool = BufferPool::new(16, 1);
        let held = pool.try_take().unwrap();
        let counts: [Arc<Count>; 3] = Default::default();
        let mut waiting: Vec<_> = counts.iter().map(|_| Box::pin(pool.take())).collect();
        for (future, count) in waiting.iter_mut().zip(&counts) {
            assert!(poll(future, count).is_none());
        }
        drop(held);
        let woken = |at: usize| counts[at].0.load(Ordering::SeqCst);
        assert_eq!([0, 1, 2].map(woken), [1, 0, 0]);
        assert!(poll(&mut waiting[2], &counts[2]).is_none());
        assert!(pool.try_take().is_none(), "it is set aside for the first");
        let first = poll(&mut waiting[0], &counts[0]).unwrap();
        // The second leaves before, the third is next.
        drop(waiting.remove(1));
        drop(first);
        assert_eq!([0, 1, 2].map(woken), [1, 0, 1]);
        // The third leaves when it has been woken already: the buffer is free.
        drop(waiting);
        assert_eq!(pool.available(), 1);
    }

    #[test]
    fn the_last_waker_is_the_one_that_is_woken() {
        let pool = BufferPool::new(16, 1);
        let held = pool.try_take().unwrap();
        let counts: [Arc<Count>; 2] = Default::default();
        let mut waiting = Box::pin(pool.take());
        assert!(poll(&mut waiting, &counts[0]).is_none());
        assert!(poll(&mut waiting, &counts[1]).is_none());
        assert!(poll(&mut waiting, &counts[1]).is_none());
        drop(held);
        assert_eq!(counts[0].0.load(Ordering::SeqCst), 0);
        assert_eq!(counts[1].0.load(Ordering::SeqCst), 1);
        assert_eq!(Arc::strong_count(&counts[0]), 1);
        assert!(poll(&mut waiting, &counts[1]).is_some());
    }

    #[test]
    fn threads_share_few_buffers() {
        let pool = BufferPool::new(64, 3);
        let rounds = if cfg!(miri) { 20 } else { 2000 };
        let threads: Vec<_> = (0..4u8)
            .map(|byte| {
                let pool = pool.clone();
                std::thread::spawn(move || {
                    for _ in 0..rounds {
                        let mut buf = block_on(pool.take());
                        buf.resize(64, byte);
                        std::thread::yield_now();
                        assert!(buf.iter().all(|&each| each == byte));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(pool.available(), 3);
    }

    #[test]
    #[should_panic(expected = "a pool without buffers")]
    fn a_pool_without_buffers_panics() {
        BufferPool::new(1, 0);
    }

    #[test]
    #[should_panic(expected = "exceeds isize::MAX")]
    fn a_size_that_overflows_panics_at_once() {
        BufferPool::new(isize::MAX as usize, 1);
    }
}
