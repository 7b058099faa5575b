//! Calls of `saferring::remote` that nobody waits for any more.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::Waker;
use std::thread;

use saferring::remote::Files;
use saferring::runtime::Runtime;
use saferring_tests::{
    Random, Watch, bounded, open_fds, pattern_bytes, poll_once, rounds, spin_until,
};

use crate::support::{Scratch, block_on, poll_with, tokio, turns};

type Any = Pin<Box<dyn Future<Output = ()>>>;

/// Every call, with buffers that are watched over.
fn calls(
    files: &Files,
    file: &saferring::remote::File,
    path: &std::path::Path,
    watch: &Watch,
) -> Vec<Any> {
    let options = saferring::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .clone();
    let bytes = pattern_bytes(0, 64);
    fn any<T>(call: impl Future<Output = T> + 'static) -> Any {
        Box::pin(async {
            call.await;
        })
    }
    vec![
        any(files.open(PathBuf::from(path))),
        any(files.open_with(&options, PathBuf::from(path))),
        any(file.read_at(watch.buf(64), 0)),
        any(file.write_at(watch.filled(bytes.clone()), 0)),
        any(file.read_exact_at(watch.buf(64), 0)),
        any(file.write_all_at(watch.filled(bytes), 0)),
        any(file.sync_all()),
        any(file.sync_data()),
        any(file.metadata()),
        any(file.len()),
        any(file.set_len(1000)),
    ]
}

#[test]
fn each_call_is_dropped_at_each_step() {
    bounded(|| {
        let scratch = Scratch::filled("steps", 1000);
        let runtime = Runtime::new().unwrap();
        let files = Files::on(runtime.handle());
        let options = saferring::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .clone();
        let file = runtime
            .block_on(files.open_with(&options, scratch.path()))
            .unwrap();
        let watch = Watch::new();
        // So many turns of the ring lie between the first poll and the drop; `None`: it is not even polled.
        for steps in [None, Some(0), Some(1), Some(2), Some(3), Some(8)] {
            for mut call in calls(&files, &file, scratch.path(), &watch) {
                if let Some(steps) = steps
                    && poll_with(call.as_mut(), Waker::noop()).is_pending()
                    && steps > 0
                {
                    turns(&runtime, steps);
                }
                drop(call);
            }
            assert_eq!(scratch.read(), pattern_bytes(0, 1000), "after {steps:?}");
        }
        runtime.block_on(saferring_tests::until("the buffers", || watch.alive() == 0));
        assert_eq!(watch.dropped_twice(), 0);
        // What was opened for nobody is closed.
        let of_file = || {
            let links = open_fds().into_iter();
            let name = scratch
                .path()
                .file_name()
                .unwrap()
                .to_string_lossy()
                .into_owned();
            links.filter(|(_, link)| link.contains(&name)).count()
        };
        runtime.block_on(saferring_tests::until("the files", || of_file() == 1));
    });
}

#[test]
fn a_call_that_has_not_begun_never_does() {
    bounded(|| {
        let scratch = Scratch::filled("unbegun", 100);
        let runtime = Runtime::new().unwrap();
        let files = Files::on(runtime.handle());
        let options = saferring::fs::OpenOptions::new().write(true).clone();
        let file = runtime
            .block_on(files.open_with(&options, scratch.path()))
            .unwrap();
        let watch = Watch::new();
        let mut write = Box::pin(file.write_at(watch.filled(vec![0; 100]), 0));
        assert!(poll_with(write.as_mut(), Waker::noop()).is_pending());
        let mut cut = Box::pin(file.set_len(0));
        assert!(poll_with(cut.as_mut(), Waker::noop()).is_pending());
        drop((write, cut));
        // It went with its future, here.
        assert_eq!(watch.last_thread(), Some(thread::current().id()));
        turns(&runtime, 16);
        assert_eq!(scratch.read(), pattern_bytes(0, 100));
    });
}

#[test]
fn an_open_that_would_wait_for_ever_is_cancelled() {
    bounded(|| {
        let scratch = Scratch::new("fifo");
        let path = std::ffi::CString::new(scratch.path().to_str().unwrap()).unwrap();
        // SAFETY: a path that ends with a NUL.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        let files = Files::builder().max_in_flight(1).start().unwrap();
        let mut open = Box::pin(files.open(scratch.path()));
        assert!(poll_with(open.as_mut(), Waker::noop()).is_pending());
        drop(open);
        // The one place is free again.
        block_on(files.open("Cargo.toml")).unwrap();
    });
}

#[test]
fn a_file_that_is_dropped_lives_as_long_as_its_calls() {
    bounded(|| {
        let scratch = Scratch::filled("reads", 4096);
        let files = Files::start().unwrap();
        tokio(2).block_on(async {
            let file = files.open(scratch.path()).await.unwrap();
            let reads: Vec<_> = (0..100)
                .map(|n| tokio::spawn(file.read_at(vec![0; 16], n)))
                .collect();
            drop(file);
            drop(files);
            for (n, read) in reads.into_iter().enumerate() {
                assert_eq!(read.await.unwrap().1, pattern_bytes(n as u64, 16));
            }
        });
    });
}

/// Tasks read and write, and drop what they wait for at random moments; whoever gets an answer gets the right bytes.
#[test]
fn calls_are_dropped_at_random() {
    bounded(|| {
        const LEN: u64 = 1 << 20;
        let scratch = Scratch::filled("random", LEN as usize);
        let files = Files::builder().rings(2).max_in_flight(16).start().unwrap();
        let watch = Watch::new();
        let tokio = tokio(3);
        tokio.block_on(async {
            let mut tasks = Vec::new();
            for seed in 0..24 {
                let file = files.open(scratch.path()).await.unwrap();
                let (watch, files) = (watch.clone(), files.clone());
                let path = scratch.path().to_owned();
                tasks.push(tokio::spawn(async move {
                    let mut random = Random::new(seed * 77 + 5);
                    for _ in 0..rounds(200) {
                        let offset = random.below(LEN - 4096);
                        let len = 1 + random.below(4096) as usize;
                        let mut read = Box::pin(file.read_at(watch.buf(len), offset));
                        if random.below(10) == 0 {
                            let mut open = Box::pin(files.open(&path));
                            let _ = poll_once(&mut open).await;
                        }
                        let mut left = random.below(4);
                        // Other tasks have their turns meanwhile.
                        let answer = loop {
                            match poll_once(&mut read).await {
                                Some(answer) => break Some(answer),
                                None if left == 0 => break None,
                                None if left == 3 => break Some(read.await),
                                None => {
                                    left -= 1;
                                    tokio::task::yield_now().await;
                                }
                            }
                        };
                        if let Some((read, buf)) = answer {
                            assert_eq!(read.unwrap(), len);
                            assert_eq!(buf.bytes(), pattern_bytes(offset, len));
                        }
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            files.shutdown().await;
        });
        spin_until("the buffers", || watch.alive() == 0);
        assert_eq!(watch.dropped_twice(), 0);
        assert_eq!(scratch.read(), pattern_bytes(0, LEN as usize));
    });
}

/// Panics when it is woken.
struct Panics;

impl std::task::Wake for Panics {
    fn wake(self: std::sync::Arc<Self>) {
        panic!("by a waker");
    }
}

/// A buffer of these panics when it is dropped.
fn panics() {
    panic!("by a buffer");
}

#[test]
fn wakers_and_buffers_that_panic_hurt_nobody_else() {
    bounded(|| {
        let scratch = Scratch::filled("panics", 100);
        let runtime = Runtime::new().unwrap();
        let files = Files::on(runtime.handle());
        let file = runtime.block_on(files.open(scratch.path())).unwrap();
        let waker = Waker::from(std::sync::Arc::new(Panics));
        let watch = Watch::calling(panics);
        let mut woken = Box::pin(file.read_at(vec![0; 10], 0));
        assert!(poll_with(woken.as_mut(), &waker).is_pending());
        // Dropped with its future before it begins, by the ring while it is there, and as an answer.
        for steps in [0, 1, 2, 8] {
            let mut dropped = Box::pin(file.read_at(watch.buf(10), 0));
            assert!(poll_with(dropped.as_mut(), Waker::noop()).is_pending());
            if steps > 0 {
                turns(&runtime, steps);
            }
            let dropped = std::panic::AssertUnwindSafe(dropped);
            let _ = std::panic::catch_unwind(|| {
                let dropped = dropped;
                drop(dropped);
            });
        }
        let mut last = Box::pin(file.read_at(vec![0; 10], 5));
        assert!(poll_with(last.as_mut(), Waker::noop()).is_pending());
        turns(&runtime, 16);
        assert_eq!(block_on(last).1, pattern_bytes(5, 10));
        assert_eq!(block_on(woken).1, pattern_bytes(0, 10));
        assert_eq!((watch.alive(), watch.dropped_twice()), (0, 0));
    });
}
