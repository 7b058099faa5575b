//! Frames of codecs over sockets, by the crate's own `Framed` and by that of tokio-util.
#![cfg(feature = "codec")]

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use saferring::net::{TcpListener, TcpStream, UnixStream};
use saferring::runtime::Runtime;
use saferring::spawn;
use saferring_compat::{Compat, Framed};
use saferring_tests::bounded;
use tokio_util::codec::{BytesCodec, LengthDelimitedCodec, LinesCodec, LinesCodecError};

saferring_tests::also_on_software!();

fn run(test: impl AsyncFnOnce() + Send + 'static) {
    bounded(|| Runtime::new().unwrap().block_on(test()));
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = futures_util::future::join(client, listener.accept()).await;
    (client.unwrap(), server.unwrap().0)
}

fn frame(len: usize) -> Bytes {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

const SIZES: [usize; 7] = [0, 1, 100, 4_096, 70_000, 2, 1_000_000];

#[test]
fn frames_of_all_sizes_come_as_they_were_sent() {
    run(async || {
        let (client, server) = tcp().await;
        let echoes = spawn(async move {
            let mut server = Framed::new(server, LengthDelimitedCodec::new());
            while let Some(frame) = server.next().await {
                server.send(frame.unwrap().freeze()).await.unwrap();
            }
        });
        let mut client = Framed::new(client, LengthDelimitedCodec::new());
        for len in SIZES {
            client.send(frame(len)).await.unwrap();
            assert_eq!(client.next().await.unwrap().unwrap(), frame(len));
        }
        // Several before one flush.
        for len in &SIZES[..4] {
            client.feed(frame(*len)).await.unwrap();
        }
        SinkExt::<Bytes>::flush(&mut client).await.unwrap();
        for len in &SIZES[..4] {
            assert_eq!(client.next().await.unwrap().unwrap(), frame(*len));
        }
        SinkExt::<Bytes>::close(&mut client).await.unwrap();
        assert!(client.next().await.is_none());
        assert!(client.next().await.is_none());
        echoes.await.unwrap();
    });
}

#[test]
fn that_of_tokio_util_speaks_with_it() {
    run(async || {
        let (client, server) = tcp().await;
        let echoes = spawn(async move {
            let server = Compat::new(server);
            let mut server = tokio_util::codec::Framed::new(server, LengthDelimitedCodec::new());
            while let Some(frame) = server.next().await {
                server.send(frame.unwrap().freeze()).await.unwrap();
            }
        });
        let mut client = Framed::new(client, LengthDelimitedCodec::new());
        for len in SIZES {
            client.send(frame(len)).await.unwrap();
            assert_eq!(client.next().await.unwrap().unwrap(), frame(len));
        }
        drop(client);
        echoes.await.unwrap();
    });
}

#[test]
fn frames_may_come_in_any_parts_and_errors_end_them() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let mut lines = Framed::new(other, LinesCodec::new_with_max_length(10));
        let writes = spawn(async move {
            for byte in b"one\ntwo\r\n\nmore than ten\nlost\n" {
                one.write_all(vec![*byte]).await.0.unwrap();
            }
        });
        for line in ["one", "two", ""] {
            assert_eq!(lines.next().await.unwrap().unwrap(), line);
        }
        let error = lines.next().await.unwrap().unwrap_err();
        assert!(matches!(error, LinesCodecError::MaxLineLengthExceeded));
        assert!(lines.next().await.is_none());
        writes.await.unwrap();
    });
}

#[test]
fn its_parts_come_out() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let mut lines = Framed::new(other, LinesCodec::new());
        one.write_all("one\nrest").await.0.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), "one");
        assert_eq!(lines.read_buffer(), &BytesMut::from("rest"));
        lines.feed("two").await.unwrap();
        assert_eq!(lines.write_buffer(), &BytesMut::from("two\n"));
        assert_eq!(lines.codec().max_length(), usize::MAX);
        *lines.codec_mut() = LinesCodec::new_with_max_length(5);
        lines.get_ref().local_addr().unwrap();
        assert!(format!("{lines:?}").contains("read: 4"));
        let (stream, codec, left) = lines.into_parts();
        assert_eq!((codec.max_length(), &left[..]), (5, &b"rest"[..]));
        drop(stream);
        let mut gone = Framed::new(one, BytesCodec::new());
        assert!(gone.next().await.is_none());
        let error = gone.send(Bytes::from_static(b"lost")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}
