//! Methods of TCP and Unix streams. They are a macro, so that each type's page in the documentation has them.

/// The methods of a connected stream whose socket is `self.socket`.
macro_rules! stream_methods {
    ($stream:ident) => {
        impl $stream {
            /// Receives what is there, at least one byte, into `buf`: see [`buf`](crate::buf) for how it fills.
            ///
            /// Returns the number of bytes; zero is the end of the stream.
            ///
            /// # Errors
            ///
            /// Those of recv(2); `InvalidInput` if the buffer has no room, which would look like the end of the stream.
            ///
            /// # Cancel safety
            ///
            /// Dropping it loses nothing: bytes that arrive nevertheless are kept for the next read. The buffer is
            /// freed when the kernel has let go of it; [`Op::submit`] and `cancel` give it back, and so does
            /// [`Op::timeout`].
            pub fn read<B: IoBufMut>(&self, buf: B) -> Op<op::Recv<B>> {
                op::Recv::new(self.socket.fd(), buf)
            }

            /// Receives what is there, at least one byte, behind what `buf` holds; makes room if there is none.
            ///
            /// Returns the number of bytes; zero is the end of the stream. The buffer is only lent: it is there whatever
            /// becomes of the future, and so this is the read for `select!` in a loop (see [`net`](crate::net)).
            ///
            /// It tries at once, and otherwise waits without the buffer, so it costs a system call more than
            /// [`read`](Self::read) where it waits.
            ///
            /// # Errors
            ///
            /// Those of recv(2); `OutOfMemory` if the vector cannot grow.
            ///
            /// # Cancel safety
            ///
            /// Dropping it loses nothing: what has arrived is in the buffer, or still to be read.
            ///
            /// # Kernel
            ///
            /// recv(2) and `POLL_ADD`.
            ///
            /// # Examples
            ///
            /// ```
            /// # fn main() -> std::io::Result<()> {
            /// # saferring::runtime::Runtime::new()?.block_on(async {
            /// use saferring::net::UnixStream;
            ///
            /// let (reader, writer) = UnixStream::pair()?;
            /// let mut buf = b"> ".to_vec();
            /// writer.write_all("hello").await.0?;
            /// assert_eq!(reader.read_buf(&mut buf).await?, 5);
            /// assert_eq!(buf, b"> hello");
            /// drop(writer);
            /// assert_eq!(reader.read_buf(&mut buf).await?, 0);
            /// # Ok(())
            /// # })
            /// # }
            /// ```
            pub fn read_buf(
                &self,
                buf: &mut Vec<u8>,
            ) -> impl Future<Output = std::io::Result<usize>> {
                self.socket.read_buf(buf)
            }

            /// What the stream receives, as chunks in buffers that the kernel takes only when data arrives: an idle
            /// connection holds none. One request to the kernel serves the whole stream.
            ///
            /// The way for small messages on many connections; for large ones [`read`](Self::read) is faster. It ends
            /// with the stream, or after an error. When all buffers are out it waits for one to come back; while it is
            /// not polled it soon stops taking any.
            ///
            /// Where a message may be larger than a buffer, take what has arrived at once by
            /// [`next_batch`](RecvStream::next_batch), and send it on by one request.
            ///
            /// # Cancel safety
            ///
            /// Dropping it loses nothing: what it had received and not yielded is kept for the next read. Meanwhile
            /// other reads of the stream wait for it to be dropped.
            ///
            /// # Kernel
            ///
            /// One multishot receive since 6.0; before that one receive after the other, into memory of its own.
            pub fn recv_stream(&self) -> RecvStream {
                RecvStream::new(self.socket.fd())
            }

            /// As [`read`](Self::read), until `buf` is full: to its length, or an empty one to its capacity.
            /// `buf.slice(..n)` bounds it.
            ///
            /// # Errors
            ///
            /// `UnexpectedEof` if the stream ends before, and those of [`read`](Self::read). How many bytes came by then
            /// is told of one that was cancelled ([`Incomplete`](crate::io::Incomplete)).
            ///
            /// # Cancel safety
            ///
            /// Dropping it loses what it has received so far.
            pub async fn read_exact<B: IoBufMut>(&self, buf: B) -> BufResult<(), B> {
                AsyncReadExt::read_exact(&mut &*self, buf).await
            }

            /// As [`read`](Self::read), into several buffers.
            ///
            /// # Errors
            ///
            /// Those of recvmsg(2); `InvalidInput` if the buffers have no room.
            ///
            /// # Cancel safety
            ///
            /// As for [`read`](Self::read).
            pub async fn read_vectored<V: IoVectoredBufMut>(&self, bufs: V) -> BufResult<usize, V> {
                self.socket.recv_vectored(bufs).await
            }

            /// As [`read`](Self::read), but leaves the bytes in the stream.
            ///
            /// # Errors
            ///
            /// Those of [`read`](Self::read).
            ///
            /// # Cancel safety
            ///
            /// Dropping it loses nothing.
            pub async fn peek<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
                self.socket.peek(buf).await
            }

            /// Sends what the socket takes of `buf`; returns the number of bytes.
            ///
            /// # Errors
            ///
            /// Those of send(2). A stream that the peer has closed gives `BrokenPipe`, and no signal.
            ///
            /// # Cancel safety
            ///
            /// A dropped write may have been sent, or sent in part; writes after it wait until that is settled.
            pub fn write<B>(&self, buf: B) -> Op<op::Send<B>>
            where
                B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
            {
                op::Send::new(self.socket.fd(), buf)
            }

            /// Sends all of `buf`. (To have that under way without being polled, submit a write of the [whole](Op::whole).)
            ///
            /// # Errors
            ///
            /// Those of [`write`](Self::write), and `WriteZero` if the socket takes no more. How many bytes were sent by
            /// then is told of one that was cancelled ([`Incomplete`](crate::io::Incomplete)).
            ///
            /// # Cancel safety
            ///
            /// As for [`write`](Self::write).
            pub fn write_all<B>(
                &self,
                buf: B,
            ) -> impl Future<Output = BufResult<(), B>> + use<'_, B>
            where
                B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
            {
                self.socket.send_all(buf)
            }

            /// Sends what the socket takes of several buffers; returns the number of bytes.
            ///
            /// # Errors
            ///
            /// Those of [`write`](Self::write).
            ///
            /// # Cancel safety
            ///
            /// As for [`write`](Self::write).
            pub async fn write_vectored<V: IoVectoredBuf>(&self, bufs: V) -> BufResult<usize, V> {
                self.socket.send_vectored(bufs).await
            }

            /// Sends all of several buffers.
            ///
            /// # Errors
            ///
            /// Those of [`write_all`](Self::write_all).
            ///
            /// # Cancel safety
            ///
            /// As for [`write`](Self::write).
            pub async fn write_all_vectored<V: IoVectoredBuf>(&self, bufs: V) -> BufResult<(), V> {
                self.socket.send_all_vectored(bufs).await
            }

            /// Sends what the socket takes of `buf` out of the buffer itself, without a copy.
            ///
            /// Returns the number of bytes, and a [`ZcBuf`] that gives the buffer back when the kernel has let go of
            /// it, which is when the peer has acknowledged the bytes. The next write need not wait for that.
            ///
            /// The way for large writes to other machines. What is smaller than the
            /// [threshold](Self::set_zero_copy_threshold) is sent as [`write`](Self::write) does, and so is everything
            /// where the kernel cannot do it (Unix sockets), may not lock as much memory, or has copied several times
            /// in a row, as it does on loopback; that is then tried again now and then.
            ///
            /// # Errors
            ///
            /// Those of [`write`](Self::write).
            ///
            /// # Cancel safety
            ///
            /// As for [`write`](Self::write). The buffer is freed when the kernel has let go of it, whatever was
            /// dropped. A [`close`](Self::close) does not wait for that, the end of the runtime does, for its grace
            /// period.
            ///
            /// # Kernel
            ///
            /// `SEND_ZC` since 6.0, whose memory counts against `RLIMIT_MEMLOCK` meanwhile; before that `SEND`.
            ///
            /// # Examples
            ///
            /// ```
            /// # fn main() -> std::io::Result<()> {
            /// # saferring::runtime::Runtime::new()?.block_on(async {
            /// use saferring::net::{TcpListener, TcpStream};
            ///
            /// let listener = TcpListener::bind("127.0.0.1:0")?;
            /// let client = TcpStream::connect(listener.local_addr()?).await?;
            /// let (server, _peer) = listener.accept().await?;
            ///
            /// let (sent, page) = client.write_all_zc(vec![7; 100_000]).await;
            /// sent?; // the next write may go out now
            /// let (received, _) = server.read_exact(Vec::with_capacity(100_000)).await;
            /// received?;
            /// let page = page.await; // all is acknowledged: the buffer can be changed
            /// assert_eq!(page.len(), 100_000);
            /// # Ok(())
            /// # })
            /// # }
            /// ```
            pub fn send_zc<B: IoBuf>(
                &self,
                buf: B,
            ) -> impl Future<Output = BufResult<usize, ZcBuf<B>>> + use<B> {
                self.socket.send_zc(buf)
            }

            /// Sends all of `buf` as [`send_zc`](Self::send_zc) does.
            ///
            /// # Errors
            ///
            /// Those of [`write_all`](Self::write_all).
            ///
            /// # Cancel safety
            ///
            /// As for [`send_zc`](Self::send_zc).
            pub async fn write_all_zc<B: IoBuf>(&self, buf: B) -> BufResult<(), ZcBuf<B>> {
                self.socket.send_all_zc(buf).await
            }

            /// Sends what the socket takes of several buffers as [`send_zc`](Self::send_zc) does; the kernel's
            /// sendmsg_zc.
            ///
            /// # Errors
            ///
            /// Those of [`write`](Self::write).
            ///
            /// # Cancel safety
            ///
            /// As for [`send_zc`](Self::send_zc).
            ///
            /// # Kernel
            ///
            /// `SENDMSG_ZC` since 6.1; before that `SENDMSG`.
            pub fn send_vectored_zc<V: IoVectoredBuf>(
                &self,
                bufs: V,
            ) -> impl Future<Output = BufResult<usize, ZcBuf<V>>> + use<V> {
                self.socket.send_vectored_zc(bufs)
            }

            /// Sets how many bytes a send needs for [`send_zc`](Self::send_zc) to try to do without the copy: 10 KiB
            /// unless told otherwise, `usize::MAX` for never. What was learned from sends that were copied is
            /// forgotten.
            pub fn set_zero_copy_threshold(&self, bytes: usize) {
                self.socket.zero_copy().set_threshold(bytes);
            }

            /// Ends one direction of the stream, or both; see shutdown(2). If it has ended already, because the peer is
            /// gone or this was called before, there is nothing to do, and that is no error.
            ///
            /// # Errors
            ///
            /// Those of shutdown(2), but for `NotConnected`.
            pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.socket.shutdown(how)
            }

            /// Splits the stream into two halves that different tasks of this thread can own.
            pub fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
                split(self)
            }

            /// The error that the socket has pending, which is cleared (`SO_ERROR`).
            ///
            /// # Errors
            ///
            /// Those of getsockopt(2).
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.socket.options().take_error()
            }
        }

        read_and_write!($stream);
        read_and_write!(&$stream);

        impl SpliceEnd for &$stream {
            fn fd(&self) -> &SharedFd {
                self.socket.fd()
            }

            fn position(&mut self) -> io::Result<u64> {
                Ok(CURRENT)
            }

            fn advance(&mut self, _moved: u64) {}
        }

        impl $stream {
            /// A connection that the kernel has just accepted.
            pub(super) fn accepted(fd: OwnedFd) -> Self {
                $stream {
                    socket: Socket::from_owned(fd),
                }
            }
        }

        impl SplitStream for $stream {
            fn shutdown_write(&self) {
                // A peer that is gone already is no news to a half that goes, too.
                let _ = self.socket.shutdown(Shutdown::Write);
            }
        }
    };
}

/// A stream, or a reference to one, as a reader and writer.
macro_rules! read_and_write {
    ($stream:ty) => {
        impl AsyncRead for $stream {
            async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
                op::Recv::new(self.socket.fd(), buf).await
            }

            async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
                self.socket.recv_vectored(bufs).await
            }
        }

        impl AsyncWrite for $stream {
            async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
                op::Send::new(self.socket.fd(), buf).await
            }

            async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
                self.socket.send_vectored(bufs).await
            }

            /// There is nothing to flush: what was written is the kernel's.
            async fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }

            async fn shutdown(&mut self) -> io::Result<()> {
                self.socket.shutdown(Shutdown::Write)
            }
        }
    };
}

pub(super) use {read_and_write, stream_methods};
