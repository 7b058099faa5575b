//! How far a stream of connections accepts ahead.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::TcpStream as StdStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::poll_immediate;
use futures_util::{FutureExt, StreamExt};
use saferring::net::{TcpListener, UnixListener};
use saferring::op::nop;
use saferring::runtime::metrics;
use saferring::time::timeout;
use saferring_tests::{bounded, in_child, open_fds};

use super::{Scratch, runtime};

const CLIENTS: usize = 40;

#[test]
fn connections_are_accepted_ahead_up_to_the_bound() {
    in_child(
        "accepts::connections_are_accepted_ahead_up_to_the_bound",
        || {
            runtime().block_on(async {
                for bound in [0, 1, 4, 100, usize::MAX] {
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    let address = listener.local_addr().unwrap();
                    let connect = |_| StdStream::connect(address).unwrap();
                    let clients: Vec<_> = (0..CLIENTS).map(connect).collect();
                    let ports = clients
                        .iter()
                        .map(|client| client.local_addr().unwrap().port());
                    let mut ports: BTreeSet<_> = ports.collect();
                    let before = open_fds().len();
                    let mut incoming = listener.incoming().accept_ahead(bound);
                    for taken in 0..CLIENTS {
                        let stream = incoming.next().await.unwrap().unwrap();
                        assert!(ports.remove(&stream.peer_addr().unwrap().port()));
                        drop(stream);
                        if taken == CLIENTS / 2 {
                            for _ in 0..20 {
                                nop().await.unwrap();
                            }
                        }
                        let ahead = open_fds().len() - before;
                        assert!(ahead <= bound.max(1), "{ahead} accepted ahead, of {bound}");
                    }
                    assert!(poll_immediate(incoming.next()).await.is_none());
                    drop(incoming);
                    // What waits for nobody any more is no hindrance.
                    let last = StdStream::connect(address).unwrap();
                    let (_, from) = listener.accept().await.unwrap();
                    assert_eq!(from, last.local_addr().unwrap());
                }
            });
        },
    );
}

/// What was accepted ahead comes out of the next stream, or accept.
#[test]
fn what_was_accepted_ahead_is_kept() {
    in_child("accepts::what_was_accepted_ahead_is_kept", || {
        let dir = Scratch::new("ahead");
        runtime().block_on(async {
            let path = dir.path("listener");
            let listener = UnixListener::bind(&path).unwrap();
            let connect = |_| std::os::unix::net::UnixStream::connect(&path).unwrap();
            let _clients: Vec<_> = (0..8).map(connect).collect();
            let mut incoming = listener.incoming().accept_ahead(3);
            incoming.next().await.unwrap().unwrap();
            nop().await.unwrap();
            // The bound is set once more, with connections on their way.
            let mut incoming = incoming.accept_ahead(2);
            incoming.next().await.unwrap().unwrap();
            nop().await.unwrap();
            drop(incoming);
            for _ in 2..8 {
                listener.accept().await.unwrap();
            }
            assert!(poll_immediate(listener.accept()).await.is_none());
        });
    });
}

/// Each accept is told once that another has ended, not each of all others.
#[test]
fn giving_up_many_accepts_costs_no_more_than_one_cancel_each() {
    bounded(|| {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut streams = [0, 1].map(|_| listener.incoming().accept_ahead(200));
            for incoming in &mut streams {
                assert!(poll_immediate(incoming.next()).await.is_none());
            }
            nop().await.unwrap();
            let before = metrics().submissions;
            let [dropped, mut kept] = streams;
            drop(dropped);
            for _ in 0..20 {
                nop().await.unwrap();
                assert!(poll_immediate(kept.next()).await.is_none());
            }
            let submitted = metrics().submissions - before;
            assert!(submitted < 4000, "{submitted} submissions");
            let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
            let came = kept.next().await.unwrap().unwrap();
            assert_eq!(came.peer_addr().unwrap(), client.local_addr().unwrap());
        });
    });
}

/// A clone shares whether it blocks: who takes one over must not have another's thread wait in accept(2) for good.
#[test]
fn a_clone_is_taken_over_while_another_is_accepted_from() {
    bounded(|| {
        runtime().block_on(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let clones = [0; 3].map(|_| listener.try_clone().unwrap());
            let is_blocking = || {
                let flags = rustix::fs::fcntl_getfl(&listener).unwrap();
                !flags.contains(rustix::fs::OFlags::NONBLOCK)
            };
            let [first, second, third] = clones;
            let first = TcpListener::from_std(first);
            let mut accept = Box::pin(first.accept());
            assert!(poll_immediate(&mut accept).await.is_none());
            nop().await.unwrap();
            let before = is_blocking();
            let second = TcpListener::from_std(second);
            assert_eq!(is_blocking(), before);
            // Somebody else's, who wants it non-blocking, until it is taken over.
            third.set_nonblocking(true).unwrap();
            let third = TcpListener::from_std(third);
            assert_eq!(is_blocking(), before);
            let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
            let (stream, _) = accept.await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), client.local_addr().unwrap());
            drop((first, second, third));
            nop().await.unwrap();
            assert!(is_blocking());
        });
    });
}

/// Each of several threads has a clone, accepts from it now and then, and gives up now and then: none waits for another's, and every
/// connection is served.
#[test]
fn clones_of_a_listener_share_its_connections() {
    const THREADS: usize = 4;
    bounded(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let clone = listener.try_clone().unwrap();
                let served = &served;
                scope.spawn(move || {
                    let clone = TcpListener::from_std(clone);
                    runtime().block_on(async {
                        for round in 0.. {
                            if served.load(Ordering::Relaxed) == CLIENTS * THREADS {
                                break;
                            }
                            let accepted = match (round + thread) % 3 {
                                0 => clone.accept().map(Some).now_or_never().flatten(),
                                1 => timeout(Duration::from_millis(1), clone.accept()).await.ok(),
                                _ => {
                                    let mut incoming = clone.incoming().accept_ahead(0);
                                    let next = timeout(Duration::from_millis(1), incoming.next());
                                    let next = next.await.ok().flatten();
                                    next.map(|stream| stream.map(|stream| (stream, address)))
                                }
                            };
                            if let Some(accepted) = accepted {
                                let (stream, _) = accepted.unwrap();
                                stream.write_all("x").await.0.unwrap();
                                served.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    });
                });
            }
            for _ in 0..CLIENTS * THREADS {
                let mut client = StdStream::connect(address).unwrap();
                assert_eq!(client.read(&mut [0; 1]).unwrap(), 1);
            }
        });
    });
}
