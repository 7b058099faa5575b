//! The known hazards of completion-based I/O, one test each, named after its number in the project's list. These hazards have
//! their tests in other files:
//!
//! | hazard | where |
//! |---|---|
//! | 3 submit failure after the push | `soundness_01` |
//! | 6 a safe trait that can lie; 7 raw iovecs; 8 raw entries; 30 the 'static bound | traits are unsafe, and compile-fail tests show the rest; what can be run: `soundness_09` |
//! | 9, 11 slots of direct descriptors | `registered.rs`, `identity.rs` |
//! | 14, 15 shutdown; 35 exit of the thread | `shutdown.rs` |
//! | 16, 17 wakers | `wakers.rs`, and the executor's models |
//! | 18 running out of buffers; 19, 20 buffer ids, buffer rings | `recv_stream.rs`, `provided.rs` |
//! | 24 zero-copy sends | `zero_copy.rs` |
//! | 28 registered buffers | `registered.rs` |
//! | 29 scoped tasks | there are none: `spawn` asks for 'static |
//! | 32 setup | `setup.rs`, and for locked memory `registered.rs` |

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use saferring::fs::File;
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use saferring::op::{PollAdd, Readiness};
use saferring::runtime::{Builder, Runtime, Setup, in_flight, metrics};
use saferring_tests::{
    Account, Watch, bounded, fd_link, holders, in_child, is_software, leaks_on_purpose, open_fds,
    poll_once, until,
};

saferring_tests::also_on_software!();

type StdStream = std::os::unix::net::UnixStream;

fn runtime() -> Runtime {
    Builder::new().entries(32).build().unwrap()
}

/// A stream of the runtime's, and its other end.
fn pair() -> (UnixStream, StdStream) {
    let (ours, theirs) = StdStream::pair().unwrap();
    (UnixStream::from_std(ours), theirs)
}

/// A path that no other test uses. The file is the caller's to remove.
fn path(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("saferring-hazard-{name}-{}", std::process::id()))
}

fn count(name: &str) -> usize {
    in_flight().iter().filter(|op| op.name == name).count()
}

/// `quarantine.rs` looks at the memory itself; here: the buffer is dropped by the completion and not before.
#[test]
fn hazard_01_buffer_freed_while_kernel_writes() {
    bounded(|| {
        runtime().block_on(async {
            let watch = Watch::new();
            let (stream, mut peer) = pair();
            for kept in 0..50 {
                let read = stream.read(watch.buf(4096)).submit();
                saferring::op::nop().await.unwrap();
                drop(read);
                assert_eq!(watch.alive(), 1, "round {kept}");
                peer.write_all(b"late").unwrap();
                until("the orphan", || watch.alive() == 0).await;
                let (result, data) = stream.read([0; 4]).await;
                assert_eq!((result.unwrap(), &data), (4, b"late"));
            }
        });
    });
}

#[test]
fn hazard_02_forgotten_future() {
    bounded(|| {
        leaks_on_purpose(
            &[Account::Descriptors, Account::Drivers],
            "a forgotten future keeps its descriptor, and its driver with the table",
        );
        let watch = Watch::new();
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            // An array that lives inside the operation: the future's own memory would be the stack's.
            let mut read = Box::pin(stream.read([0; 256]));
            assert!(poll_once(&mut read).await.is_none());
            std::mem::forget(read);
            std::mem::forget(stream.read(watch.buf(16)));
            peer.write_all(&[7; 256]).unwrap();
            until("the completion", || count("recv") == 0).await;
        });
        assert_eq!(watch.dropped(), 0);
    });
}

/// Address, header, iovec array, path and answer belong to the operation.
#[test]
fn hazard_04_side_allocations() {
    bounded(|| {
        runtime().block_on(async {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let to = udp.local_addr().unwrap();
            let other = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let (stream, _peer) = pair();
            let file = File::open("/proc/self/exe").await.unwrap();
            for _ in 0..100 {
                let mut receive = Box::pin(udp.recv_from(vec![0; 64]));
                assert!(poll_once(&mut receive).await.is_none());
                let mut connect = Box::pin(TcpStream::connect(listener.local_addr().unwrap()));
                let _ = poll_once(&mut connect).await;
                // More buffers than have room inside the operation.
                let many: Vec<_> = (0..20).map(|n| vec![n; 10]).collect();
                let mut send = Box::pin(stream.write_vectored(many));
                let _ = poll_once(&mut send).await;
                let mut open = Box::pin(File::open(String::from("/proc/self/exe")));
                let _ = poll_once(&mut open).await;
                let mut stat = Box::pin(file.metadata());
                let _ = poll_once(&mut stat).await;
                drop((receive, connect, send, open, stat));
            }
            until("the orphans", || metrics().orphans <= 1).await;
            // The socket and its turns are as good as new.
            other.send_to(b"hello", to).unwrap();
            let (result, data) = udp.recv_from(vec![0; 64]).await;
            let (n, from) = result.unwrap();
            assert_eq!(
                (&data[..n], from),
                (&b"hello"[..], other.local_addr().unwrap())
            );
        });
    });
}

#[test]
fn hazard_05_arrays_are_moved() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            // Inside a cell, in a block, and in a box of its own.
            let small = stream.read([0u8; 16]).submit();
            let moved = Box::new(small);
            peer.write_all(&[1; 16]).unwrap();
            assert_eq!((*moved).await.1, [1; 16]);
            let middle = vec![stream.read([0u8; 300]).submit()];
            peer.write_all(&[2; 300]).unwrap();
            for read in middle {
                assert_eq!(read.await.1, [2; 300]);
            }
            let large = saferring::spawn(stream.read([0u8; 4000]).submit());
            peer.write_all(&[3; 4000]).unwrap();
            assert_eq!(large.await.unwrap().1, [3; 4000]);
        });
    });
}

/// A number that is free again belongs to another file; nothing late reaches that.
#[test]
fn hazard_09_number_reused_while_in_flight() {
    bounded(|| {
        runtime().block_on(async {
            for round in 0..100u8 {
                let (stream, mut peer) = pair();
                let number = stream.as_raw_fd();
                let link = fd_link(number).unwrap();
                let read = stream.read(vec![0; 64]).submit();
                if round % 2 == 0 {
                    saferring::op::nop().await.unwrap();
                }
                drop(stream);
                // The read holds the number: these get others.
                let (other, mut other_peer) = pair();
                assert_ne!(other.as_raw_fd(), number);
                other_peer.write_all(b"for the other").unwrap();
                if round % 3 == 0 {
                    drop(read);
                } else {
                    peer.write_all(&[round]).unwrap();
                    let (result, data) = read.await;
                    assert_eq!(&data[..result.unwrap()], [round]);
                }
                until("the close", || holders(&link) == 0).await;
                let (third, mut third_peer) = pair();
                third_peer.write_all(b"for the third").unwrap();
                for (stream, bytes) in [(other, b"for the other"), (third, b"for the third")] {
                    let (result, data) = stream.read_exact([0; 13]).await;
                    result.unwrap();
                    assert_eq!(&data, bytes);
                }
            }
        });
    });
}

/// Entries that are still in our queue name the number, too.
#[test]
fn hazard_09_number_reused_before_submission() {
    bounded(|| {
        let runtime = Builder::new().entries(8).build().unwrap();
        runtime.block_on(async {
            let mut reads = Vec::new();
            let mut peers = Vec::new();
            // All in one turn, without a look at the kernel: most stand in the backlog when their stream is dropped.
            for n in 0..100u8 {
                let (stream, mut peer) = pair();
                peer.write_all(&[n]).unwrap();
                reads.push(stream.read(vec![0; 4]).submit());
                peers.push(peer);
            }
            for (n, read) in reads.into_iter().enumerate() {
                let (result, data) = read.await;
                assert_eq!(&data[..result.unwrap()], [n as u8]);
            }
        });
    });
}

#[test]
fn hazard_10_close_on_drop() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            drop(stream);
            // It is closed when the drop has returned; there is nothing to wait for.
            assert_eq!(count("close"), 0);
            assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
        });
    });
}

/// Descriptors that arrive late are closed or given to the next; in a process of its own, so that all can be counted.
#[test]
fn hazard_11_descriptor_of_a_late_success() {
    in_child("hazard_11_descriptor_of_a_late_success", || {
        let before = open_fds();
        let runtime = runtime();
        runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let addr = listener.local_addr().unwrap();
            for round in 0..300 {
                let mut accept = Box::pin(listener.accept());
                let mut open = Box::pin(File::open("/proc/self/exe"));
                // The accept may have been given a connection of a round before.
                let _ = poll_once(&mut accept).await;
                assert!(poll_once(&mut open).await.is_none());
                let client = std::net::TcpStream::connect(addr).unwrap();
                if round % 3 == 0 {
                    saferring::op::nop().await.unwrap();
                }
                let mut connect = Box::pin(TcpStream::connect(addr));
                let _ = poll_once(&mut connect).await;
                drop((accept, open, connect));
                if round % 2 == 0 {
                    // Whoever lost its accept is the next one's.
                    let mut peers = Vec::new();
                    while !peers.contains(&client.local_addr().unwrap()) {
                        peers.push(listener.accept().await.unwrap().1);
                    }
                }
            }
            listener.close().await.unwrap();
        });
        drop(runtime);
        assert_eq!(open_fds(), before);
    });
}

/// The connection that a dropped accept received anyway is the next accept's.
#[test]
fn hazard_12_connections_of_dropped_accepts() {
    bounded(|| {
        for setup in [Setup::Deferred, Setup::Cooperative, Setup::Plain] {
            let runtime = Builder::new().entries(32).setup(setup).build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                let addr = listener.local_addr().unwrap();
                for round in 0..200 {
                    let mut accept = Box::pin(listener.accept());
                    assert!(poll_once(&mut accept).await.is_none());
                    if round % 2 == 0 {
                        saferring::op::nop().await.unwrap();
                    }
                    let client = std::net::TcpStream::connect(addr).unwrap();
                    if round % 3 == 0 {
                        saferring::op::nop().await.unwrap();
                    }
                    drop(accept);
                    let (_, peer) = listener.accept().await.unwrap();
                    assert_eq!(peer, client.local_addr().unwrap());
                }
            });
        }
    });
}

/// So are those of a dropped stream of connections, be they taken in by then or not.
#[test]
fn hazard_12_connections_of_dropped_streams() {
    bounded(|| {
        for setup in [Setup::Deferred, Setup::Cooperative, Setup::Plain] {
            let runtime = Builder::new().entries(32).setup(setup).build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                let addr = listener.local_addr().unwrap();
                for round in 0..200 {
                    let mut incoming = listener.incoming();
                    assert!(incoming.next().now_or_never().is_none());
                    if round % 2 == 0 {
                        saferring::op::nop().await.unwrap();
                    }
                    let client = std::net::TcpStream::connect(addr).unwrap();
                    if round % 3 == 0 {
                        saferring::op::nop().await.unwrap();
                    }
                    drop(incoming);
                    if round % 5 == 0 {
                        let stream = listener.incoming().next().await.unwrap().unwrap();
                        assert_eq!(stream.peer_addr().unwrap(), client.local_addr().unwrap());
                    } else {
                        let (_, peer) = listener.accept().await.unwrap();
                        assert_eq!(peer, client.local_addr().unwrap());
                    }
                }
            });
        }
    });
}

/// A stream that has ended in the kernel with connections waiting, and is dropped so.
#[test]
fn hazard_12_connections_of_an_ended_stream() {
    const CONNECTIONS: usize = 1100;
    bounded(|| {
        runtime().block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let addr = listener.local_addr().unwrap();
            let mut incoming = listener.incoming();
            assert!(incoming.next().now_or_never().is_none());
            let mut clients = Vec::new();
            while clients.len() < CONNECTIONS {
                clients.push(std::net::TcpStream::connect(addr).unwrap());
                saferring::op::nop().await.unwrap();
            }
            until("the end of the accept", || count("accept") == 0).await;
            drop(incoming);
            for _ in 0..CONNECTIONS {
                listener.accept().await.unwrap();
            }
            assert_eq!(metrics().in_flight, metrics().orphans);
        });
    });
}

/// Datagrams, with their senders, and bytes of pipes.
#[test]
fn hazard_12_data_of_dropped_reads() {
    bounded(|| {
        runtime().block_on(async {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let peer = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            peer.connect(udp.local_addr().unwrap()).unwrap();
            let (pipe, mut writer) = io::pipe().unwrap();
            let mut pipe = File::from_std(std::fs::File::from(OwnedFd::from(pipe)));
            for round in 0..100u8 {
                let mut receive = Box::pin(udp.recv_from(vec![0; 64]));
                assert!(poll_once(&mut receive).await.is_none());
                peer.send(&[round, 1, 2]).unwrap();
                peer.send(&[round, 3]).unwrap();
                if round % 2 == 0 {
                    saferring::op::nop().await.unwrap();
                }
                drop(receive);
                for expected in [&[round, 1, 2][..], &[round, 3]] {
                    let (result, data) = udp.recv_from(vec![0; 64]).await;
                    let (n, from) = result.unwrap();
                    assert_eq!((&data[..n], from), (expected, peer.local_addr().unwrap()));
                }

                let mut read = Box::pin(pipe.read(vec![0; 64]));
                assert!(poll_once(&mut read).await.is_none());
                if round % 3 == 0 {
                    saferring::op::nop().await.unwrap();
                }
                writer.write_all(&[round, 4]).unwrap();
                if round % 2 == 0 {
                    saferring::op::nop().await.unwrap();
                }
                drop(read);
                let (result, data) = pipe.read_exact([0; 2]).await;
                result.unwrap();
                assert_eq!(data, [round, 4]);
            }
        });
    });
}

/// As `soundness_04`, through the queue of a ring that the kernel refuses to empty: thousands of cancels in one turn.
#[test]
fn hazard_13_cancel_lost_when_the_queue_is_full() {
    bounded(|| {
        let runtime = Builder::new().entries(8).build().unwrap();
        runtime.block_on(async {
            let streams: Vec<_> = (0..200).map(|_| pair()).collect();
            for _ in 0..10 {
                let reads: Vec<_> = streams
                    .iter()
                    .map(|(stream, _)| stream.read(vec![0; 8]).submit())
                    .collect();
                saferring::op::nop().await.unwrap();
                for read in reads.into_iter().map(|read| read.cancel()) {
                    let (result, _) = read.await;
                    assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
                }
            }
            assert!(metrics().backlogged > 1000);
        });
    });
}

/// The kernel may end a multishot request at any time, here because the completion queue is full.
#[test]
fn hazard_18_multishot_ended_by_the_kernel() {
    bounded(|| {
        let runtime = Builder::new()
            .entries(8)
            .completion_entries(16)
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = UnixListener::bind(path("multishot")).unwrap();
            let at = path("multishot");
            let mut incoming = listener.incoming();
            let (reader, mut writer) = io::pipe().unwrap();
            let reader = Rc::new(reader);
            let mut accepted = 0;
            for _ in 0..10 {
                assert!(incoming.next().now_or_never().is_none());
                let polls: Vec<_> = (0..100)
                    .map(|_| PollAdd::new(Rc::clone(&reader), Readiness::READABLE).submit())
                    .collect();
                saferring::op::nop().await.unwrap();
                // All of it at once: far more completions than the queue holds, connections among them.
                writer.write_all(b"x").unwrap();
                let clients: Vec<_> = (0..50).map(|_| StdStream::connect(&at).unwrap()).collect();
                for poll in polls {
                    assert!(poll.await.0.is_ok());
                }
                for _ in &clients {
                    incoming.next().await.unwrap().unwrap();
                    accepted += 1;
                }
                (&*reader).read_exact(&mut [0]).unwrap();
            }
            std::fs::remove_file(&at).unwrap();
            assert_eq!(accepted, 500);
            assert!(metrics().overflows > 0);
        });
    });
}

#[test]
fn hazard_21_completion_queue_overflow() {
    bounded(|| {
        for setup in [Setup::Deferred, Setup::Cooperative, Setup::Plain] {
            let runtime = Builder::new()
                .entries(8)
                .completion_entries(8)
                .setup(setup)
                .build()
                .unwrap();
            runtime.block_on(async {
                let pipes: Vec<_> = (0..50).map(|_| io::pipe().unwrap()).collect();
                let polls: Vec<_> = (0..40)
                    .flat_map(|_| pipes.iter())
                    .map(|(reader, _)| {
                        let reader = reader.try_clone().unwrap();
                        PollAdd::new(reader, Readiness::READABLE).submit()
                    })
                    .collect();
                saferring::op::nop().await.unwrap();
                for (_, writer) in &pipes {
                    let mut writer = writer;
                    writer.write_all(b"x").unwrap();
                }
                for poll in polls {
                    assert!(poll.await.0.unwrap().contains(Readiness::READABLE));
                }
                assert!(metrics().overflows > 0, "{setup:?}: {:?}", metrics());
            });
        }
    });
}

/// The indices of the rings are 32 bits wide, and wrap. Neither they nor an operation's generation come near their
/// end in a test: that takes 2^32 entries. The generations' wrap is tested in the table's own unit tests. Here the
/// masks wrap, ten thousand times over: an index that was not masked, or a head compared with a tail by `<`, shows.
#[test]
fn hazard_22_indices_wrap() {
    const ROUNDS: u64 = 80_000;
    bounded(|| {
        let runtime = Builder::new()
            .entries(8)
            .completion_entries(8)
            .build()
            .unwrap();
        runtime.block_on(async {
            for _ in 0..ROUNDS / 5 {
                let five = std::array::from_fn::<_, 5, _>(|_| saferring::op::nop().submit());
                for nop in five {
                    nop.await.unwrap();
                }
            }
            let metrics = metrics();
            assert!(
                metrics.completions >= ROUNDS && metrics.stale == 0,
                "{metrics:?}"
            );
        });
    });
}

/// A cell serves one operation after the other. A cancel that comes too late must not hit the next.
#[test]
fn hazard_23_cell_reused() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            for round in 0..2000u32 {
                // Its completion and its cancel cross each other.
                peer.write_all(&[1]).unwrap();
                let read = stream.read(vec![0; 1]).submit();
                saferring::op::nop().await.unwrap();
                drop(read.cancel());
                let (other, mut other_peer) = pair();
                let next = other.read(vec![0; 1]).submit();
                other_peer.write_all(&[round as u8]).unwrap();
                let (result, data) = next.await;
                assert_eq!((result.unwrap(), data[0]), (1, round as u8));
                assert_eq!(stream.read([0; 1]).await.1, [1]);
            }
            assert_eq!(metrics().stale, 0);
        });
    });
}

/// Children do not get the ring: it is closed on exec, and its mappings are not copied by fork.
#[test]
fn hazard_25_fork() {
    bounded(|| {
        let runtime = runtime();
        runtime.block_on(async {
            let (stream, mut peer) = pair();
            let read = stream.read(vec![0; 8]).submit();
            saferring::op::nop().await.unwrap();
            let output = std::process::Command::new("ls")
                .arg("-l")
                .arg("/proc/self/fd")
                .output();
            let output = output.unwrap();
            let listing = String::from_utf8_lossy(&output.stdout);
            assert!(listing.contains("-> "), "{listing}");
            assert!(
                ["io_uring", "eventfd", "eventpoll"]
                    .iter()
                    .all(|ours| !listing.contains(ours)),
                "{listing}"
            );
            peer.write_all(b"after").unwrap();
            let (result, data) = read.await;
            assert_eq!(&data[..result.unwrap()], b"after");
        });
        if is_software() {
            return; // It has no memory that is shared with anybody.
        }
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut rings = 0;
        let mut in_ring = false;
        for line in maps.lines() {
            // A mapping begins with its addresses; what follows says "Key: value".
            if line
                .split(' ')
                .next()
                .is_some_and(|word| !word.ends_with(':'))
            {
                in_ring = line.contains("io_uring");
            } else if in_ring && let Some(flags) = line.strip_prefix("VmFlags:") {
                rings += 1;
                assert!(flags.contains("dc"), "a ring is copied by fork: {flags}");
            }
        }
        assert!(rings > 0, "the rings' mappings were not found");
    });
}

/// Panics in polls, drops, outputs and buffers: the loop goes on, and nothing is lost.
#[test]
fn hazard_26_panics() {
    struct Bomb(&'static str);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("{}", self.0);
            }
        }
    }
    struct BombBuf(Vec<u8>, #[allow(dead_code)] Bomb);
    // SAFETY: forwards to `Vec<u8>` in a private field.
    unsafe impl saferring::buf::IoBuf for BombBuf {
        fn buf_ptr(&self) -> *const u8 {
            self.0.buf_ptr()
        }
        fn buf_len(&self) -> usize {
            self.0.buf_len()
        }
    }
    // SAFETY: as above.
    unsafe impl saferring::buf::IoBufMut for BombBuf {
        fn buf_mut_ptr(&mut self) -> *mut u8 {
            self.0.buf_mut_ptr()
        }
        fn buf_capacity(&self) -> usize {
            self.0.buf_capacity()
        }
        unsafe fn set_filled(&mut self, n: usize) {
            // SAFETY: the caller's promise.
            unsafe { self.0.set_filled(n) }
        }
    }
    bounded(|| {
        let runtime = runtime();
        runtime.block_on(async {
            // The completion of an orphan drops this one.
            let (stream, mut peer) = pair();
            let read = stream.read(BombBuf(vec![0; 4], Bomb("a buffer"))).submit();
            drop(read);
            until("the orphan", || count("recv") == 0).await;
            peer.write_all(b"on").unwrap();
            let (result, data) = stream.read([0; 2]).await;
            assert_eq!((result.unwrap(), &data), (2, b"on"));

            drop(saferring::spawn(async { Bomb("an output nobody takes") }));
            let joined = saferring::spawn(async {
                let _bomb = Bomb("a local");
                saferring::op::nop().await.unwrap();
            });
            assert!(joined.await.unwrap_err().is_panic());
            saferring::op::nop().await.unwrap();
        });
        // Tasks that panic when the runtime drops them.
        for _ in 0..3 {
            drop(runtime.spawn(async {
                let _bomb = Bomb("at shutdown");
                std::future::pending::<()>().await;
            }));
        }
        runtime.block_on(saferring::task::yield_now());
        drop(runtime);
    });
}

/// Reads of one stream stand in a queue, whoever makes them.
#[test]
fn hazard_27_concurrent_reads_of_one_stream() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let (reader, _writer) = stream.into_split();
            let reads: Vec<_> = (0..8)
                .map(|_| saferring::spawn(reader.read([0; 1]).submit()))
                .collect();
            saferring::op::nop().await.unwrap();
            assert_eq!(
                in_flight()
                    .iter()
                    .filter(|op| op.fd == Some(reader.as_raw_fd()))
                    .count(),
                1
            );
            peer.write_all(b"abcdefgh").unwrap();
            let mut got = Vec::new();
            for read in reads {
                let (result, data) = read.await.unwrap();
                assert_eq!(result.unwrap(), 1);
                got.push(data[0]);
            }
            got.sort();
            assert_eq!(got, b"abcdefgh");
        });
    });
}

/// Dropped timers, of sleeps, timeouts and operations, leave nothing behind.
#[test]
fn hazard_31_abandoned_timers() {
    bounded(|| {
        let runtime = runtime();
        runtime.block_on(async {
            let (stream, _peer) = pair();
            let long = Duration::from_secs(3600);
            for _ in 0..100 {
                let mut sleep = saferring::time::sleep(long);
                assert!(poll_once(&mut sleep).await.is_none());
                let mut timeout = saferring::time::timeout(long, std::future::pending::<()>());
                assert!(timeout.poll_unpin(&mut noop_context()).is_pending());
                let mut read = stream.read(vec![0; 8]).timeout(long).submit();
                assert!(poll_once(&mut read).await.is_none());
                drop((sleep, timeout, read));
            }
            until("the orphans", || metrics().orphans <= 1).await;
            // Nothing is left that the next wait would have to end for: it ends for this one.
            saferring::time::sleep(Duration::from_millis(1)).await;
        });
    });
}

fn noop_context() -> std::task::Context<'static> {
    std::task::Context::from_waker(std::task::Waker::noop())
}

/// Completions are collected although a task never lets the loop wait.
#[test]
fn hazard_33_deferred_completions_need_an_enter() {
    bounded(|| {
        for setup in [Setup::Deferred, Setup::Cooperative, Setup::Plain] {
            let runtime = Builder::new().entries(32).setup(setup).build().unwrap();
            runtime.block_on(async {
                let (stream, mut peer) = pair();
                let busy = saferring::spawn(async {
                    loop {
                        saferring::task::yield_now().await;
                    }
                });
                let read = saferring::spawn(stream.read([0; 1]).submit());
                let timer = saferring::spawn(saferring::time::sleep(Duration::from_millis(1)));
                for _ in 0..1000 {
                    saferring::task::yield_now().await;
                }
                let writer = std::thread::spawn(move || peer.write_all(b"x").map(|()| peer));
                let (result, data) = read.await.unwrap();
                assert_eq!((result.unwrap(), &data), (1, b"x"));
                timer.await.unwrap();
                drop(writer.join().unwrap());
                busy.abort();
            });
        }
    });
}

/// Lengths beyond 32 bits are cut, not wrapped; a cursor moves by what was read, and offset 0 is the start.
#[test]
fn hazard_34_offsets_and_lengths() {
    bounded(|| {
        runtime().block_on(async {
            let at = path("offsets");
            std::fs::write(&at, b"0123456789").unwrap();
            let mut file = File::open(&at).await.unwrap();
            std::fs::remove_file(&at).unwrap();
            for expected in [b"0123", b"4567"] {
                let (result, data) = file.read([0; 4]).await;
                assert_eq!((result.unwrap(), &data), (4, expected));
            }
            let (result, data) = file.read_at([0; 4], 0).await;
            assert_eq!((result.unwrap(), &data), (4, b"0123"));

            // One byte more than 32 bits can say: without a bound the kernel would see a length of 1.
            let mut huge = Vec::new();
            if huge.try_reserve_exact((1 << 32) + 1).is_ok() {
                let (result, huge) = file.read_at(huge, 2).await;
                assert_eq!((result.unwrap(), &huge[..]), (8, &b"23456789"[..]));
            }
        });
    });
}

#[test]
fn empty_buffers_are_told_apart_from_the_end() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, _peer) = pair();
            let (result, _) = stream.read(Vec::new()).await;
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidInput);
            let file = File::open("/proc/self/exe").await.unwrap();
            let (result, _) = file.read_at([0; 0], 0).await;
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        });
    });
}
