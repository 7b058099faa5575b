//! A TLS stream under the traits of others.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use saferring_tls::{Decrypted, Session, TlsStream};

use crate::polled::{PollRead, PollWrite};
use crate::{Compat, Socket, buffers};

/// A [`TlsStream`] over a socket under the traits of tokio, futures and hyper. It does what [`CompatHalves`](crate::CompatHalves)
/// of its halves would do, with less: what is written is encrypted out of the caller's memory into what is sent, and what is
/// received comes in the socket's chunks, for which no read has to be asked. It is copied out of these to be decrypted, and then
/// once more, to the caller.
///
/// What TLS answers by itself, such as to a change of keys, it sends at once.
///
/// # Errors
///
/// Those of the stream, by each call. An end without close_notify is `UnexpectedEof`.
#[derive(Debug)]
pub struct CompatTls<S: Socket> {
    socket: Compat<S>,
    session: Session,
}

impl<S: Socket> CompatTls<S> {
    /// Puts a stream under the traits.
    pub fn new(stream: TlsStream<S>) -> Self {
        let (stream, session) = stream.into_parts();
        CompatTls {
            socket: Compat::new(stream),
            session,
        }
    }

    /// The transport.
    pub fn get_ref(&self) -> &S {
        self.socket.get_ref()
    }

    /// The session: which version and protocol both sides have agreed upon, and who the peer is.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Gives the stream back, once what was written has been sent. What was received and not read is in it.
    ///
    /// # Errors
    ///
    /// Those of the writes before. The stream is closed then.
    ///
    /// # Cancel safety
    ///
    /// As of [`Compat::into_inner`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(stream: saferring_tls::TlsStream<saferring::net::TcpStream>) -> std::io::Result<()> {
    /// use saferring_compat::CompatTls;
    ///
    /// let compat = CompatTls::new(stream);
    /// println!("{:?}", compat.session().protocol_version());
    /// let stream = compat.into_inner().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn into_inner(mut self) -> io::Result<TlsStream<S>> {
        std::future::poll_fn(|cx| PollWrite::poll_flush(&mut self, cx)).await?;
        let CompatTls {
            socket,
            mut session,
        } = self;
        let (stream, left) = socket.into_inner().await?;
        if let Some(left) = left {
            session.received(&left)?;
        }
        Ok(TlsStream::from_parts(stream, session))
    }

    /// Sends what TLS has to say by itself, unless something is under way: then it goes behind that, with what is written next. Behind
    /// records that were not sent nothing may go.
    fn answer(&mut self) {
        if !self.socket.has_unsettled() {
            self.send();
        }
    }

    /// Sends all records that there are. False: there are none.
    fn send(&mut self) -> bool {
        let records = self.session.take_records();
        let some = !records.is_empty();
        if some {
            self.socket.send(records);
        }
        some
    }

    /// Waits for what is under way.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = ready!(self.socket.poll_written(cx));
        if let Err(error) = &sent {
            self.session.not_sent(error);
        }
        Poll::Ready(sent)
    }

    /// Waits until `take` has had something that was decrypted, be it an empty record; it says how much it took. `None` at the end.
    fn poll_decrypted(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&[u8]) -> usize,
    ) -> Poll<io::Result<Option<usize>>> {
        loop {
            let decrypted = self.session.decrypt(&mut take);
            self.answer();
            match decrypted? {
                Decrypted::Taken(n) => return Poll::Ready(Ok(Some(n))),
                Decrypted::Ended => return Poll::Ready(Ok(None)),
                Decrypted::Waits => {
                    let records = ready!(self.socket.poll_bytes(cx))?;
                    let n = records.len();
                    self.session.received(records)?;
                    self.socket.consume(n);
                }
            }
        }
    }
}

impl<S: Socket> PollRead for CompatTls<S> {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        while self.session.plain().is_empty() {
            if ready!(self.poll_decrypted(cx, |_| 0))?.is_none() {
                break;
            }
        }
        Poll::Ready(Ok(self.session.plain()))
    }

    fn consume(&mut self, n: usize) {
        self.session.consume(n);
    }

    /// Out of the record, without a stop in memory of the session.
    fn poll_into(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        put: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut put = Some(put);
        loop {
            let take = |bytes: &[u8]| {
                let n = bytes.len().min(room);
                match put.take_if(|_| n > 0) {
                    Some(put) => put(&bytes[..n]),
                    None => return 0,
                }
                n
            };
            match ready!(self.poll_decrypted(cx, take))? {
                Some(0) => {}
                taken => return Poll::Ready(Ok(taken.unwrap_or(0))),
            }
        }
    }
}

impl<S: Socket> PollWrite for CompatTls<S> {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_sent(cx))?;
        self.session.reuse(buffers::used());
        let encrypted = self.session.encrypt(slices);
        self.send();
        Poll::Ready(encrypted)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_sent(cx))?;
            if !self.send() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // In its order behind what is under way; once more it is none.
        let closed = self.session.close();
        ready!(PollWrite::poll_flush(self, cx))?;
        closed?;
        PollWrite::poll_shutdown(&mut self.socket, cx)
    }
}
