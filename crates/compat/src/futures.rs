//! The traits of futures, and streams with them under ours.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{
    AsyncBufRead as FuturesBufRead, AsyncRead as FuturesRead, AsyncWrite as FuturesWrite,
};
use saferring::io::AsyncRead;

#[cfg(feature = "tls")]
use crate::CompatTls;
use crate::foreign::{Reads, Writes, from, resized};
use crate::polled::{PollRead, PollWrite, poll_writes};
use crate::{Compat, CompatHalves, CompatReader, CompatWriter, Socket};

macro_rules! readers {
    ($reader:ty, $($bounds:tt)*) => {
        impl<$($bounds)*> FuturesRead for $reader
        where
            Self: PollRead + Unpin,
        {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let room = buf.len();
                let put = |bytes: &[u8]| buf[..bytes.len()].copy_from_slice(bytes);
                self.get_mut().poll_into(cx, room, put)
            }
        }

        impl<$($bounds)*> FuturesBufRead for $reader
        where
            Self: PollRead + Unpin,
        {
            fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
                self.get_mut().poll_bytes(cx)
            }

            fn consume(self: Pin<&mut Self>, n: usize) {
                PollRead::consume(self.get_mut(), n);
            }
        }
    };
}

macro_rules! writers {
    ($writer:ty, $($bounds:tt)*) => {
        impl<$($bounds)*> FuturesWrite for $writer
        where
            Self: PollWrite + Unpin,
        {
            poll_writes!();

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                PollWrite::poll_flush(self.get_mut(), cx)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                PollWrite::poll_shutdown(self.get_mut(), cx)
            }
        }
    };
}

readers!(Compat<S>, S: Socket);
writers!(Compat<S>, S: Socket);
#[cfg(feature = "tls")]
readers!(CompatTls<S>, S: Socket);
#[cfg(feature = "tls")]
writers!(CompatTls<S>, S: Socket);
readers!(CompatReader<R>, R: AsyncRead + 'static);
writers!(CompatWriter<W>, W: 'static);
readers!(CompatHalves<R, W>, R: AsyncRead + 'static, W: 'static);
writers!(CompatHalves<R, W>, R, W: 'static);

/// Something with the traits of futures under saferring's [`AsyncRead`] and [`AsyncWrite`](saferring::io::AsyncWrite).
///
/// It is as cancel safe as they are: a read that is dropped has read nothing. What is read is copied once more than it would be
/// under their own traits, as they only borrow what they read into.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use futures_util::io::Cursor;
/// use saferring::io::AsyncReadExt;
/// use saferring_compat::FromFutures;
///
/// let mut reader = FromFutures::new(Cursor::new("hello"));
/// let (_, hello) = reader.read_exact(vec![0; 5]).await;
/// assert_eq!(hello, b"hello");
/// # });
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct FromFutures<T> {
    inner: T,
    scratch: Vec<u8>,
}

impl<T: FuturesRead + Unpin> Reads for FromFutures<T> {
    fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<&[u8]>> {
        let buf = resized(&mut self.scratch, room);
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        Poll::Ready(Ok(&buf[..read]))
    }
}

impl<T: FuturesWrite + Unpin> Writes for FromFutures<T> {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

from!(FromFutures, FuturesRead, FuturesWrite);
