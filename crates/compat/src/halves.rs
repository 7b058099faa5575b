//! A reader and a writer as one stream.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use saferring::io::{AsyncRead, AsyncWrite};

use crate::polled::{PollRead, PollWrite};
use crate::reader::CompatReader;
use crate::writer::CompatWriter;

/// A reader and a writer of saferring's as one stream under the traits of tokio, futures and hyper: the halves of a TLS
/// stream, or the two pipes of a process.
#[derive(Debug)]
pub struct CompatHalves<R, W: 'static> {
    /// The reading half.
    pub reader: CompatReader<R>,
    /// The writing half.
    pub writer: CompatWriter<W>,
}

impl<R: AsyncRead + 'static, W: AsyncWrite + 'static> CompatHalves<R, W> {
    /// Puts both under the traits.
    pub fn new(reader: R, writer: W) -> Self {
        CompatHalves {
            reader: CompatReader::new(reader),
            writer: CompatWriter::new(writer),
        }
    }
}

impl<R: AsyncRead + 'static, W: 'static> PollRead for CompatHalves<R, W> {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.reader.poll_bytes(cx)
    }

    fn consume(&mut self, n: usize) {
        self.reader.consume(n);
    }
}

impl<R, W: 'static> PollWrite for CompatHalves<R, W> {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writer.poll_write(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_shutdown(cx)
    }
}
