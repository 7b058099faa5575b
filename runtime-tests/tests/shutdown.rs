//! The end of runtimes, in whatever state: hazards 14, 15 and 35, and what outlives a runtime. Counts of descriptors are
//! taken in processes of their own.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::future::lazy;
use futures_util::{FutureExt, StreamExt};
use saferring::fs::File;
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use saferring::runtime::{Builder, Runtime, metrics};
use saferring_tests::{
    Account, Watch, bounded, fd_link, holders, in_child, leaks_on_purpose, open_fds, poll_once,
    ring_fds,
};

saferring_tests::also_on_software!();

type StdStream = std::os::unix::net::UnixStream;

fn runtime() -> Runtime {
    Builder::new().entries(32).build().unwrap()
}

fn pair() -> (UnixStream, StdStream) {
    let (ours, theirs) = StdStream::pair().unwrap();
    (UnixStream::from_std(ours), theirs)
}

fn panic_text(body: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(body)).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
    }
}

/// A file without a name.
async fn scratch(name: &str) -> File {
    let path =
        std::env::temp_dir().join(format!("saferring-shutdown-{name}-{}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .open(&path)
        .await
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}

/// Starts one of everything, as tasks and as orphans. Nothing of it has ended when this returns.
async fn start_everything(watch: &Watch, peers: &mut Vec<StdStream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let file = scratch("everything").await;
    let (stream, peer) = pair();
    peers.push(peer);
    drop(stream.read(watch.buf(100)).submit());
    let (full, peer) = pair();
    peers.push(peer);
    let blocked = watch.filled(vec![1; 1 << 22]);
    drop(saferring::spawn(
        async move { full.write_all(blocked).await.0 },
    ));
    for round in 0..8 {
        drop(
            file.write_at(
                watch.filled(vec![round; 100_000]),
                u64::from(round) * 100_000,
            )
            .submit(),
        );
    }
    let (one, two) = (watch.buf(100), watch.buf(100));
    drop(saferring::spawn(async move { stream.read(one).await.0 }));
    drop(saferring::spawn(async move { udp.recv_from(two).await.0 }));
    drop(saferring::spawn(async move { file.sync_all().await }));
    drop(saferring::spawn(async move {
        let mut incoming = listener.incoming();
        let _first = incoming.next().await;
        let _second = listener.accept().await;
        std::future::pending::<()>().await;
    }));
    drop(saferring::spawn(async move {
        TcpStream::connect(addr).await.map(drop)
    }));
    drop(saferring::spawn(saferring::time::sleep(
        Duration::from_secs(3600),
    )));
    drop(saferring::spawn(async {
        let never = std::future::pending::<()>();
        saferring::time::timeout(Duration::from_secs(3600), never).await
    }));
    drop(saferring::spawn(saferring::fs::metadata("/proc/self/exe")));
    drop(saferring::spawn_blocking(|| 7));
}

#[test]
fn hazard_14_everything_in_flight() {
    in_child("hazard_14_everything_in_flight", || {
        drop(runtime());
        let before = open_fds();
        for round in 0..30 {
            let watch = Watch::new();
            let mut peers = Vec::new();
            let runtime = Builder::new().entries(8).build().unwrap();
            runtime.block_on(async {
                start_everything(&watch, &mut peers).await;
                for _ in 0..round % 5 {
                    saferring::op::nop().await.unwrap();
                }
            });
            assert!(watch.alive() > 0);
            let left = runtime.shutdown_timeout(Duration::from_secs(30));
            assert!(left.is_ok(), "{left:?}");
            assert_eq!(watch.alive(), 0);
            drop(peers);
            assert_eq!(open_fds(), before, "round {round}");
        }
    });
}

/// A forgotten operation keeps what it owns, buffer and count of its descriptor, as a forgotten value does. The ring and
/// the rest of the runtime go.
#[test]
fn hazard_14_every_future_forgotten() {
    in_child("hazard_14_every_future_forgotten", || {
        leaks_on_purpose(
            &[Account::Descriptors, Account::Drivers],
            "forgotten futures keep their descriptors and their driver",
        );
        drop(runtime());
        let before = open_fds();
        let watch = Watch::new();
        let runtime = runtime();
        let mut kept = Vec::new();
        let mut peers = Vec::new();
        runtime.block_on(async {
            for round in 0..50 {
                let (stream, mut peer) = pair();
                kept.push(fd_link(stream.as_raw_fd()).unwrap());
                let mut sleep = saferring::time::sleep(Duration::from_secs(3600));
                assert!(poll_once(&mut sleep).await.is_none());
                std::mem::forget(sleep);
                std::mem::forget(stream.read(watch.buf(64)).submit());
                if round % 2 == 0 {
                    peer.write_all(b"x").unwrap();
                    saferring::op::nop().await.unwrap();
                }
                peers.push(peer);
            }
        });
        let left = runtime.shutdown_timeout(Duration::from_secs(30));
        assert!(left.is_ok(), "{left:?}");
        assert_eq!((watch.alive(), watch.dropped()), (50, 0));
        assert_eq!(ring_fds(), 0);
        drop(peers);
        let left: Vec<_> = open_fds()
            .into_iter()
            .filter(|fd| !before.contains(fd))
            .map(|(_, link)| link)
            .collect();
        assert!(left.iter().all(|link| kept.contains(link)), "{left:?}");
    });
}

/// The ring's number and the eventfd's are free again at once, whatever the kernel still does with the ring.
#[test]
fn hazard_14_rings_are_not_leaked() {
    in_child("hazard_14_rings_are_not_leaked", || {
        drop(runtime());
        let before = open_fds();
        for _ in 0..200 {
            let runtime = runtime();
            runtime.block_on(saferring::op::nop()).unwrap();
        }
        assert_eq!(open_fds(), before);
    });
}

/// Futures that use everything while they are dropped: wake and abort others, spawn, submit, look.
#[test]
fn hazard_15_drops_of_tasks_use_the_runtime() {
    struct Busy {
        stream: UnixStream,
        others: Rc<RefCell<Vec<saferring::JoinHandle<()>>>>,
        drops: Rc<Cell<u32>>,
        waker: Rc<RefCell<Option<Waker>>>,
    }
    impl Drop for Busy {
        fn drop(&mut self) {
            self.drops.set(self.drops.get() + 1);
            drop(self.stream.write(b"bye".to_vec()).submit());
            drop(saferring::time::sleep(Duration::from_secs(1)));
            if let Some(waker) = self.waker.borrow_mut().take() {
                waker.wake();
            }
            for other in self.others.borrow().iter() {
                other.abort();
            }
            drop(self.others.borrow_mut().pop());
            let drops = Rc::clone(&self.drops);
            drop(saferring::spawn(async move {
                drops.set(drops.get() + 1000);
            }));
            assert!(metrics().in_flight > 0);
        }
    }
    in_child("hazard_15_drops_of_tasks_use_the_runtime", || {
        drop(runtime());
        let before = open_fds();
        let runtime = runtime();
        let drops = Rc::new(Cell::new(0));
        let others = Rc::new(RefCell::new(Vec::new()));
        let waker = Rc::new(RefCell::new(None));
        for _ in 0..20 {
            let (stream, _) = pair();
            let busy = Busy {
                stream,
                others: Rc::clone(&others),
                drops: Rc::clone(&drops),
                waker: Rc::clone(&waker),
            };
            let handle = runtime.spawn(async move {
                let busy = busy;
                std::future::poll_fn(|cx| {
                    *busy.waker.borrow_mut() = Some(cx.waker().clone());
                    std::task::Poll::<()>::Pending
                })
                .await;
            });
            others.borrow_mut().push(handle);
        }
        runtime.block_on(saferring::task::yield_now());
        drop(runtime);
        assert_eq!(
            drops.get(),
            20,
            "each was dropped, and nothing ran any more"
        );
        others.borrow_mut().clear();
        assert_eq!(open_fds(), before);
    });
}

/// The kernel's worker threads belong to the thread: writes to files are awaited before it goes.
#[test]
fn hazard_35_exit_of_the_thread() {
    in_child("hazard_35_exit_of_the_thread", || {
        drop(runtime());
        let before = open_fds();
        for _ in 0..20 {
            let watch = Watch::new();
            let seen = watch.clone();
            std::thread::spawn(move || {
                let runtime = runtime();
                runtime.block_on(async {
                    let file = scratch("exit").await;
                    for offset in 0..20 {
                        drop(
                            file.write_at(seen.filled(vec![1; 50_000]), offset * 50_000)
                                .submit(),
                        );
                    }
                });
            })
            .join()
            .unwrap();
            assert_eq!(watch.alive(), 0);
        }
        assert_eq!(open_fds(), before);
    });
}

/// Thread locals are dropped in an order that nobody chooses.
#[test]
fn hazard_35_runtime_in_a_thread_local() {
    thread_local! {
        static RUNTIME: Runtime = runtime();
        static READ: RefCell<Option<Box<dyn std::any::Any>>> = const { RefCell::new(None) };
    }
    in_child("hazard_35_runtime_in_a_thread_local", || {
        drop(runtime());
        let before = open_fds();
        let watch = Watch::new();
        for read_first in [true, false] {
            let seen = watch.clone();
            std::thread::spawn(move || {
                if read_first {
                    READ.with(|read| assert!(read.borrow().is_none()));
                }
                let read = RUNTIME.with(|runtime| {
                    let (stream, _peer) = pair();
                    let waiting = seen.buf(8);
                    runtime.block_on(async {
                        drop(saferring::spawn(async move {
                            let (stream, _peer) = pair();
                            stream.read(waiting).await.0
                        }));
                        saferring::op::nop().await.unwrap();
                    });
                    runtime.block_on(lazy(|_| stream.read(seen.buf(8)).submit()))
                });
                READ.set(Some(Box::new(read)));
            })
            .join()
            .unwrap();
        }
        assert_eq!(watch.alive(), 0);
        assert_eq!(open_fds(), before);
    });
}

/// Where the thread's place for its runtime is gone, a runtime runs all the same, and is not run within itself.
#[test]
fn a_runtime_runs_at_the_end_of_its_thread_and_does_not_nest() {
    struct Last(Option<Runtime>, std::sync::mpsc::Sender<String>);
    impl Drop for Last {
        fn drop(&mut self) {
            let runtime = self.0.take().unwrap();
            let text = runtime.block_on(async {
                let (stream, _peer) = pair();
                let read = stream.read(vec![0; 8]).submit();
                saferring::op::nop().await.unwrap();
                // It cancels what is in flight, in a ring that the thread may have no list for any more.
                stream.close().await.unwrap();
                assert!(read.await.0.is_err());
                panic_text(|| runtime.block_on(async {}))
            });
            self.1.send(text).unwrap();
        }
    }
    thread_local! {
        static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    }
    bounded(|| {
        for first in [true, false] {
            let (tell, told) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                if first {
                    // So it outlives the crate's own.
                    LAST.with(|last| assert!(last.borrow().is_none()));
                }
                let runtime = runtime();
                runtime.block_on(async { saferring::op::nop().await.unwrap() });
                LAST.set(Some(Last(Some(runtime), tell)));
            });
            let text = told.recv().unwrap();
            assert!(text.contains("already"), "{first}: {text}");
        }
    });
}

#[test]
fn runtimes_do_not_nest_and_can_be_dropped_in_one_another() {
    bounded(|| {
        let outer = runtime();
        let watch = Watch::new();
        outer.block_on(async {
            let inner = runtime();
            let text = panic_text(|| inner.block_on(async {}));
            assert!(
                text.contains("already") && text.contains("await the future"),
                "{text}"
            );
            let (stream, _peer) = pair();
            let buf = watch.buf(8);
            drop(inner.spawn(async move { stream.read(buf).await.0 }));
            drop(inner);
            assert_eq!(watch.alive(), 0);
            saferring::op::nop().await.unwrap();
        });
        // From inside a task, too.
        outer.block_on(async {
            saferring::spawn(async { drop(runtime()) }).await.unwrap();
            saferring::op::nop().await.unwrap();
        });
    });
}

/// Two runtimes take turns on a thread; an operation stays with the one that it was submitted in.
#[test]
fn operations_stay_with_their_runtime() {
    bounded(|| {
        let (one, two) = (runtime(), runtime());
        let (stream, mut peer) = pair();
        let mut read = one.block_on(lazy(|_| stream.read([0; 1]).submit()));
        two.block_on(async {
            assert!(poll_once(&mut read).await.is_none());
            saferring::op::nop().await.unwrap();
        });
        peer.write_all(b"x").unwrap();
        one.block_on(saferring::op::nop()).unwrap();
        assert_eq!(two.block_on(read).1, *b"x");
    });
}

#[test]
fn operations_outside_a_runtime_say_so() {
    bounded(|| {
        let (stream, _peer) = pair();
        let texts = [
            panic_text(|| drop(stream.read([0; 1]).submit())),
            panic_text(|| drop(stream.read([0; 1]).now_or_never())),
            panic_text(|| drop(saferring::spawn(async {}))),
            panic_text(|| drop(saferring::spawn_blocking(|| ()))),
            panic_text(|| assert_eq!(metrics().tasks, 0)),
            panic_text(|| {
                assert!(
                    saferring::time::sleep(Duration::ZERO)
                        .now_or_never()
                        .is_none()
                )
            }),
        ];
        for text in texts {
            assert!(
                text.contains("outside") && text.contains("block_on"),
                "{text}"
            );
        }
        // What they own is not lost by that.
        drop(stream);
    });
}

/// A runtime that is gone answers what it was asked; its timers do not come any more.
#[test]
fn what_outlives_its_runtime() {
    bounded(|| {
        let runtime = runtime();
        let (stream, _peer) = pair();
        let link = fd_link(stream.as_raw_fd()).unwrap();
        let (read, mut sleep, task) = runtime.block_on(async {
            let mut sleep = saferring::time::sleep(Duration::ZERO);
            assert!(poll_once(&mut sleep).await.is_none());
            let task = saferring::spawn(std::future::pending::<()>());
            (
                stream.read([0; 8]).timeout(Duration::from_secs(9)).submit(),
                sleep,
                task,
            )
        });
        drop(runtime);
        assert!(task.now_or_never().unwrap().unwrap_err().is_cancelled());
        assert!(
            sleep
                .poll_unpin(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        drop(sleep);
        let (result, _) = read.now_or_never().unwrap();
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        // Outside a runtime the close is a plain one.
        drop(stream);
        assert_eq!(holders(&link), 0);
    });
}

/// A closure that has begun is awaited; one that has not is dropped.
#[test]
fn blocking_closures_at_shutdown() {
    bounded(|| {
        let runtime = Builder::new()
            .blocking_threads(1)
            .entries(8)
            .build()
            .unwrap();
        let (begin, begun) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let watch = Watch::new();
        let (first, second) = (watch.buf(1), watch.buf(1));
        runtime.block_on(async {
            drop(saferring::spawn_blocking(move || {
                begin.send(()).unwrap();
                may_go_on.recv().unwrap();
                drop(first);
            }));
            drop(saferring::spawn_blocking(move || drop(second)));
        });
        begun.recv().unwrap();
        go_on.send(()).unwrap();
        drop(runtime);
        assert_eq!(watch.alive(), 0);
    });
}

/// Reads that wait for their turn end with the one that has it: a long queue is no long shutdown.
#[test]
fn what_waits_for_its_turn_does_not_go_to_the_kernel_any_more() {
    bounded(|| {
        let runtime = Builder::new().entries(32).build().unwrap();
        let (stream, _peer) = UnixStream::pair().unwrap();
        let reads = runtime.block_on(async {
            let reads = (0..100).map(|_| stream.read(vec![0; 8]).submit());
            reads.collect::<Vec<_>>()
        });
        assert!(runtime.shutdown_timeout(Duration::ZERO).is_ok());
        for read in reads {
            let (result, buf) = read.now_or_never().unwrap();
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
            assert_eq!(buf.len(), 8);
        }
    });
}
