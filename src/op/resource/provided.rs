//! A provided buffer on lease.

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use crate::buf::{IoBuf, bytes};
use crate::driver::{Lease, Pool, RemoteLease};

/// Bytes that the kernel has put into a buffer of the runtime's own: an owned lease, given back on drop.
///
/// It is a buffer like any other: it can be sent or written as it is. It can be split; the parts share the lease, which
/// ends with the last of them. With the feature `bytes` it can be turned into `Bytes` without a copy, and so be sent to
/// other threads and outlive the runtime. Holding many of them for long keeps other streams waiting: copy what is to be
/// kept.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use futures_util::StreamExt;
/// use saferring::net::UnixStream;
///
/// let (client, server) = UnixStream::pair()?;
/// client.write_all("HEADbody").await.0?;
/// let mut body = server.recv_stream().next().await.unwrap()?;
/// let head = body.split_to(4);
/// assert_eq!((&head[..], &body[..]), (&b"HEAD"[..], &b"body"[..]));
/// # Ok(())
/// # })
/// # }
/// ```
pub struct ProvidedBuf {
    start: NonNull<u8>,
    len: usize,
    owner: Owner,
}

/// What `start` points into.
enum Owner {
    Pool {
        pool: Rc<Pool>,
        lease: Lease,
        /// How many bytes of a datagram did not fit.
        missing: u32,
    },
    /// A part of a datagram, and how many bytes are missing.
    Cut(Box<(Vec<u8>, u32)>),
    /// Bytes that arrived for a read that was dropped, or on a kernel without provided buffers.
    Heap(Vec<u8>),
    /// One of these, with other parts beside this one.
    Shared(Arc<Shared>),
}

/// What parts share; any thread may drop the last.
enum Shared {
    Pool(#[expect(dead_code, reason = "it gives the lease back on drop")] RemoteLease),
    Heap(#[expect(dead_code, reason = "it owns what the parts point to")] Vec<u8>),
}

const _: () = assert!(size_of::<ProvidedBuf>() == 5 * size_of::<usize>());

impl ProvidedBuf {
    /// The first `len` bytes of the buffer of `lease`.
    ///
    /// # Safety
    ///
    /// A completion of an operation on this group of this pool has just named the buffer, and has told that the kernel
    /// wrote `len` bytes into it; this is called once for it.
    pub(super) unsafe fn lease(pool: Rc<Pool>, lease: Lease, len: usize) -> Self {
        ProvidedBuf {
            start: pool.buffer(lease),
            len,
            owner: Owner::Pool {
                pool,
                lease,
                missing: 0,
            },
        }
    }

    /// Takes out the first `at` bytes; the rest stays. Both share the lease. Allocates at the first split of a buffer.
    ///
    /// # Panics
    ///
    /// If there are fewer than `at` bytes.
    #[track_caller]
    pub fn split_to(&mut self, at: usize) -> ProvidedBuf {
        let mut front = self.split_off(at);
        mem::swap(&mut front, self);
        front
    }

    /// Takes out the bytes from `at` on; those before stay. Both share the lease. Allocates at the first split of a
    /// buffer.
    ///
    /// # Panics
    ///
    /// If there are fewer than `at` bytes.
    #[track_caller]
    pub fn split_off(&mut self, at: usize) -> ProvidedBuf {
        self.check(at);
        // An empty part holds nothing.
        if at == self.len {
            return ProvidedBuf::from(Vec::new());
        }
        if at == 0 {
            return mem::replace(self, Vec::new().into());
        }
        let back = ProvidedBuf {
            // SAFETY: `at` is within the `len` bytes that `start` has.
            start: unsafe { self.start.add(at) },
            len: self.len - at,
            owner: Owner::Shared(Arc::clone(self.share())),
        };
        self.len = at;
        back
    }

    /// How many bytes of a datagram are not here, because it was larger than a buffer; 0 of one that came whole, of bytes of a
    /// stream, and of parts that were split off. [`Builder::provided_buffers`](crate::runtime::Builder::provided_buffers)
    /// makes buffers large enough.
    pub fn missing(&self) -> usize {
        match &self.owner {
            Owner::Pool { missing, .. } => *missing as usize,
            Owner::Cut(cut) => cut.1 as usize,
            Owner::Heap(_) | Owner::Shared(_) => 0,
        }
    }

    /// Notes that so many bytes of a datagram did not fit.
    pub(crate) fn set_missing(&mut self, n: usize) {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        match &mut self.owner {
            Owner::Pool { missing, .. } => *missing = n,
            Owner::Cut(cut) => cut.1 = n,
            Owner::Heap(bytes) if n > 0 => {
                self.owner = Owner::Cut(Box::new((mem::take(bytes), n)));
            }
            Owner::Heap(_) | Owner::Shared(_) => {}
        }
    }

    /// Leaves out all but the first `len` bytes. Does nothing if there are no more.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Leaves out the first `n` bytes.
    ///
    /// # Panics
    ///
    /// If there are fewer than that.
    #[track_caller]
    pub fn advance(&mut self, n: usize) {
        self.check(n);
        // SAFETY: `n` is within the `len` bytes that `start` has.
        self.start = unsafe { self.start.add(n) };
        self.len -= n;
    }

    #[track_caller]
    fn check(&self, at: usize) {
        assert!(
            at <= self.len,
            "position {at} is beyond the buffer's {} bytes",
            self.len
        );
    }

    /// Makes the owner one that others can share.
    fn share(&mut self) -> &Arc<Shared> {
        if !matches!(self.owner, Owner::Shared(_)) {
            let shared = match self.take_owner() {
                Owner::Pool { pool, lease, .. } => {
                    // SAFETY: the lease began with a completion, as `lease` was promised; the owner was taken out, so
                    // this stands for its end. Whoever looks into the buffer holds a count of `shared`.
                    Arc::new(Shared::Pool(unsafe { pool.share(lease) }))
                }
                Owner::Heap(bytes) => Arc::new(Shared::Heap(bytes)),
                Owner::Cut(cut) => Arc::new(Shared::Heap(cut.0)),
                Owner::Shared(shared) => shared,
            };
            self.owner = Owner::Shared(shared);
        }
        match &self.owner {
            Owner::Shared(shared) => shared,
            Owner::Pool { .. } | Owner::Cut(_) | Owner::Heap(_) => {
                unreachable!("it was made shared")
            }
        }
    }

    /// Takes the owner out. Until another is put in, nobody may look at the bytes.
    fn take_owner(&mut self) -> Owner {
        mem::replace(&mut self.owner, Owner::Heap(Vec::new()))
    }
}

impl From<Vec<u8>> for ProvidedBuf {
    fn from(mut bytes: Vec<u8>) -> Self {
        ProvidedBuf {
            // SAFETY: a vector's pointer is never null.
            start: unsafe { NonNull::new_unchecked(bytes.as_mut_ptr()) },
            len: bytes.len(),
            owner: Owner::Heap(bytes),
        }
    }
}

impl Deref for ProvidedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        bytes(self)
    }
}

impl AsRef<[u8]> for ProvidedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

// SAFETY: `start` has `len` initialised bytes, which are ours alone until the drop: those of a leased buffer, which the kernel
// does not touch before it is given back, or those of the vector in `owner`. The parts of a buffer do not overlap, and nobody
// writes to any. So the bytes stay where they are, and unchanged, wherever the value moves; `start` and `len` change by
// `&mut self` alone.
unsafe impl IoBuf for ProvidedBuf {
    fn buf_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    fn buf_len(&self) -> usize {
        self.len
    }
}

impl Drop for ProvidedBuf {
    #[inline]
    fn drop(&mut self) {
        if let Owner::Pool { pool, lease, .. } = &self.owner {
            // SAFETY: the lease began with a completion, as `lease` was promised, and was not shared since. Nobody looks
            // into it after this.
            unsafe { pool.give_back(*lease) };
        }
    }
}

impl fmt::Debug for ProvidedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProvidedBuf({} bytes)", self.len)
    }
}

#[cfg(feature = "bytes")]
mod into_bytes {
    use bytes::Bytes;

    use super::*;

    /// A part that any thread may hold.
    struct Part {
        start: NonNull<u8>,
        len: usize,
        _owner: PartOwner,
    }

    #[expect(dead_code, reason = "they own what `start` points to")]
    enum PartOwner {
        Pool(RemoteLease),
        Shared(Arc<Shared>),
    }

    const _: () = {
        const fn send_and_sync<T: Send + Sync>() {}
        send_and_sync::<PartOwner>();
    };

    // SAFETY: `start` is a plain address of bytes that nobody writes to while `_owner`, which is `Send`, lives.
    unsafe impl Send for Part {}

    impl AsRef<[u8]> for Part {
        fn as_ref(&self) -> &[u8] {
            // SAFETY: `start` has `len` initialised bytes, which `_owner` keeps and nobody writes to: they were a
            // `ProvidedBuf`'s, which has handed its owner over.
            unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
        }
    }

    /// The `len` bytes at `start` of a vector.
    fn from_vec(start: NonNull<u8>, len: usize, bytes: Vec<u8>) -> Bytes {
        let from = start.addr().get() - bytes.as_ptr().addr();
        Bytes::slice(&Bytes::from(bytes), from..from + len)
    }

    /// Without a copy. The lease goes back when the last `Bytes` of it is dropped, on whatever thread; its memory stays
    /// until then, even without the runtime.
    impl From<ProvidedBuf> for Bytes {
        fn from(mut buf: ProvidedBuf) -> Bytes {
            let (start, len) = (buf.start, buf.len);
            if len == 0 {
                return Bytes::new();
            }
            let owner = match buf.take_owner() {
                // SAFETY: as in `share`: the owner was taken out, so this stands for its end, and the part that is made
                // below goes with it.
                Owner::Pool { pool, lease, .. } => PartOwner::Pool(unsafe { pool.share(lease) }),
                Owner::Shared(shared) => PartOwner::Shared(shared),
                Owner::Cut(cut) => return from_vec(start, len, cut.0),
                Owner::Heap(bytes) => return from_vec(start, len, bytes),
            };
            Bytes::from_owner(Part {
                start,
                len,
                _owner: owner,
            })
        }
    }
}
