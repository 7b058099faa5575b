//! What every adapter can do, whatever the traits are called outside.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

/// A source that shows what it has.
pub(crate) trait PollRead {
    /// The bytes that are there, at least one; none at the end.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>>;

    /// Takes the first `n` of them away.
    fn consume(&mut self, n: usize);

    /// Gives some of them to `put`.
    fn poll_into(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        put: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        let bytes = ready!(self.poll_bytes(cx))?;
        let n = bytes.len().min(room);
        put(&bytes[..n]);
        self.consume(n);
        Poll::Ready(Ok(n))
    }
}

/// A target that copies what it is given.
pub(crate) trait PollWrite {
    /// Takes the start of `slices`, as soon as what was taken before is where it belongs.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Waits until what was taken is where it belongs.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Flushes, and ends this direction.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The methods of their writing traits that are alike in each library, for what has [`PollWrite`].
macro_rules! poll_writes {
    () => {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            PollWrite::poll_write(self.get_mut(), cx, &[io::IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            PollWrite::poll_write(self.get_mut(), cx, bufs)
        }
    };
}

pub(crate) use poll_writes;
