//! Sockets under the traits of tokio, futures and hyper.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use futures_util::future::{join, poll_immediate};
use saferring::net::{TcpListener, TcpStream, UnixStream};
use saferring::runtime::{Runtime, metrics};
use saferring::spawn;
use saferring_compat::Compat;
use saferring_tests::{bounded, until};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

saferring_tests::also_on_software!();

fn run(test: impl AsyncFnOnce() + Send + 'static) {
    bounded(|| Runtime::new().unwrap().block_on(test()));
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = join(client, listener.accept()).await;
    (client.unwrap(), server.unwrap().0)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn what_is_written_is_read_whatever_the_sizes() {
    run(async || {
        for (len, part) in [
            (0, 1),
            (1, 1),
            (10_000, 7),
            (300_000, 300_000),
            (2_000_000, 65_537),
        ] {
            let (client, server) = tcp().await;
            let writes = spawn(async move {
                let mut client = Compat::new(client);
                for part in pattern(len).chunks(part) {
                    client.write_all(part).await.unwrap();
                }
                client.shutdown().await.unwrap();
                let mut rest = Vec::new();
                client.read_to_end(&mut rest).await.unwrap();
                rest
            });
            let mut server = Compat::new(server);
            let mut all = Vec::new();
            server.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, pattern(len));
            // The other direction is still open, and the end stays.
            assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 0);
            server.write_all(b"well").await.unwrap();
            drop(server);
            assert_eq!(writes.await.unwrap(), b"well");
        }
    });
}

#[test]
fn both_directions_at_once_by_two_tasks() {
    run(async || {
        let (one, other) = tcp().await;
        let ends = [one, other].map(|stream| {
            let (mut reader, mut writer) = tokio::io::split(Compat::new(stream));
            let writes = spawn(async move {
                writer.write_all(&pattern(1_000_000)).await.unwrap();
                writer.shutdown().await.unwrap();
            });
            let reads = spawn(async move {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).await.unwrap();
                all
            });
            (writes, reads)
        });
        for (writes, reads) in ends {
            writes.await.unwrap();
            assert_eq!(reads.await.unwrap(), pattern(1_000_000));
        }
    });
}

#[test]
fn what_was_written_before_the_drop_is_sent() {
    run(async || {
        for len in [1, 60_000, 3_000_000] {
            let (client, server) = tcp().await;
            let mut client = Compat::new(client);
            let writes = spawn(async move {
                // Its last part is under way.
                client.write_all(&pattern(len)).await.unwrap();
            });
            let mut all = Vec::new();
            Compat::new(server).read_to_end(&mut all).await.unwrap();
            writes.await.unwrap();
            assert_eq!(all, pattern(len));
        }
    });
}

#[test]
fn who_only_waits_for_the_answer_has_asked_all_the_same() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (Compat::new(one), Compat::new(other));
        let answers = spawn(async move {
            let mut question = vec![0; 1_000_000];
            other.read_exact(&mut question).await.unwrap();
            other.write_all(b"yes").await.unwrap();
            assert_eq!(other.read(&mut question).await.unwrap(), 0);
        });
        // More than the socket takes at once, and no flush.
        one.write_all(&pattern(1_000_000)).await.unwrap();
        let mut answer = [0; 3];
        one.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"yes");
        drop(one);
        answers.await.unwrap();
    });
}

#[test]
fn who_always_can_write_lets_others_have_their_turns() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, turns) = (Compat::new(one), std::rc::Rc::new(std::cell::Cell::new(0)));
        let counted = std::rc::Rc::clone(&turns);
        let counts = spawn(async move {
            loop {
                counted.set(counted.get() + 1);
                saferring::task::yield_now().await;
            }
        });
        for _ in 0..2_000 {
            one.write_all(b"x").await.unwrap();
            other.read_buf(&mut Vec::new()).await.unwrap();
        }
        assert!(turns.get() > 2);
        counts.abort();
    });
}

#[test]
fn a_read_that_is_dropped_loses_nothing() {
    run(async || {
        let (client, server) = tcp().await;
        let mut server = Compat::new(server);
        let mut all = Vec::new();
        for part in pattern(3_000).chunks(100) {
            assert!(poll_immediate(server.read(&mut [0; 10])).await.is_none());
            client.write_all(part.to_vec()).await.0.unwrap();
            let end = all.len() + 100;
            while all.len() < end {
                let mut buf = [0; 60];
                let n = server.read(&mut buf).await.unwrap();
                all.extend_from_slice(&buf[..n]);
            }
        }
        drop(client);
        server.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, pattern(3_000));
    });
}

#[test]
fn the_stream_comes_back_with_what_was_not_read() {
    run(async || {
        let (client, server) = tcp().await;
        let mut server = Compat::new(server);
        client.write_all("head body").await.0.unwrap();
        let mut head = [0; 5];
        server.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"head ");
        server.write_all(b"answer").await.unwrap();
        let (stream, left) = server.into_inner().await.unwrap();
        assert_eq!(&left.unwrap()[..], b"body");
        client.write_all("more").await.0.unwrap();
        let (_, more) = stream.read_exact(vec![0; 4]).await;
        assert_eq!(more, b"more");
        let (_, answer) = client.read_exact(vec![0; 6]).await;
        assert_eq!(answer, b"answer");
        // Of one that was never used nothing is left.
        let (_, left) = Compat::new(stream).into_inner().await.unwrap();
        assert!(left.is_none());
    });
}

#[test]
fn an_error_comes_with_the_next_call() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let mut one = Compat::new(one);
        // Until the socket takes no more, and a part is under way.
        while poll_immediate(one.write(&pattern(65_536))).await.is_some() {}
        drop(other);
        let error = one.flush().await.unwrap_err().kind();
        let gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        assert!(gone.contains(&error), "{error}");
        // It is told once.
        one.flush().await.unwrap();
        assert_eq!(one.write(b"lost").await.unwrap(), 4);
        let error = one.write(b"lost").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(one.write(b"").await.unwrap(), 0);
        assert!(one.into_inner().await.is_ok());
    });
}

#[test]
fn an_idle_connection_holds_no_buffer() {
    run(async || {
        let (client, server) = tcp().await;
        let mut server = Compat::new(server);
        client.write_all("one").await.0.unwrap();
        server.read_exact(&mut [0; 3]).await.unwrap();
        let free = metrics().provided_free;
        assert!(poll_immediate(server.read(&mut [0; 1])).await.is_none());
        assert_eq!(metrics().provided_free, free);
    });
}

#[test]
fn lines_are_read_out_of_the_chunks() {
    run(async || {
        let (client, server) = tcp().await;
        client.write_all("one\ntwo\nthree").await.0.unwrap();
        drop(client);
        let mut lines = Compat::new(server).lines();
        for line in ["one", "two", "three"] {
            assert_eq!(lines.next_line().await.unwrap().unwrap(), line);
        }
        assert_eq!(lines.next_line().await.unwrap(), None);
    });
}

#[test]
fn futures_and_hyper_see_the_same() {
    run(async || {
        use futures_util::io::{AsyncReadExt, AsyncWriteExt};
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (Compat::new(one), Compat::new(other));
        AsyncWriteExt::write_all(&mut one, &pattern(1_000))
            .await
            .unwrap();
        AsyncWriteExt::flush(&mut one).await.unwrap();
        let mut bytes = vec![0; 400];
        AsyncReadExt::read_exact(&mut other, &mut bytes)
            .await
            .unwrap();
        assert_eq!(bytes, pattern(400));
        let mut room = [0; 1_000];
        let mut buf = hyper::rt::ReadBuf::new(&mut room);
        poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut other), cx, buf.unfilled()))
            .await
            .unwrap();
        assert_eq!(buf.filled(), &pattern(1_000)[400..]);
        let parts = [
            io::IoSlice::new(b"a"),
            io::IoSlice::new(b""),
            io::IoSlice::new(b"bc"),
        ];
        let write = |cx: &mut std::task::Context<'_>| {
            hyper::rt::Write::poll_write_vectored(Pin::new(&mut one), cx, &parts)
        };
        assert_eq!(poll_fn(write).await.unwrap(), 3);
        poll_fn(|cx| hyper::rt::Write::poll_shutdown(Pin::new(&mut one), cx))
            .await
            .unwrap();
        let mut rest = String::new();
        AsyncReadExt::read_to_string(&mut other, &mut rest)
            .await
            .unwrap();
        assert_eq!(rest, "abc");
    });
}

#[test]
fn what_is_under_way_at_the_end_of_the_runtime_ends_with_it() {
    bounded(|| {
        let (one, other) = UnixStream::pair().unwrap();
        Runtime::new().unwrap().block_on(async {
            let mut one = Compat::new(one);
            drop(spawn(async move {
                let mut bytes = Vec::new();
                // Nobody reads.
                one.write_all(&pattern(3_000_000)).await.unwrap();
                one.read_to_end(&mut bytes).await.unwrap();
            }));
            for _ in 0..10 {
                saferring::op::nop().await.unwrap();
            }
        });
        drop(other);
    });
}

#[test]
fn a_stream_that_is_dropped_in_the_middle_leaves_nothing() {
    run(async || {
        let (client, server) = tcp().await;
        let mut client = Compat::new(client);
        // Nobody reads it: it cannot all be sent.
        while poll_immediate(client.write(&pattern(65_536)))
            .await
            .is_some()
        {}
        drop(client);
        drop(server);
        until("the end of the send", || {
            saferring::runtime::in_flight().is_empty()
        })
        .await;
    });
}
