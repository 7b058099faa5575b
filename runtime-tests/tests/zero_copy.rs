//! Zero-copy sends: what arrives, when the buffer comes back, and who waits for whom.

use std::cell::Cell;
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join;
use saferring::io::AsyncReadExt;
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixStream, ZcBuf};
use saferring::runtime::{Builder, Runtime, in_flight, metrics};
use saferring_tests::{
    Account, Watch, bounded, fd_link, holders, in_child, is_software, leaks_on_purpose, limit,
    lockable, pattern_bytes, poll_once, skipped, unprivileged, until,
};

saferring_tests::also_on_software!();

const MEGABYTE: usize = 1 << 20;

fn runtime() -> Runtime {
    Builder::new().entries(32).build().unwrap()
}

/// A connection whose far end nobody reads but the test, with small buffers on both sides.
fn pair() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket2::SockRef::from(&listener)
        .set_recv_buffer_size(64 * 1024)
        .unwrap();
    let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    socket2::SockRef::from(&ours)
        .set_send_buffer_size(256 * 1024)
        .unwrap();
    let (theirs, _) = listener.accept().unwrap();
    (TcpStream::from_std(ours), theirs)
}

/// Whether this kernel can do it at all, and this user lock the memory of what is sent: it is a plain send otherwise.
fn supported() -> bool {
    saferring::features().has_opcode(47) && lockable() >= 2 * 4 * MEGABYTE as u64
}

/// Whether memory may be lent beyond the answer: the software ring has always copied it by then.
fn lends() -> bool {
    supported() && !is_software()
}

fn sends_in_flight() -> usize {
    let names = in_flight().into_iter();
    names.filter(|op| op.name == "send_zc").count()
}

/// A send that was answered, and whose memory the kernel still has: the peer does not read. Returns how much was sent.
async fn outstanding(
    stream: &TcpStream,
    watch: &Watch,
) -> (usize, ZcBuf<saferring_tests::Tracked>) {
    stream.set_zero_copy_threshold(0);
    let (sent, mut buf) = stream
        .send_zc(watch.filled(pattern_bytes(0, 4 * MEGABYTE)))
        .await;
    let sent = sent.unwrap();
    assert!(sent < 4 * MEGABYTE, "the socket took everything");
    for _ in 0..20 {
        saferring::op::nop().await.unwrap();
    }
    if lends() {
        assert!(
            poll_once(&mut buf).await.is_none(),
            "nothing is outstanding"
        );
        assert_eq!(sends_in_flight(), 1);
    }
    (sent, buf)
}

/// Reads so much in a thread of its own, slowly enough, and checks it.
fn read_pattern(
    mut from: std::net::TcpStream,
    len: usize,
) -> std::thread::JoinHandle<std::net::TcpStream> {
    std::thread::spawn(move || {
        let mut bytes = vec![0; len];
        from.read_exact(&mut bytes).unwrap();
        assert!(bytes == pattern_bytes(0, len), "other bytes arrived");
        from
    })
}

#[test]
fn what_is_sent_arrives_and_the_buffer_comes_back() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = pair();
            let reader = read_pattern(peer, 3 * MEGABYTE + 5);
            let before = metrics();
            stream.set_zero_copy_threshold(0);
            let (sent, buf) = stream
                .write_all_zc(pattern_bytes(0, 3 * MEGABYTE + 5))
                .await;
            sent.unwrap();
            let buf = buf.await;
            assert!(buf == pattern_bytes(0, 3 * MEGABYTE + 5));
            reader.join().unwrap();
            let now = metrics();
            if supported() {
                assert_eq!(now.zero_copy_sends, before.zero_copy_sends + 1);
            }
            assert_eq!(sends_in_flight(), 0);
        });
    });
}

#[test]
fn inline_and_vectored_buffers() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            stream.set_zero_copy_threshold(0);
            let (sent, buf) = stream.send_zc([7u8; 3000]).await;
            assert_eq!(sent.unwrap(), 3000);
            assert_eq!(buf.await, [7; 3000]);
            let bufs = [
                vec![1u8; 5000],
                vec![2; 6000],
                vec![],
                vec![3; 7000],
                vec![4],
            ];
            let (sent, back) = stream.send_vectored_zc(bufs.clone()).await;
            assert_eq!(sent.unwrap(), 18_001);
            assert_eq!(back.await, bufs);
            let mut bytes = vec![0; 3000 + 18_001];
            peer.read_exact(&mut bytes).unwrap();
            assert!(bytes == [vec![7; 3000], bufs.concat()].concat());
            let (sent, _) = stream.send_zc(Vec::new()).await;
            assert_eq!(sent.unwrap(), 0);
        });
    });
}

#[test]
fn datagrams() {
    bounded(|| {
        runtime().block_on(async {
            let (a, b) = (
                UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
                UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
            );
            a.connect(b.local_addr().unwrap()).await.unwrap();
            a.set_zero_copy_threshold(0);
            for len in [0, 1, 1000, 30_000, 65_507] {
                let (sent, buf) = a.send_zc(pattern_bytes(1, len)).await;
                assert_eq!(sent.unwrap(), len);
                assert!(buf.await == pattern_bytes(1, len));
                let (received, data) = b.recv(Vec::with_capacity(70_000)).await;
                assert_eq!(received.unwrap(), len);
                assert!(data == pattern_bytes(1, len));
            }
            let (sent, buf) = a.send_zc(vec![0; 70_000]).await;
            assert_eq!(sent.unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
            assert_eq!(buf.await.len(), 70_000);
        });
    });
}

#[test]
fn hazard_24_a_dropped_second_future_keeps_the_buffer() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = pair();
            let watch = Watch::new();
            let (sent, buf) = outstanding(&stream, &watch).await;
            drop(buf);
            if lends() {
                assert_eq!(watch.alive(), 1);
            }
            let reader = read_pattern(peer, sent);
            until("the notification", || watch.alive() == 0).await;
            reader.join().unwrap();
            assert_eq!(sends_in_flight(), 0);
            assert_eq!(metrics().stale, 0);
        });
    });
}

#[test]
fn a_forgotten_second_future_keeps_the_buffer_for_good() {
    bounded(|| {
        leaks_on_purpose(&[Account::Drivers], "a forgotten future keeps its driver");
        let watch = Watch::new();
        let runtime = runtime();
        runtime.block_on(async {
            let (stream, peer) = pair();
            let (sent, buf) = outstanding(&stream, &watch).await;
            std::mem::forget(buf);
            read_pattern(peer, sent).join().unwrap();
            until("the notification", || sends_in_flight() == 0).await;
        });
        assert!(runtime.shutdown_timeout(Duration::from_secs(30)).is_ok());
        if lends() {
            assert_eq!(watch.alive(), 1);
        }
    });
}

#[test]
fn hazard_24_a_dropped_first_future_keeps_the_buffer_and_its_turn() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = pair();
            stream.set_zero_copy_threshold(0);
            let watch = Watch::new();
            // Fills the socket, so that the next waits in the kernel.
            let (first, buf) = outstanding(&stream, &watch).await;
            let mut second = Box::pin(stream.send_zc(watch.filled(vec![1; MEGABYTE])));
            assert!((&mut second).now_or_never().is_none());
            saferring::op::nop().await.unwrap();
            drop(second);
            // It is cancelled, in turn: what follows is not mixed with it.
            let reader = std::thread::spawn(move || {
                let mut peer = read_pattern(peer, first).join().unwrap();
                let mut rest = Vec::new();
                peer.read_to_end(&mut rest).unwrap();
                rest
            });
            let (sent, third) = stream.write_all_zc(watch.filled(vec![2; 100_000])).await;
            sent.unwrap();
            stream.close().await.unwrap();
            let rest = reader.join().unwrap();
            let cut = rest.len() - 100_000;
            assert!(rest[..cut].iter().all(|&byte| byte == 1));
            assert!(rest[cut..].iter().all(|&byte| byte == 2));
            drop((buf.await, third.await));
            until("the last buffer", || watch.alive() == 0).await;
            assert_eq!(metrics().stale, 0);
        });
    });
}

#[test]
fn the_next_write_does_not_wait_for_the_peer() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            // So little is sent that there is room for more; the peer's window is full of what was sent before.
            let watch = Watch::new();
            let (sent, buf) = outstanding(&stream, &watch).await;
            let mut next = Box::pin(stream.write_all("the end"));
            assert!((&mut next).now_or_never().is_none());
            saferring::op::nop().await.unwrap();
            let early = poll_once(&mut next).await;
            let names: Vec<_> = in_flight().iter().map(|op| op.name).collect();
            assert!(
                early.is_some() || names.contains(&"send"),
                "still queued: {names:?}"
            );
            let reader = std::thread::spawn(move || {
                let mut bytes = vec![0; sent + 7];
                peer.read_exact(&mut bytes).unwrap();
                bytes
            });
            match early {
                Some((sent, _)) => sent.unwrap(),
                None => next.await.0.unwrap(),
            }
            let bytes = reader.join().unwrap();
            assert!(bytes[..sent] == pattern_bytes(0, sent) && &bytes[sent..] == b"the end");
            assert_eq!(buf.await.bytes().len(), 4 * MEGABYTE);
        });
    });
}

#[test]
fn writes_in_a_row_keep_their_order() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let reader = std::thread::spawn(move || {
                let mut bytes = Vec::new();
                peer.read_to_end(&mut bytes).unwrap();
                bytes
            });
            let mut expected = Vec::new();
            let mut back = Vec::new();
            for round in 0..200u8 {
                let size = 500 * usize::from(round) + 1;
                expected.extend(vec![round; size]);
                expected.extend(b"plain");
                stream.set_zero_copy_threshold(if round % 3 == 0 { usize::MAX } else { 0 });
                let (one, two) = join(
                    stream.write_all_zc(vec![round; size]),
                    stream.write_all("plain"),
                )
                .await;
                one.0.unwrap();
                two.0.unwrap();
                back.push((round, one.1));
            }
            stream.close().await.unwrap();
            assert!(reader.join().unwrap() == expected);
            for (round, buf) in back {
                assert!(buf.await.iter().all(|&byte| byte == round));
            }
        });
    });
}

#[test]
fn hazard_24_close_and_drop_do_not_wait_for_notifications() {
    bounded(|| {
        runtime().block_on(async {
            for dropped in [false, true] {
                let (stream, peer) = pair();
                let link = fd_link(stream.as_raw_fd()).unwrap();
                let watch = Watch::new();
                let (sent, buf) = outstanding(&stream, &watch).await;
                if dropped {
                    drop(stream);
                } else {
                    stream.close().await.unwrap();
                }
                until("the close", || holders(&link) == 0).await;
                if lends() {
                    assert_eq!(sends_in_flight(), 1);
                }
                assert!(
                    in_flight()
                        .iter()
                        .all(|op| op.name != "send_zc" || op.fd.is_none())
                );
                let reader = read_pattern(peer, sent);
                assert_eq!(buf.await.bytes().len(), 4 * MEGABYTE);
                let mut rest = Vec::new();
                reader.join().unwrap().read_to_end(&mut rest).unwrap();
                assert!(rest.is_empty());
            }
        });
    });
}

#[test]
fn close_ends_a_send_that_waits_or_that_nobody_looks_at() {
    bounded(|| {
        runtime().block_on(async {
            for looked_at in [false, true] {
                let (stream, _peer) = pair();
                stream.set_zero_copy_threshold(0);
                let watch = Watch::new();
                let (_, first) = outstanding(&stream, &watch).await;
                // Waits for room; or is answered, if there is some.
                let mut second = Box::pin(stream.send_zc(watch.filled(vec![1; MEGABYTE])));
                assert!((&mut second).now_or_never().is_none());
                saferring::op::nop().await.unwrap();
                stream.close().await.unwrap();
                if looked_at {
                    let (sent, buf) = second.await;
                    drop((sent, buf));
                } else {
                    drop(second);
                }
                drop(first);
            }
        });
    });
}

#[test]
fn close_passes_an_answer_that_nobody_takes() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = pair();
            stream.set_zero_copy_threshold(0);
            let mut send = Box::pin(stream.send_zc(pattern_bytes(0, 4 * MEGABYTE)));
            assert!((&mut send).now_or_never().is_none());
            for _ in 0..10 {
                saferring::op::nop().await.unwrap();
            }
            stream.close().await.unwrap();
            let (sent, buf) = send.await;
            read_pattern(peer, sent.unwrap()).join().unwrap();
            assert_eq!(buf.await.len(), 4 * MEGABYTE);
        });
    });
}

#[test]
fn the_runtime_ends_with_a_notification_outstanding() {
    in_child("the_runtime_ends_with_a_notification_outstanding", || {
        leaks_on_purpose(
            &[Account::Lost],
            "the kernel still reads the buffer when the runtime ends",
        );
        let watch = Watch::new();
        let (stream, peer) = pair();
        let runtime = runtime();
        let (sent, buf) = runtime.block_on(outstanding(&stream, &watch));
        let left = runtime.shutdown_timeout(Duration::from_millis(50));
        if lends() {
            // Leaked, and told of: the kernel still reads it.
            assert!(left.is_err(), "{left:?}");
        }
        drop(buf);
        if lends() {
            assert_eq!(watch.alive(), 1);
        }
        read_pattern(peer, sent).join().unwrap();
        drop(stream);
    });
}

#[test]
fn the_runtime_waits_for_a_notification_that_comes() {
    in_child("the_runtime_waits_for_a_notification_that_comes", || {
        let watch = Watch::new();
        let (stream, peer) = pair();
        let runtime = runtime();
        let (sent, buf) = runtime.block_on(outstanding(&stream, &watch));
        drop(buf);
        let reader = read_pattern(peer, sent);
        let left = runtime.shutdown_timeout(Duration::from_secs(30));
        assert!(left.is_ok(), "{left:?}");
        assert_eq!(watch.alive(), 0);
        reader.join().unwrap();
    });
}

#[test]
fn unix_sockets_fall_back() {
    bounded(|| {
        runtime().block_on(async {
            let (a, b) = UnixStream::pair().unwrap();
            a.set_zero_copy_threshold(0);
            let before = metrics();
            let receive = async {
                let (received, data) = b.read_exact(Vec::with_capacity(5 * MEGABYTE)).await;
                received.unwrap();
                data
            };
            let send = async {
                for part in 0..5 {
                    let part = pattern_bytes(part * MEGABYTE as u64, MEGABYTE);
                    let (sent, buf) = a.write_all_zc(part.clone()).await;
                    sent.unwrap();
                    assert!(buf.await == part);
                }
            };
            let ((), data) = join(send, receive).await;
            assert!(data == pattern_bytes(0, 5 * MEGABYTE));
            let (sent, buf) = a.send_vectored_zc([vec![1; 10], vec![2; 10]]).await;
            assert_eq!(sent.unwrap(), 20);
            assert_eq!(buf.await.len(), 2);
            let now = metrics();
            // The software ring takes any socket, as it copies anyway.
            assert!(is_software() || now.zero_copy_sends == before.zero_copy_sends);
            assert_eq!(sends_in_flight(), 0);
            b.close().await.unwrap();
            let (sent, buf) = a.send_zc(vec![0; 100_000]).await;
            assert_eq!(sent.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
            assert_eq!(buf.await.len(), 100_000);
        });
    });
}

#[test]
fn without_memory_to_lock_it_is_a_plain_send() {
    in_child("without_memory_to_lock_it_is_a_plain_send", || {
        limit(libc::RLIMIT_MEMLOCK, 64 * 1024);
        unprivileged(|| {
            let Ok(runtime) = Builder::new().entries(8).completion_entries(64).build() else {
                // Rings are charged, too, on some kernels.
                return skipped("no ring within the limit on locked memory");
            };
            runtime.block_on(async {
                let (stream, peer) = pair();
                stream.set_zero_copy_threshold(0);
                let reader = read_pattern(peer, 2 * MEGABYTE);
                for part in [0, MEGABYTE] {
                    let bytes = pattern_bytes(part as u64, MEGABYTE);
                    let (sent, buf) = stream.write_all_zc(bytes.clone()).await;
                    sent.unwrap();
                    assert!(buf.await == bytes);
                }
                reader.join().unwrap();
                // The software ring locks none.
                assert!(is_software() || metrics().zero_copy_sends == 0);
                assert_eq!(sends_in_flight(), 0);
            });
        });
    });
}

#[test]
fn a_refused_send_keeps_its_turn() {
    bounded(|| {
        runtime().block_on(async {
            for _ in 0..20 {
                let (a, b) = UnixStream::pair().unwrap();
                a.set_zero_copy_threshold(0);
                let (one, two) =
                    join(a.write_all_zc(vec![1; 1000]), a.write_all(vec![2; 1000])).await;
                one.0.unwrap();
                two.0.unwrap();
                let (received, data) = b.read_exact(Vec::with_capacity(2000)).await;
                received.unwrap();
                assert!(data == [vec![1; 1000], vec![2; 1000]].concat());
                if !lends() {
                    continue; // Nothing is refused: it is sent the plain way at once.
                }
                // Dropped before the refusal is seen, or when it has gone on: all of it is sent, or nothing.
                for turns in 0..3 {
                    let (a, b) = UnixStream::pair().unwrap();
                    a.set_zero_copy_threshold(0);
                    let mut refused = Box::pin(a.write_all_zc(vec![1; 1000]));
                    assert!((&mut refused).now_or_never().is_none());
                    for _ in 0..turns {
                        saferring::op::nop().await.unwrap();
                    }
                    drop(refused);
                    a.write_all(vec![2; 1000]).await.0.unwrap();
                    drop(a);
                    let (received, data) = (&mut &b).read_to_end(Vec::new()).await;
                    received.unwrap();
                    let all = [vec![1; 1000], vec![2; 1000]].concat();
                    assert!(data == all || data == all[1000..]);
                }
            }
        });
    });
}

/// What was refused goes on although nobody polls it: who comes next waits for the kernel, and for no future.
#[test]
fn a_refused_send_that_nobody_polls_holds_up_nobody() {
    bounded(|| {
        leaks_on_purpose(
            &[Account::Drivers, Account::Descriptors, Account::Forgotten],
            "forgotten futures keep their operations",
        );
        for forgotten in [false, true] {
            for vectored in [false, true] {
                runtime().block_on(async {
                    let (a, mut b) = std::os::unix::net::UnixStream::pair().unwrap();
                    let a = UnixStream::from_std(a);
                    a.set_zero_copy_threshold(1);
                    let mut send: std::pin::Pin<Box<dyn Future<Output = ()>>> = match vectored {
                        false => Box::pin(a.send_zc(*b"first").map(drop)),
                        true => Box::pin(a.send_vectored_zc([*b"fi", *b"rs"]).map(drop)),
                    };
                    assert!(poll_once(&mut send).await.is_none());
                    let held = match forgotten {
                        true => {
                            std::mem::forget(send);
                            None
                        }
                        false => Some(send),
                    };
                    a.write_all("second").await.0.unwrap();
                    let mut came = vec![0; if vectored { 10 } else { 11 }];
                    b.read_exact(&mut came).unwrap();
                    assert_eq!(
                        came,
                        if vectored {
                            &b"firssecond"[..]
                        } else {
                            b"firstsecond"
                        }
                    );
                    if let Some(send) = held {
                        send.await;
                    }
                });
            }
        }
    });
}

#[test]
fn loopback_turns_it_off() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let sends = 300;
            let reader = std::thread::spawn(move || {
                let mut bytes = Vec::new();
                peer.read_to_end(&mut bytes).unwrap();
                bytes.len()
            });
            for _ in 0..sends {
                let (sent, buf) = stream.write_all_zc(vec![5; 20_000]).await;
                sent.unwrap();
                drop(buf.await);
            }
            for _ in 0..10 {
                stream.write_all_zc(vec![5; 1000]).await.0.unwrap();
            }
            stream.close().await.unwrap();
            assert_eq!(reader.join().unwrap(), sends * 20_000 + 10 * 1000);
            let metrics = metrics();
            if metrics.zero_copy_copied > 0 {
                assert_eq!(metrics.zero_copy_copied, metrics.zero_copy_sends);
                // Four at first, then each 64th.
                assert_eq!(metrics.zero_copy_sends, 4 + (sends as u64 - 4) / 64);
            }
        });
    });
}

#[test]
fn errors_give_the_buffer_back() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = pair();
            stream.set_zero_copy_threshold(0);
            drop(peer);
            let error = loop {
                let (sent, buf) = stream.send_zc(vec![0; 20_000]).await;
                assert_eq!(buf.await.len(), 20_000);
                if let Err(error) = sent {
                    break error;
                }
            };
            let broken = [
                std::io::ErrorKind::BrokenPipe,
                std::io::ErrorKind::ConnectionReset,
            ];
            assert!(broken.contains(&error.kind()), "{error}");
            let unconnected = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            unconnected.set_zero_copy_threshold(0);
            let (sent, buf) = unconnected.send_zc(vec![0; 100]).await;
            assert_eq!(sent.unwrap_err().raw_os_error(), Some(libc::EDESTADDRREQ));
            assert_eq!(buf.await.len(), 100);
        });
    });
}

#[test]
fn a_wake_comes_with_the_notification() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = pair();
            let watch = Watch::new();
            let (sent, buf) = outstanding(&stream, &watch).await;
            let back = Rc::new(Cell::new(false));
            let collector = saferring::spawn({
                let back = Rc::clone(&back);
                async move {
                    drop(buf.await);
                    back.set(true);
                }
            });
            saferring::op::nop().await.unwrap();
            assert!(!lends() || !back.get());
            let reader = read_pattern(peer, sent);
            collector.await.unwrap();
            assert!(back.get());
            reader.join().unwrap();
        });
    });
}

/// A file server's loop: the handles are collected later.
#[test]
fn many_outstanding() {
    bounded(|| {
        runtime().block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            let (server, _) = listener.accept().await.unwrap();
            let watch = Watch::new();
            let send = async {
                let mut handles = Vec::new();
                for _ in 0..100 {
                    client.set_zero_copy_threshold(0);
                    let (sent, buf) = client.write_all_zc(watch.filled(vec![9; 50_000])).await;
                    sent.unwrap();
                    handles.push(buf);
                }
                // Every other is dropped.
                for (index, buf) in handles.into_iter().enumerate() {
                    if index % 2 == 0 {
                        drop(buf.await);
                    }
                }
            };
            let receive = async {
                let (received, data) = server.read_exact(Vec::with_capacity(5_000_000)).await;
                received.unwrap();
                assert!(data.iter().all(|&byte| byte == 9));
            };
            join(send, receive).await;
            until("the buffers", || watch.alive() == 0).await;
        });
    });
}

/// It waits on the plain way then, as the peer takes nothing.
#[test]
fn a_refused_send_ends_with_its_runtime() {
    bounded(|| {
        let (runtime, watch) = (runtime(), Watch::new());
        let (ours, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        while std::io::Write::write(&mut &ours, &[0; 4096]).is_ok() {}
        let stream = UnixStream::from_std(ours);
        stream.set_zero_copy_threshold(0);
        let mut send = Box::pin(stream.send_zc(watch.filled("bytes")));
        runtime.block_on(async {
            assert!(poll_once(&mut send).await.is_none());
            saferring::op::nop().await.unwrap();
            assert!(poll_once(&mut send).await.is_none());
        });
        drop(runtime);
        let (sent, buf) = send.now_or_never().unwrap();
        assert_eq!(sent.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        drop(buf);
        assert_eq!(watch.alive(), 0);
    });
}
