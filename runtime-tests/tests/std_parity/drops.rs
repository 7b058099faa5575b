//! What is dropped is closed at once.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use saferring::fs::{self, File};
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener};
use saferring::op::nop;
use saferring::time::timeout;
use saferring_tests::{bounded, fd_link, holders, in_child, limit, open_fds, spin_until, until};
use socket2::SockRef;

use super::{Scratch, pair, runtime};

#[test]
fn an_address_is_free_once_its_socket_was_dropped() {
    bounded(|| {
        // std first: what it can do again and again, so can we.
        let mut at = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = at.local_addr().unwrap();
        for _ in 0..3 {
            drop(at);
            at = std::net::TcpListener::bind(address).unwrap();
        }
        drop(at);
        runtime().block_on(async {
            for _ in 0..20 {
                drop(TcpListener::bind(address).unwrap());
            }
            let mut udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = udp.local_addr().unwrap();
            for _ in 0..20 {
                drop(udp);
                udp = UdpSocket::bind(address).unwrap();
            }
        });
    });
}

/// The kernel refuses to execute what somebody has open for writing.
#[test]
fn a_file_that_was_written_and_dropped_can_be_executed() {
    // In a process of its own: one that starts others at the same time would hold the file open, too.
    in_child(
        "drops::a_file_that_was_written_and_dropped_can_be_executed",
        || {
            let dir = Scratch::new("executed");
            let path = dir.path("program");
            let program = std::fs::read("/bin/true").unwrap();
            runtime().block_on(async {
                for _ in 0..10 {
                    let mut file = File::create(&path).await.unwrap();
                    let permissions = std::fs::Permissions::from_mode(0o755);
                    std::fs::set_permissions(&path, permissions).unwrap();
                    file.write_all(program.clone()).await.0.unwrap();
                    drop(file);
                    let open = |(_, link): &(_, String)| Path::new(link) == path;
                    assert!(!open_fds().iter().any(open));
                    // A thread of the kernel that has written for us lets go of the file a moment after its answer; before 6.18
                    // when the ring is entered the next time.
                    let is_busy = |error: &io::Error| error.kind() == ErrorKind::ExecutableFileBusy;
                    // Some programs ask by what name they were called.
                    let run = || Command::new(&path).arg0("true").status();
                    let mut status = run();
                    until("the end of the writing", || {
                        let busy = status.as_ref().is_err_and(is_busy);
                        if busy {
                            status = run();
                        }
                        !busy
                    })
                    .await;
                    assert!(status.unwrap().success());
                }
            });
        },
    );
}

/// Nothing is awaited, so that whatever is left to be done later does not get done.
#[test]
fn hundreds_of_sockets_come_and_go_under_a_small_limit() {
    in_child(
        "drops::hundreds_of_sockets_come_and_go_under_a_small_limit",
        || {
            let dir = Scratch::new("many");
            let runtime = runtime();
            runtime.block_on(async {
                nop().await.unwrap();
                limit(libc::RLIMIT_NOFILE, 64);
                let before = open_fds();
                for n in 0..300 {
                    drop(TcpListener::bind("127.0.0.1:0").unwrap());
                    drop(UdpSocket::bind("127.0.0.1:0").unwrap());
                    drop(UnixDatagram::pair().unwrap());
                    drop(UnixListener::bind(dir.path(&n.to_string())).unwrap());
                    drop(File::from_std(std::fs::File::open("/dev/null").unwrap()));
                }
                assert_eq!(open_fds(), before);
            });
        },
    );
}

#[test]
fn a_dropped_file_lets_go_of_its_lock() {
    fn lock(file: &impl AsRawFd) -> io::Result<()> {
        // SAFETY: the call takes numbers only.
        match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
    // In a process of its own: others that are started meanwhile share the open file until they run.
    in_child("drops::a_dropped_file_lets_go_of_its_lock", || {
        let dir = Scratch::new("lock");
        let path = dir.file("locked", "");
        runtime().block_on(async {
            for _ in 0..20 {
                let first = File::open(&path).await.unwrap();
                lock(&first).unwrap();
                let second = File::open(&path).await.unwrap();
                let refused = lock(&second).unwrap_err();
                assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
                drop(first);
                lock(&second).unwrap();
            }
        });
    });
}

#[test]
fn what_goes_at_the_end_of_block_on_is_closed_while_the_runtime_lives() {
    bounded(|| {
        let runtime = runtime();
        let (stream, mut peer) = pair();
        runtime.block_on(async move {
            stream.write_all("bye").await.0.unwrap();
        });
        let mut received = String::new();
        peer.read_to_string(&mut received).unwrap();
        assert_eq!(received, "bye");

        // With a read in flight, too: it is cancelled, and the runtime need not turn for the peer to see the end.
        let (stream, mut peer) = pair();
        runtime.block_on(async move {
            let read = stream.read(vec![0; 8]).submit();
            nop().await.unwrap();
            drop(read);
            drop(stream);
            nop().await.unwrap();
            nop().await.unwrap();
        });
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
        drop(runtime);
    });
}

/// Unsent data, a peer that reads nothing, and a socket whose close waits for it.
fn lingering() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut sent = 0;
    let full = loop {
        match ours.write(&[7; 65536]) {
            Ok(n) => sent += n,
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    assert!(sent > 0);
    SockRef::from(&ours)
        .set_linger(Some(Duration::from_secs(2)))
        .unwrap();
    (TcpStream::from_std(ours), theirs)
}

/// Far more than there are threads of the kernel, for far longer than a test may take.
#[test]
fn many_sockets_that_linger_hold_up_nobody() {
    bounded(|| {
        let many = || {
            (0..12).map(|_| {
                let (stream, peer) = lingering();
                stream.set_linger(Some(Duration::from_secs(600))).unwrap();
                (stream, peer)
            })
        };
        let scratch = Scratch::new("lingering");
        let runtime = runtime();
        runtime.block_on(async {
            let (streams, _peers): (Vec<_>, Vec<_>) = many().unzip();
            let links: Vec<_> = streams
                .iter()
                .map(|s| fd_link(s.as_raw_fd()).unwrap())
                .collect();
            // Given up while they wait.
            let closes = streams.into_iter().map(TcpStream::close);
            let closing = timeout(Duration::from_millis(20), join_all(closes)).await;
            assert!(closing.is_err());
            assert!(links.iter().all(|link| holders(link) == 0));
            let (streams, _peers): (Vec<_>, Vec<_>) = many().unzip();
            drop(streams);
            let (written, _) = fs::write(scratch.path("file"), "contents").await;
            written.unwrap();
        });
        let (streams, _peers): (Vec<_>, Vec<_>) = many().unzip();
        let waiting = runtime.block_on(async {
            let closes = streams
                .into_iter()
                .map(|stream| saferring::spawn(stream.close()));
            closes.collect::<Vec<_>>()
        });
        runtime.shutdown_timeout(Duration::from_millis(20)).unwrap();
        drop(waiting);
    });
}

#[test]
fn a_socket_that_lingers_holds_up_nobody() {
    bounded(|| {
        // What std does, so that it is sure to be a socket whose close waits.
        let (stream, _peer) = lingering();
        let stream = stream.into_std().unwrap();
        let started = Instant::now();
        drop(stream);
        assert!(started.elapsed() > Duration::from_millis(1500));

        // Where no runtime runs.
        let (stream, peer) = lingering();
        let link = fd_link(stream.as_raw_fd()).unwrap();
        let started = Instant::now();
        drop(stream);
        assert!(started.elapsed() < Duration::from_millis(1500));
        drop(peer);
        spin_until("the close", || holders(&link) == 0);

        runtime().block_on(async {
            for awaited in [false, true] {
                let (stream, peer) = lingering();
                let started = Instant::now();
                let close = match awaited {
                    false => {
                        drop(stream);
                        None
                    }
                    true => Some(saferring::spawn(stream.close())),
                };
                for _ in 0..100 {
                    nop().await.unwrap();
                }
                assert!(started.elapsed() < Duration::from_millis(1500));
                // The peer is reset, or at its end: the close need not wait any longer.
                drop(peer);
                if let Some(close) = close {
                    close.await.unwrap().unwrap();
                }
            }
        });
    });
}
