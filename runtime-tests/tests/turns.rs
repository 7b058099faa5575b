//! Operations of one descriptor, one after the other: whose turn it is, what comes late, and what order is kept, whatever
//! is awaited, cancelled, dropped or never looked at again.

use std::io::{self, Write};
use std::net::Shutdown;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::poll_immediate;
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use saferring::op::nop;
use saferring::runtime::{Builder, Runtime, in_flight, metrics};
use saferring_tests::{bounded, in_child, open_fds, pattern_bytes, until};
use socket2::SockRef;

saferring_tests::also_on_software!();

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// A stream, and its peer.
fn pair() -> (UnixStream, std::os::unix::net::UnixStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    (UnixStream::from_std(ours), theirs)
}

/// A TCP stream, and its peer, whose drop resets the connection.
async fn resetting_pair() -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    (listener.accept().await.unwrap().0, peer)
}

/// Turns of the loop, in which all that can end ends.
async fn turns() {
    for _ in 0..3 {
        nop().await.unwrap();
    }
}

#[test]
fn of_submitted_reads_any_can_be_awaited_first() {
    bounded(|| {
        runtime().block_on(async {
            for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
                let (stream, mut peer) = pair();
                let mut reads: Vec<_> = (0..3)
                    .map(|_| Some(stream.read(Vec::with_capacity(3)).submit()))
                    .collect();
                peer.write_all(b"onetwotri").unwrap();
                for n in order {
                    let (result, data) = reads[n].take().unwrap().await;
                    assert_eq!(result.unwrap(), 3);
                    assert_eq!(data, [b"one", b"two", b"tri"][n]);
                }
            }
        });
    });
}

/// Of those that were only polled once, too: vectored reads, datagrams, and writes.
#[test]
fn what_is_not_polled_again_holds_up_nobody() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let mut first = pin!(stream.read_vectored([vec![0; 2], vec![0; 1]]));
            assert!(poll_immediate(&mut first).await.is_none());
            let second = stream.read(Vec::with_capacity(3)).submit();
            peer.write_all(b"onetwo").unwrap();
            assert_eq!(second.await.1, b"two");
            assert_eq!(first.await.0.unwrap(), 3);

            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let to = socket.local_addr().unwrap();
            let first = socket.recv(Vec::with_capacity(8)).submit();
            let mut second = pin!(socket.recv_from(Vec::with_capacity(8)));
            assert!(poll_immediate(&mut second).await.is_none());
            for data in ["first", "second"] {
                socket.send_to(data, to).await.0.unwrap();
            }
            let (received, data) = second.await;
            assert_eq!((received.unwrap(), &data[..]), ((6, to), &b"second"[..]));
            assert_eq!(first.await.1, b"first");

            let (stream, mut peer) = pair();
            let mut first = pin!(stream.write_all(vec![1; 8]));
            assert!(poll_immediate(&mut first).await.is_none());
            let mut zero_copy = pin!(stream.write_all_zc(vec![2; 8]));
            assert!(poll_immediate(&mut zero_copy).await.is_none());
            stream.write_all(vec![3; 8]).await.0.unwrap();
            let mut data = [0; 24];
            io::Read::read_exact(&mut peer, &mut data).unwrap();
            assert_eq!(data[16..], [3; 8]);
        });
    });
}

/// A read that was answered and never looked at is dropped: its bytes are the next read's, also if that was answered
/// already, or waits in the kernel.
#[test]
fn bytes_keep_their_order_when_an_answered_read_is_dropped() {
    bounded(|| {
        runtime().block_on(async {
            for arrived in [3, 6] {
                let (stream, mut peer) = pair();
                let first = stream.read(Vec::with_capacity(3)).submit();
                let second = stream.read(Vec::with_capacity(2)).submit();
                peer.write_all(&b"onetwo"[..arrived]).unwrap();
                turns().await;
                drop(first);
                assert_eq!(second.await.1, b"on", "{arrived} bytes");
                peer.write_all(&b"onetwo!"[arrived..]).unwrap();
                let (result, data) = stream.read_exact(Vec::with_capacity(5)).await;
                result.unwrap();
                assert_eq!(data, b"etwo!");
            }
        });
    });
}

#[test]
fn datagrams_keep_their_order_and_senders_when_an_answered_receive_is_dropped() {
    bounded(|| {
        runtime().block_on(async {
            let server = UdpSocket::bind("127.0.0.1:0").unwrap();
            let clients = [0, 1, 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
            let first = server.recv(vec![0; 8]).submit();
            let mut second = Box::pin(server.recv_from(vec![0; 8]));
            assert!(poll_immediate(&mut second).await.is_none());
            for (n, client) in clients.iter().enumerate() {
                let to = server.local_addr().unwrap();
                client.send_to(vec![n as u8; 2], to).await.0.unwrap();
            }
            turns().await;
            drop(first);
            let mut received = vec![second.await];
            for _ in 1..3 {
                received.push(server.recv_from(vec![0; 8]).await);
            }
            for (n, (received, data)) in received.into_iter().enumerate() {
                let sender = clients[n].local_addr().unwrap();
                assert_eq!(received.unwrap(), (2, sender));
                assert_eq!(data[..2], [n as u8; 2]);
            }
        });
    });
}

/// Dropped receives that do not ask for the sender leave it to the next all the same.
#[test]
fn a_late_datagram_keeps_its_sender() {
    bounded(|| {
        runtime().block_on(async {
            for stream in [false, true] {
                let server = UdpSocket::bind("127.0.0.1:0").unwrap();
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                let to = server.local_addr().unwrap();
                let (mut chunks, receive) = (server.recv_stream(), server.recv(vec![0; 8]));
                let receive = match stream {
                    true => {
                        assert!(poll_immediate(chunks.next()).await.is_none());
                        None
                    }
                    false => Some(receive.submit()),
                };
                turns().await;
                client.send_to("late", to).await.0.unwrap();
                turns().await;
                drop((chunks, receive));
                let (received, data) = server.recv_from(vec![0; 8]).await;
                assert_eq!(received.unwrap(), (4, client.local_addr().unwrap()));
                assert_eq!(&data[..4], b"late");
            }

            let dir = std::env::temp_dir().join(format!("saferring-turns-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            let (a, b) = (dir.join("a"), dir.join("b"));
            let server = UnixDatagram::bind(&a).unwrap();
            let client = UnixDatagram::bind(&b).unwrap();
            let receive = server.recv(vec![0; 8]).submit();
            turns().await;
            client.send_to("late", &a).await.0.unwrap();
            turns().await;
            drop(receive);
            let (received, _) = server.recv_from(vec![0; 8]).await;
            let (n, sender) = received.unwrap();
            let sender = sender.unwrap();
            assert_eq!((n, sender.as_pathname()), (4, Some(&*b)));
            std::fs::remove_dir_all(&dir).unwrap();
        });
    });
}

/// What came for a dropped read is the stream's that is armed already, and comes before what that has.
#[test]
fn a_stream_of_chunks_yields_first_what_came_first() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let first = stream.read(Vec::with_capacity(3)).submit();
            let mut chunks = stream.recv_stream();
            assert!(poll_immediate(chunks.next()).await.is_none());
            peer.write_all(b"one").unwrap();
            turns().await;
            // The turn is the stream's now.
            peer.write_all(b"two").unwrap();
            turns().await;
            drop(first);
            let mut came = Vec::new();
            while came.len() < 6 {
                came.extend_from_slice(&chunks.next().await.unwrap().unwrap());
            }
            assert_eq!(came, b"onetwo");
        });
    });
}

/// The end of a stream by a reset is told once, to whoever reads next.
#[test]
fn a_reset_that_came_for_a_dropped_read_is_the_next_reads() {
    bounded(|| {
        runtime().block_on(async {
            for way in 0..6 {
                let (stream, peer) = resetting_pair().await;
                {
                    let mut chunks = stream.recv_stream();
                    let read = match way % 3 {
                        0 => Some(stream.read(vec![0; 8]).submit()),
                        1 => {
                            let mut read = Box::pin(stream.read_vectored([vec![0; 8]]));
                            assert!(poll_immediate(&mut read).await.is_none());
                            turns().await;
                            drop(peer);
                            until("the reset", || in_flight().is_empty()).await;
                            drop(read);
                            expect_reset(&stream, way).await;
                            continue;
                        }
                        _ => {
                            assert!(poll_immediate(chunks.next()).await.is_none());
                            None
                        }
                    };
                    turns().await;
                    drop(peer);
                    until("the reset", || in_flight().is_empty()).await;
                    drop((read, chunks));
                }
                expect_reset(&stream, way).await;
            }
        });
    });
}

async fn expect_reset(stream: &TcpStream, way: i32) {
    let kind = if way < 3 {
        stream.read(vec![0; 8]).await.0.unwrap_err().kind()
    } else {
        let next = stream.recv_stream().next().await;
        next.unwrap().unwrap_err().kind()
    };
    assert_eq!(kind, io::ErrorKind::ConnectionReset, "way {way}");
    // Once: from then on it has ended.
    assert_eq!(stream.read(vec![0; 8]).await.0.unwrap(), 0, "way {way}");
}

/// A connection that was accepted for someone who is gone goes to who accepts now, however long that has waited.
#[test]
fn a_late_connection_goes_to_whoever_accepts() {
    bounded(|| {
        runtime().block_on(async {
            for way in 0..4 {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let mut first = listener.incoming();
                assert!(poll_immediate(first.next()).await.is_none());
                turns().await;
                let mut accept = Box::pin(listener.accept());
                let mut second = listener.incoming();
                match way {
                    0 => assert!(poll_immediate(&mut accept).await.is_none()),
                    1 => assert!(poll_immediate(second.next()).await.is_none()),
                    _ => {}
                }
                turns().await;
                let client = std::net::TcpStream::connect(address).unwrap();
                turns().await;
                drop(first);
                let peer = match way {
                    0 | 2 => accept.await.unwrap().1,
                    _ => second.next().await.unwrap().unwrap().peer_addr().unwrap(),
                };
                assert_eq!(peer, client.local_addr().unwrap());
            }
        });
    });
}

#[test]
fn a_late_connection_that_was_reset_fails_no_accept() {
    bounded(|| {
        runtime().block_on(async {
            for stream in [false, true] {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let (mut accept, mut incoming) = (Box::pin(listener.accept()), listener.incoming());
                match stream {
                    false => assert!(poll_immediate(&mut accept).await.is_none()),
                    true => assert!(poll_immediate(incoming.next()).await.is_none()),
                }
                turns().await;
                let client = std::net::TcpStream::connect(address).unwrap();
                turns().await;
                SockRef::from(&client)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                drop(client);
                drop((accept, incoming));
                let good = std::net::TcpStream::connect(address).unwrap();
                let mut peers = vec![listener.accept().await.unwrap().1];
                if peers[0] != good.local_addr().unwrap() {
                    peers.push(listener.accept().await.unwrap().1);
                }
                assert_eq!(peers.last(), Some(&good.local_addr().unwrap()));
            }
        });
    });
}

/// Those who wait for their turn leave nothing behind when they give up.
#[test]
fn who_gives_up_its_turn_leaves_the_queue() {
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};

    struct Counted;
    impl Wake for Counted {
        fn wake(self: Arc<Self>) {}
    }

    bounded(|| {
        let runtime = runtime();
        let (stream, _peer) = pair();
        let counted = Arc::new(Counted);
        let waker = Waker::from(counted.clone());
        let long = runtime.block_on(async {
            let long = stream.read(Vec::with_capacity(8)).submit();
            for _ in 0..1000 {
                let mut read = pin!(stream.read(Vec::with_capacity(8)));
                let poll = read.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(poll.is_pending());
            }
            Some(long)
        });
        drop(waker);
        assert_eq!(Arc::strong_count(&counted), 1);
        drop(long);
        assert!(runtime.shutdown_timeout(Duration::from_secs(30)).is_ok());
    });
}

/// What does not fit into the queue of the ring goes there although a task is always ready.
#[test]
fn the_backlog_goes_on_beside_a_task_that_is_always_ready() {
    bounded(|| {
        for sqpoll in [false, true] {
            let mut builder = Builder::new().entries(8);
            if sqpoll {
                builder = builder.sqpoll(Duration::from_secs(2));
            }
            builder.build().unwrap().block_on(async {
                let busy = saferring::spawn(async {
                    loop {
                        saferring::task::yield_now().await;
                    }
                });
                let nops: Vec<_> = (0..200).map(|_| nop().submit()).collect();
                // The kernel's own thread may have kept up.
                assert!(sqpoll || metrics().backlogged > 0);
                let (stream, _peer) = pair();
                let (result, _) = stream
                    .read(vec![0; 8])
                    .timeout(Duration::from_millis(1))
                    .await;
                assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
                for nop in nops {
                    nop.await.unwrap();
                }
                busy.abort();
            });
        }
    });
}

/// Late bytes are taken in pieces, whole and in order, by whatever reads.
#[test]
fn late_bytes_are_read_in_pieces() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let big = stream.read(Vec::with_capacity(100_000)).submit();
            turns().await;
            let sent = pattern_bytes(0, 100_000);
            let feed = sent.clone();
            let writer = std::thread::spawn(move || {
                peer.write_all(&feed).unwrap();
                peer.shutdown(Shutdown::Write).unwrap();
                peer
            });
            until("bytes", || in_flight().is_empty()).await;
            drop(big);
            let mut came = Vec::new();
            for size in (1..).step_by(7) {
                let (result, data) = stream.read(Vec::with_capacity(size)).await;
                if result.unwrap() == 0 {
                    break;
                }
                came.extend_from_slice(&data);
                if size % 5 == 0 {
                    let peeked = stream.peek(Vec::with_capacity(3)).await.1;
                    let again = stream.read_vectored([Vec::with_capacity(2)]).await.1;
                    assert!(peeked.starts_with(&again[0]));
                    came.extend_from_slice(&again[0]);
                }
            }
            assert!(came == sent);
            writer.join().unwrap();
        });
    });
}

/// A runtime without time to end well closes what it holds all the same.
#[test]
fn a_shutdown_without_grace_leaks_no_descriptor() {
    in_child("a_shutdown_without_grace_leaks_no_descriptor", || {
        let before = open_fds();
        for _ in 0..5 {
            let runtime = runtime();
            let (listener, clients) = runtime.block_on(async {
                for _ in 0..20 {
                    let (a, b) = UnixStream::pair().unwrap();
                    saferring::spawn(async move {
                        let _read = a.read(vec![0; 8]).submit();
                        let _keep = (&a, b);
                        std::future::pending::<()>().await;
                    });
                }
                saferring::task::yield_now().await;
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let mut incoming = listener.incoming();
                assert!(poll_immediate(incoming.next()).await.is_none());
                turns().await;
                let address = listener.local_addr().unwrap();
                let clients: Vec<_> = (0..20)
                    .map(|_| std::net::TcpStream::connect(address).unwrap())
                    .collect();
                ((listener, incoming), clients)
            });
            let _ = runtime.shutdown_timeout(Duration::ZERO);
            drop((listener, clients));
        }
        assert_eq!(open_fds(), before);
    });
}

/// Accepts of Unix sockets, and of one that closes meanwhile.
#[test]
fn a_unix_listener_hands_late_connections_on() {
    bounded(|| {
        runtime().block_on(async {
            let path = std::env::temp_dir().join(format!("saferring-late-{}", std::process::id()));
            let listener = UnixListener::bind(&path).unwrap();
            let mut first = listener.incoming();
            assert!(poll_immediate(first.next()).await.is_none());
            let mut second = listener.incoming();
            assert!(poll_immediate(second.next()).await.is_none());
            turns().await;
            let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
            turns().await;
            drop(first);
            let stream = second.next().await.unwrap().unwrap();
            client.write_all(b"hello").unwrap();
            assert_eq!(stream.read(Vec::with_capacity(8)).await.1, b"hello");
            drop(second);
            listener.close().await.unwrap();
            std::fs::remove_file(&path).unwrap();
        });
    });
}

/// It was asked for, and says nothing of the kernel.
#[test]
fn an_operation_that_is_cancelled_before_its_turn_is_cancelled() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let first = stream.read(vec![0; 1]).submit();
            let second = stream.read(vec![7; 2]).submit();
            nop().await.unwrap();
            let (read, buf) = second.cancel().await;
            assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
            assert_eq!(buf, [7; 2]);
            let third = stream.read(vec![7; 2]).timeout(Duration::from_millis(1));
            let (read, _) = third.await;
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
            peer.write_all(b"x").unwrap();
            assert_eq!(first.await.1, b"x");
        });
    });
}
