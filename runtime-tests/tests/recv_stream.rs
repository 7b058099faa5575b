//! Streams of chunks in provided buffers.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::poll_immediate;
use saferring::features;
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use saferring::runtime::{Builder, Runtime, in_flight, metrics};
use saferring::task::yield_now;
use saferring_tests::{bounded, skipped, until};

saferring_tests::also_on_software!();

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = futures_util::future::join(client, listener.accept()).await;
    (client.unwrap(), server.unwrap().0)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn a_stream_yields_all_bytes_in_order_and_ends() {
    bounded(|| {
        Runtime::new().unwrap().block_on(async {
            let (client, server) = pair().await;
            let sent = pattern(5_000_000);
            let writer = saferring::spawn({
                let sent = sent.clone();
                async move {
                    client.write_all(sent).await.0.unwrap();
                }
            });
            let mut received = Vec::new();
            let mut chunks = server.recv_stream();
            while let Some(chunk) = chunks.next().await {
                received.extend_from_slice(&chunk.unwrap());
            }
            writer.await.unwrap();
            assert!(received == sent);
            assert!(chunks.next().await.is_none());
        });
    });
}

#[test]
fn chunks_can_be_sent_as_they_are() {
    bounded(|| {
        Runtime::new().unwrap().block_on(async {
            let (client, server) = pair().await;
            let echo = saferring::spawn(async move {
                let mut chunks = server.recv_stream();
                while let Some(chunk) = chunks.next().await {
                    server.write_all(chunk.unwrap()).await.0.unwrap();
                }
            });
            for round in 0..1000usize {
                let message = pattern(round * 7 % 3000 + 1);
                client.write_all(message.clone()).await.0.unwrap();
                let (read, back) = client.read_exact(vec![0; message.len()]).await;
                read.unwrap();
                assert!(back == message);
            }
            drop(client);
            echo.await.unwrap();
            assert_eq!(metrics().provided_buffers > 0, features().multishot_recv());
        });
    });
}

/// Two groups of two small buffers, three streams, one of which holds all it gets: the others wait, and go on when the
/// buffers come back. Nobody sees an error, and nothing is lost.
#[test]
fn hazard_18_running_out_of_buffers_is_back_pressure() {
    bounded(|| {
        if !features().multishot_recv() {
            return skipped("no provided buffers for streams");
        }
        let runtime = Builder::new().provided_buffers(16, 2, 2).build().unwrap();
        runtime.block_on(async {
            let (greedy, greedy_peer) = UnixStream::pair().unwrap();
            greedy_peer.write_all(pattern(1000)).await.0.unwrap();
            drop(greedy_peer);
            let mut greedy_chunks = greedy.recv_stream();
            let mut held = Vec::new();
            for _ in 0..4 {
                held.push(greedy_chunks.next().await.unwrap().unwrap());
            }
            let others: Vec<_> = (0..3)
                .map(|_| {
                    saferring::spawn(async {
                        let (stream, peer) = UnixStream::pair().unwrap();
                        let (sent, _) = peer.write_all(pattern(500)).await;
                        sent.unwrap();
                        drop(peer);
                        let mut chunks = stream.recv_stream();
                        let mut received = Vec::new();
                        while let Some(chunk) = chunks.next().await {
                            received.extend_from_slice(&chunk.unwrap());
                        }
                        assert!(received == pattern(500));
                    })
                })
                .collect();
            while metrics().provided_dry < 4 {
                saferring::op::nop().await.unwrap();
                yield_now().await;
            }
            assert!(others.iter().all(|other| !other.is_finished()));
            let mut received: Vec<u8> = held.iter().flat_map(|chunk| chunk.to_vec()).collect();
            drop(held);
            while let Some(chunk) = greedy_chunks.next().await {
                received.extend_from_slice(&chunk.unwrap());
            }
            assert!(received == pattern(1000));
            for other in others {
                other.await.unwrap();
            }
        });
    });
}

#[test]
fn a_stream_that_is_not_polled_stops_taking_buffers() {
    bounded(|| {
        let runtime = Builder::new()
            .provided_buffers(64, 1024, 1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (stream, peer) = UnixStream::pair().unwrap();
            let mut chunks = stream.recv_stream();
            peer.write_all(pattern(64)).await.0.unwrap();
            let first = chunks.next().await.unwrap().unwrap();
            assert_eq!(first[..], pattern(64)[..]);
            drop(first);
            // Far more than the stream may hold; the writer can only end because the stream is drained below.
            let writer = saferring::spawn(async move {
                for _ in 0..2000 {
                    peer.write_all(pattern(64)).await.0.unwrap();
                }
            });
            let mut received = 0;
            for _ in 0..300 {
                saferring::op::nop().await.unwrap();
            }
            while let Some(chunk) = chunks.next().await {
                received += chunk.unwrap().len();
            }
            writer.await.unwrap();
            assert_eq!(received, 2000 * 64);
            assert_eq!(metrics().provided_dry, 0, "an idle stream took all buffers");
        });
    });
}

#[test]
fn hazard_19_what_a_dropped_stream_had_received_is_the_next_reads() {
    bounded(|| {
        Runtime::new().unwrap().block_on(async {
            for round in 0..300usize {
                let (stream, peer) = UnixStream::pair().unwrap();
                let mut chunks = stream.recv_stream();
                let sent = pattern(4000 + round);
                let (head, tail) = (sent[..1000].to_vec(), sent[1000..].to_vec());
                peer.write_all(head).await.0.unwrap();
                let mut received = match round % 3 {
                    0 => Vec::new(),
                    _ => chunks.next().await.unwrap().unwrap().to_vec(),
                };
                if round % 2 == 0 {
                    poll_immediate(chunks.next()).await;
                    peer.write_all(tail).await.0.unwrap();
                    drop(chunks);
                } else {
                    drop(chunks);
                    peer.write_all(tail).await.0.unwrap();
                }
                drop(peer);
                // By a plain read and by a new stream.
                let (read, buf) = stream.read(Vec::with_capacity(100)).await;
                read.unwrap();
                received.extend_from_slice(&buf);
                let mut chunks = stream.recv_stream();
                while let Some(chunk) = chunks.next().await {
                    received.extend_from_slice(&chunk.unwrap());
                }
                if round % 2 == 0 {
                    // A chunk that `poll_immediate` had taken is gone with it: only whole chunks may be missing.
                    assert!(sent.ends_with(&received[received.len().saturating_sub(1000)..]));
                } else {
                    assert!(received == sent, "round {round}");
                }
            }
        });
    });
}

#[test]
fn datagrams_are_chunks_even_empty_ones() {
    bounded(|| {
        Runtime::new().unwrap().block_on(async {
            let a = UdpSocket::bind("127.0.0.1:0").unwrap();
            let b = UdpSocket::bind("127.0.0.1:0").unwrap();
            a.connect(b.local_addr().unwrap()).await.unwrap();
            b.connect(a.local_addr().unwrap()).await.unwrap();
            let mut chunks = b.recv_stream();
            for len in [5, 0, 1400, 1, 0, 9000] {
                a.send(pattern(len)).await.0.unwrap();
                assert!(chunks.next().await.unwrap().unwrap()[..] == pattern(len));
            }
            // What the stream has received and not yielded is the next receive's.
            assert!(poll_immediate(chunks.next()).await.is_none());
            a.send(pattern(70)).await.0.unwrap();
            drop(chunks);
            let (received, data) = b.recv(Vec::with_capacity(100)).await;
            assert_eq!(received.unwrap(), 70);
            assert!(data == pattern(70));
        });
    });
}

#[test]
fn hazard_20_leases_outlive_the_runtime() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let (chunk, rest) = runtime.block_on(async {
            let (stream, peer) = UnixStream::pair().unwrap();
            peer.write_all("hello").await.0.unwrap();
            let mut chunks = stream.recv_stream();
            let chunk = chunks.next().await.unwrap().unwrap();
            (chunk, chunks)
        });
        drop(runtime);
        assert_eq!(chunk[..], *b"hello");
        drop(rest);
        drop(chunk);
    });
}

#[test]
fn a_plain_read_waits_for_the_stream_to_be_dropped() {
    bounded(|| {
        Runtime::new().unwrap().block_on(async {
            let (stream, peer) = UnixStream::pair().unwrap();
            let mut chunks = stream.recv_stream();
            peer.write_all("one").await.0.unwrap();
            assert_eq!(chunks.next().await.unwrap().unwrap()[..], *b"one");
            let (read, _) = stream
                .read(Vec::with_capacity(8))
                .timeout(Duration::from_millis(1))
                .await;
            assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
            drop(chunks);
            peer.write_all("two").await.0.unwrap();
            let (read, buf) = stream.read(Vec::with_capacity(8)).await;
            read.unwrap();
            assert_eq!(buf, b"two");
        });
    });
}

#[test]
fn datagrams_come_with_their_senders() {
    bounded(|| {
        Runtime::new().unwrap().block_on(async {
            let server = UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = server.local_addr().unwrap();
            let clients = [
                UdpSocket::bind("127.0.0.1:0").unwrap(),
                UdpSocket::bind("127.0.0.1:0").unwrap(),
            ];
            let mut datagrams = server.recv_from_stream();
            for round in 0..300usize {
                for (i, client) in clients.iter().enumerate() {
                    let sent = pattern(round * 7 + i);
                    client.send_to(sent.clone(), address).await.0.unwrap();
                    let (datagram, sender) = datagrams.next().await.unwrap().unwrap();
                    assert_eq!(sender, client.local_addr().unwrap());
                    assert!(datagram[..] == sent[..], "round {round}");
                    let (n, datagram) = server.send_to(datagram, sender).await;
                    assert_eq!(n.unwrap(), sent.len());
                    drop(datagram);
                    let (received, back) = client.recv_from(Vec::with_capacity(4096)).await;
                    assert_eq!(received.unwrap(), (sent.len(), address));
                    assert!(back == sent);
                }
            }
            if !features().multishot_recv() {
                return; // It takes one at a time.
            }
            // What a dropped stream had taken is the next reader's, with its sender.
            for client in &clients {
                client.send_to("late", address).await.0.unwrap();
            }
            assert!(poll_immediate(datagrams.next()).await.is_some());
            drop(datagrams);
            let (received, late) = server.recv_from(Vec::with_capacity(16)).await;
            let sender = clients[1].local_addr().unwrap();
            assert_eq!((received.unwrap(), late), ((4, sender), b"late".to_vec()));
            let mut datagrams = server.recv_from_stream();
            clients[0].send_to("again", address).await.0.unwrap();
            let (datagram, sender) = datagrams.next().await.unwrap().unwrap();
            assert_eq!(sender, clients[0].local_addr().unwrap());
            assert_eq!(&datagram[..], b"again");
        });
    });
}

#[test]
fn datagrams_of_the_sixth_internet_protocol_have_senders_too() {
    bounded(|| {
        Runtime::new().unwrap().block_on(async {
            let Ok(server) = UdpSocket::bind("[::1]:0") else {
                return skipped("no internet protocol version 6");
            };
            let client = UdpSocket::bind("[::1]:0").unwrap();
            let mut datagrams = server.recv_from_stream();
            let address = server.local_addr().unwrap();
            client.send_to("six", address).await.0.unwrap();
            let (datagram, sender) = datagrams.next().await.unwrap().unwrap();
            assert_eq!(sender, client.local_addr().unwrap());
            assert_eq!(&datagram[..], b"six");
        });
    });
}

/// As many datagrams as there are buffers hold them all; those that come then go on in memory of their own.
#[test]
fn datagrams_go_on_without_a_buffer() {
    bounded(|| {
        let builder = Builder::new().provided_buffers(256, 4, 1);
        builder.build().unwrap().block_on(async {
            let server = UdpSocket::bind("127.0.0.1:0").unwrap();
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = server.local_addr().unwrap();
            for i in 0..10u8 {
                client.send_to([i; 100], address).await.0.unwrap();
            }
            let mut datagrams = server.recv_from_stream();
            let mut held = Vec::new();
            for i in 0..10u8 {
                let (datagram, _) = datagrams.next().await.unwrap().unwrap();
                assert_eq!(datagram[..], [i; 100]);
                held.push(datagram);
            }
            if features().multishot_recv() {
                assert_eq!(metrics().provided_free, 0);
                assert!(metrics().provided_dry > 0);
            }
        });
    });
}

/// Sends more than the buffers of `b` hold: for a chunk, for one that comes late, for a receive into a buffer.
async fn cut(a: &UdpSocket, b: &UdpSocket, connected: bool) {
    let to = b.local_addr().unwrap();
    let receive = async || {
        if connected {
            b.recv_stream().next().await.unwrap().unwrap()
        } else {
            b.recv_from_stream().next().await.unwrap().unwrap().0
        }
    };
    a.send_to(pattern(5000), to).await.0.unwrap();
    let chunk = receive().await;
    assert!(chunk.missing() > 0);
    assert_eq!(chunk.len() + chunk.missing(), 5000);
    assert_eq!(&chunk[..], &pattern(5000)[..chunk.len()]);

    // Taken by a stream that is dropped.
    if connected {
        assert!(poll_immediate(b.recv_stream().next()).await.is_none());
    } else {
        assert!(poll_immediate(b.recv_from_stream().next()).await.is_none());
    }
    a.send_to(pattern(6000), to).await.0.unwrap();
    yield_now().await;
    let chunk = receive().await;
    assert_eq!(chunk.len() + chunk.missing(), 6000);
    assert_eq!(&chunk[..], &pattern(6000)[..chunk.len()]);

    a.send_to(pattern(7000), to).await.0.unwrap();
    let (meta, bytes) = b.recv_meta(Vec::with_capacity(100)).await;
    let meta = meta.unwrap();
    assert!(meta.is_cut());
    assert_eq!((meta.len, meta.full_len), (100, 7000));
    assert_eq!(meta.addr, a.local_addr().unwrap());
    assert_eq!(bytes, pattern(100));

    // Taken by a receive that is dropped, and then by one with more room, or less.
    for (room, len) in [(500, 100), (50, 50)] {
        let mut small = Box::pin(b.recv_meta(Vec::with_capacity(100)));
        assert!(poll_immediate(&mut small).await.is_none());
        a.send_to(pattern(7000), to).await.0.unwrap();
        until("the datagram", || in_flight().is_empty()).await;
        drop(small);
        let (meta, bytes) = b.recv_meta(Vec::with_capacity(room)).await;
        let meta = meta.unwrap();
        assert_eq!((meta.len, meta.full_len), (len, 7000));
        assert_eq!(bytes, pattern(len));
    }

    // What fits is whole, also if it just fits.
    a.send_to(pattern(900), to).await.0.unwrap();
    let chunk = receive().await;
    assert_eq!((chunk.len(), chunk.missing()), (900, 0));
    a.send_to(pattern(100), to).await.0.unwrap();
    let (meta, _) = b.recv_meta(Vec::with_capacity(100)).await;
    assert!(!meta.unwrap().is_cut());
}

#[test]
fn a_part_of_a_datagram_says_what_is_missing() {
    for dry in [false, true] {
        for connected in [false, true] {
            bounded(move || {
                let builder = Builder::new().provided_buffers(1024, 1, 1);
                builder.build().unwrap().block_on(async {
                    let a = UdpSocket::bind("127.0.0.1:0").unwrap();
                    let b = UdpSocket::bind("127.0.0.1:0").unwrap();
                    let mut held = None;
                    if dry {
                        let to = b.local_addr().unwrap();
                        a.send_to([1; 500], to).await.0.unwrap();
                        held = b.recv_from_stream().next().await;
                        yield_now().await;
                    }
                    if connected {
                        b.connect(a.local_addr().unwrap()).await.unwrap();
                    }
                    cut(&a, &b, connected).await;
                    drop(held);
                });
            });
        }
    }
}
