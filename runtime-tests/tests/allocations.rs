//! Speed rule 2: the steady path of an operation makes no heap allocation. A counting allocator shows it, per thread, so
//! that tests do not count each other's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::poll_immediate;
use saferring::Feature;
use saferring::fs::OpenOptions;
use saferring::net::{TcpListener, TcpStream, UdpSocket};
use saferring::runtime::{Builder, Runtime};
use saferring::signal::unix::{SignalKind, signal};
use saferring_tests::{bounded, in_child, is_software, rounds, skipped, small_pool, uses};

saferring_tests::also_on_software!();

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A constant without a destructor needs no allocation, and is there until the thread's last moment.
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator as it is, which keeps the contract; the counter beside it
// allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Long enough for every table and queue to have grown to the size that this work needs.
const WARM_UP: u64 = 1000;
const STEADY: usize = 10_000;

/// How often this thread allocated in the second of two runs of `work`, which is told how many operations to do.
async fn steady(mut work: impl AsyncFnMut(u64) -> io::Result<()>) -> io::Result<u64> {
    let steady = rounds(STEADY) as u64;
    work(WARM_UP).await?;
    let before = ALLOCATIONS.get();
    work(steady).await?;
    Ok(ALLOCATIONS.get() - before)
}

/// Runs `test` as a task of a runtime: that is where operations are awaited.
fn in_task<F>(test: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = io::Result<()>> + 'static,
{
    bounded(move || {
        let runtime = Runtime::new().unwrap();
        let task = runtime.block_on(async { saferring::spawn(test()).await });
        task.unwrap().unwrap();
    });
}

#[test]
fn the_counter_counts() {
    bounded(|| {
        let before = ALLOCATIONS.get();
        drop(std::hint::black_box(Box::new(1)));
        assert_eq!(ALLOCATIONS.get() - before, 1);
    });
}

#[test]
fn nop_allocates_nothing() {
    in_task(async || {
        let count = steady(async |ops| {
            for _ in 0..ops {
                saferring::op::nop().await?;
            }
            Ok(())
        });
        assert_eq!(count.await?, 0);
        Ok(())
    });
}

#[test]
fn an_operation_submitted_or_bounded_in_time_allocates_nothing() {
    in_task(async || {
        let count = steady(async |ops| {
            for _ in 0..ops {
                saferring::op::nop().submit().await?;
                saferring::op::nop()
                    .timeout(Duration::from_secs(60))
                    .await?;
            }
            Ok(())
        });
        assert_eq!(count.await?, 0);
        Ok(())
    });
}

#[test]
fn a_yield_allocates_nothing() {
    in_task(async || {
        let count = steady(async |ops| {
            for _ in 0..ops {
                saferring::task::yield_now().await;
            }
            Ok(())
        });
        assert_eq!(count.await?, 0);
        Ok(())
    });
}

/// Neither when it waits, nor when it is given up and waited for again.
#[test]
fn a_signal_that_is_received_allocates_nothing() {
    in_child("a_signal_that_is_received_allocates_nothing", || {
        let runtime = Runtime::new().unwrap();
        let task = async {
            let mut listener = signal(SignalKind::user_defined1())?;
            let count = steady(async |ops| {
                for _ in 0..ops {
                    assert!(poll_immediate(listener.recv()).await.is_none());
                    // SAFETY: the call takes a number only.
                    assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
                    assert_eq!(listener.recv().await, Some(()));
                }
                Ok(())
            });
            assert_eq!(count.await?, 0);
            io::Result::Ok(())
        };
        runtime.block_on(async { saferring::spawn(task).await.unwrap().unwrap() });
    });
}

async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, _) = listener.accept().await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok((client, server))
}

/// Both ends are on this thread, and each waits for the other.
/// Two tasks wait for each other by all that is for one core.
#[test]
fn waiting_on_one_core_allocates_nothing() {
    use saferring::sync::local::{Mutex, Notify, RwLock, Semaphore, mpsc};

    in_task(|| async {
        let (sender, mut receiver) = mpsc::channel(1);
        let (back, mut returns) = mpsc::unbounded_channel();
        let told = Rc::new((
            Notify::new(),
            Semaphore::new(0),
            Mutex::new(0),
            RwLock::new(0),
        ));
        let other = Rc::clone(&told);
        let peer = saferring::spawn(async move {
            while let Some(n) = receiver.recv().await {
                *other.2.lock().await += 1;
                *other.3.write().await += 1;
                back.send(n).unwrap();
                other.1.add_permits(1);
                other.0.notify_one();
            }
        });
        let allocated = steady(async |n| {
            for n in 0..n {
                let (number, lock) = (told.2.lock().await, told.3.read().await);
                sender.send(n).await.unwrap();
                sender.send(n).await.unwrap();
                saferring::task::yield_now().await;
                drop(number);
                saferring::task::yield_now().await;
                drop(lock);
                assert_eq!(returns.recv().await, Some(n));
                assert_eq!(returns.recv().await, Some(n));
                told.1.acquire_many(2).await.unwrap().forget();
                told.0.notified().await;
            }
            Ok(())
        })
        .await?;
        assert_eq!(allocated, 0);
        drop(sender);
        peer.await.unwrap();
        Ok(())
    });
}

#[test]
fn recv_and_send_allocate_nothing() {
    in_task(async || {
        let (client, server) = pair().await?;
        let echo = saferring::spawn(async move {
            let mut buf = Vec::with_capacity(64);
            loop {
                let (received, data) = server.read(buf).await;
                if received? == 0 {
                    return io::Result::Ok(());
                }
                let (sent, data) = server.write_all(data).await;
                sent?;
                buf = data;
            }
        });
        let mut buf = vec![7; 64];
        let count = steady(async |ops| {
            for _ in 0..ops {
                let (sent, data) = client.write_all(std::mem::take(&mut buf)).await;
                sent?;
                let (received, data) = client.read(data).await;
                assert_eq!(received?, 64);
                buf = data;
            }
            Ok(())
        });
        assert_eq!(count.await?, 0);
        client.close().await?;
        echo.await.unwrap()
    });
}

/// Several buffers a message, sent back as they came.
#[test]
fn batches_allocate_nothing() {
    bounded(|| {
        if !saferring::features().multishot_recv() {
            return skipped("no provided buffers for streams");
        }
        let builder = Builder::new().provided_buffers(64, 64, 1);
        builder.build().unwrap().block_on(async {
            let (client, server) = pair().await.unwrap();
            let echo = saferring::spawn(async move {
                let mut chunks = server.recv_stream();
                while let Some(batch) = chunks.next_batch().await {
                    server.write_all_vectored(batch?).await.0?;
                }
                io::Result::Ok(())
            });
            let mut buf = vec![7; 64 * 6];
            let count = steady(async |ops| {
                for _ in 0..ops {
                    let (sent, data) = client.write_all(std::mem::take(&mut buf)).await;
                    sent?;
                    let (received, data) = client.read_exact(data).await;
                    received?;
                    buf = data;
                }
                Ok(())
            });
            assert_eq!(count.await.unwrap(), 0);
            client.close().await.unwrap();
            echo.await.unwrap().unwrap();
        });
    });
}

#[test]
fn read_at_and_write_at_allocate_nothing() {
    in_task(async || {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_TMPFILE);
        let file = options.open(std::env::temp_dir()).await?;
        let mut buf = vec![7; 4096];
        let count = steady(async |ops| {
            for n in 0..ops {
                let offset = n % 16 * 4096;
                let (written, data) = file.write_at(std::mem::take(&mut buf), offset).await;
                assert_eq!(written?, 4096);
                let (read, data) = file.read_at(data, offset).await;
                assert_eq!(read?, 4096);
                buf = data;
            }
            Ok(())
        });
        // In software a thread writes, and one more may be started while it has yet to say that it is free again.
        let threads = if is_software() { 64 } else { 0 };
        let count = count.await?;
        assert!(count <= threads, "{count}");
        Ok(())
    });
}

/// Sleeping in the kernel and being woken from there allocates nothing on the thread that sleeps.
#[test]
fn a_wake_from_another_thread_allocates_nothing() {
    in_task(async || {
        let woken = Arc::new(AtomicU64::new(0));
        let (to_wake, wakers) = mpsc::sync_channel::<Waker>(1);
        let count_wakes = Arc::clone(&woken);
        let other = std::thread::spawn(move || {
            for waker in wakers {
                count_wakes.fetch_add(1, Ordering::SeqCst);
                waker.wake();
            }
        });
        let count = steady(async |ops| {
            for _ in 0..ops {
                let before = woken.load(Ordering::SeqCst);
                let mut sent = false;
                poll_fn(|cx| {
                    if !std::mem::replace(&mut sent, true) {
                        to_wake.send(cx.waker().clone()).map_err(io::Error::other)?;
                    }
                    match woken.load(Ordering::SeqCst) > before {
                        true => Poll::Ready(io::Result::Ok(())),
                        false => Poll::Pending,
                    }
                })
                .await?;
            }
            Ok(())
        });
        let count = count.await?;
        assert_eq!(count, 0);
        drop(to_wake);
        other.join().unwrap();
        Ok(())
    });
}

/// A task is one block of memory.
#[test]
fn a_spawned_and_joined_task_allocates_once() {
    in_task(async || {
        let count = steady(async |ops| {
            for n in 0..ops {
                assert_eq!(saferring::spawn(async move { n }).await.unwrap(), n);
            }
            Ok(())
        });
        assert_eq!(count.await?, rounds(STEADY) as u64);
        Ok(())
    });
}

#[test]
fn reads_into_registered_buffers() {
    in_task(|| async {
        let pool = small_pool(4, 4096);
        let file = OpenOptions::new().read(true).open("Cargo.toml").await?;
        let count = steady(async |ops| {
            for _ in 0..ops {
                let (read, _buf) = file.read_at(pool.take().await, 0).await;
                read?;
            }
            Ok(())
        })
        .await?;
        assert_eq!(count, 0);
        Ok(())
    });
}

#[test]
fn datagrams_to_and_fro() {
    in_task(|| async {
        if !is_software() && !uses(Feature::MultishotRecvmsg) {
            skipped("each datagram has a buffer of its own");
            return Ok(());
        }
        let server = UdpSocket::bind("127.0.0.1:0")?;
        let client = UdpSocket::bind("127.0.0.1:0")?;
        let address = server.local_addr()?;
        let mut datagrams = server.recv_from_stream();
        let mut buf = vec![7; 64];
        let count = steady(async |ops| {
            for _ in 0..ops {
                let (sent, kept) = client.send_to(std::mem::take(&mut buf), address).await;
                buf = kept;
                sent?;
                let (datagram, _) = datagrams.next().await.unwrap()?;
                drop(datagram);
            }
            Ok(())
        })
        .await?;
        // Completions that wait for their stream are kept in nodes that are used again.
        assert_eq!(count, 0);
        Ok(())
    });
}
