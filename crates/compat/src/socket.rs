//! Sockets that can be under a [`Compat`](crate::Compat).

use std::io;

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
                self.write(buf).whole()
            }

            #[cfg(feature = "codec")]
            fn send_bytes(&self, buf: Slice<bytes::BytesMut>) -> Op<Send<Slice<bytes::BytesMut>>> {
                self.write(buf).whole()
            }

            fn end_writing(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }
        }
    };
}

socket!(TcpStream);
socket!(UnixStream);
