//! Sockets that can be under a [`Compat`](crate::Compat).

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use saferring::buf::Slice;
use saferring::net::{RecvStream, Shutdown, TcpStream, UnixStream};
use saferring::op::{Op, Send};

/// A connected stream socket: a [`TcpStream`] or a [`UnixStream`].
pub trait Socket: sealed::Socket {}

pub(crate) type Sent = Send<Slice<Vec<u8>>>;

pub(crate) mod sealed {
    use super::*;

    pub trait Socket: 'static {
        fn chunks(&self) -> RecvStream;
        fn send(&self, buf: Slice<Vec<u8>>) -> Op<Sent>;
        #[cfg(feature = "codec")]
        fn send_bytes(&self, buf: Slice<bytes::BytesMut>) -> Op<Send<Slice<bytes::BytesMut>>>;
        fn end_writing(&self) -> io::Result<()>;

        /// Sends what the socket takes now; `None`: nothing.
        fn send_now(&self, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>>;
    }
}

/// The most slices that the kernel takes (`UIO_MAXIOV`).
const SLICES_MAX: usize = 1024;

fn send_now(socket: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
    let slices = &slices[..slices.len().min(SLICES_MAX)];
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags) {
        Ok(sent) => Ok(Some(sent)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

macro_rules! socket {
    ($stream:ty) => {
        impl Socket for $stream {}

        impl sealed::Socket for $stream {
            fn chunks(&self) -> RecvStream {
                self.recv_stream()
            }

            fn send(&self, buf: Slice<Vec<u8>>) -> Op<Sent> {
                self.write(buf)
            }

            #[cfg(feature = "codec")]
            fn send_bytes(&self, buf: Slice<bytes::BytesMut>) -> Op<Send<Slice<bytes::BytesMut>>> {
                self.write(buf)
            }

            fn end_writing(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }

            fn send_now(&self, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
                send_now(self, slices)
            }
        }
    };
}

socket!(TcpStream);
socket!(UnixStream);
