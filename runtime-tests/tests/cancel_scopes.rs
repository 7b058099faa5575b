//! Ending a future from within: its operations answer, with their buffers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use saferring::fs::{self, Advice, File, OpenOptions};
use saferring::io::{AsyncReadExt, AsyncWriteExt, Incomplete, is_cancelled};
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixStream};
use saferring::op::{PollAdd, Readiness, Registry, nop};
use saferring::runtime::Runtime;
use saferring::sync::{CancellationToken, oneshot};
use saferring::task::{self, JoinSet, shielded, yield_now};
use saferring::time::{deadline, deadline_at, sleep};
use saferring_tests::{bounded, pattern_bytes, until};

saferring_tests::also_on_software!();

const SOON: Duration = Duration::from_millis(2);
const NEVER: Duration = Duration::from_secs(3600);

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// The error says that the time was over.
#[track_caller]
fn timed_out<T: std::fmt::Debug>(result: io::Result<T>) -> io::Error {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    error
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// More than the sockets hold.
fn much() -> Vec<u8> {
    pattern_bytes(0, 64 << 20)
}

#[test]
fn every_operation_in_flight_answers_and_gives_its_buffer_back() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = tcp_pair().await;
            let buf = vec![7; 100];
            let address = buf.as_ptr();
            let (read, buf) = deadline(SOON, stream.read(buf)).await;
            timed_out(read);
            assert_eq!((buf.as_ptr(), &buf[..]), (address, &[7; 100][..]));
            let (read, [first, second]) =
                deadline(SOON, stream.read_vectored([vec![1; 3], vec![2; 5]])).await;
            timed_out(read);
            assert_eq!((first.len(), second.len()), (3, 5));
            timed_out(deadline(SOON, stream.peek(vec![0; 5])).await.0);

            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let (received, buf) = deadline(SOON, udp.recv_from(vec![1; 9])).await;
            timed_out(received);
            assert_eq!(buf, [1; 9]);
            let (datagram, _peer) = UnixDatagram::pair().unwrap();
            timed_out(deadline(SOON, datagram.recv(vec![1; 9])).await.0);

            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            timed_out(deadline(SOON, listener.accept()).await.map(drop));
            let (ready, _fd) = deadline(
                SOON,
                PollAdd::new(
                    std::os::unix::net::UnixStream::pair().unwrap().0,
                    Readiness::PRIORITY,
                ),
            )
            .await;
            timed_out(ready.map(drop));

            // What it came to is told.
            peer.write_all("half").await.0.unwrap();
            let (read, buf) = deadline(SOON, stream.read_exact(vec![0; 10])).await;
            assert_eq!(Incomplete::done_before(&timed_out(read)), Some(4));
            assert_eq!(&buf[..4], b"half");
            let (read, buf) = deadline(SOON, stream.read_exact(vec![0; 10])).await;
            assert_eq!(Incomplete::done_before(&timed_out(read)), Some(0));
            assert_eq!(buf.len(), 10);
        });
    });
}

/// How many bytes the error tells is how many the peer has.
#[test]
fn a_write_that_is_cancelled_tells_how_far_it_came() {
    bounded(|| {
        runtime().block_on(async {
            for way in 0..4 {
                let (stream, peer) = tcp_pair().await;
                let buf = much();
                let (address, len) = (buf.as_ptr(), buf.len());
                let writing = async {
                    match way {
                        0 => stream.write_all(buf).await,
                        1 => {
                            let (written, mut bufs) =
                                stream.write_all_vectored(vec![buf, vec![1; 10]]).await;
                            (written, bufs.swap_remove(0))
                        }
                        2 => {
                            let (written, buf) = stream.write_all_zc(buf).await;
                            // The memory is the kernel's until the peer has it: so it is collected below.
                            (
                                written,
                                buf.now_or_never().unwrap_or_else(|| {
                                    assert_eq!(way, 2);
                                    Vec::new()
                                }),
                            )
                        }
                        _ => AsyncWriteExt::write_all(&mut &stream, buf).await,
                    }
                };
                let (written, buf) = deadline(SOON, writing).await;
                let done = Incomplete::done_before(&timed_out(written)).unwrap();
                if way != 2 {
                    assert_eq!((buf.as_ptr(), buf.len()), (address, len));
                }
                assert!(done > 0 && done < len, "way {way}: {done}");
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                let mut peer = &peer;
                let (read, came) = AsyncReadExt::read_to_end(&mut peer, Vec::new()).await;
                assert_eq!(read.unwrap(), done, "way {way}");
                assert!(came == pattern_bytes(0, done));
            }
        });
    });
}

#[test]
fn what_is_begun_later_is_refused_but_not_a_close_nor_what_is_shielded() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = tcp_pair().await;
            peer.write_all("there").await.0.unwrap();
            until("bytes", || {
                stream.peek(vec![0; 5]).now_or_never().is_none_or(|_| true)
            })
            .await;
            let path = std::env::temp_dir().join(format!("saferring-scope-{}", std::process::id()));
            let file = File::create(&path).await.unwrap();
            let before = Instant::now();
            deadline(SOON, async {
                assert!(!task::is_cancelled());
                sleep(SOON * 2).await;
                assert!(task::is_cancelled() && before.elapsed() >= SOON);
                timed_out(nop().await);
                let (read, buf) = stream.read(vec![0; 5]).await;
                timed_out(read);
                assert_eq!(buf, [0; 5]);
                let (read, _) = stream.read(vec![0; 5]).submit().await;
                timed_out(read);
                let (read, _) = stream.read(vec![0; 5]).timeout(NEVER).await;
                timed_out(read);
                timed_out(stream.write_all_zc(vec![0; 1 << 20]).await.0);
                timed_out(File::open("/dev/null").await);
                timed_out(TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], 1))).await);
                let (written, _) = file.write_all_at("lost", 0).await;
                assert_eq!(Incomplete::done_before(&timed_out(written)), Some(0));
                shielded(async {
                    assert!(!task::is_cancelled());
                    nop().await.unwrap();
                    file.write_all_at("kept", 0).await.0.unwrap();
                    // Within it there may be another.
                    timed_out(deadline(SOON, listener().accept()).await.map(drop));
                })
                .await;
                assert!(task::is_cancelled());
                file.close().await.unwrap();
            })
            .await;
            assert_eq!(std::fs::read(&path).unwrap(), b"kept");
            std::fs::remove_file(&path).unwrap();
            // The stream is as it was.
            let (read, buf) = stream.read_exact([0; 5]).await;
            read.unwrap();
            assert_eq!(&buf, b"there");
        });
    });
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn what_was_there_first_wins() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = UnixStream::pair().unwrap();
            let read = stream.read(vec![0; 5]).submit();
            peer.write_all("first").await.0.unwrap();
            // Begun outside of it, it is no member.
            let (read, buf) = deadline(Duration::ZERO, async {
                sleep(SOON).await;
                read.await
            })
            .await;
            assert_eq!((read.unwrap(), &buf[..]), (5, &b"first"[..]));
            // Begun within and answered before.
            let (read, buf) = deadline(SOON, async {
                let read = stream.read(vec![0; 6]).submit();
                peer.write_all("second").await.0.unwrap();
                until("the answer", || saferring::runtime::in_flight().is_empty()).await;
                sleep(SOON * 2).await;
                read.await
            })
            .await;
            assert_eq!((read.unwrap(), &buf[..]), (6, &b"second"[..]));
            // The future's own end.
            assert_eq!(deadline(NEVER, async { 7 }).await, 7);
            assert_eq!(deadline(Duration::ZERO, async { 8 }).await, 8);
            assert_eq!(deadline_at(Instant::now(), async { 9 }).await, 9);
        });
    });
}

/// Bytes that arrive with the cancel are there for the next read, datagrams and connections too.
#[test]
fn nothing_is_lost_to_a_race() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = {
                let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
                (UnixStream::from_std(ours), theirs)
            };
            let writer = std::thread::spawn(move || {
                for n in 0..2000_u32 {
                    peer.write_all(&n.to_be_bytes()).unwrap();
                    if n % 7 == 0 {
                        std::thread::yield_now();
                    }
                }
            });
            let (mut all, mut cancelled) = (Vec::new(), 0);
            while all.len() < 8000 {
                let buf = Vec::with_capacity(100);
                let (read, buf) =
                    deadline(Duration::from_micros(cancelled % 50), stream.read(buf)).await;
                match read {
                    Ok(_) => all.extend_from_slice(&buf),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::TimedOut);
                        cancelled += 1;
                    }
                }
            }
            writer.join().unwrap();
            assert!(
                all.chunks(4)
                    .zip(0_u32..)
                    .all(|(bytes, n)| bytes == n.to_be_bytes())
            );
        });
    });
}

#[test]
fn scopes_are_nested() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, _peer) = UnixStream::pair().unwrap();
            // The outer one first.
            let order = RefCell::new(Vec::new());
            deadline(SOON, async {
                let (read, _) = deadline(NEVER, deadline(NEVER, stream.read(vec![0; 1]))).await;
                timed_out(read);
                order.borrow_mut().push(1);
                timed_out(nop().await);
                // One that is new is over from the beginning.
                timed_out(deadline(NEVER, nop()).await);
            })
            .await;
            // The inner one first.
            deadline(NEVER, async {
                let (read, _) = deadline(SOON, stream.read(vec![0; 1])).await;
                timed_out(read);
                order.borrow_mut().push(2);
                nop().await.unwrap();
                nop().timeout(NEVER).await.unwrap();
                timed_out(stream.read(vec![0; 1]).timeout(SOON).await.0);
                let (read, _) = stream.read(vec![0; 1]).submit().cancel().await;
                assert!(is_cancelled(&read.unwrap_err()));
            })
            .await;
            assert_eq!(order.into_inner(), [1, 2]);
            assert!(!task::is_cancelled());
        });
    });
}

#[test]
fn whatever_polls_them_all_operations_are_reached() {
    bounded(|| {
        runtime().block_on(async {
            let pairs: Vec<_> = (0..300).map(|_| UnixStream::pair().unwrap()).collect();
            let reads = pairs.iter().map(|(stream, _)| stream.read(vec![0; 3]));
            let ended = deadline(SOON, join_all(reads)).await;
            assert_eq!(ended.len(), 300);
            for (read, buf) in ended {
                timed_out(read);
                assert_eq!(buf, [0; 3]);
            }
            // Those that wait for their turn on one stream.
            let (stream, _peer) = &pairs[0];
            let reads = (0..300).map(|_| stream.read(vec![0; 3]));
            for (read, _) in deadline(SOON, join_all(reads)).await {
                timed_out(read);
            }
            // Tasks of a set; not those that are merely spawned.
            let (stream, peer) = UnixStream::pair().unwrap();
            let spawned = deadline(SOON, async {
                let mut set = JoinSet::new();
                for (stream, peer) in pairs {
                    set.spawn(async move {
                        let mut inner = JoinSet::new();
                        inner.spawn(async move {
                            let (read, _) = stream.read(vec![0; 3]).await;
                            drop(peer);
                            read
                        });
                        inner.join_next().await.unwrap().unwrap()
                    });
                }
                let spawned = saferring::spawn(async move { stream.read(vec![0; 3]).await });
                while let Some(read) = set.join_next().await {
                    timed_out(read.unwrap());
                }
                (spawned,)
            })
            .await
            .0;
            peer.write_all("yes").await.0.unwrap();
            assert_eq!(spawned.await.unwrap().0.unwrap(), 3);
        });
    });
}

#[test]
fn streams_tell_once_then_end_and_go_on_afterwards() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = UnixStream::pair().unwrap();
            let listener = listener();
            let addr = listener.local_addr().unwrap();
            let mut chunks = stream.recv_stream();
            let mut incoming = listener.incoming();
            let file = File::open("Cargo.toml").await.unwrap();
            let mut blocks = file.read_stream(.., 2);
            assert!(!blocks.next().await.unwrap().unwrap().is_empty());
            deadline(SOON, async {
                timed_out(chunks.next().await.unwrap());
                assert!(chunks.next().await.is_none());
                assert!(chunks.next_batch().await.is_none());
                timed_out(incoming.next().await.unwrap());
                assert!(incoming.next().await.is_none());
                assert!(incoming.next().await.is_none());
                timed_out(blocks.next().await.unwrap());
                assert!(blocks.next().await.is_none());
            })
            .await;
            peer.write_all("hello").await.0.unwrap();
            assert_eq!(&chunks.next().await.unwrap().unwrap()[..], b"hello");
            let _client = TcpStream::connect(addr).await.unwrap();
            incoming.next().await.unwrap().unwrap();
            assert!(blocks.next().await.is_none(), "it was read whole");
            // Another scope is told as well.
            deadline(SOON, async {
                timed_out(chunks.next().await.unwrap());
                assert!(chunks.next().await.is_none());
            })
            .await;
            drop(peer);
            assert!(chunks.next().await.is_none());
        });
    });
}

#[test]
fn a_future_that_is_dropped_or_forgotten_in_its_scope_leaves_nothing_behind() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = UnixStream::pair().unwrap();
            for _ in 0..10 {
                let mut reading =
                    Box::pin(deadline(NEVER, deadline(NEVER, stream.read(vec![0; 4]))));
                assert!(poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx).is_pending())).await);
                drop(reading);
            }
            // An operation that leaves its scope is cancelled with it.
            let mut left = None;
            let mut scope = Box::pin(deadline(SOON, async {
                left = Some(stream.read(vec![0; 4]).submit());
                pending::<()>().await;
            }));
            assert!(poll_fn(|cx| Poll::Ready(scope.as_mut().poll(cx).is_pending())).await);
            let over = sleep(SOON * 2);
            over.await;
            assert!(poll_fn(|cx| Poll::Ready(scope.as_mut().poll(cx).is_pending())).await);
            drop(scope);
            timed_out(left.unwrap().await.0);
            peer.write_all("here").await.0.unwrap();
            let (read, buf) = stream.read(vec![0; 4]).await;
            assert_eq!((read.unwrap(), &buf[..]), (4, &b"here"[..]));
        });
    });
}

#[test]
fn a_panic_leaves_no_scope_around_the_rest() {
    bounded(|| {
        runtime().block_on(async {
            let mut panics = pin!(deadline(Duration::ZERO, async {
                sleep(SOON).await;
                panic!("told to")
            }));
            sleep(SOON).await;
            let ended = poll_fn(|cx| {
                let polled = catch_unwind(AssertUnwindSafe(|| panics.as_mut().poll(cx)));
                match polled {
                    Ok(Poll::Pending) => Poll::Pending,
                    Ok(Poll::Ready(())) => Poll::Ready(false),
                    Err(_) => Poll::Ready(true),
                }
            });
            assert!(ended.await);
            assert!(!task::is_cancelled());
            nop().await.unwrap();
        });
    });
}

/// A waker that comes back in: the one that the operation left polls its future, and drops it.
#[test]
fn wakers_may_do_anything_when_a_scope_ends() {
    struct Polls(
        RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
        Cell<u32>,
    );
    thread_local! {
        static POLLS: Polls = const { Polls(RefCell::new(None), Cell::new(0)) };
    }
    struct Back(u32);
    impl std::task::Wake for Back {
        fn wake(self: std::sync::Arc<Self>) {
            POLLS.with(|polls| {
                polls.1.set(polls.1.get() + 1);
                let Some(mut future) = polls.0.borrow_mut().take() else {
                    return;
                };
                if self.0 == 0 {
                    let _ended = future
                        .as_mut()
                        .poll(&mut Context::from_waker(Waker::noop()));
                }
                drop(future);
                assert!(self.0 < 2, "told to");
            });
        }
    }
    bounded(|| {
        for way in 0..3 {
            runtime().block_on(async {
                let (stream, peer) = UnixStream::pair().unwrap();
                let stream = Rc::new(stream);
                let own = Rc::clone(&stream);
                let waker = Waker::from(std::sync::Arc::new(Back(way)));
                let mut outer = pin!(deadline(SOON, async {
                    let mut inner: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
                        timed_out(own.read(vec![0; 4]).await.0);
                    });
                    assert!(
                        inner
                            .as_mut()
                            .poll(&mut Context::from_waker(&waker))
                            .is_pending()
                    );
                    POLLS.with(|polls| *polls.0.borrow_mut() = Some(inner));
                    sleep(SOON * 3).await;
                }));
                outer.as_mut().await;
                until("the wake", || {
                    POLLS.with(|polls| polls.0.borrow().is_none())
                })
                .await;
                peer.write_all("next").await.0.unwrap();
                let (read, _) = stream.read_exact([0; 4]).await;
                read.unwrap();
            });
        }
        assert!(POLLS.with(|polls| polls.1.get()) >= 3);
    });
}

#[test]
fn two_runtimes_of_a_thread_share_no_scope() {
    bounded(|| {
        let (first, second) = (runtime(), runtime());
        let (stream, _peer) = first.block_on(async { UnixStream::pair().unwrap() });
        let mut scoped = Box::pin(deadline(SOON, stream.read(vec![0; 4])));
        let cx =
            |cx: &mut Context<'_>, scoped: &mut Pin<Box<_>>| Future::poll(Pin::as_mut(scoped), cx);
        assert!(first.block_on(poll_fn(|c| Poll::Ready(cx(c, &mut scoped).is_pending()))));
        second.block_on(async { nop().await.unwrap() });
        // It ends wherever it is awaited.
        timed_out(second.block_on(scoped).0);
        // And outlives its runtime.
        let mut scoped = Box::pin(deadline(NEVER, stream.read(vec![0; 4])));
        assert!(first.block_on(poll_fn(|c| Poll::Ready(cx(c, &mut scoped).is_pending()))));
        drop(first);
        second.block_on(async {
            yield_now().await;
            assert!(scoped.await.0.is_err());
        });
    });
}

/// The error says that somebody wanted it.
#[track_caller]
fn was_cancelled<T: std::fmt::Debug>(result: io::Result<T>) -> io::Error {
    let error = result.unwrap_err();
    assert!(is_cancelled(&error), "{error}");
    error
}

#[test]
fn a_token_ends_what_it_runs_from_any_thread_and_once() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = UnixStream::pair().unwrap();
            let token = CancellationToken::new();
            let (tell, told) = oneshot::channel();
            let thread = std::thread::spawn({
                let token = token.clone();
                move || {
                    told.blocking_recv().unwrap();
                    token.cancel();
                    token.cancel();
                }
            });
            peer.write_all("half").await.0.unwrap();
            let buf = vec![0; 9];
            let address = buf.as_ptr();
            let (read, buf) = token
                .run(async {
                    tell.send(()).unwrap();
                    let read = stream.read_exact(buf).await;
                    assert!(token.is_cancelled() && task::is_cancelled());
                    // A second cancel while the first works, and one from within.
                    token.cancel();
                    was_cancelled(nop().await);
                    read
                })
                .await;
            let error = was_cancelled(read);
            assert!(
                matches!(Incomplete::done_before(&error), Some(0 | 4)),
                "{error}"
            );
            assert_eq!(buf.as_ptr(), address);
            thread.join().unwrap();
            // Known also inside an error that names the path.
            was_cancelled(
                token
                    .run(saferring::fs::copy("Cargo.toml", "/nowhere/at/all"))
                    .await,
            );
            // One that is cancelled already refuses from the beginning, but the future runs.
            let ran = token
                .run(async { was_cancelled(nop().await).to_string() })
                .await;
            assert!(ran.contains("cancel"), "{ran}");
            assert_eq!(token.run(async { 5 }).await, 5);
        });
    });
}

#[test]
fn tokens_are_nested_and_tasks_of_a_set_inherit_them() {
    bounded(|| {
        runtime().block_on(async {
            let (outer, apart) = (CancellationToken::new(), CancellationToken::new());
            let inner = outer.child_token();
            let pairs: Vec<_> = (0..4).map(|_| UnixStream::pair().unwrap()).collect();
            let [by_inner, by_outer, by_set, by_time] =
                [0, 1, 2, 3].map(|n: usize| pairs[n].0.read(vec![n as u8; 5]));
            let (first, second) = (inner.clone(), outer.clone());
            saferring::spawn(async move {
                sleep(SOON).await;
                first.cancel();
                sleep(SOON).await;
                second.cancel();
            });
            let ended = outer.run(async {
                let timed = deadline(NEVER, async {
                    let inner = inner.run(by_inner).await;
                    was_cancelled(inner.0);
                    assert!(!outer.is_cancelled());
                    // Not of this token, but within the other.
                    was_cancelled(apart.run(by_outer).await.0);
                    was_cancelled(by_time.await.0);
                    // Why it ended stays as it was.
                    deadline(Duration::ZERO, async {
                        was_cancelled(nop().await);
                    })
                    .await;
                });
                let mut set = JoinSet::new();
                set.spawn(by_set);
                let ((), joined) = saferring::join!(timed, set.join_next());
                let (read, buf) = joined.unwrap().unwrap();
                was_cancelled(read);
                buf
            });
            assert_eq!(ended.await, [2; 5]);
            assert!(!apart.is_cancelled());
        });
    });
}

/// Cancelled at each await, one after the other: it ends, and the buffer is back each time.
#[test]
fn a_program_is_cancelled_at_each_of_its_awaits() {
    bounded(|| {
        runtime().block_on(async {
            for at in 0..12 {
                let token = CancellationToken::new();
                let (stream, peer) = UnixStream::pair().unwrap();
                let steps = Cell::new(0);
                let step = || {
                    if steps.replace(steps.get() + 1) == at {
                        token.cancel();
                    }
                };
                let program = async |mut buf: Vec<u8>| -> (io::Result<()>, Vec<u8>) {
                    for _ in 0..3 {
                        step();
                        let written;
                        (written, buf) = peer.write_all(buf).await;
                        if written.is_err() {
                            return (written, buf);
                        }
                        step();
                        let read;
                        (read, buf) = stream.read_exact(buf).await;
                        if read.is_err() {
                            return (read, buf);
                        }
                        step();
                        if let Err(error) = nop().await {
                            return (Err(error), buf);
                        }
                        step();
                    }
                    (Ok(()), buf)
                };
                let (ended, buf) = token.run(program(vec![7; 100])).await;
                assert_eq!(buf, [7; 100]);
                assert_eq!(ended.is_err(), at < 11, "{at}");
                assert!(steps.get() > at);
            }
        });
    });
}

#[test]
fn a_token_that_nobody_cancels_costs_no_wake_and_goes_with_its_future() {
    bounded(|| {
        runtime().block_on(async {
            let token = CancellationToken::new();
            for _ in 0..100 {
                let mut run = Box::pin(token.run(async {
                    yield_now().await;
                    nop().await.unwrap();
                    pending::<()>().await;
                }));
                for _ in 0..3 {
                    assert!(poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await);
                    yield_now().await;
                }
            }
            // Polled by one task, then by another.
            let (stream, peer) = UnixStream::pair().unwrap();
            let mut run = Box::pin(
                token
                    .clone()
                    .run(async move { stream.read(vec![0; 4]).await }),
            );
            assert!(poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await);
            let moved = saferring::spawn(run);
            yield_now().await;
            token.cancel();
            was_cancelled(moved.await.unwrap().0);
            drop(peer);
        });
    });
}

/// Each operation of each type: begun in a scope that is over it is refused, with its buffer, and has done nothing.
#[test]
fn every_operation_is_refused_when_it_is_begun_too_late() {
    bounded(|| {
        runtime().block_on(async {
            let dir =
                std::env::temp_dir().join(format!("saferring-refused-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            let path = |name: &str| dir.join(name);
            std::fs::write(path("file"), "contents").unwrap();
            let mut options = OpenOptions::new();
            let mut file = options
                .read(true)
                .write(true)
                .open(path("file"))
                .await
                .unwrap();
            let (stream, peer) = tcp_pair().await;
            let (left, _right) = UnixStream::pair().unwrap();
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let own = udp.local_addr().unwrap();
            udp.connect(own).await.unwrap();
            let unix = UnixDatagram::bind(path("datagram")).unwrap();
            let listener = listener();
            peer.write_all("unread").await.0.unwrap();
            let registered = Registry::current().and_then(|registry| {
                let direct = registry.register(std::fs::File::open(path("file"))?)?;
                Ok((registry, direct))
            });
            let token = CancellationToken::new();
            token.cancel();
            let refused = async {
                macro_rules! refused {
                    ($($call:expr),* $(,)?) => { $( was_cancelled($call.await.map(drop)); )* };
                }
                macro_rules! gives_back {
                    ($buf:expr, $($call:expr),* $(,)?) => {$(
                        let (result, buf) = $call.await;
                        was_cancelled(result.map(drop));
                        assert_eq!(buf, $buf, stringify!($call));
                    )*};
                }
                refused!(
                    nop(),
                    File::open(path("file")),
                    File::create(path("new")),
                    file.sync_all(),
                    file.sync_data(),
                    file.metadata(),
                    file.set_len(1),
                    file.allocate(0, 1 << 20),
                    file.advise(.., Advice::DontNeed),
                    fs::metadata(path("file")),
                    fs::symlink_metadata(path("file")),
                    fs::try_exists(path("file")),
                    fs::rename(path("file"), path("renamed")),
                    fs::remove_file(path("file")),
                    fs::create_dir(path("made")),
                    fs::create_dir_all(path("made/below")),
                    fs::remove_dir(&dir),
                    fs::read(path("file")),
                    fs::read_to_string(path("file")),
                    fs::copy(path("file"), path("copy")),
                    TcpStream::connect(listener.local_addr().unwrap()),
                    UnixStream::connect(path("datagram")),
                    listener.accept(),
                    stream.read_buf(&mut Vec::new()),
                    saferring::io::splice(&stream, &left, 6),
                    saferring::io::copy(&mut &stream, &mut &left),
                    udp.connect(own),
                    PollAdd::new(std::io::stdin(), Readiness::READABLE).map(|(ready, _)| ready),
                );
                gives_back!(
                    vec![7; 6],
                    file.read(vec![7; 6]),
                    file.read_exact(vec![7; 6]),
                    file.write(vec![7; 6]),
                    file.write_all(vec![7; 6]),
                    file.read_at(vec![7; 6], 0),
                    file.read_exact_at(vec![7; 6], 0),
                    file.write_at(vec![7; 6], 0),
                    file.write_all_at(vec![7; 6], 0),
                    stream.read(vec![7; 6]),
                    stream.read_exact(vec![7; 6]),
                    stream.peek(vec![7; 6]),
                    stream.write(vec![7; 6]),
                    stream.write_all(vec![7; 6]),
                    left.write_all(vec![7; 6]),
                    udp.send(vec![7; 6]),
                    udp.send_to(vec![7; 6], own),
                    udp.recv(vec![7; 6]),
                    udp.recv_from(vec![7; 6]),
                    udp.recv_meta(vec![7; 6]),
                    udp.peek_from(vec![7; 6]),
                    unix.send_to(vec![7; 6], path("datagram")),
                    unix.recv(vec![7; 6]),
                    unix.recv_from(vec![7; 6]),
                    unix.recv_meta(vec![7; 6]),
                    fs::write(path("new"), vec![7; 6]),
                );
                let pair = || [vec![7; 3], vec![7; 3]];
                gives_back!(
                    pair(),
                    file.read_vectored_at(pair(), 0),
                    file.write_vectored_at(pair(), 0),
                    file.write_all_vectored_at(pair(), 0),
                    stream.read_vectored(pair()),
                    stream.write_vectored(pair()),
                    stream.write_all_vectored(pair()),
                );
                let (sent, buf) = stream.send_zc(vec![7; 6]).await;
                was_cancelled(sent);
                assert_eq!(buf.await, [7; 6]);
                let (sent, buf) = stream.write_all_zc(vec![7; 1 << 20]).await;
                was_cancelled(sent);
                assert_eq!(buf.await.len(), 1 << 20);
                if let Ok((registry, direct)) = &registered {
                    refused!(
                        registry.open(path("file"), libc::O_RDONLY, 0).unwrap(),
                        direct.sync_all(),
                    );
                    gives_back!(
                        vec![7; 6],
                        direct.read_at(vec![7; 6], 0),
                        direct.write_at(vec![7; 6], 0),
                    );
                }
            };
            token.run(refused).await;
            // Nothing has happened.
            assert_eq!(std::fs::read(path("file")).unwrap(), b"contents");
            let names = std::fs::read_dir(&dir)
                .unwrap()
                .map(|entry| entry.unwrap().file_name());
            let expected = BTreeSet::from(["datagram".into(), "file".into()]);
            assert_eq!(names.collect::<BTreeSet<_>>(), expected);
            let (read, word) = stream.read_exact([0; 6]).await;
            read.unwrap();
            assert_eq!(&word, b"unread");
            let (read, word) = file.read(vec![0; 3]).await;
            assert_eq!((read.unwrap(), &word[..]), (3, &b"con"[..]));
            drop(stream);
            let (read, nothing) = AsyncReadExt::read_to_end(&mut &peer, Vec::new()).await;
            assert_eq!((read.unwrap(), nothing.len()), (0, 0));
            std::fs::remove_dir_all(&dir).unwrap();
        });
    });
}

#[test]
fn copies_and_splices_that_are_cancelled_tell_how_far_they_came() {
    bounded(|| {
        runtime().block_on(async {
            for splices in [false, true] {
                let (stream, peer) = tcp_pair().await;
                let (source, feeder) = UnixStream::pair().unwrap();
                // More than all that is between the two ends holds.
                let feeding = saferring::spawn(async move { feeder.write_all(much()).await.0 });
                let moved = async {
                    match splices {
                        true => saferring::io::splice(&source, &stream, u64::MAX).await,
                        false => saferring::io::copy(&mut &source, &mut &stream).await,
                    }
                };
                let error = timed_out(deadline(SOON, moved).await);
                let done = Incomplete::done_before(&error).unwrap();
                drop((source, stream));
                let (came, bytes) = AsyncReadExt::read_to_end(&mut &peer, Vec::new()).await;
                let came = came.unwrap();
                assert!(bytes == pattern_bytes(0, came));
                // Of a splice that is cancelled while it sends, the kernel does not say how much it has sent.
                assert!(
                    came == done || splices && came > done && came - done <= 1 << 20,
                    "{came}, {done}"
                );
                feeding.await.unwrap().unwrap_err();
            }
        });
    });
}

/// What no operation of the kernel serves, as it would hold up a thread.
#[test]
fn opens_of_fifos_and_connects_to_full_backlogs_end_too() {
    bounded(|| {
        runtime().block_on(async {
            let dir = std::env::temp_dir().join(format!("saferring-waits-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            let path = |name: &str| dir.join(name);
            let name = std::ffi::CString::new(path("fifo").to_str().unwrap()).unwrap();
            // SAFETY: the path ends with a zero and lives across the call.
            assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
            timed_out(deadline(SOON, File::open(path("fifo"))).await);
            let mut writes = OpenOptions::new();
            timed_out(deadline(SOON, writes.write(true).open(path("fifo"))).await);
            // A backlog of a few, which nobody accepts from.
            let listener = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
            // SAFETY: the descriptor is open.
            let listening = unsafe { libc::listen(listener.as_raw_fd(), 0) };
            assert_eq!(listening, 0);
            let mut waiting = Vec::new();
            let full = loop {
                assert!(waiting.len() < 100, "a backlog without end");
                match deadline(SOON, UnixStream::connect(path("socket"))).await {
                    Ok(stream) => waiting.push(stream),
                    full => break full,
                }
            };
            timed_out(full);
            std::fs::remove_dir_all(&dir).unwrap();
        });
    });
}
