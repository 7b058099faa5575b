//! A connection without its transport: bytes in, bytes out, and no waiting.

use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Deref;

use rustls::CommonState;
use rustls::Error;
use saferring::buf::{IoVectoredBuf, Slice};

use crate::engine::{Buffers, Engine, Goal, Step};
use crate::error;

/// How much one write takes: four records.
const WRITE_MAX: usize = 64 * 1024;
/// Less than this is gathered with what is beside it, where that costs less than a record of its own.
const SMALL: usize = 4 * 1024;

/// A connection after its handshake, without its transport: bytes in, bytes out, and no waiting. For adapters that move the bytes
/// themselves; a [`TlsStream`](crate::TlsStream) [gives it](crate::TlsStream::into_parts), and can be
/// [made](crate::TlsStream::from_parts) of it again.
///
/// # Examples
///
/// What one session encrypts, the other decrypts:
///
/// ```
/// # fn main() {}
/// use std::io::IoSlice;
/// use saferring_tls::{Decrypted, Session};
///
/// fn pass(text: &str, from: &mut Session, to: &mut Session) -> std::io::Result<String> {
///     from.encrypt(&[IoSlice::new(text.as_bytes())])?;
///     to.received(&from.take_records())?;
///     let mut all = String::new();
///     let take = |bytes: &[u8]| {
///         all.push_str(&String::from_utf8_lossy(bytes));
///         bytes.len()
///     };
///     assert_eq!(to.decrypt(take)?, Decrypted::Taken(text.len()));
///     Ok(all)
/// }
/// ```
pub struct Session {
    engine: Engine,
    buffers: Buffers,
    /// What ended the connection: rustls refuses everything from then on.
    failed: Option<Error>,
    /// The peer has said that it will send nothing more.
    peer_closed: bool,
    /// The transport has come to its end.
    is_at_end: bool,
    writing: Writing,
}

enum Writing {
    Open,
    /// The peer was told that nothing more will come.
    Closed,
    /// The transport has failed.
    Broken(io::ErrorKind, String),
}

/// What there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decrypted {
    /// So many bytes were taken.
    Taken(usize),
    /// Nothing before more is received.
    Waits,
    /// Nothing ever: the peer has said so.
    Ended,
}

impl Session {
    pub(crate) fn new(engine: Engine) -> Self {
        Session {
            engine,
            buffers: Buffers::default(),
            failed: None,
            peer_closed: false,
            is_at_end: false,
            writing: Writing::Open,
        }
    }

    /// Whether the handshake is done; if not, and there is nothing to send, more must be received.
    pub(crate) fn handshake(&mut self) -> io::Result<bool> {
        match self.advance(&mut Goal::Advance)? {
            Step::Waits if !self.is_handshaking() => Ok(true),
            // A peer may end its direction with its last word of the handshake.
            Step::PeerClosed if !self.is_handshaking() => Ok(true),
            _ if self.is_at_end || self.peer_closed => Err(error::truncated(true)),
            _ => Ok(false),
        }
    }

    /// Lets `take` have what was decrypted, once; it says how many bytes it took. The rest is kept.
    ///
    /// # Errors
    ///
    /// As of a read of the stream. What tells the peer of it is among the [records to be sent](Session::take_records).
    pub fn decrypt(&mut self, mut take: impl FnMut(&[u8]) -> usize) -> io::Result<Decrypted> {
        if !self.buffers.plain.is_empty() {
            let plain = self.buffers.plain.bytes();
            let taken = take(plain).min(plain.len());
            self.buffers.plain.consume(taken);
            return Ok(Decrypted::Taken(taken));
        }
        if self.peer_closed {
            return Ok(Decrypted::Ended);
        }
        match self.advance(&mut Goal::Read(&mut take))? {
            Step::Record(taken) => Ok(Decrypted::Taken(taken)),
            Step::PeerClosed | Step::Closed => Ok(Decrypted::Ended),
            _ if self.is_at_end => Err(error::truncated(false)),
            _ => Ok(Decrypted::Waits),
        }
    }

    /// What was decrypted and not yet taken.
    pub fn plain(&self) -> &[u8] {
        self.buffers.plain.bytes()
    }

    /// Takes the first `n` bytes of that.
    pub fn consume(&mut self, n: usize) {
        self.buffers.plain.consume(n);
    }

    /// Takes what the transport has received; nothing tells its end.
    ///
    /// # Errors
    ///
    /// `InvalidData` if more is there that was not decrypted than any record or message can have.
    pub fn received(&mut self, records: &[u8]) -> io::Result<()> {
        if records.is_empty() {
            self.is_at_end = true;
        }
        self.buffers.incoming.push(records)
    }

    /// Encrypts the start of `slices`, and returns how many bytes that were: four records at most. They are among the [records
    /// to be sent](Session::take_records).
    ///
    /// # Errors
    ///
    /// As of a write of the stream.
    pub fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.check_writing()?;
        let (mut left, mut small) = (WRITE_MAX, Vec::new());
        for slice in slices {
            let part = &slice[..slice.len().min(left)];
            left -= part.len();
            if part.len() < SMALL && slices.len() > 1 {
                // A record each would be more to send, and to encrypt.
                small.extend_from_slice(part);
                continue;
            }
            self.encrypt_small(&mut small)?;
            self.encrypt_part(part)?;
        }
        self.encrypt_small(&mut small)?;
        Ok(WRITE_MAX - left)
    }

    fn encrypt_small(&mut self, small: &mut Vec<u8>) -> io::Result<()> {
        self.encrypt_part(&std::mem::take(small))
    }

    fn encrypt_part(&mut self, part: &[u8]) -> io::Result<()> {
        match part.is_empty() {
            true => Ok(()),
            false => self.advance_to(&mut Goal::Encrypt(part)),
        }
    }

    /// Memory to encrypt into, such as that of records that were sent, if there is no other. What is in it is forgotten; its length
    /// is what need not be cleared.
    pub fn reuse(&mut self, buf: Vec<u8>) {
        self.buffers.outgoing.reuse(buf);
    }

    /// The records to be sent, in their order: behind all that was taken before.
    pub fn take_records(&mut self) -> Slice<Vec<u8>> {
        self.buffers.outgoing.take()
    }

    /// The transport has failed to send records that were taken: nothing can be sent any more.
    pub fn not_sent(&mut self, error: &io::Error) {
        self.buffers.outgoing.clear();
        self.writing = Writing::Broken(error.kind(), error.to_string());
    }

    /// Gives back what was taken and not used.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        self.buffers.plain.push_front(bytes);
    }

    /// A buffer for the transport to read into.
    pub(crate) fn lend(&mut self) -> io::Result<Slice<Vec<u8>>> {
        self.buffers.incoming.lend()
    }

    /// What the transport has read.
    pub(crate) fn took_in(
        &mut self,
        result: io::Result<usize>,
        buf: Slice<Vec<u8>>,
    ) -> io::Result<()> {
        match result {
            Ok(0) => self.is_at_end = true,
            Ok(n) => self.buffers.incoming.take_back(buf, n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Encrypts the start of `bufs`, and returns how many bytes that were.
    pub(crate) fn write(&mut self, bufs: &impl IoVectoredBuf) -> io::Result<usize> {
        self.check_writing()?;
        let total = bufs.total_len().min(WRITE_MAX);
        let mut gathered = Vec::new();
        let mut done = Ok(());
        let mut left = total;
        bufs.for_each_slice(|bytes| {
            let part = &bytes[..bytes.len().min(left)];
            if part.is_empty() {
                return;
            }
            left -= part.len();
            if part.len() == total {
                done = self.advance_to(&mut Goal::Encrypt(part));
            } else {
                gathered.extend_from_slice(part);
            }
        });
        if !gathered.is_empty() {
            done = self.advance_to(&mut Goal::Encrypt(&gathered));
        }
        done.map(|()| total)
    }

    /// Tells the peer that nothing more will come, by what is to be sent. Once more does nothing.
    ///
    /// # Errors
    ///
    /// As of a shutdown of the stream.
    pub fn close(&mut self) -> io::Result<()> {
        if matches!(self.writing, Writing::Closed) {
            return Ok(());
        }
        self.check_writing()?;
        self.advance_to(&mut Goal::Close)?;
        self.writing = Writing::Closed;
        Ok(())
    }

    /// What is to be sent next; it comes back by [`sent`](Session::sent).
    pub(crate) fn next_to_send(&mut self) -> io::Result<Option<Slice<Vec<u8>>>> {
        if self.buffers.outgoing.is_sending() {
            // It may be a reader that tells the peer why the connection has failed, and not a write that was dropped.
            let failed = self.failed.clone().map(error::tls);
            return Err(failed.unwrap_or_else(error::dropped_write));
        }
        self.check_transport()?;
        Ok(self.buffers.outgoing.next())
    }

    /// Whether the transport has something of ours right now.
    pub(crate) fn is_sending(&self) -> bool {
        self.buffers.outgoing.is_sending()
    }

    /// What the transport made of it.
    pub(crate) fn sent(
        &mut self,
        result: io::Result<usize>,
        buf: Slice<Vec<u8>>,
    ) -> io::Result<()> {
        let result = match result {
            Ok(0) => Err(error::takes_no_more()),
            other => other,
        };
        match result {
            Ok(n) => self.buffers.outgoing.sent(n, buf),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.buffers.outgoing.sent(0, buf);
            }
            Err(error) if error::is_paused(&error) => {
                self.buffers.outgoing.sent(0, buf);
                return Err(error);
            }
            Err(error) => {
                self.buffers.outgoing.sent(buf.len(), buf);
                self.not_sent(&error);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether there can be more to write.
    fn check_writing(&self) -> io::Result<()> {
        if let Some(failed) = &self.failed {
            return Err(error::tls(failed.clone()));
        }
        match &self.writing {
            Writing::Closed => Err(error::closed()),
            _ => self.check_transport(),
        }
    }

    fn check_transport(&self) -> io::Result<()> {
        match &self.writing {
            Writing::Broken(kind, text) => {
                let text = format!("an earlier write has failed: {text}");
                Err(io::Error::new(*kind, text))
            }
            _ => Ok(()),
        }
    }

    fn advance_to(&mut self, goal: &mut Goal<'_>) -> io::Result<()> {
        match self.advance(goal)? {
            Step::Encrypted => Ok(()),
            step => Err(error::tls(Error::General(format!(
                "cannot encrypt now: {step:?}"
            )))),
        }
    }

    /// Steps on until one comes to something.
    fn advance(&mut self, goal: &mut Goal<'_>) -> io::Result<Step> {
        if let Some(failed) = &self.failed {
            return Err(error::tls(failed.clone()));
        }
        loop {
            match self.engine.step(&mut self.buffers, goal) {
                Ok(Step::Again) => {}
                Ok(Step::PeerClosed) => {
                    self.peer_closed = true;
                    if !matches!(goal, Goal::Encrypt(_) | Goal::Close) {
                        return Ok(Step::PeerClosed);
                    }
                }
                Ok(step) => return Ok(step),
                Err(error) => {
                    self.failed = Some(error.clone());
                    return Err(error::tls(error));
                }
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("protocol_version", &self.protocol_version())
            .field("peer_closed", &self.peer_closed)
            .finish_non_exhaustive()
    }
}

/// All that rustls tells of the connection.
impl Deref for Session {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        self.engine.state()
    }
}

#[cfg(test)]
mod tests;
