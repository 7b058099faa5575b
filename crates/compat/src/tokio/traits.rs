//! The traits of tokio, and its streams under ours.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use saferring::io::AsyncRead;
use tokio::io::{
    AsyncBufRead as TokioBufRead, AsyncRead as TokioRead, AsyncWrite as TokioWrite, ReadBuf,
};

#[cfg(feature = "tls")]
use crate::CompatTls;
use crate::foreign::{Reads, Writes, from, resized};
use crate::polled::{PollRead, PollWrite, poll_writes};
use crate::{Compat, CompatHalves, CompatReader, CompatWriter, Socket};

macro_rules! readers {
    ($reader:ty, $($bounds:tt)*) => {
        impl<$($bounds)*> TokioRead for $reader
        where
            Self: PollRead + Unpin,
        {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let room = buf.remaining();
                ready!(self.get_mut().poll_into(cx, room, |bytes| buf.put_slice(bytes)))?;
                Poll::Ready(Ok(()))
            }
        }

        impl<$($bounds)*> TokioBufRead for $reader
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
        impl<$($bounds)*> TokioWrite for $writer
        where
            Self: PollWrite + Unpin,
        {
            poll_writes!();

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                PollWrite::poll_flush(self.get_mut(), cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                PollWrite::poll_shutdown(self.get_mut(), cx)
            }

            fn is_write_vectored(&self) -> bool {
                true
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

/// Something with tokio's traits under saferring's [`AsyncRead`] and [`AsyncWrite`](saferring::io::AsyncWrite).
///
/// It is as cancel safe as they are: a read that is dropped has read nothing. What is read is copied once more than it would be
/// under their own traits, as they only borrow what they read into.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::io::{AsyncReadExt, AsyncWriteExt};
/// use saferring_compat::FromTokio;
///
/// let (one, other) = tokio::io::duplex(64);
/// FromTokio::new(one).write_all("hello").await.0?;
/// let (_, hello) = FromTokio::new(other).read_exact(vec![0; 5]).await;
/// assert_eq!(hello, b"hello");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct FromTokio<T> {
    inner: T,
    scratch: Vec<u8>,
}

impl<T: TokioRead + Unpin> Reads for FromTokio<T> {
    fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<&[u8]>> {
        let mut buf = ReadBuf::new(resized(&mut self.scratch, room));
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buf))?;
        let read = buf.filled().len();
        Poll::Ready(Ok(&self.scratch[..read]))
    }
}

impl<T: TokioWrite + Unpin> Writes for FromTokio<T> {
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
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

from!(FromTokio, TokioRead, TokioWrite);
