//! Several provided buffers that came together.

use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};

use super::provided::ProvidedBuf;
use crate::buf::{IoBuf, IoVectoredBuf};

/// How many emptied lists a thread keeps for reuse: 80 KiB at the most.
const CACHED_MAX: usize = 32;

thread_local! {
    static CACHE: RefCell<Vec<Vec<ProvidedBuf>>> = const { RefCell::new(Vec::new()) };
}

/// Buffers that have arrived together, in order; see [`RecvStream::next_batch`](crate::net::RecvStream::next_batch).
///
/// There is at least one. It can be sent as it is, by `write_all_vectored`: one request to the kernel, however many
/// buffers there are. Each goes back when it is dropped.
pub struct Batch {
    bufs: Vec<ProvidedBuf>,
}

impl Batch {
    /// The most buffers of one batch.
    pub(crate) const MAX: usize = 64;

    /// A batch that begins with `first`.
    pub(crate) fn new(first: ProvidedBuf) -> Self {
        // At the thread's end the list may be gone already.
        let cached = CACHE.try_with(|cache| cache.borrow_mut().pop());
        let mut bufs = cached.ok().flatten().unwrap_or_default();
        bufs.push(first);
        Batch { bufs }
    }

    pub(crate) fn push(&mut self, buf: ProvidedBuf) {
        self.bufs.push(buf);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bufs.len() >= Self::MAX
    }

    /// The bytes of all buffers together.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # use saferring::net::UnixStream;
    /// let (a, b) = UnixStream::pair()?;
    /// a.write_all("hello").await.0?;
    /// let batch = b.recv_stream().next_batch().await.unwrap()?;
    /// assert_eq!((batch.len(), batch.total_len()), (1, 5));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn total_len(&self) -> usize {
        self.bufs.iter().map(|buf| buf.len()).sum()
    }
}

impl Deref for Batch {
    type Target = [ProvidedBuf];

    fn deref(&self) -> &[ProvidedBuf] {
        &self.bufs
    }
}

impl DerefMut for Batch {
    fn deref_mut(&mut self) -> &mut [ProvidedBuf] {
        &mut self.bufs
    }
}

impl IntoIterator for Batch {
    type Item = ProvidedBuf;
    type IntoIter = std::vec::IntoIter<ProvidedBuf>;

    fn into_iter(self) -> Self::IntoIter {
        Vec::from(self).into_iter()
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a ProvidedBuf;
    type IntoIter = std::slice::Iter<'a, ProvidedBuf>;

    fn into_iter(self) -> Self::IntoIter {
        self.bufs.iter()
    }
}

impl From<Batch> for Vec<ProvidedBuf> {
    fn from(mut batch: Batch) -> Self {
        mem::take(&mut batch.bufs)
    }
}

// SAFETY: one call for each of the `len` buffers, which vouch for their ranges. The batch gives no access to them but by
// `&self` and `&mut self`.
unsafe impl IoVectoredBuf for Batch {
    fn buf_count(&self) -> usize {
        self.bufs.len()
    }

    fn for_each_buf(&self, mut f: impl FnMut(*const u8, usize)) {
        for buf in &self.bufs {
            f(buf.buf_ptr(), buf.buf_len());
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let mut bufs = mem::take(&mut self.bufs);
        // Before the borrow: it may wake tasks.
        bufs.clear();
        if bufs.capacity() > 0 {
            let _ = CACHE.try_with(|cache| {
                let mut cache = cache.borrow_mut();
                if cache.len() < CACHED_MAX {
                    cache.push(bufs);
                }
            });
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.bufs).finish()
    }
}
