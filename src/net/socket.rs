//! A socket of any kind: what the public types share, over the operations of [`op`](crate::op).

use std::cell::OnceCell;
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};

use super::incoming::is_transient;
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use crate::io::{Incomplete, takes_no_more};
use crate::op::{
    Accept, Barrier, Message, Op, Ready, RecvMsg, Send, SendMsg, SendMsgZc, SendTo, SendZc,
    SharedFd, Usage, ZcBuf, cancellation, checkpoint, unless_cancelled,
};
use crate::sys::make_blocking;
use crate::task::cooperative;

/// A socket of any kind.
pub(super) struct Socket(
    SharedFd,
    /// What it has learned about zero-copy sends, if it has been asked for one.
    OnceCell<Rc<Usage>>,
);

impl Socket {
    /// Makes a socket by a direct call, which never blocks and is cheaper than a round trip through the ring.
    pub(super) fn new(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = socket2::Socket::new(domain, kind, protocol)?;
        let socket = Self::from_owned(socket.into());
        if kind == Type::DGRAM {
            socket.0.mark_datagram();
        }
        Ok(socket)
    }

    pub(super) fn from_owned(fd: OwnedFd) -> Self {
        let fd = SharedFd::new(fd);
        fd.mark_socket();
        Socket(fd, OnceCell::new())
    }

    /// Takes over a descriptor that was made elsewhere. It may be in non-blocking mode, in which the kernel would
    /// answer `EAGAIN` instead of waiting; waiting is what the ring is for.
    pub(super) fn adopt(fd: OwnedFd) -> Self {
        // What is no socket says so at its first use.
        let _ = make_blocking(fd.as_fd());
        let socket = Self::from_owned(fd);
        if socket
            .options()
            .r#type()
            .is_ok_and(|kind| kind == Type::DGRAM)
        {
            socket.0.mark_datagram();
        }
        socket
    }

    /// The descriptor, if no operation is in flight on it.
    pub(super) fn into_owned(self) -> io::Result<OwnedFd> {
        self.0.into_owned().map_err(|_| {
            io::Error::new(
                io::ErrorKind::ResourceBusy,
                "the socket is in use: await or drop its operations and streams first, and read what has arrived for dropped ones",
            )
        })
    }

    /// For options and addresses.
    pub(super) fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.0)
    }

    /// For operations.
    pub(super) fn fd(&self) -> &SharedFd {
        &self.0
    }

    pub(super) fn zero_copy(&self) -> &Rc<Usage> {
        self.1.get_or_init(Usage::new)
    }

    pub(super) fn send_zc<B: IoBuf>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<usize, ZcBuf<B>>> + use<B> {
        SendZc::future(&self.0, self.zero_copy(), buf)
    }

    pub(super) async fn send_all_zc<B: IoBuf>(&self, buf: B) -> BufResult<(), ZcBuf<B>> {
        let len = buf.buf_len();
        let (sent, mut buf) = SendZc::all(&self.0, self.zero_copy(), buf).await;
        match sent {
            _ if len == 0 => (Ok(()), buf),
            Ok(n) if n == len => (Ok(()), buf),
            Ok(0) => (Err(takes_no_more()), buf),
            // Ended by an error that the next send tells, or longer than one send can be.
            Ok(n) => {
                let Some(whole_buf) = unless_cancelled(&mut buf).await else {
                    return (Err(Incomplete::after(n, cancellation())), buf);
                };
                let (sent, rest) = Send::all(&self.0, whole_buf.slice(n..)).await;
                (whole(sent, n, len), ZcBuf::free(rest.into_inner()))
            }
            Err(error) => (Err(Incomplete::after(0, error)), buf),
        }
    }

    pub(super) fn send_vectored_zc<V: IoVectoredBuf>(
        &self,
        bufs: V,
    ) -> impl Future<Output = BufResult<usize, ZcBuf<V>>> + use<V> {
        SendMsgZc::future(&self.0, self.zero_copy(), bufs)
    }

    pub(super) fn send_all<B: IoBuf>(&self, buf: B) -> SendAll<B> {
        SendAll {
            len: buf.buf_len(),
            op: Send::all(&self.0, buf),
        }
    }

    /// Receives behind what `buf` holds. The kernel never has the buffer while this waits, so whoever drops it has everything still.
    pub(super) fn read_buf(&self, buf: &mut Vec<u8>) -> impl Future<Output = io::Result<usize>> {
        cooperative(async move {
            loop {
                checkpoint()?;
                // What the kernel has for another read, or an orphan, comes first.
                if let Some(before) = Barrier::new(&self.0) {
                    before.await?;
                } else if let Some(received) = self.0.receive_now(buf) {
                    return received;
                } else {
                    Ready::read(&self.0).await?;
                }
            }
        })
    }

    pub(super) async fn recv_vectored<V: IoVectoredBufMut>(&self, bufs: V) -> BufResult<usize, V> {
        let (received, bufs) = RecvMsg::new(&self.0, bufs).await;
        (received.map(|message| message.len), bufs)
    }

    pub(super) async fn send_vectored<V: IoVectoredBuf>(&self, bufs: V) -> BufResult<usize, V> {
        SendMsg::new(&self.0, bufs, None).await
    }

    pub(super) async fn send_all_vectored<V: IoVectoredBuf>(&self, bufs: V) -> BufResult<(), V> {
        let mut len = 0usize;
        bufs.for_each_buf(|_, one| len = len.saturating_add(one));
        let (sent, bufs) = SendMsg::all(&self.0, bufs).await;
        (whole(sent, 0, len), bufs)
    }

    pub(super) async fn peek<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        let (received, buf) = self.peek_from(buf).await;
        (received.map(|message| message.len), buf)
    }

    pub(super) async fn recv_from<B: IoBufMut>(&self, buf: B) -> BufResult<Message, B> {
        let (received, [buf]) = RecvMsg::new(&self.0, [buf]).await;
        (received, buf)
    }

    pub(super) async fn peek_from<B: IoBufMut>(&self, buf: B) -> BufResult<Message, B> {
        let (received, [buf]) = RecvMsg::peek(&self.0, [buf]).await;
        (received, buf)
    }

    pub(super) async fn send_to<B: IoBuf>(&self, buf: B, addr: SockAddr) -> BufResult<usize, B> {
        match SendTo::new(&self.0, buf, &addr) {
            Ok(send) => send.await,
            Err(buf) => {
                let (sent, [buf]) = SendMsg::new(&self.0, [buf], Some(addr)).await;
                (sent, buf)
            }
        }
    }

    /// Accepts one connection. One that ended before it was accepted is no error of the listener.
    pub(super) async fn accept(&self) -> io::Result<(Socket, Option<SockAddr>)> {
        if let Some(pause) = self.0.pause() {
            pause.await;
            self.0.end_pause();
        }
        loop {
            match Accept::new(&self.0).await {
                Ok((fd, addr)) => {
                    self.0.note_accept(0);
                    return Ok((Socket::from_owned(fd), addr));
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    self.0.note_accept(-error.raw_os_error().unwrap_or(0));
                    return Err(error);
                }
            }
        }
    }

    /// Always a direct call: the ring would hand it to a worker thread, for nothing. Of a peer that is gone already
    /// there is nothing to end, which whoever ends a stream need not know.
    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self.options().shutdown(how) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            ended => ended,
        }
    }

    pub(super) fn close(self) -> impl Future<Output = io::Result<()>> {
        self.0.close()
    }
}

/// What a send of the whole came to, of which so much was sent before. One that ends short was cancelled, by the scope that it
/// is in, by a close, or by the end of the runtime. If there was nothing to send nothing has failed, as in std.
fn whole(sent: io::Result<usize>, before: usize, len: usize) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    match sent {
        Ok(n) if before + n == len => Ok(()),
        Ok(0) => Err(takes_no_more()),
        Ok(n) => Err(Incomplete::after(before + n, cancellation())),
        Err(error) => Err(Incomplete::after(before, error)),
    }
}

/// Sends all of a buffer. Written by hand, because the future is in the memory of every connection.
#[pin_project]
pub(super) struct SendAll<B: IoBuf> {
    len: usize,
    #[pin]
    op: Op<Send<B>>,
}

impl<B: IoBuf> Future for SendAll<B> {
    type Output = BufResult<(), B>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (sent, buf) = ready!(this.op.poll(cx));
        Poll::Ready((whole(sent, 0, *this.len), buf))
    }
}
