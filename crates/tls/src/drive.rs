//! What waits: a session and its transport.

use std::cell::RefCell;
use std::io;

use saferring::buf::{BufResult, IoVectoredBuf, IoVectoredBufMut};
use saferring::io::{AsyncRead, AsyncWrite};

use crate::error;
use crate::session::{Decrypted, Session};

/// Where a session is: with its stream, or shared by two halves. It is never kept while something is waited for.
pub(crate) trait Access {
    fn with<T>(&mut self, work: impl FnOnce(&mut Session) -> T) -> T;
}

impl Access for &mut Session {
    fn with<T>(&mut self, work: impl FnOnce(&mut Session) -> T) -> T {
        work(self)
    }
}

impl Access for &RefCell<Session> {
    fn with<T>(&mut self, work: impl FnOnce(&mut Session) -> T) -> T {
        work(&mut self.borrow_mut())
    }
}

/// Speaks with the peer until both sides have their keys.
pub(crate) async fn handshake<S: AsyncRead + AsyncWrite>(
    io: &mut S,
    mut session: impl Access,
) -> io::Result<()> {
    loop {
        let done = session.with(Session::handshake);
        let sent = flush(io, &mut session).await;
        // What went wrong before is told, even if the peer could not be told.
        if done? {
            return sent;
        }
        if let Err(error) = sent {
            return Err(why(io, &mut session, error).await);
        }
        receive(io, &mut session).await?;
    }
}

/// Why the peer takes nothing more: it may have said so before it left.
async fn why<S: AsyncRead>(io: &mut S, session: &mut impl Access, error: io::Error) -> io::Error {
    let has_left = matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    );
    if !has_left || receive(io, session).await.is_err() {
        return error;
    }
    match session.with(Session::handshake) {
        Err(told) if told.kind() == io::ErrorKind::InvalidData => told,
        _ => error,
    }
}

/// Reads once from the transport. Cancel safe: what was gathered stays in the session.
async fn receive<R: AsyncRead>(io: &mut R, session: &mut impl Access) -> io::Result<()> {
    let buf = session.with(Session::lend)?;
    let (result, buf) = io.read(buf).await;
    session.with(|session| session.took_in(result, buf))
}

/// Waits until `take` could have something, and returns how much it took; `None` at the end.
pub(crate) async fn read_by<S: AsyncRead + AsyncWrite>(
    io: &mut S,
    mut session: impl Access,
    mut take: impl FnMut(&[u8]) -> usize,
) -> io::Result<Option<usize>> {
    loop {
        match session.with(|session| session.decrypt(&mut take)) {
            Ok(Decrypted::Taken(n)) => return Ok(Some(n)),
            Ok(Decrypted::Ended) => return Ok(None),
            Ok(Decrypted::Waits) => receive(io, &mut session).await?,
            Err(error) => {
                tell(io, &mut session).await;
                return Err(error);
            }
        }
    }
}

/// Reads into `bufs` what was decrypted.
pub(crate) async fn read<S: AsyncRead + AsyncWrite, V: IoVectoredBufMut>(
    io: &mut S,
    session: impl Access,
    mut bufs: V,
) -> BufResult<usize, V> {
    if bufs.total_capacity() == 0 {
        return (Err(error::no_room()), bufs);
    }
    let result = match read_by(io, session, |bytes| bufs.fill_from(bytes)).await {
        Ok(Some(n)) => Ok(n),
        Ok(None) => Ok(bufs.fill_from(&[])),
        Err(error) => Err(error),
    };
    (result, bufs)
}

/// Encrypts the start of `bufs` and sends it.
pub(crate) async fn write<W: AsyncWrite, V: IoVectoredBuf>(
    io: &mut W,
    mut session: impl Access,
    bufs: V,
) -> BufResult<usize, V> {
    if let Err(error) = send(io, &mut session).await {
        return (Err(error), bufs);
    }
    let taken = match session.with(|session| session.write(&bufs)) {
        Ok(taken) => taken,
        Err(error) => {
            tell(io, &mut session).await;
            return (Err(error), bufs);
        }
    };
    match send(io, &mut session).await {
        // It is encrypted, and goes out before whatever comes next.
        Err(error) if taken > 0 && error::is_paused(&error) => (Ok(taken), bufs),
        sent => (sent.map(|()| taken), bufs),
    }
}

/// Sends all that waits to be sent.
async fn send<W: AsyncWrite>(io: &mut W, session: &mut impl Access) -> io::Result<()> {
    while let Some(buf) = session.with(Session::next_to_send)? {
        let (result, buf) = io.write(buf).await;
        session.with(|session| session.sent(result, buf))?;
    }
    Ok(())
}

/// [`send`], and has the transport pass it on.
pub(crate) async fn flush<W: AsyncWrite>(io: &mut W, session: &mut impl Access) -> io::Result<()> {
    send(io, session).await?;
    io.flush().await
}

/// Tells the peer why the connection ends, if it is the turn for that. Whether it hears it is its own affair.
async fn tell<W: AsyncWrite>(io: &mut W, session: &mut impl Access) {
    // Who is writing sends what is left, too.
    if !session.with(|session| session.is_sending()) {
        let _ = flush(io, session).await;
    }
}

/// Ends the writing direction: close_notify, and then that of the transport.
pub(crate) async fn shutdown<W: AsyncWrite>(
    io: &mut W,
    mut session: impl Access,
) -> io::Result<()> {
    let closed = session.with(Session::close);
    let sent = flush(io, &mut session).await;
    let told = closed.and(sent);
    if let Err(error) = &told {
        if error::is_paused(error) {
            return told; // It can be called again.
        }
    }
    // Without a close_notify the peer takes it for what it is: an end before the end.
    told.and(io.shutdown().await)
}
