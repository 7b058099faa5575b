//! What has an identity is known by that: descriptors, rings, and what belongs to a ring. Several runtimes on one thread,
//! handles that outlive theirs, and numbers that come again.

#![allow(clippy::async_yields_async)] // Operations leave the runtime in which they were begun.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::poll_immediate;
use saferring::Error;
use saferring::fs::File;
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use saferring::op::{Registry, nop};
use saferring::runtime::{Builder, Runtime, in_flight, metrics};
use saferring::time::{interval, sleep, timeout};
use saferring_tests::{
    Account, bounded, in_child, leaks_on_purpose, open_fds, skipped, small_pool, until,
};

saferring_tests::also_on_software!();

/// With few and small buffers, so that one that is taken from the wrong pool shows.
fn runtime() -> Runtime {
    let builder = Builder::new().provided_buffers(64, 4, 1);
    builder.build().unwrap()
}

fn pair() -> (UnixStream, std::os::unix::net::UnixStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    (UnixStream::from_std(ours), theirs)
}

fn scratch(name: &str, content: impl AsRef<[u8]>) -> std::path::PathBuf {
    let name = format!("saferring-identity-{name}-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// Whether an error says that something belongs to another runtime.
fn is_other_runtime(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(Error::OtherRuntime))
}

/// Begun in one runtime, awaited in another, which turns the ring of the first.
#[test]
fn operations_can_be_awaited_in_another_runtime() {
    bounded(|| {
        let (a, b) = (runtime(), runtime());
        let (stream, mut peer) = pair();
        let (sending, mut receiving) = pair();
        let path = scratch("awaited", [7; 100_000]);
        let (read, vectored, file, listeners) = a.block_on(async {
            let read = stream.read(vec![0; 3]).submit();
            let mut vectored = Box::pin(stream.read_vectored([vec![0; 3]]));
            assert!(poll_immediate(&mut vectored).await.is_none());
            let file = File::open(&path).await.unwrap();
            let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
            (read, vectored, file, listeners)
        });
        // One each: which of two accepts gets a connection is the kernel's to say.
        let [listener, of_many] = &listeners;
        let addresses = [listener, of_many].map(|one| one.local_addr().unwrap());
        let (mut accept, mut incoming, page) = a.block_on(async {
            let mut accept = Box::pin(listener.accept());
            assert!(poll_immediate(&mut accept).await.is_none());
            let mut incoming = of_many.incoming();
            assert!(poll_immediate(incoming.next()).await.is_none());
            (accept, incoming, file.read_at(vec![0; 100_000], 0).submit())
        });
        let mut send = Box::pin(sending.write_all(vec![9; 10]));
        a.block_on(async { assert!(poll_immediate(&mut send).await.is_none()) });
        b.block_on(async {
            assert_eq!(page.await.0.unwrap(), 100_000);
            send.await.0.unwrap();
            let mut data = [0; 10];
            io::Read::read_exact(&mut receiving, &mut data).unwrap();
            peer.write_all(b"onetwo").unwrap();
            assert_eq!(read.await.1, b"one");
            assert_eq!(vectored.await.1, [b"two"]);
            let _clients = addresses.map(|one| std::net::TcpStream::connect(one).unwrap());
            accept.as_mut().await.unwrap();
            incoming.next().await.unwrap().unwrap();
        });
        assert!(a.in_flight().len() <= 1, "{:?}", a.in_flight());
        drop((accept, incoming));
        drop(std::fs::remove_file(&path));
        for runtime in [a, b] {
            assert!(runtime.shutdown_timeout(Duration::from_secs(30)).is_ok());
        }
    });
}

/// Armed in one runtime, or waiting for its turn there, a stream yields in another what was sent, out of its own pool.
#[test]
fn a_stream_of_chunks_can_go_to_another_runtime() {
    bounded(|| {
        for waits in [false, true] {
            let (a, b) = (runtime(), runtime());
            let (stream, mut peer) = pair();
            let mut chunks = stream.recv_stream();
            a.block_on(async {
                let read = waits.then(|| stream.read(Vec::with_capacity(16)).submit());
                assert!(poll_immediate(chunks.next()).await.is_none());
                if let Some(read) = read {
                    peer.write_all(b"one").unwrap();
                    assert_eq!(read.await.1, b"one");
                }
            });
            b.block_on(async {
                let (other, mut other_peer) = pair();
                other_peer.write_all(b"warm").unwrap();
                let warm = other.recv_stream().next().await.unwrap().unwrap();
                for round in 0..20u8 {
                    peer.write_all(&[round; 40]).unwrap();
                    let chunk = chunks.next().await.unwrap().unwrap();
                    assert_eq!(chunk[..], [round; 40]);
                }
                assert_eq!(&warm[..], b"warm");
            });
            drop(chunks);
            for runtime in [a, b] {
                let metrics = runtime.metrics();
                assert_eq!(metrics.provided_free, metrics.provided_buffers);
                assert!(runtime.shutdown_timeout(Duration::from_secs(30)).is_ok());
            }
        }
    });
}

/// A close waits for what another ring has, be its runtime alive or not.
#[test]
fn close_ends_what_is_in_flight_in_another_runtime() {
    bounded(|| {
        leaks_on_purpose(&[Account::Drivers], "one of the reads is forgotten");
        let b = runtime();
        for end in ["alive", "ended", "forgotten", "outside"] {
            let a = runtime();
            let (stream, mut peer) = pair();
            let mut read = Some(a.block_on(async { stream.read(vec![0; 8]).submit() }));
            match end {
                "ended" => assert!(a.shutdown_timeout(Duration::from_secs(30)).is_ok()),
                "forgotten" => {
                    std::mem::forget(read.take());
                    assert!(a.shutdown_timeout(Duration::from_secs(30)).is_ok());
                }
                _ => {
                    b.block_on(stream.close()).unwrap();
                    assert_eq!(io::Read::read(&mut peer, &mut [0; 1]).unwrap(), 0, "{end}");
                    let result = a.block_on(read.take().unwrap()).0;
                    assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
                    continue;
                }
            }
            b.block_on(stream.close()).unwrap();
            assert_eq!(io::Read::read(&mut peer, &mut [0; 1]).unwrap(), 0, "{end}");
        }
    });
}

/// A bound on time holds wherever it is awaited.
#[test]
fn timers_go_on_in_another_runtime() {
    bounded(|| {
        let (a, b) = (runtime(), runtime());
        let (stream, _peer) = pair();
        let short = Duration::from_millis(20);
        let mut read = Box::pin(stream.read(vec![7; 8]).timeout(short));
        let mut bounded = Box::pin(timeout(short, std::future::pending::<()>()));
        let mut slept = Box::pin(sleep(short));
        let mut ticks = interval(short);
        a.block_on(async {
            assert!(poll_immediate(&mut read).await.is_none());
            assert!(poll_immediate(&mut bounded).await.is_none());
            assert!(poll_immediate(&mut slept).await.is_none());
            ticks.tick().await;
            assert!(poll_immediate(pin!(ticks.tick())).await.is_none());
        });
        let submitted = a.block_on(async { stream.read(vec![8; 8]).timeout(short).submit() });
        let started = Instant::now();
        b.block_on(async {
            let (result, buf) = read.await;
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(buf, [7; 8]);
            let (result, buf) = submitted.await;
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(buf, [8; 8]);
            bounded.await.unwrap_err();
            slept.await;
            ticks.tick().await;
        });
        assert!(started.elapsed() < Duration::from_secs(30));
    });
}

/// What has a place in one ring's table gets none in another's, and says so; nothing there changes.
#[test]
fn direct_descriptors_stay_in_their_ring() {
    // In a process of its own, because its descriptors are counted.
    in_child("direct_descriptors_stay_in_their_ring", || {
        let (a, b) = (runtime(), runtime());
        let (good, other) = (scratch("good", "GOOD"), scratch("other", "OTHER"));
        let Ok(registry) = a.block_on(async { Registry::current() }) else {
            return skipped("no registered files");
        };
        for runtime in [&a, &b] {
            // Where the table is in software, it is made now.
            runtime.block_on(async {
                let registry = Registry::current().unwrap();
                let opened = registry.open(&other, libc::O_RDWR, 0).unwrap().await;
                opened.unwrap().close().await.unwrap();
            });
        }
        let before = open_fds();
        let (direct, listening) = a.block_on(async {
            let direct = registry.open(&other, libc::O_RDWR, 0).unwrap().await;
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            (direct.unwrap(), registry.register(&listener).unwrap())
        });
        b.block_on(async {
            let file = File::open(&good).await.unwrap();
            for _ in 0..20 {
                // From the sixteenth on it is read by its slot.
                assert_eq!(file.read_at(vec![0; 8], 0).await.1[..4], *b"GOOD");
            }
            let opened = registry.open(&other, libc::O_RDWR, 0).unwrap().await;
            assert!(is_other_runtime(&opened.unwrap_err()));
            let domain = socket2::Domain::IPV4;
            let socket = registry.socket(domain, socket2::Type::STREAM, None);
            assert!(is_other_runtime(&socket.unwrap().await.unwrap_err()));
            let accepted = listening.accept().unwrap().await;
            assert!(is_other_runtime(&accepted.unwrap_err()));
            let (read, buf) = direct.read_at(vec![3; 8], 0).await;
            assert!(is_other_runtime(&read.unwrap_err()));
            assert_eq!(buf, [3; 8]);
            let (sent, _) = direct.send("x").await;
            assert!(is_other_runtime(&sent.unwrap_err()));
            assert_eq!(file.read_at(vec![0; 8], 0).await.1[..4], *b"GOOD");
        });
        a.block_on(async {
            assert_eq!(direct.read_at(vec![0; 8], 0).await.0.unwrap(), 5);
            direct.close().await.unwrap();
            listening.close().await.unwrap();
        });
        assert_eq!(open_fds(), before);
        assert_eq!(std::fs::read(&other).unwrap(), b"OTHER");
        for path in [good, other] {
            std::fs::remove_file(path).unwrap();
        }
    });
}

/// Registered memory is ordinary memory to another ring.
#[test]
fn fixed_buffers_work_in_another_runtime() {
    bounded(|| {
        let (a, b) = (runtime(), runtime());
        let path = scratch("fixed", [5; 4096]);
        let pool = a.block_on(async { small_pool(2, 4096) });
        for runtime in [&b, &a, &b] {
            runtime.block_on(async {
                let file = File::open(&path).await.unwrap();
                let (read, buf) = file.read_at(pool.take().await, 0).await;
                assert_eq!(read.unwrap(), 4096);
                assert_eq!(buf[..], [5; 4096]);
            });
        }
        std::fs::remove_file(path).unwrap();
    });
}

/// Answers of earlier descriptors that nobody has taken are not counted with those of one that has their number now.
#[test]
fn close_is_not_confused_by_a_number_that_comes_again() {
    bounded(|| {
        runtime().block_on(async {
            let path = scratch("number", "");
            let mut kept = Vec::new();
            for round in 0..8 {
                let (peer, stream) = UnixStream::pair().unwrap();
                let number = stream.as_raw_fd();
                kept.push(stream.read(vec![0; 8]).submit());
                stream.close().await.unwrap();
                let file = File::options().write(true).open(&path).await.unwrap();
                assert_eq!(file.as_raw_fd(), number, "round {round}");
                let write = file.write_at(vec![7; 32 << 20], 0).submit();
                nop().await.unwrap();
                file.close().await.unwrap();
                // The kernel is done with it, whatever the answer.
                assert_eq!(in_flight(), []);
                kept.push(peer.read(vec![0; 8]).submit());
                drop(write);
                // As a socket it is still there; and it is not what the number stands for next.
                peer.close().await.unwrap();
            }
            std::fs::remove_file(path).unwrap();
        });
    });
}

/// The end of one descriptor ends nothing of another: not of those that are known by no number, nor of operations that
/// are on no descriptor.
#[test]
fn a_close_cancels_its_own_operations_alone() {
    bounded(|| {
        runtime().block_on(async {
            let Ok(registry) = Registry::current() else {
                return skipped("no registered files");
            };
            let mut direct = Vec::new();
            for _ in 0..110 {
                let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
                direct.push((registry.register(&a).unwrap(), b));
            }
            let bystander = saferring::spawn(async {
                for _ in 0..2000 {
                    saferring::fs::metadata("Cargo.toml").await.unwrap();
                    // The address family is where other operations have their descriptor.
                    for domain in [socket2::Domain::IPV4, socket2::Domain::IPV6] {
                        let kind = socket2::Type::STREAM;
                        saferring::op::Socket::new(domain, kind, None)
                            .await
                            .unwrap();
                    }
                }
            });
            for (fd, _peer) in direct {
                let receive = fd.recv(vec![0; 8]).submit();
                nop().await.unwrap();
                fd.close().await.unwrap();
                let (result, _) = receive.await;
                assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
            }
            bystander.await.unwrap();
        });
    });
}

/// Futures of two runtimes take turns on one stream.
#[test]
fn turns_pass_from_runtime_to_runtime() {
    bounded(|| {
        let (a, b) = (runtime(), runtime());
        let (stream, mut peer) = pair();
        let first = a.block_on(async { stream.read(Vec::with_capacity(3)).submit() });
        let second = b.block_on(async { stream.read(Vec::with_capacity(3)).submit() });
        let third = a.block_on(async { stream.read(Vec::with_capacity(3)).submit() });
        peer.write_all(b"onetwotri").unwrap();
        b.block_on(async {
            assert_eq!(first.await.1, b"one");
            assert_eq!(second.await.1, b"two");
            assert_eq!(third.await.1, b"tri");
        });
    });
}

/// A read that was dropped in a runtime which does not run any more keeps its turn until its ring has been turned: whoever
/// waits for the turn sees to that, and so does a write that waits behind one that the other side holds up.
#[test]
fn who_waits_for_a_turn_turns_the_ring_that_has_it() {
    bounded(|| {
        let (a, b) = (runtime(), runtime());
        let (stream, mut peer) = pair();
        a.block_on(async {
            let mut read = Box::pin(stream.read(vec![0; 8]));
            assert!(poll_immediate(&mut read).await.is_none());
            nop().await.unwrap();
            drop(read);
        });
        b.block_on(async {
            peer.write_all(b"x").unwrap();
            let read = timeout(Duration::from_secs(10), stream.read(vec![0; 8]));
            assert_eq!(read.await.expect("the turn comes").0.unwrap(), 1);
        });
        let (pipe, writer) = std::io::pipe().unwrap();
        // SAFETY: it asks a number of an open descriptor.
        let room = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_GETPIPE_SZ) };
        let room = usize::try_from(room).unwrap();
        let mut writer = File::from_std(std::os::fd::OwnedFd::from(writer).into());
        a.block_on(async {
            // No more than it holds: before Linux 6.4 a write of more ends when the last of it is read.
            writer.write_all(vec![0; room]).await.0.unwrap();
            let mut write = Box::pin(writer.write(vec![1; 8]));
            assert!(poll_immediate(&mut write).await.is_none());
            nop().await.unwrap();
        });
        b.block_on(async {
            let drain = std::thread::spawn(move || io::copy(&mut &pipe, &mut io::sink()));
            let write = timeout(Duration::from_secs(10), writer.write(vec![2; 8]));
            assert_eq!(write.await.expect("the turn comes").0.unwrap(), 8);
            drop(writer);
            drain.join().unwrap().unwrap();
        });
    });
}

/// Sockets and datagrams of one runtime serve in another once it is gone.
#[test]
fn handles_outlive_their_runtime() {
    bounded(|| {
        let (stream, peer, udp, listener) = {
            let a = runtime();
            a.block_on(async {
                let (stream, peer) = UnixStream::pair().unwrap();
                let mut chunks = stream.recv_stream();
                assert!(poll_immediate(chunks.next()).await.is_none());
                drop(chunks);
                let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                assert!(poll_immediate(listener.incoming().next()).await.is_none());
                (stream, peer, udp, listener)
            })
        };
        runtime().block_on(async {
            peer.write_all("hello").await.0.unwrap();
            let chunk = stream.recv_stream().next().await.unwrap().unwrap();
            assert_eq!(&chunk[..], b"hello");
            let to = udp.local_addr().unwrap();
            udp.send_to("self", to).await.0.unwrap();
            assert_eq!(udp.recv_from(vec![0; 8]).await.0.unwrap(), (4, to));
            let address = listener.local_addr().unwrap();
            let client = saferring::spawn(async move { TcpStream::connect(address).await });
            listener.accept().await.unwrap();
            client.await.unwrap().unwrap();
            until("the end", || metrics().in_flight == 0).await;
        });
    });
}
