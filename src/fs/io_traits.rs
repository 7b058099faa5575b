//! Files as readers and writers, by their cursor.

use std::io;

use super::File;
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use crate::io::{AsyncRead, AsyncWrite};

impl AsyncRead for File {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        File::read(self, buf).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
        File::read_vectored(self, bufs).await
    }
}

/// Nothing is held back, so there is nothing to flush: [`File::sync_all`] brings what was written to the disk.
impl AsyncWrite for File {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        File::write(self, buf).await
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        File::write_vectored(self, bufs).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Does nothing: a file has no other side, and stays open for writes.
    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}
