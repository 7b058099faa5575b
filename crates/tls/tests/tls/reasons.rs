//! Why a handshake fails where the peer has said so before it left.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use saferring::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use saferring::io::{AsyncRead, AsyncWrite};
use saferring::net::UnixStream;
use saferring_tests::poll_once;
use saferring_tls::rustls::{AlertDescription, Error};

use crate::common::*;

/// A transport that takes one write, and then fails.
#[derive(Debug)]
struct OneWrite {
    inner: UnixStream,
    writes: Rc<Cell<usize>>,
    kind: io::ErrorKind,
}

impl AsyncRead for OneWrite {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        self.inner.read(buf).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
        self.inner.read_vectored(bufs).await
    }
}

impl AsyncWrite for OneWrite {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        self.writes.set(self.writes.get() + 1);
        if self.writes.get() > 1 {
            return (Err(self.kind.into()), buf);
        }
        self.inner.write(buf).await
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        self.inner.write_vectored(bufs).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        AsyncWrite::shutdown(&mut self.inner).await
    }
}

/// What a client is told whose second write fails with this, while the server says so.
async fn told(kind: io::ErrorKind, said: &'static str) -> io::Error {
    let (connector, acceptor) = ends(configs(&[&TLS12]));
    let (client, server) = pair();
    let writes = Rc::new(Cell::new(0));
    let client = OneWrite {
        inner: client,
        writes: Rc::clone(&writes),
        kind,
    };
    let mut connecting = Box::pin(connector.connect(localhost(), client));
    let mut early = None;
    {
        let mut accepting = Box::pin(acceptor.accept(&server));
        while writes.get() < 2 {
            assert!(poll_once(&mut accepting).await.is_none());
            early = poll_once(&mut connecting).await;
            saferring::op::nop().await.unwrap();
        }
    }
    server.write_all(said).await.0.unwrap();
    drop(server);
    match early {
        Some(ended) => ended.unwrap_err(),
        None => connecting.await.unwrap_err(),
    }
}

#[test]
fn an_alert_counts_more_than_the_pipe_that_broke() {
    run(async || {
        let alert = "\x15\x03\x03\x00\x02\x02\x2a";
        for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset] {
            let error = told(kind, alert).await;
            let expected = Error::AlertReceived(AlertDescription::BadCertificate);
            assert_eq!(tls_error(&error), &expected);
        }
    });
}

#[test]
fn without_an_alert_it_is_the_transports_error() {
    run(async || {
        let error = told(io::ErrorKind::BrokenPipe, "").await;
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let error = told(io::ErrorKind::Other, "").await;
        assert_eq!(error.kind(), io::ErrorKind::Other);
    });
}
