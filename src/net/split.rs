//! A stream as two halves with owners of their own.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::rc::Rc;

use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use crate::io::{AsyncRead, AsyncWrite};

/// A stream that can be split.
pub trait SplitStream {
    /// Ends the writing direction.
    fn shutdown_write(&self);
}

/// The reading half of a stream: it has all methods of the stream, by dereference.
#[derive(Debug)]
pub struct OwnedReadHalf<S: SplitStream> {
    stream: Rc<S>,
}

/// The writing half of a stream: it has all methods of the stream, by dereference. Dropping it ends the writing
/// direction.
#[derive(Debug)]
pub struct OwnedWriteHalf<S: SplitStream> {
    stream: Rc<S>,
    shutdown_on_drop: bool,
}

pub(super) fn split<S: SplitStream>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Rc::new(stream);
    let reader = OwnedReadHalf {
        stream: Rc::clone(&stream),
    };
    let writer = OwnedWriteHalf {
        stream,
        shutdown_on_drop: true,
    };
    (reader, writer)
}

impl<S: SplitStream> OwnedReadHalf<S> {
    /// Makes the stream whole again.
    ///
    /// # Errors
    ///
    /// Both halves, if they are not of one stream.
    pub fn reunite(self, mut writer: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
        if !Rc::ptr_eq(&self.stream, &writer.stream) {
            return Err(ReuniteError(self, writer));
        }
        writer.shutdown_on_drop = false;
        drop(writer);
        match Rc::try_unwrap(self.stream) {
            Ok(stream) => Ok(stream),
            Err(_) => unreachable!("a stream has two halves, and both were given"),
        }
    }
}

impl<S: SplitStream> OwnedWriteHalf<S> {
    /// Drops the half without ending the writing direction.
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
    }
}

impl<S: SplitStream> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if self.shutdown_on_drop {
            self.stream.shutdown_write();
        }
    }
}

impl<S: SplitStream> Deref for OwnedReadHalf<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.stream
    }
}

impl<S: SplitStream> Deref for OwnedWriteHalf<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.stream
    }
}

impl<S: SplitStream> AsyncRead for OwnedReadHalf<S>
where
    for<'a> &'a S: AsyncRead,
{
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        (&mut &*self.stream).read(buf).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
        (&mut &*self.stream).read_vectored(bufs).await
    }
}

impl<S: SplitStream> AsyncWrite for OwnedWriteHalf<S>
where
    for<'a> &'a S: AsyncWrite,
{
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        (&mut &*self.stream).write(buf).await
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        (&mut &*self.stream).write_vectored(bufs).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        (&mut &*self.stream).flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        (&mut &*self.stream).shutdown().await
    }
}

/// The two halves are not of one stream.
#[derive(Debug)]
pub struct ReuniteError<S: SplitStream>(pub OwnedReadHalf<S>, pub OwnedWriteHalf<S>);

impl<S: SplitStream> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried to reunite halves that are not from the same stream")
    }
}

impl<S: SplitStream + fmt::Debug> Error for ReuniteError<S> {}
