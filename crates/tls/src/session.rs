//! A connection without its transport: bytes in, bytes out, and no waiting.

use std::io;
use std::ops::Deref;

use rustls::CommonState;
use rustls::Error;
use saferring::buf::{IoVectoredBuf, Slice};

use crate::engine::{Buffers, Engine, Goal, Step};
use crate::error;

/// How much one write takes: four records.
const WRITE_MAX: usize = 64 * 1024;

/// The state of a connection, on which both directions work.
pub(crate) struct Session {
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
pub(crate) enum Read {
    /// So many bytes were taken.
    Taken(usize),
    /// Nothing before more is received.
    Waits,
    /// Nothing ever.
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
    pub(crate) fn read(&mut self, mut take: impl FnMut(&[u8]) -> usize) -> io::Result<Read> {
        if !self.buffers.plain.is_empty() {
            let taken = take(self.buffers.plain.bytes());
            self.buffers.plain.consume(taken);
            return Ok(Read::Taken(taken));
        }
        if self.peer_closed {
            return Ok(Read::Ended);
        }
        match self.advance(&mut Goal::Read(&mut take))? {
            Step::Record(taken) => Ok(Read::Taken(taken)),
            Step::PeerClosed | Step::Closed => Ok(Read::Ended),
            _ if self.is_at_end => Err(error::truncated(false)),
            _ => Ok(Read::Waits),
        }
    }

    /// What was decrypted and not yet read.
    pub(crate) fn plain(&self) -> &[u8] {
        self.buffers.plain.bytes()
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.buffers.plain.consume(n);
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
    pub(crate) fn received(
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
                done = self.encrypt(&mut Goal::Encrypt(part));
            } else {
                gathered.extend_from_slice(part);
            }
        });
        if !gathered.is_empty() {
            done = self.encrypt(&mut Goal::Encrypt(&gathered));
        }
        done.map(|()| total)
    }

    /// Tells the peer that nothing more will come, by what is to be sent.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        if matches!(self.writing, Writing::Closed) {
            return Ok(());
        }
        self.check_writing()?;
        self.encrypt(&mut Goal::Close)?;
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
                self.buffers.outgoing.clear();
                self.writing = Writing::Broken(error.kind(), error.to_string());
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

    fn encrypt(&mut self, goal: &mut Goal<'_>) -> io::Result<()> {
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

impl Deref for Session {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        self.engine.state()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::client::UnbufferedClientConnection;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::UnbufferedServerConnection;
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use saferring::buf::{IoBuf, IoBufMut};

    use super::*;

    /// Both ends of a connection, with no transport between: what one has to send is what the other has received.
    fn pair() -> (Session, Session) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let chain = vec![made.cert.der().clone()];
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let name = "localhost".try_into().unwrap();
        let client = UnbufferedClientConnection::new(Arc::new(client), name).unwrap();
        let server = UnbufferedServerConnection::new(Arc::new(server)).unwrap();
        (
            Session::new(Engine::Client(client)),
            Session::new(Engine::Server(server)),
        )
    }

    /// Gives one what the other has to send, and returns how much that was.
    fn carry(from: &mut Session, to: &mut Session) -> usize {
        let mut carried = 0;
        while let Some(buf) = from.next_to_send().unwrap() {
            let mut room = to.lend().unwrap();
            let n = room.fill_from(&buf);
            to.received(Ok(n), room).unwrap();
            from.sent(Ok(n), buf).unwrap();
            carried += n;
            if to.handshake().unwrap() && !to.is_handshaking() {
                let _ = to.read(|_| 0).unwrap();
            }
        }
        carried
    }

    fn connected() -> (Session, Session) {
        let (mut client, mut server) = pair();
        while !(client.handshake().unwrap() & server.handshake().unwrap()) {
            let carried = carry(&mut client, &mut server) + carry(&mut server, &mut client);
            assert_ne!(carried, 0, "both wait");
        }
        carry(&mut server, &mut client);
        (client, server)
    }

    fn take_all(session: &mut Session) -> Vec<u8> {
        let mut all = Vec::new();
        while let Read::Taken(_) = session
            .read(|bytes| {
                all.extend_from_slice(bytes);
                bytes.len()
            })
            .unwrap()
        {}
        all
    }

    #[test]
    fn a_quiet_connection_holds_no_buffers() {
        let (mut client, mut server) = connected();
        assert_eq!(client.buffers.memory(), 0);
        assert_eq!(server.buffers.memory(), 0);
        let sent = vec![7; 150_000];
        let mut at = 0;
        let mut got = Vec::new();
        while at < sent.len() {
            at += client.write(&[sent.clone().slice(at..)]).unwrap();
            carry(&mut client, &mut server);
            got.extend(take_all(&mut server));
        }
        assert_eq!(got, sent);
        assert_eq!(client.buffers.memory(), 0);
        assert_eq!(server.buffers.memory(), 0);
    }

    #[test]
    fn a_failed_transport_leaves_nothing_to_send() {
        let (mut client, _server) = connected();
        client.write(&["hello"]).unwrap();
        let buf = client.next_to_send().unwrap().unwrap();
        client.write(&["more"]).unwrap();
        let gone = io::Error::from(io::ErrorKind::ConnectionReset);
        let error = client.sent(Err(gone), buf).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(client.buffers.memory(), 0);
        let again = client.write(&["x"]).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::ConnectionReset);
        assert!(client.next_to_send().is_err());
    }

    #[test]
    fn a_transport_that_takes_nothing_is_an_error_and_an_interrupted_one_goes_on() {
        let (mut client, mut server) = connected();
        client.write(&["hello"]).unwrap();
        let buf = client.next_to_send().unwrap().unwrap();
        let interrupted = io::Error::from(io::ErrorKind::Interrupted);
        client.sent(Err(interrupted), buf).unwrap();
        carry(&mut client, &mut server);
        assert_eq!(take_all(&mut server), b"hello");
        client.write(&["again"]).unwrap();
        let buf = client.next_to_send().unwrap().unwrap();
        let error = client.sent(Ok(0), buf).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn a_failure_is_told_to_who_writes_meanwhile() {
        let (mut client, mut server) = connected();
        let forged = b"\x17\x03\x03\x00\x20................................";
        let mut room = client.lend().unwrap();
        room.fill_from(forged);
        client.received(Ok(forged.len()), room).unwrap();
        assert!(client.read(|_| 0).is_err());
        let alert = client.next_to_send().unwrap().unwrap();
        for error in [
            client.next_to_send().unwrap_err(),
            client.close().unwrap_err(),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        client.sent(Ok(alert.len()), alert).unwrap();
        assert!(client.next_to_send().unwrap().is_none());
        server.write(&["into the void"]).unwrap();
        // A write that is dropped is told apart.
        let _dropped = server.next_to_send().unwrap();
        let error = server.next_to_send().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn what_is_taken_in_part_is_sent_on() {
        let (mut client, mut server) = connected();
        client.write(&("hel", "lo")).unwrap();
        while let Some(buf) = client.next_to_send().unwrap() {
            let mut room = server.lend().unwrap();
            room.fill_from(&buf[..1]);
            server.received(Ok(1), room).unwrap();
            client.sent(Ok(1), buf).unwrap();
        }
        assert_eq!(take_all(&mut server), b"hello");
    }
}
