//! The same script by the traits of each library, over each kind of adapter: all that one can ask is answered alike.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use futures_util::io as futures;
use saferring::net::{OwnedReadHalf, OwnedWriteHalf, UnixStream};
use saferring::runtime::Runtime;
use saferring_compat::{Compat, CompatHalves, CompatTls, FromFutures, FromTokio};
use saferring_tests::bounded;
use saferring_tls::rustls::pki_types::PrivateKeyDer;
use saferring_tls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use saferring_tls::{TlsAcceptor, TlsConnector};

saferring_tests::also_on_software!();

fn run(test: impl AsyncFnOnce() + Send + 'static) {
    bounded(|| Runtime::new().unwrap().block_on(test()));
}

fn pair() -> (Compat<UnixStream>, Compat<UnixStream>) {
    let (one, other) = UnixStream::pair().unwrap();
    (Compat::new(one), Compat::new(other))
}

type Halves = CompatHalves<OwnedReadHalf<UnixStream>, OwnedWriteHalf<UnixStream>>;

fn halves() -> (Halves, Halves) {
    let (one, other) = UnixStream::pair().unwrap();
    let ((reader, writer), (other_reader, other_writer)) = (one.into_split(), other.into_split());
    (
        CompatHalves::new(reader, writer),
        CompatHalves::new(other_reader, other_writer),
    )
}

/// Two ends of a connection that speaks TLS.
async fn tls() -> (CompatTls<UnixStream>, CompatTls<UnixStream>) {
    let (connector, acceptor) = &*ENDS;
    let (client, server) = UnixStream::pair().unwrap();
    let (client, server) = futures_util::join!(
        connector.connect("localhost".try_into().unwrap(), client),
        acceptor.accept(server)
    );
    (
        CompatTls::new(client.unwrap()),
        CompatTls::new(server.unwrap()),
    )
}

static ENDS: LazyLock<(TlsConnector, TlsAcceptor)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots);
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![made.cert.der().clone()], key);
    (
        TlsConnector::from(Arc::new(client.with_no_client_auth())),
        TlsAcceptor::from(Arc::new(server.unwrap())),
    )
});

const PARTS: [&[u8]; 4] = [b"first\nsec", b"", b"ond\n", b"last"];

fn slices() -> [IoSlice<'static>; 4] {
    PARTS.map(IoSlice::new)
}

async fn by_tokio<S>(mut one: S, other: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncBufRead + tokio::io::AsyncWrite + Unpin,
{
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
    assert!(one.is_write_vectored());
    assert_eq!(one.write(b"").await.unwrap(), 0);
    assert_eq!(one.write_vectored(&slices()).await.unwrap(), 17);
    one.flush().await.unwrap();
    one.shutdown().await.unwrap();
    assert!(one.write_all(b"more").await.is_err() || one.flush().await.is_err());
    let mut lines = other.lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "first");
    let mut other = lines.into_inner();
    assert_eq!(other.read(&mut []).await.unwrap(), 0);
    let mut rest = String::new();
    other.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "second\nlast");
    assert_eq!(other.read(&mut [0; 4]).await.unwrap(), 0);
}

async fn by_futures<S>(mut one: S, mut other: S)
where
    S: futures::AsyncRead + futures::AsyncBufRead + futures::AsyncWrite + Unpin,
{
    use futures_util::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
    assert_eq!(one.write(b"").await.unwrap(), 0);
    assert_eq!(one.write_vectored(&slices()).await.unwrap(), 17);
    one.flush().await.unwrap();
    one.close().await.unwrap();
    assert!(one.write_all(b"more").await.is_err() || one.flush().await.is_err());
    let mut line = String::new();
    other.read_line(&mut line).await.unwrap();
    assert_eq!(line, "first\n");
    assert_eq!(other.read(&mut []).await.unwrap(), 0);
    let mut rest = String::new();
    other.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "second\nlast");
    assert_eq!(other.read(&mut [0; 4]).await.unwrap(), 0);
}

async fn by_hyper<S>(mut one: S, mut other: S)
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    assert!(one.is_write_vectored());
    let write = poll_fn(|cx| Pin::new(&mut one).poll_write(cx, b"")).await;
    assert_eq!(write.unwrap(), 0);
    let write = poll_fn(|cx| Pin::new(&mut one).poll_write_vectored(cx, &slices())).await;
    assert_eq!(write.unwrap(), 17);
    let write = poll_fn(|cx| Pin::new(&mut one).poll_write(cx, b"!")).await;
    assert_eq!(write.unwrap(), 1);
    poll_fn(|cx| Pin::new(&mut one).poll_flush(cx))
        .await
        .unwrap();
    poll_fn(|cx| Pin::new(&mut one).poll_shutdown(cx))
        .await
        .unwrap();
    let mut all = Vec::new();
    loop {
        let mut room = [0; 7];
        let mut buf = hyper::rt::ReadBuf::new(&mut room);
        let read = poll_fn(|cx| Pin::new(&mut other).poll_read(cx, buf.unfilled())).await;
        read.unwrap();
        if buf.filled().is_empty() {
            break;
        }
        all.extend_from_slice(buf.filled());
    }
    assert_eq!(all, b"first\nsecond\nlast!");
    let mut nothing = hyper::rt::ReadBuf::new(&mut []);
    let read = poll_fn(|cx| Pin::new(&mut other).poll_read(cx, nothing.unfilled())).await;
    read.unwrap();
}

#[test]
fn sockets_answer_each_library() {
    run(async || {
        let (one, other) = pair();
        by_tokio(one, other).await;
        let (one, other) = pair();
        by_futures(one, other).await;
        let (one, other) = pair();
        by_hyper(one, other).await;
    });
}

#[test]
fn halves_answer_each_library() {
    run(async || {
        let (one, other) = halves();
        by_tokio(one, other).await;
        let (one, other) = halves();
        by_futures(one, other).await;
        let (one, other) = halves();
        by_hyper(one, other).await;
    });
}

#[test]
fn tls_answers_each_library() {
    run(async || {
        let (one, other) = tls().await;
        by_tokio(one, other).await;
        let (one, other) = tls().await;
        by_futures(one, other).await;
        let (one, other) = tls().await;
        by_hyper(one, other).await;
    });
}

/// There and back again: ours under theirs under ours.
#[test]
fn what_comes_back_is_what_it_was() {
    run(async || {
        async fn script(
            mut one: impl saferring::io::AsyncWrite,
            mut other: impl saferring::io::AsyncRead,
        ) {
            let (written, parts) = one.write_vectored(PARTS.map(<[u8]>::to_vec)).await;
            assert_eq!((written.unwrap(), parts.concat().len()), (17, 17));
            let (none, _) = one.write(Vec::new()).await;
            assert_eq!(none.unwrap(), 0);
            one.flush().await.unwrap();
            one.shutdown().await.unwrap();
            let (read, head) = other.read_vectored([vec![0; 3], vec![0; 4]]).await;
            assert_eq!((read.unwrap(), head.concat()), (7, b"first\ns".to_vec()));
            let (read, none) = other.read_vectored([Vec::new()]).await;
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidInput);
            drop(none);
            let (read, rest) = saferring::io::AsyncReadExt::read_to_end(&mut other, vec![]).await;
            read.unwrap();
            assert_eq!(rest, b"econd\nlast");
        }
        let (one, other) = pair();
        script(FromTokio::new(one), FromTokio::new(other)).await;
        let (one, other) = pair();
        script(FromFutures::new(one), FromFutures::new(other)).await;
        let (one, other) = halves();
        script(FromTokio::new(one), FromFutures::new(other)).await;
        let (one, other) = tls().await;
        script(FromTokio::new(one), FromFutures::new(other)).await;
    });
}

#[test]
fn they_say_what_they_are() {
    run(async || {
        let (mut one, mut other) = pair();
        tokio::io::AsyncWriteExt::write_all(&mut one, b"hello")
            .await
            .unwrap();
        let mut first = [0; 2];
        tokio::io::AsyncReadExt::read_exact(&mut other, &mut first)
            .await
            .unwrap();
        let text = format!("{one:?} {other:?}");
        assert!(
            text.contains("sends: true") && text.contains("unread: Some(3)"),
            "{text}"
        );
        assert!(other.get_ref().peer_addr().is_ok());
        let text = format!("{:?}", halves().0);
        assert!(
            text.contains("CompatReader") && text.contains("writes: false"),
            "{text}"
        );
    });
}
