//! The traits of hyper.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use saferring::io::AsyncRead;

#[cfg(feature = "tls")]
use crate::CompatTls;
use crate::polled::{PollRead, PollWrite, poll_writes};
use crate::{Compat, CompatHalves, Socket};

macro_rules! streams {
    ($stream:ty, $($bounds:tt)*) => {
        impl<$($bounds)*> Read for $stream
        where
            Self: PollRead + Unpin,
        {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                mut buf: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                let room = buf.remaining();
                ready!(self.get_mut().poll_into(cx, room, |bytes| buf.put_slice(bytes)))?;
                Poll::Ready(Ok(()))
            }
        }

        impl<$($bounds)*> Write for $stream
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

streams!(Compat<S>, S: Socket);
#[cfg(feature = "tls")]
streams!(CompatTls<S>, S: Socket);
streams!(CompatHalves<R, W>, R: AsyncRead + 'static, W: 'static);
