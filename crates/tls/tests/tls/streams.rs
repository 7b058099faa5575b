//! Data over a connection, and its end.

use std::io::{self, ErrorKind};
use std::net::Shutdown;

use saferring::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use saferring::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
};
use saferring::net::UnixStream;
use saferring_tests::{Random, pattern_bytes, poll_once, rounds};
use saferring_tls::rustls::{AlertDescription, Error};

use crate::common::*;

/// Writes the pattern in pieces of all sizes, then ends its direction.
async fn send(writer: &mut impl AsyncWrite, total: usize, seed: u64) {
    let (mut random, mut at) = (Random::new(seed), 0);
    while at < total {
        let most = [10, 1000, 16_384, 16_385, 200_000][random.below(5) as usize];
        let len = (1 + random.below(most) as usize).min(total - at);
        let piece = pattern_bytes(at as u64, len);
        match random.below(2) {
            0 => writer.write_all(piece).await.0.unwrap(),
            _ => {
                let (head, tail) = piece.split_at(len / 3);
                let parts = [head.to_vec(), Vec::new(), tail.to_vec()];
                writer.write_all_vectored(parts).await.0.unwrap();
            }
        }
        at += len;
    }
    writer.shutdown().await.unwrap();
}

/// Reads the pattern by reads of all kinds and sizes.
async fn receive(reader: &mut impl AsyncBufRead, total: usize, seed: u64) {
    let (mut random, mut at) = (Random::new(seed), 0);
    loop {
        let room = 1 + random.below(70_000) as usize;
        let bytes = match random.below(3) {
            0 => {
                let (read, buf) = reader.read(Vec::with_capacity(room).slice(..room)).await;
                assert_eq!(read.unwrap(), buf.len());
                buf.into_inner()
            }
            1 => {
                let bufs = [
                    Vec::with_capacity(7).slice(..7),
                    Vec::with_capacity(room).slice(..room),
                ];
                let (read, [one, other]) = reader.read_vectored(bufs).await;
                let all = [&one[..], &other[..]].concat();
                assert_eq!(read.unwrap(), all.len());
                all
            }
            _ => {
                let bytes = reader.fill_buf().await.unwrap();
                let bytes = bytes[..bytes.len().min(room)].to_vec();
                reader.consume(bytes.len());
                bytes
            }
        };
        assert_eq!(bytes, pattern_bytes(at as u64, bytes.len()), "at {at}");
        at += bytes.len();
        if bytes.is_empty() {
            break;
        }
    }
    assert_eq!(at, total);
}

#[test]
fn much_goes_both_ways_at_once() {
    run(async || {
        for version in [&TLS12, &TLS13] {
            let ends = ends(configs(&[version]));
            let (client, server) = connected_by(&ends, tcp_pair().await).await;
            let (mut client, mut server) = (client.into_split(), server.into_split());
            let total = rounds(4_000_000);
            futures_util::join!(
                send(&mut client.1, total, 1),
                send(&mut server.1, total, 2),
                receive(&mut client.0, total, 3),
                receive(&mut server.0, total, 4),
            );
        }
    });
}

#[test]
fn whole_streams_do_it_one_way_at_a_time() {
    run(async || {
        let (mut client, mut server) = connected().await;
        let total = rounds(1_000_000);
        futures_util::join!(send(&mut client, total, 5), receive(&mut server, total, 6));
        futures_util::join!(send(&mut server, total, 7), receive(&mut client, total, 8));
    });
}

#[test]
fn records_in_pieces_are_gathered() {
    run(async || {
        for most in [1, 21, 4096] {
            let (client, server) = pair();
            let pair = (Narrow::new(most, client), Narrow::new(most, server));
            let (mut client, mut server) = connected_by(&ends(configs(BOTH)), pair).await;
            let total = 300 * most.min(100);
            futures_util::join!(send(&mut client, total, 9), receive(&mut server, total, 10));
        }
    });
}

#[test]
fn either_side_ends_its_direction_first() {
    run(async || {
        for version in [&TLS12, &TLS13] {
            for turn in [false, true] {
                let (client, server) = connected_by(&ends(configs(&[version])), pair()).await;
                let (mut first, mut second) = match turn {
                    false => (client, server),
                    true => (server, client),
                };
                first.write_all("the last").await.0.unwrap();
                first.shutdown().await.unwrap();
                let (end, bytes) = rest(&mut second).await;
                end.unwrap();
                assert_eq!(bytes, b"the last");
                assert_eq!(second.read([0; 1]).await.0.unwrap(), 0, "and so it stays");
                assert!(second.fill_buf().await.unwrap().is_empty());

                second.write_all("an answer").await.0.unwrap();
                second.shutdown().await.unwrap();
                second.shutdown().await.unwrap();
                let (end, bytes) = rest(&mut first).await;
                end.unwrap();
                assert_eq!(bytes, b"an answer");

                for stream in [&mut first, &mut second] {
                    let error = stream.write("too late").await.0.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                    assert!(error.to_string().contains("shutdown"), "{error}");
                    stream.flush().await.unwrap();
                }
            }
        }
    });
}

#[test]
fn an_end_without_close_notify_is_no_end() {
    run(async || {
        let (mut client, mut server) = connected().await;
        client.write_all("half of it").await.0.unwrap();
        client.get_ref().shutdown(Shutdown::Write).unwrap();
        let (read, bytes) = rest(&mut server).await;
        assert_eq!(bytes, b"half of it");
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("close_notify"), "{error}");
        let again = server.fill_buf().await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn an_end_within_a_record_is_no_end() {
    run(async || {
        let (client, mut server) = connected().await;
        client
            .get_ref()
            .write_all("\x17\x03\x03\x00\x40half")
            .await
            .0
            .unwrap();
        client.get_ref().shutdown(Shutdown::Write).unwrap();
        let error = server.read([0; 10]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn what_was_changed_on_the_way_is_refused_and_told() {
    run(async || {
        let (mut client, mut server) = connected().await;
        client.write_all("in order").await.0.unwrap();
        let forged = "\x17\x03\x03\x00\x20................................";
        client.get_ref().write_all(forged).await.0.unwrap();

        let (read, bytes) = server.read(vec![0; 100]).await;
        assert_eq!((read.unwrap(), &bytes[..]), (8, &b"in order"[..]));
        for _ in 0..2 {
            let (read, bytes) = server.read(b"kept".to_vec()).await;
            let error = read.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert_eq!(tls_error(&error), &Error::DecryptError);
            assert_eq!(bytes, b"kept", "the length is what it was");
        }
        let error = server.write("more").await.0.unwrap_err();
        assert_eq!(tls_error(&error), &Error::DecryptError);

        let told = Error::AlertReceived(AlertDescription::BadRecordMac);
        assert_eq!(tls_error(&client.read([0; 9]).await.0.unwrap_err()), &told);
        assert_eq!(tls_error(&client.write("x").await.0.unwrap_err()), &told);
        assert!(client.shutdown().await.is_err());
    });
}

/// The writer meets what the reader has not looked at yet.
#[test]
fn a_write_loses_nothing_that_was_received() {
    run(async || {
        let (mut client, mut server) = connected().await;
        for piece in ["one", "two", "three"] {
            client.write_all(piece).await.0.unwrap();
        }
        let (read, one) = server.read(Vec::with_capacity(100)).await;
        read.unwrap();
        assert_eq!(one, b"one");
        server.write_all("four").await.0.unwrap();
        client.shutdown().await.unwrap();
        server.write_all("five").await.0.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(rest(&mut server).await.1, b"twothree");
        assert_eq!(rest(&mut client).await.1, b"fourfive");
    });
}

#[test]
fn empty_buffers_are_answered_at_once() {
    run(async || {
        let (mut client, mut server) = connected().await;
        assert_eq!(client.write(Vec::new()).await.0.unwrap(), 0);
        assert_eq!(client.write_vectored([""; 3]).await.0.unwrap(), 0);
        let error = server.read(Vec::new()).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = server.read_vectored([[0u8; 0]; 2]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn lines_are_read_from_the_stream_itself() {
    run(async || {
        let (mut client, server) = connected().await;
        for piece in ["one\ntw", "o\n", "three"] {
            client.write_all(piece).await.0.unwrap();
        }
        client.shutdown().await.unwrap();
        let mut lines = server.lines();
        for expected in ["one", "two", "three"] {
            assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(expected));
        }
        assert!(lines.next_line().await.unwrap().is_none());
    });
}

#[test]
fn a_peer_that_reads_nothing_holds_the_writer_up() {
    run(async || {
        let (mut client, mut server) = connected().await;
        let total = 5_000_000;
        let mut sending = Box::pin(send(&mut client, total, 11));
        for _ in 0..1000 {
            assert!(poll_once(&mut sending).await.is_none());
            saferring::op::nop().await.unwrap();
        }
        futures_util::join!(sending, receive(&mut server, total, 12));
    });
}

#[test]
fn a_writer_is_told_that_the_peer_is_gone() {
    run(async || {
        let (mut client, server) = connected().await;
        drop(server);
        let error = loop {
            if let Err(error) = client.write_all(vec![0; 1000]).await.0 {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let again = client.write("x").await.0.unwrap_err();
        assert!(
            again.to_string().contains("an earlier write has failed"),
            "{again}"
        );
        assert!(client.shutdown().await.is_err());
    });
}

#[test]
fn read_to_end_is_sure_of_the_end() {
    run(async || {
        let (mut client, mut server) = connected().await;
        let sent = pattern_bytes(0, 100_000);
        let expected = sent.clone();
        let sending = async {
            client.write_all(sent).await.0.unwrap();
            client.shutdown().await.unwrap();
        };
        let ((), (read, all)) = futures_util::join!(sending, server.read_to_end(Vec::new()));
        read.unwrap();
        assert_eq!(all, expected);
    });
}

/// A transport that keeps its writing direction when it is told to end it.
struct Kept(UnixStream);

impl AsyncRead for Kept {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        self.0.read(buf).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
        self.0.read_vectored(bufs).await
    }
}

impl AsyncWrite for Kept {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        self.0.write(buf).await
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        self.0.write_vectored(bufs).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whatever stands behind a close_notify, even in the same segment, is none of the connection's.
#[test]
fn nothing_comes_after_the_end() {
    run(async || {
        for version in [&TLS12, &TLS13] {
            let (client, server) = pair();
            let pair = (Kept(client), server);
            let (mut client, mut server) = connected_by(&ends(configs(&[version])), pair).await;
            client.write_all("the last").await.0.unwrap();
            client.shutdown().await.unwrap();
            let forged = "\x17\x03\x03\x00\x20................................";
            client.get_ref().0.write_all(forged).await.0.unwrap();

            let (end, bytes) = rest(&mut server).await;
            end.unwrap();
            assert_eq!(bytes, b"the last");
            server.write_all("still here").await.0.unwrap();
            server.shutdown().await.unwrap();
            assert_eq!(rest(&mut client).await.1, b"still here");
            assert_eq!(rest(&mut server).await.1, b"");
        }
    });
}

/// As above, but this side has ended its direction, too. Where rustls is built with debug assertions it panics then.
#[test]
#[cfg_attr(
    debug_assertions,
    ignore = "rustls asserts that it sends no alert after close_notify"
)]
fn a_fault_after_our_own_end_is_told() {
    run(async || {
        let (client, mut server) = connected().await;
        server.shutdown().await.unwrap();
        let forged = "\x17\x03\x03\x00\x20................................";
        client.get_ref().write_all(forged).await.0.unwrap();
        let (end, _) = rest(&mut server).await;
        assert_eq!(tls_error(&end.unwrap_err()), &Error::DecryptError);
    });
}
