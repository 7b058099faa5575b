//! Reading behind what a buffer holds, beside other things: the buffer is there whatever happens.

use std::future::poll_fn;
use std::io::{ErrorKind, Write};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use saferring::net::{TcpListener, TcpStream, UnixStream};
use saferring::op::nop;
use saferring::runtime::Runtime;
use saferring::task::yield_now;
use saferring::time::{deadline, sleep};
use saferring_tests::{bounded, pattern, pattern_bytes};

saferring_tests::also_on_software!();

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// One end of ours, and one of std.
fn pair() -> (UnixStream, std::os::unix::net::UnixStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    (UnixStream::from_std(ours), theirs)
}

#[test]
fn it_appends_makes_room_and_sees_the_end() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let mut buf = Vec::new();
            peer.write_all(b"one").unwrap();
            assert_eq!(stream.read_buf(&mut buf).await.unwrap(), 3);
            peer.write_all(b"two").unwrap();
            assert_eq!(stream.read_buf(&mut buf).await.unwrap(), 3);
            assert_eq!(buf, b"onetwo");
            // No more than there is room for, and never nothing but at the end.
            let mut small = Vec::with_capacity(4);
            small.extend_from_slice(b"ab");
            peer.write_all(&[7; 10]).unwrap();
            assert_eq!(stream.read_buf(&mut small).await.unwrap(), 2);
            assert_eq!(small, [b'a', b'b', 7, 7]);
            assert_eq!(stream.read_buf(&mut small).await.unwrap(), 8);
            assert_eq!(small.len(), 12);
            drop(peer);
            for _ in 0..3 {
                assert_eq!(stream.read_buf(&mut small).await.unwrap(), 0);
            }
            assert_eq!(small.len(), 12);
        });
    });
}

#[test]
fn it_waits_and_the_halves_have_it() {
    bounded(|| {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            let (server, _) = listener.accept().await.unwrap();
            let (reader, _writer) = server.into_split();
            let reading = saferring::spawn(async move {
                let mut buf = Vec::new();
                while reader.read_buf(&mut buf).await.unwrap() > 0 {}
                buf
            });
            for n in 0..100 {
                client
                    .write_all(pattern_bytes(n * 100, 100))
                    .await
                    .0
                    .unwrap();
                yield_now().await;
            }
            drop(client);
            assert_eq!(reading.await.unwrap(), pattern_bytes(0, 10_000));
        });
    });
}

/// The pattern of every protocol: one buffer, a read and something else, again and again. No byte is lost, whichever wins.
#[test]
fn select_in_a_loop_with_one_buffer_loses_nothing() {
    bounded(|| {
        runtime().block_on(async {
            const ALL: usize = 20_000;
            let (stream, mut peer) = pair();
            let (begin, begins) = std::sync::mpsc::channel();
            let writer = std::thread::spawn(move || {
                begins.recv().unwrap();
                let mut at = 0;
                while at < ALL {
                    let n = (at % 61 + 1).min(ALL - at);
                    peer.write_all(&pattern_bytes(at as u64, n)).unwrap();
                    at += n;
                    if at % 5 == 0 {
                        std::thread::yield_now();
                    }
                }
            });
            let mut buf = Vec::new();
            let (mut seen, mut ticks) = (0_u64, 0);
            loop {
                let done = {
                    let mut read = pin!(stream.read_buf(&mut buf).fuse());
                    let mut other = pin!(nop().fuse());
                    saferring::select! {
                        n = read => n.unwrap() == 0,
                        _ = other => {
                            ticks += 1;
                            let _ = begin.send(());
                            false
                        }
                    }
                };
                for byte in buf.drain(..) {
                    assert_eq!(byte, pattern(seen));
                    seen += 1;
                }
                if done {
                    break;
                }
            }
            writer.join().unwrap();
            assert_eq!(seen, ALL as u64);
            assert!(ticks > 0);
        });
    });
}

/// What arrived for reads that were dropped, of every kind, comes first.
#[test]
fn it_is_in_order_with_other_reads() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let (mut sent, mut buf) = (0_u64, Vec::new());
            let mut send = |n: usize| {
                peer.write_all(&pattern_bytes(sent, n)).unwrap();
                sent += n as u64;
            };
            for round in 0..200 {
                // In flight, perhaps answered, and dropped.
                let read = stream.read(vec![0; 5]).submit();
                send(3);
                if round % 2 == 0 {
                    nop().await.unwrap();
                }
                drop(read);
                send(4);
                if round % 3 == 0 {
                    let mut chunks = stream.recv_stream();
                    if let Some(Some(chunk)) = chunks.next().now_or_never() {
                        buf.extend_from_slice(&chunk.unwrap());
                    }
                    nop().await.unwrap();
                    drop(chunks);
                }
                {
                    let mut dropped = pin!(stream.read_buf(&mut buf));
                    let _ = poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_ready())).await;
                }
                send(2);
                if round % 5 == 0 {
                    let (read, bytes) = stream.read(vec![0; 3]).await;
                    buf.extend_from_slice(&bytes[..read.unwrap()]);
                }
                send(1);
                stream.read_buf(&mut buf).await.unwrap();
                for (at, byte) in (0..).zip(&buf) {
                    assert_eq!(*byte, pattern(at), "round {round}, byte {at}");
                }
            }
            drop(peer);
            while stream.read_buf(&mut buf).await.unwrap() > 0 {}
            assert!(buf == pattern_bytes(0, sent as usize));
        });
    });
}

#[test]
fn several_that_wait_have_what_comes_each_byte_once() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let stream = std::rc::Rc::new(stream);
            let readers: Vec<_> = (0..5)
                .map(|n| {
                    let stream = std::rc::Rc::clone(&stream);
                    saferring::spawn(async move {
                        let mut bytes = Vec::new();
                        loop {
                            let mut buf = Vec::with_capacity(10);
                            let came = match n % 2 {
                                0 => stream.read_buf(&mut buf).await.unwrap(),
                                _ => {
                                    let (read, back) = stream.read(buf).await;
                                    buf = back;
                                    read.unwrap()
                                }
                            };
                            if came == 0 {
                                return bytes;
                            }
                            bytes.extend(buf);
                        }
                    })
                })
                .collect();
            let mut expected = Vec::new();
            for round in 0..250_u64 {
                let bytes = (round % 256) as u8;
                peer.write_all(&[bytes; 3]).unwrap();
                expected.extend([bytes; 3]);
                yield_now().await;
                if round % 3 == 0 {
                    nop().await.unwrap();
                }
            }
            drop(peer);
            let mut all = Vec::new();
            for reader in readers {
                all.extend(reader.await.unwrap());
            }
            all.sort_unstable();
            expected.sort_unstable();
            assert!(all == expected);
        });
    });
}

#[test]
fn a_peer_that_sends_without_end_holds_nobody_up() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let writer = std::thread::spawn(move || while peer.write_all(&[1; 4096]).is_ok() {});
            let timer = saferring::spawn(sleep(Duration::from_millis(5)));
            let mut buf = Vec::with_capacity(64);
            while !timer.is_finished() {
                buf.clear();
                assert!(stream.read_buf(&mut buf).await.unwrap() > 0);
            }
            drop(stream);
            writer.join().unwrap();
        });
    });
}

#[test]
fn errors_scopes_and_runtimes() {
    bounded(|| {
        let runtime = runtime();
        let (stream, mut peer) = pair();
        runtime.block_on(async {
            let mut buf = b"kept".to_vec();
            let read = deadline(Duration::from_millis(2), stream.read_buf(&mut buf)).await;
            assert_eq!(read.unwrap_err().kind(), ErrorKind::TimedOut);
            peer.write_all(b"more").unwrap();
            let read = deadline(Duration::ZERO, async {
                sleep(Duration::from_millis(2)).await;
                stream.read_buf(&mut buf).await
            });
            assert_eq!(read.await.unwrap_err().kind(), ErrorKind::TimedOut);
            assert_eq!(stream.read_buf(&mut buf).await.unwrap(), 4);
            assert_eq!(buf, b"keptmore");
            // A reset is told.
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            let (server, _) = listener.accept().await.unwrap();
            client.write_all("unread").await.0.unwrap();
            server.set_linger(Some(Duration::ZERO)).unwrap();
            let mut reading = pin!(client.read_buf(&mut buf));
            assert!(poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx).is_pending())).await);
            drop(server.into_std().unwrap());
            assert_eq!(
                reading.await.unwrap_err().kind(),
                ErrorKind::ConnectionReset
            );
        });
        // In another runtime than the one that it began in.
        let mut buf = Vec::new();
        let mut reading = Box::pin(stream.read_buf(&mut buf));
        assert!(runtime.block_on(poll_fn(|cx| Poll::Ready(
            reading.as_mut().poll(cx).is_pending()
        ))));
        peer.write_all(b"there").unwrap();
        assert_eq!(self::runtime().block_on(reading).unwrap(), 5);
        assert_eq!(buf, b"there");
    });
}
