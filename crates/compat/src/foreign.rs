//! Streams with the traits of others under ours.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

/// How much is read at once.
const SIZE: usize = 64 * 1024;

/// What reads for one of the `From…` types.
pub(crate) trait Reads {
    /// Reads up to `room` bytes into memory of its own.
    fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<&[u8]>>;
}

/// What writes for one of the `From…` types.
pub(crate) trait Writes {
    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>])
    -> Poll<io::Result<usize>>;

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Room for so many bytes, or as many as are read at once.
pub(crate) fn resized(scratch: &mut Vec<u8>, room: usize) -> &mut [u8] {
    let room = room.min(SIZE);
    if scratch.len() < room {
        scratch.resize(room, 0);
    }
    &mut scratch[..room]
}

/// As saferring's own readers say it.
pub(crate) fn no_room() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the buffer has no room to read into: give it a capacity, as in Vec::with_capacity(4096)",
    )
}

/// The type's methods, and saferring's traits for it.
macro_rules! from {
    ($from:ident, $read:ident, $write:ident) => {
        impl<T> $from<T> {
            /// Puts it under saferring's traits.
            pub fn new(inner: T) -> Self {
                $from {
                    inner,
                    scratch: Vec::new(),
                }
            }

            /// What is under them.
            pub fn get_ref(&self) -> &T {
                &self.inner
            }

            /// What is under them.
            pub fn get_mut(&mut self) -> &mut T {
                &mut self.inner
            }

            /// Gives it back. Nothing is held here.
            pub fn into_inner(self) -> T {
                self.inner
            }
        }

        impl<T: $read + Unpin> saferring::io::AsyncRead for $from<T> {
            async fn read<B: saferring::buf::IoBufMut>(
                &mut self,
                mut buf: B,
            ) -> saferring::buf::BufResult<usize, B> {
                let room = buf.buf_capacity();
                if room == 0 {
                    return (Err(crate::foreign::no_room()), buf);
                }
                let read = std::future::poll_fn(|cx| {
                    let bytes =
                        std::task::ready!(crate::foreign::Reads::poll_read(self, cx, room))?;
                    Poll::Ready(Ok(buf.fill_from(bytes)))
                });
                (read.await, buf)
            }

            async fn read_vectored<V: saferring::buf::IoVectoredBufMut>(
                &mut self,
                mut bufs: V,
            ) -> saferring::buf::BufResult<usize, V> {
                let room = bufs.total_capacity();
                if room == 0 {
                    return (Err(crate::foreign::no_room()), bufs);
                }
                let read = std::future::poll_fn(|cx| {
                    let bytes =
                        std::task::ready!(crate::foreign::Reads::poll_read(self, cx, room))?;
                    Poll::Ready(Ok(bufs.fill_from(bytes)))
                });
                (read.await, bufs)
            }
        }

        impl<T: $write + Unpin> saferring::io::AsyncWrite for $from<T> {
            async fn write<B: saferring::buf::IoBuf>(
                &mut self,
                buf: B,
            ) -> saferring::buf::BufResult<usize, B> {
                let bytes = buf.slice(..);
                let written = std::future::poll_fn(|cx| {
                    crate::foreign::Writes::poll_write(self, cx, &[IoSlice::new(&bytes)])
                });
                let written = written.await;
                (written, bytes.into_inner())
            }

            async fn write_vectored<V: saferring::buf::IoVectoredBuf>(
                &mut self,
                bufs: V,
            ) -> saferring::buf::BufResult<usize, V> {
                // They can only be looked at one after the other.
                let mut all = crate::buffers::empty();
                bufs.for_each_slice(|bytes| crate::buffers::append(&mut all, bytes));
                let written = std::future::poll_fn(|cx| {
                    crate::foreign::Writes::poll_write(self, cx, &[IoSlice::new(&all)])
                });
                let written = written.await;
                crate::buffers::give_back(all);
                (written, bufs)
            }

            async fn flush(&mut self) -> io::Result<()> {
                std::future::poll_fn(|cx| crate::foreign::Writes::poll_flush(self, cx)).await
            }

            async fn shutdown(&mut self) -> io::Result<()> {
                std::future::poll_fn(|cx| crate::foreign::Writes::poll_shutdown(self, cx)).await
            }
        }
    };
}

pub(crate) use from;
