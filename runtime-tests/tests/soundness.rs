//! One test for each rule of what must always hold, named after it. Compile-fail tests show the part of rules 5 and 9
//! that is a matter of types; that of rule 11 on provided buffers is in `recv_stream.rs`.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::future::lazy;
use futures_util::{FutureExt, StreamExt};
use saferring::net::{TcpListener, UnixStream};
use saferring::op::{PollAdd, Readiness};
use saferring::runtime::{Builder, Runtime, in_flight, metrics};
use saferring_tests::{
    Account, Watch, bounded, fd_link, holders, is_software, leaks_on_purpose, poll_once,
    refuse_waits, spin_until, until,
};

saferring_tests::also_on_software!();

type StdStream = std::os::unix::net::UnixStream;

fn runtime() -> Runtime {
    Builder::new().entries(64).build().unwrap()
}

/// A stream of the runtime's, and its other end.
fn pair() -> (UnixStream, StdStream) {
    let (ours, theirs) = StdStream::pair().unwrap();
    (UnixStream::from_std(ours), theirs)
}

/// From the push on the kernel may have the entry, whatever the enter call says: an error of it frees nothing.
#[test]
fn soundness_01_pushed_is_in_flight() {
    // The filter stays with the thread that `bounded` makes.
    bounded(|| {
        leaks_on_purpose(
            &[Account::Descriptors, Account::Lost],
            "the kernel is not asked any more, so what it has is never freed",
        );
        let runtime = runtime();
        let watch = Watch::new();
        let (stream, mut peer) = pair();
        let read = runtime.block_on(lazy(|_| stream.read(watch.buf(64)).submit()));
        refuse_waits(libc::EIO).unwrap();
        let lost = catch_unwind(AssertUnwindSafe(|| runtime.block_on(saferring::op::nop())));
        assert!(
            lost.is_err(),
            "an error that no retry can mend ends the run"
        );
        let mut names: Vec<_> = runtime
            .in_flight()
            .into_iter()
            .map(|operation| operation.name)
            .collect();
        // Where other threads wake it by an eventfd, that is being read, too.
        names.retain(|&name| name != "read");
        assert_eq!(names, ["recv", "nop"]);
        assert_eq!(watch.dropped(), 0);

        drop(read);
        peer.write_all(b"late").unwrap();
        assert_eq!(watch.dropped(), 0);
        let left = runtime.shutdown_timeout(Duration::from_secs(60));
        if is_software() {
            // It carries a cancel out without waiting, and so it was given back.
            assert_eq!(
                (left.map_err(|left| left.len()), watch.dropped()),
                (Ok(()), 1)
            );
            return;
        }
        let left = left.unwrap_err();
        assert!(
            left.iter().any(|op| op.name == "recv" && op.orphan),
            "{left:?}"
        );
        drop(stream);
        assert_eq!(
            watch.dropped(),
            0,
            "what the kernel may have is never freed"
        );
    });
}

/// Signals end waits, between the submission and the first completion as well as anywhere else.
#[test]
fn soundness_01_interrupted_enters_lose_nothing() {
    const ROUNDS: u32 = 2000;
    /// A slow machine may do nothing else if there is no end of them.
    const SIGNALS_A_ROUND: usize = 8;
    extern "C" fn nothing(_: libc::c_int) {}
    /// Ends the signals, be it by a panic.
    struct Done<'a>(&'a AtomicUsize);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(1, Ordering::Release);
        }
    }
    bounded(|| {
        // SAFETY: the record is plain numbers and a pointer, valid when zeroed, and lives across the call. The handler does
        // nothing. The other tests of this process send no such signal.
        let installed = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut())
        };
        assert_eq!(installed, 0);
        // SAFETY: takes nothing.
        let target = unsafe { libc::pthread_self() };
        let (done, sent) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let begun = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let _done = Done(&done);
            scope.spawn(|| {
                while done.load(Ordering::Acquire) == 0 {
                    if sent.load(Ordering::Relaxed)
                        < begun.load(Ordering::Relaxed) * SIGNALS_A_ROUND
                    {
                        // SAFETY: the target waits for this thread at the end of the scope.
                        unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    std::thread::yield_now();
                }
            });
            let runtime = Builder::new().entries(8).build().unwrap();
            runtime.block_on(async {
                let (stream, peer) = pair();
                let peer = UnixStream::from_std(peer);
                for round in 0..ROUNDS {
                    begun.fetch_add(1, Ordering::Relaxed);
                    let bytes = round.to_ne_bytes();
                    let read = saferring::spawn(stream.read([0; 4]).submit());
                    let waiting = stream.read([0; 1]).submit();
                    peer.write_all(bytes).await.0.unwrap();
                    let (result, data) = read.await.unwrap();
                    assert_eq!((result.unwrap(), data), (4, bytes));
                    drop(waiting);
                }
            });
            spin_until("a signal", || sent.load(Ordering::Relaxed) > 0);
        });
    });
}

/// Whatever becomes of the future, the buffer lives until the final completion, and is dropped on its own thread.
#[test]
fn soundness_02_kernel_memory_outlives_its_future() {
    bounded(|| {
        leaks_on_purpose(
            &[Account::Descriptors, Account::Drivers],
            "a forgotten future keeps its descriptor and its driver",
        );
        let runtime = runtime();
        let here = std::thread::current().id();

        // Dropped.
        let watch = Watch::new();
        let (stream, mut peer) = pair();
        runtime.block_on(async {
            drop(stream.read(watch.buf(64)).submit());
            assert_eq!(watch.dropped(), 0);
            // The cancel is on its way: its completion frees the buffer.
            until("the end of the orphan", || watch.dropped() == 1).await;
        });
        assert_eq!(watch.last_thread(), Some(here));

        // Forgotten: never freed, and the kernel may write to it.
        let watch = Watch::new();
        runtime.block_on(async {
            std::mem::forget(stream.read(watch.buf(64)).submit());
            peer.write_all(b"x").unwrap();
            until("the completion", || {
                !in_flight().iter().any(|op| op.name == "recv")
            })
            .await;
        });
        assert_eq!(watch.dropped(), 0);

        // In a task that panics, and in one that is aborted.
        for panics in [true, false] {
            let watch = Watch::new();
            let (stream, _peer) = pair();
            runtime.block_on(async {
                let seen = watch.clone();
                let task = saferring::spawn(async move {
                    let read = stream.read(seen.buf(64)).submit();
                    if panics {
                        panic!("wanted");
                    }
                    read.await.0
                });
                if !panics {
                    saferring::task::yield_now().await;
                    task.abort();
                }
                let error = task.await.unwrap_err();
                assert_eq!(error.is_panic(), panics);
                assert_eq!(
                    watch.dropped(),
                    0,
                    "the task is gone, its read is in flight"
                );
                until("the end of the orphan", || watch.dropped() == 1).await;
            });
        }

        // At shutdown, alive: the answer is there for the future, which outlives its runtime.
        let watch = Watch::new();
        let (stream, _peer) = pair();
        let read = runtime.block_on(lazy(|_| stream.read(watch.buf(64)).submit()));
        drop(runtime);
        assert_eq!(watch.dropped(), 0);
        let (result, buf) = read.now_or_never().unwrap();
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        drop(buf);
        assert_eq!(watch.dropped(), 1);
    });
}

/// The thread exits, and its runtime was forgotten: the kernel cancels what it can, and nothing is freed.
#[test]
fn soundness_02_exit_of_the_thread_frees_nothing() {
    bounded(|| {
        leaks_on_purpose(
            &[Account::Descriptors, Account::Drivers],
            "the runtime is forgotten",
        );
        let watch = Watch::new();
        let (ours, mut theirs) = StdStream::pair().unwrap();
        let seen = watch.clone();
        std::thread::spawn(move || {
            let runtime = runtime();
            let stream = UnixStream::from_std(ours);
            let read = runtime.block_on(lazy(|_| stream.read(seen.buf(64)).submit()));
            std::mem::forget((runtime, read, stream));
        })
        .join()
        .unwrap();
        // The peer's end is open, as the stream was forgotten.
        theirs.write_all(b"late").unwrap();
        assert_eq!(watch.dropped(), 0);
    });
}

/// An operation holds a count of its descriptor; closing cancels first, then closes.
#[test]
fn soundness_03_operations_hold_their_descriptor() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let link = fd_link(stream.as_raw_fd()).unwrap();
            let read = stream.read(vec![0; 8]).submit();
            drop(stream);
            assert_eq!(holders(&link), 1, "a read is in flight");
            peer.write_all(b"abc").unwrap();
            let (result, data) = read.await;
            assert_eq!(&data[..result.unwrap()], b"abc");
            until("the close after the last operation", || holders(&link) == 0).await;

            let (stream, mut peer) = pair();
            let link = fd_link(stream.as_raw_fd()).unwrap();
            let read = stream.read(vec![0; 8]).submit();
            let reader = saferring::spawn(read);
            stream.close().await.unwrap();
            assert_eq!(holders(&link), 0, "close waits for what it cancelled");
            let (result, _) = reader.await.unwrap();
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
            assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
        });
    });
}

/// A close does not wait for reads that were to follow the one in flight: their turn does not come any more.
#[test]
fn soundness_03_close_ends_what_waits_for_its_turn() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, _peer) = pair();
            let reads: Vec<_> = (0..4)
                .map(|_| saferring::spawn(stream.read(vec![0; 8]).submit()))
                .collect();
            let writes: Vec<_> = (0..4)
                .map(|_| saferring::spawn(stream.write(vec![0; 1 << 22]).submit()))
                .collect();
            saferring::op::nop().await.unwrap();
            stream.close().await.unwrap();
            for read in reads {
                // The first was cancelled; for the others there was no descriptor any more.
                let error = read.await.unwrap().0.unwrap_err().raw_os_error();
                assert!(
                    matches!(error, Some(libc::ECANCELED | libc::EBADF)),
                    "{error:?}"
                );
            }
            for write in writes {
                let (_ended, _buf) = write.await.unwrap();
            }
        });
    });
}

/// Closing waits for the kernel, not for whoever holds an operation: not for one whose answer nobody has taken, nor for
/// one that was never submitted, nor for one that was forgotten. What is submitted later finds no descriptor.
#[test]
fn soundness_03_close_waits_for_the_kernel_alone() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let fd = stream.as_raw_fd();
            let untaken = stream.read(vec![0; 8]).submit();
            let unsubmitted = stream.write("late");
            let chunks = stream.recv_stream();
            std::mem::forget(stream.peek(vec![0; 8]));
            stream.close().await.unwrap();
            assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0, "closed");
            assert_eq!(in_flight().iter().filter(|op| op.fd == Some(fd)).count(), 0);
            let error = untaken.await.0.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
            let error = unsubmitted.await.0.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
            drop(chunks);

            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut streams = [listener.incoming(), listener.incoming().accept_ahead(2)];
            for incoming in &mut streams {
                assert!(poll_once(&mut incoming.next()).await.is_none());
            }
            let mut unpolled = listener.incoming();
            listener.close().await.unwrap();
            for incoming in streams.iter_mut().chain([&mut unpolled]) {
                assert!(incoming.next().await.unwrap().is_err());
                assert!(
                    incoming.next().await.is_none(),
                    "who goes on after errors ends"
                );
            }
        });
    });
}

/// A descriptor that leaves the runtime leaves nothing behind that has arrived for it.
#[test]
fn soundness_05_late_bytes_are_not_left_behind() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let read = stream.read(vec![0; 8]).submit();
            peer.write_all(b"late").unwrap();
            until("the read", || {
                in_flight().iter().all(|op| op.name != "recv")
            })
            .await;
            drop(read);
            let error = stream.into_std().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        });
    });
}

/// A cancel, a close or a re-arm that does not fit into the queue waits in another.
#[test]
fn soundness_04_nothing_is_lost_when_the_queue_is_full() {
    const POLLS: usize = 2000;
    bounded(|| {
        let runtime = Builder::new()
            .entries(8)
            .completion_entries(16)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (reader, writer) = io::pipe().unwrap();
            let reader = Rc::new(reader);
            let mut polls: Vec<_> = (0..POLLS)
                .map(|_| PollAdd::new(Rc::clone(&reader), Readiness::READABLE).submit())
                .collect();
            saferring::op::nop().await.unwrap();
            // Every other one is cancelled and awaited, the rest dropped: 2000 cancels at once.
            let mut cancelled = Vec::new();
            while let (Some(kept), Some(dropped)) = (polls.pop(), polls.pop()) {
                cancelled.push(kept.cancel());
                drop(dropped);
            }
            let closing: Vec<_> = (0..200).map(|_| pair()).collect();
            let links: Vec<_> = closing
                .iter()
                .map(|(stream, _)| fd_link(stream.as_raw_fd()).unwrap())
                .collect();
            drop(closing);
            for poll in cancelled {
                let (result, _reader) = poll.await;
                assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
            }
            until("the end of the dropped ones", || {
                Rc::strong_count(&reader) == 1
            })
            .await;
            until("the closes", || links.iter().all(|link| holders(link) == 0)).await;
            assert!(metrics().backlogged > 0);
            drop(writer);
        });
    });
}

/// A cancelled operation gives its late result and its buffer; what nobody took goes to the next.
#[test]
fn soundness_05_cancellation_loses_nothing() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let (result, buf) = stream.read(vec![0; 100]).submit().cancel().await;
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
            assert_eq!(buf.capacity(), 100);

            // The result came first.
            peer.write_all(b"first").unwrap();
            let read = stream.read(vec![0; 100]).submit();
            saferring::op::nop().await.unwrap();
            let (result, buf) = read.cancel().await;
            assert_eq!(&buf[..result.unwrap()], b"first");

            let (result, buf) = stream.read(buf).timeout(Duration::from_millis(1)).await;
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(buf.capacity(), 100);

            // Answered by what had arrived late, and dropped in turn.
            peer.write_all(b"again").unwrap();
            let read = stream.read(vec![0; 100]).submit();
            saferring::op::nop().await.unwrap();
            drop(read);
            drop(stream.read(vec![0; 100]).submit());
            drop(stream.read(vec![0; 2]).submit());
            let (result, data) = stream.read([0; 5]).await;
            assert_eq!((result.unwrap(), &data), (5, b"again"));

            // Complete, and dropped before anyone looked; then partly read.
            peer.write_all(b"0123456789").unwrap();
            let read = stream.read(vec![0; 100]).submit();
            saferring::op::nop().await.unwrap();
            drop(read);
            let (result, data) = stream.read([0; 4]).await;
            assert_eq!((result.unwrap(), &data), (4, b"0123"));
            peer.write_all(b"abc").unwrap();
            let (result, data) = stream.read_exact([0; 9]).await;
            result.unwrap();
            assert_eq!(&data, b"456789abc");
        });
    });
}

/// A deadline that passes while a read waits for its turn counts as soon as the turn comes.
#[test]
fn soundness_05_a_timeout_counts_while_waiting_for_the_turn() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, _peer) = pair();
            let first = stream.read(vec![0; 8]).submit();
            let second = stream
                .read(vec![0; 8])
                .timeout(Duration::from_millis(1))
                .submit();
            // Its timer has fired before this one, with nobody to wake.
            saferring::time::sleep(Duration::from_millis(2)).await;
            drop(first.cancel().await);
            let (result, _) = saferring::spawn(second).await.unwrap();
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        });
    });
}

/// Tasks are dropped while the driver lives; what the kernel keeps beyond the grace period is leaked and reported.
#[test]
fn soundness_06_shutdown_drains_or_leaks() {
    struct OnDrop(Rc<RefCell<Vec<&'static str>>>, UnixStream);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            assert!(metrics().tasks > 0, "the runtime is there");
            // Submitted while shutting down, and what is spawned now is dropped at once.
            drop(self.1.read(vec![0; 8]).submit());
            let late = Rc::clone(&self.0);
            drop(saferring::spawn(
                async move { late.borrow_mut().push("ran") },
            ));
            self.0.borrow_mut().push("dropped");
        }
    }
    bounded(|| {
        leaks_on_purpose(
            &[Account::Descriptors, Account::Lost],
            "the kernel is not asked any more, so what it has is never freed",
        );
        let runtime = runtime();
        let log = Rc::new(RefCell::new(Vec::new()));
        let (stream, peer) = pair();
        let link = fd_link(stream.as_raw_fd()).unwrap();
        let guard = OnDrop(Rc::clone(&log), stream);
        drop(runtime.spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        }));
        runtime.block_on(saferring::task::yield_now());
        assert!(runtime.shutdown_timeout(Duration::from_secs(30)).is_ok());
        assert_eq!(*log.borrow(), ["dropped"]);
        assert_eq!(holders(&link), 0);
        drop(peer);

        let runtime = self::runtime();
        let watch = Watch::new();
        let (stream, _peer) = pair();
        drop(runtime.block_on(lazy(|_| stream.read(watch.buf(64)).submit())));
        // Not even asked any more.
        refuse_waits(libc::EPERM).unwrap();
        let left = runtime.shutdown_timeout(Duration::ZERO);
        if is_software() {
            // `fallback` has what its threads do not give back.
            assert_eq!(
                (left.map_err(|left| left.len()), watch.dropped()),
                (Ok(()), 1)
            );
            return;
        }
        let left = left.unwrap_err();
        assert!(
            left.iter()
                .any(|op| op.name == "recv" && op.fd == Some(stream.as_raw_fd()))
        );
        assert_eq!(watch.dropped(), 0, "leaked, not freed");
    });
}

/// Wakers, drops of buffers and formatters may use the runtime: the driver is not borrowed while they run. (Debug builds
/// check each borrow.)
#[test]
fn soundness_07_user_code_runs_without_a_borrow() {
    /// Uses the runtime wherever it is called.
    struct Nosy(AtomicUsize);
    impl Nosy {
        fn look(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            let _ = in_flight();
            drop(saferring::op::nop().submit());
            drop(saferring::time::sleep(Duration::ZERO));
        }
    }
    impl Wake for Nosy {
        fn wake(self: Arc<Self>) {
            self.look();
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            self.look();
        }
    }
    struct NosyBuf(Vec<u8>, Rc<Nosy>);
    impl Drop for NosyBuf {
        fn drop(&mut self) {
            self.1.look();
        }
    }
    // SAFETY: forwards to `Vec<u8>` in a private field.
    unsafe impl saferring::buf::IoBuf for NosyBuf {
        fn buf_ptr(&self) -> *const u8 {
            self.0.buf_ptr()
        }
        fn buf_len(&self) -> usize {
            self.0.buf_len()
        }
    }
    // SAFETY: as above.
    unsafe impl saferring::buf::IoBufMut for NosyBuf {
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
    struct NosyText(Rc<Nosy>, String);
    impl std::fmt::Write for NosyText {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.0.fetch_add(1, Ordering::Relaxed);
            assert!(!in_flight().is_empty(), "the read of wake-ups");
            self.1.push_str(text);
            Ok(())
        }
    }
    bounded(|| {
        let runtime = Rc::new(runtime());
        runtime.block_on(async {
            let nosy = Rc::new(Nosy(AtomicUsize::new(0)));
            // A waker of another make: woken, replaced and dropped by the driver.
            let (stream, mut peer) = pair();
            let mut read = stream.read(vec![0; 8]).submit();
            let mut sleep = saferring::time::sleep(Duration::from_secs(3600));
            for _ in 0..3 {
                let waker = Waker::from(Arc::new(Nosy(AtomicUsize::new(0))));
                assert!(
                    read.poll_unpin(&mut Context::from_waker(&waker))
                        .is_pending()
                );
                assert!(
                    sleep
                        .poll_unpin(&mut Context::from_waker(&waker))
                        .is_pending()
                );
            }
            drop(sleep);
            peer.write_all(b"x").unwrap();
            until("the read", || {
                in_flight().iter().all(|op| op.name != "recv")
            })
            .await;
            drop(read);
            // Late bytes are stored, the buffer dropped, by the completion.
            drop(stream.read(NosyBuf(vec![0; 8], Rc::clone(&nosy))).submit());
            until("the drop of the buffer", || {
                nosy.0.load(Ordering::Relaxed) > 0
            })
            .await;
            // Text is written by code of the user.
            let mut text = NosyText(Rc::clone(&nosy), String::new());
            std::fmt::write(&mut text, format_args!("{runtime:?}")).unwrap();
            assert!(text.1.contains("Driver"), "{}", text.1);
        });
    });
}

/// A panic in a task reaches its handle and nothing else.
#[test]
fn soundness_07_a_panic_stays_in_its_task() {
    struct PanicsInDrop;
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    bounded(|| {
        let runtime = runtime();
        runtime.block_on(async {
            let in_poll = saferring::spawn(async { panic!("in poll") });
            let in_drop = saferring::spawn(async {
                let _guard = PanicsInDrop;
                std::future::pending::<()>().await;
            });
            let other = saferring::spawn(async {
                saferring::op::nop().await.unwrap();
                7
            });
            assert!(in_poll.await.unwrap_err().is_panic());
            in_drop.abort();
            assert!(in_drop.await.unwrap_err().is_panic());
            assert_eq!(other.await.unwrap(), 7);
        });
        let caught = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async { panic!("in block_on") })
        }));
        assert!(caught.is_err());
        runtime.block_on(saferring::op::nop()).unwrap();
    });
}

/// Wakers go to other threads and outlive the runtime; the future is dropped at home. More in `wakers.rs`.
#[test]
fn soundness_08_wakers_are_send_and_outlive_the_runtime() {
    bounded(|| {
        let runtime = runtime();
        let watch = Watch::new();
        let buf = watch.buf(1);
        let (tell, told) = std::sync::mpsc::channel();
        drop(runtime.spawn(async move {
            let _buf = buf;
            std::future::poll_fn(|cx| {
                let _ = tell.send(cx.waker().clone());
                std::task::Poll::<()>::Pending
            })
            .await;
        }));
        runtime.block_on(saferring::task::yield_now());
        let waker = told.recv().unwrap();
        let here = std::thread::current().id();
        drop(runtime);
        assert_eq!((watch.dropped(), watch.last_thread()), (1, Some(here)));
        std::thread::spawn(move || {
            waker.wake_by_ref();
            drop(waker.clone());
            waker.wake();
        })
        .join()
        .unwrap();
    });
}

/// The buffer's address is asked for once, at submission, and never while the kernel has it.
#[test]
fn soundness_09_a_buffers_address_is_read_once() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let watch = Watch::new();
            let read = stream.read(watch.buf(64));
            assert_eq!(
                watch.addresses(),
                0,
                "an operation that was not submitted does nothing"
            );
            let mut read = read.submit();
            assert_eq!(watch.addresses(), 1);
            assert!(poll_once(&mut read).await.is_none());
            let read = read;
            peer.write_all(b"hello").unwrap();
            let (result, buf) = read.await;
            assert_eq!(watch.addresses(), 1);
            assert_eq!(&buf.bytes()[..result.unwrap()], b"hello");

            let watch = Watch::new();
            let (result, _buf) = stream.write(watch.filled("hello")).await;
            assert_eq!((result.unwrap(), watch.addresses()), (5, 1));
        });
    });
}

/// After a read was dropped in flight, the next one is not submitted before the orphan's end.
#[test]
fn soundness_10_orphans_go_first() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let recvs = |fd: i32| {
                let ops = in_flight();
                ops.iter()
                    .filter(|op| op.name == "recv" && op.fd == Some(fd))
                    .count()
            };
            let fd = stream.as_raw_fd();
            for round in 0..100u8 {
                let orphan = stream.read(vec![0; 1]).submit();
                if round % 2 == 0 {
                    saferring::op::nop().await.unwrap();
                }
                peer.write_all(&[round, 255 - round]).unwrap();
                if round % 3 == 0 {
                    saferring::op::nop().await.unwrap();
                }
                drop(orphan);
                let mut next = stream.read([0; 2]).submit();
                let mut got = Vec::new();
                while got.len() < 2 {
                    assert!(recvs(fd) <= 1, "two reads of one stream in the kernel");
                    if let Some((result, data)) = poll_once(&mut next).await {
                        got.extend_from_slice(&data[..result.unwrap()]);
                        next = stream.read([0; 2]).submit();
                    } else {
                        saferring::op::nop().await.unwrap();
                    }
                }
                assert_eq!(got, [round, 255 - round]);
                drop(next.cancel().await);
            }
        });
    });
}

/// A multishot operation that the kernel, or the bound on what waits, has ended is made again.
#[test]
fn soundness_11_the_end_of_a_multishot_is_normal() {
    const CONNECTIONS: usize = 1500;
    bounded(|| {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let mut incoming = listener.incoming();
            assert!(incoming.next().now_or_never().is_none());
            // More than a stream may let wait: it is cancelled meanwhile, and goes on when they are taken.
            let mut clients = Vec::new();
            for _ in 0..CONNECTIONS {
                clients.push(std::net::TcpStream::connect(addr).unwrap());
                saferring::op::nop().await.unwrap();
            }
            let accepting = in_flight().iter().any(|op| op.name == "accept");
            assert!(
                !accepting,
                "a stream that nobody polls does not accept without end"
            );
            for _ in 0..CONNECTIONS {
                incoming.next().await.unwrap().unwrap();
            }
            clients.push(std::net::TcpStream::connect(addr).unwrap());
            incoming.next().await.unwrap().unwrap();
        });
    });
}

/// A completion queue that overflows is noticed, and nothing is lost.
#[test]
fn soundness_12_overflow_is_survived() {
    const POLLS: usize = 1000;
    bounded(|| {
        let runtime = Builder::new()
            .entries(8)
            .completion_entries(16)
            .build()
            .unwrap();
        let info = runtime.ring_info().unwrap();
        assert_eq!((info.submission_entries, info.completion_entries), (8, 16));
        runtime.block_on(async {
            let (reader, mut writer) = io::pipe().unwrap();
            let reader = Rc::new(reader);
            let polls: Vec<_> = (0..POLLS)
                .map(|_| PollAdd::new(Rc::clone(&reader), Readiness::READABLE).submit())
                .collect();
            saferring::op::nop().await.unwrap();
            assert_eq!(
                in_flight().iter().filter(|op| op.name == "poll").count(),
                POLLS
            );
            let thread = std::thread::spawn(move || {
                writer.write_all(b"x").unwrap();
                writer
            });
            for poll in polls {
                let (ready, _) = poll.await;
                assert!(ready.unwrap().contains(Readiness::READABLE));
            }
            drop(thread.join().unwrap());
            assert!(metrics().overflows > 0, "{:?}", metrics());
            assert_eq!(metrics().stale, 0);
        });
    });
}

/// The helper that the tests wait with is not satisfied by nothing.
#[test]
fn waiting_sees_the_condition() {
    bounded(|| {
        let mut count = 0;
        spin_until("three", || {
            count += 1;
            count == 3
        });
        assert_eq!(count, 3);
    });
}
