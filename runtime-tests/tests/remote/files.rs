//! The files of `saferring::remote`: each method beside std, from several runtimes.

use std::io;
use std::os::unix::fs::FileExt;

use futures_util::future::join_all;
use saferring::buf::{AlignedBuf, BufferPool, IoBuf};
use saferring::fs::OpenOptions;
use saferring::remote::{Builder, File, Files};
use saferring::runtime::{Handle, Runtime, spawn_blocking};
use saferring_tests::{Random, Watch, bounded, pattern_bytes, rounds};

use crate::support::{Scratch, block_on, tokio};

const fn send_sync_clone<T: Send + Sync + Clone>() {}
const _: () = {
    send_sync_clone::<Files>();
    send_sync_clone::<File>();
    send_sync_clone::<Builder>();
};

const LEN: usize = 100_000;

fn read_write() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// The same outcome: the same value, or the same kind of error and the same number of it.
#[track_caller]
fn same<T: PartialEq + std::fmt::Debug>(ours: io::Result<T>, stds: io::Result<T>) {
    let told = |result: io::Result<T>| result.map_err(|error| (error.kind(), error.raw_os_error()));
    assert_eq!(told(ours), told(stds));
}

#[test]
fn each_method_answers_as_std() {
    bounded(|| {
        let scratch = Scratch::filled("methods", LEN);
        let other = Scratch::filled("methods-std", LEN);
        let options = std::fs::OpenOptions::new().read(true).write(true).clone();
        let std = options.open(other.path()).unwrap();
        let files = Files::start().unwrap();
        block_on(async {
            let file = files
                .open_with(&read_write(), scratch.path())
                .await
                .unwrap();
            for (offset, len) in [(0, 10), (50_000, 60_000), (LEN as u64, 5), (1 << 40, 5)] {
                let mut expected = vec![0; len];
                let stds = std.read_at(&mut expected, offset);
                let (read, buf) = file.read_at(vec![0; len], offset).await;
                let n = *read.as_ref().unwrap();
                same(read, stds);
                assert_eq!(buf, expected[..n]);
                let mut expected = vec![0; len];
                let stds = std.read_exact_at(&mut expected, offset);
                let (read, buf) = file.read_exact_at(vec![0; len], offset).await;
                // The system tells no number for the end of a file.
                same(
                    read.map_err(|error| error.kind().into()),
                    stds.map_err(|error| error.kind().into()),
                );
                assert_eq!(buf, expected[..buf.len()]);
            }
            let (written, text) = file.write_at("one", 7).await;
            assert_eq!(text, "one");
            same(written, std.write_at(b"one", 7));
            same(
                file.write_all_at("at the end", LEN as u64 + 10).await.0,
                std.write_all_at(b"at the end", LEN as u64 + 10),
            );
            same(file.sync_all().await, std.sync_all());
            same(file.sync_data().await, std.sync_data());
            same(file.len().await, std.metadata().map(|about| about.len()));
            let about = file.metadata().await.unwrap();
            assert!(about.is_file());
            assert_eq!(about.len(), LEN as u64 + 20);
            assert_eq!(
                about.ino(),
                std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(scratch.path()).unwrap())
            );
            assert_eq!(scratch.read(), other.read());
            for len in [50, 5_000] {
                same(file.set_len(len).await, std.set_len(len));
                assert_eq!(scratch.read(), other.read());
            }
            // Beyond what a signed number holds.
            same(
                file.set_len(u64::MAX).await,
                std.set_len(u64::MAX)
                    .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL)),
            );
            same(
                file.read_at(vec![0; 1], u64::MAX).await.0,
                std.read_at(&mut [0], u64::MAX),
            );
            same(
                file.write_at("x", u64::MAX).await.0,
                std.write_at(b"x", u64::MAX),
            );
            file.close().await.unwrap();
        });
    });
}

#[test]
fn opening_answers_as_std() {
    bounded(|| {
        let files = Files::start().unwrap();
        let scratch = Scratch::new("open");
        block_on(async {
            let path = scratch.path();
            same(
                files.open(path).await.map(drop),
                std::fs::File::open(path).map(drop),
            );
            let file = files.create(path).await.unwrap();
            file.write_all_at("text", 0).await.0.unwrap();
            assert_eq!(scratch.read(), b"text");
            // Opened to write alone.
            let stds = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            same(
                file.read_at(vec![0; 4], 0).await.0,
                stds.read_at(&mut [0; 4], 0),
            );
            let reads = files.open(path).await.unwrap();
            let stds = std::fs::File::open(path).unwrap();
            same(reads.write_at("x", 0).await.0, stds.write_at(b"x", 0));
            same(reads.set_len(0).await, stds.set_len(0));
            let again = OpenOptions::new().write(true).create_new(true).clone();
            same(
                files.open_with(&again, path).await.map(drop),
                std::fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(path)
                    .map(drop),
            );
            let error = files.open("with\0nul").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            let error = files
                .open_with(&OpenOptions::new(), path)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            let directory = files.open(std::env::temp_dir()).await.unwrap();
            let stds = std::fs::File::open(std::env::temp_dir()).unwrap();
            same(
                directory.read_at(vec![0; 1], 0).await.0,
                stds.read_at(&mut [0], 0),
            );
            assert!(format!("{files:?} {directory:?}").starts_with("Files { rings: 1"));
        });
    });
}

#[test]
fn empty_buffers_are_answered_as_by_fs() {
    bounded(|| {
        let scratch = Scratch::filled("empty", 10);
        let files = Files::start().unwrap();
        let ours = block_on(async {
            let file = files
                .open_with(&read_write(), scratch.path())
                .await
                .unwrap();
            (
                file.read_at(Vec::new(), 0).await.0,
                file.write_at(Vec::new(), 0).await.0,
                file.read_exact_at(Vec::new(), 0).await.0,
                file.write_all_at(Vec::new(), 0).await.0,
            )
        });
        let theirs = Runtime::new().unwrap().block_on(async {
            let file = read_write().open(scratch.path()).await.unwrap();
            (
                file.read_at(Vec::new(), 0).await.0,
                file.write_at(Vec::new(), 0).await.0,
                file.read_exact_at(Vec::new(), 0).await.0,
                file.write_all_at(Vec::new(), 0).await.0,
            )
        });
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
        assert_eq!(ours.0.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn buffers_of_all_kinds_come_back() {
    bounded(|| {
        let scratch = Scratch::filled("buffers", 1000);
        let files = Files::start().unwrap();
        block_on(async {
            let file = files.open(scratch.path()).await.unwrap();
            let expected = pattern_bytes(0, 1000);
            let (_, array) = file.read_at([0; 8], 0).await;
            assert_eq!(array, expected[..8]);
            // At most so much of a buffer, and only its end.
            let (read, slice) = file.read_at(vec![9; 16].slice(4..10), 0).await;
            assert_eq!((read.unwrap(), &slice[..]), (6, &expected[..6]));
            assert_eq!(slice.into_inner(), [&[9; 4][..], &expected[..6]].concat());
            let (read, slice) = file
                .read_exact_at(Vec::with_capacity(50).slice(..30), 20)
                .await;
            read.unwrap();
            assert_eq!(slice.into_inner(), expected[20..50]);
            let (_, boxed) = file.read_at(vec![0; 5].into_boxed_slice(), 1).await;
            assert_eq!(*boxed, expected[1..6]);
            let pool = BufferPool::new(64, 1);
            let (read, pooled) = file.read_at(pool.take().await, 0).await;
            assert_eq!(pooled[..], expected[..read.unwrap()]);
            let watch = Watch::new();
            let (read, buf) = file.read_at(watch.buf(10), 5).await;
            assert_eq!((read.unwrap(), buf.bytes()), (10, &expected[5..15]));
            drop(buf);
            assert_eq!((watch.alive(), watch.dropped_twice()), (0, 0));
        });
    });
}

#[test]
fn direct_reads_and_writes_go_past_the_page_cache() {
    bounded(|| {
        let scratch = Scratch::filled("direct", 3 * 4096);
        let files = Files::start().unwrap();
        block_on(async {
            let options = read_write().direct(true).clone();
            let file = match files.open_with(&options, scratch.path()).await {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    saferring_tests::skipped("no O_DIRECT in the temporary directory");
                    return;
                }
                opened => opened.unwrap(),
            };
            let (read, block) = file.read_at(AlignedBuf::with_capacity(4096), 4096).await;
            assert_eq!(read.unwrap(), 4096);
            assert_eq!(block[..], pattern_bytes(4096, 4096));
            let (written, _) = file.write_all_at(block, 0).await;
            written.unwrap();
            assert_eq!(scratch.read()[..4096], pattern_bytes(4096, 4096));
        });
    });
}

/// Random reads and writes of tasks on several threads, each on its own stretch of a shared file.
async fn mixed(file: File, stretch: u64, seed: u64) {
    const STRETCH: u64 = 10_000;
    let start = stretch * STRETCH;
    let mut random = Random::new(seed);
    let mut model = vec![0; STRETCH as usize];
    file.write_all_at(model.clone(), start).await.0.unwrap();
    for _ in 0..rounds(100) {
        let at = random.below(STRETCH - 1);
        let len = 1 + random.below((STRETCH - at).min(3_000)) as usize;
        let (at, range) = (start + at, at as usize..at as usize + len);
        if random.below(2) == 0 {
            let bytes = pattern_bytes(random.number() >> 8, len);
            model[range].copy_from_slice(&bytes);
            file.write_all_at(bytes, at).await.0.unwrap();
        } else {
            let (read, buf) = file.read_exact_at(vec![1; len], at).await;
            read.unwrap();
            assert_eq!(buf, model[range]);
        }
    }
}

#[test]
fn tasks_of_tokio_share_files() {
    bounded(|| {
        let scratch = Scratch::new("tokio");
        let files = Files::builder().rings(2).start().unwrap();
        tokio(3).block_on(async {
            let options = read_write().create(true).clone();
            let mut tasks = Vec::new();
            for n in 0..8 {
                // On one ring, and on the other.
                let file = files.open_with(&options, scratch.path()).await.unwrap();
                tasks.push(tokio::spawn(mixed(file.clone(), 2 * n, n)));
                tasks.push(tokio::spawn(mixed(file, 2 * n + 1, n + 100)));
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

#[test]
fn plain_threads_and_runtimes_of_ours_share_files() {
    bounded(|| {
        let scratch = Scratch::new("threads");
        let files = Files::start().unwrap();
        let options = read_write().create(true).clone();
        let file = block_on(files.open_with(&options, scratch.path())).unwrap();
        let plain = [0, 1].map(|n| {
            let file = file.clone();
            std::thread::spawn(move || block_on(mixed(file, n, n)))
        });
        let ours = std::thread::spawn({
            let file = file.clone();
            move || Runtime::new().unwrap().block_on(mixed(file, 2, 2))
        });
        for thread in plain.into_iter().chain([ours]) {
            thread.join().unwrap();
        }
    });
}

#[test]
fn files_can_be_used_on_when_a_runtime_has_ended() {
    bounded(|| {
        let scratch = Scratch::filled("outlives", 10);
        let files = Files::start().unwrap();
        let first = tokio(2);
        let file = first.block_on(files.open(scratch.path())).unwrap();
        drop(first);
        let (read, buf) = tokio(2).block_on(file.read_at(vec![0; 10], 0));
        assert_eq!((read.unwrap(), buf), (10, pattern_bytes(0, 10)));
    });
}

#[test]
fn more_calls_than_may_be_in_flight_all_end() {
    bounded(|| {
        let scratch = Scratch::filled("bound", 4096);
        let files = Files::builder().max_in_flight(2).start().unwrap();
        tokio(2).block_on(async {
            let file = files.open(scratch.path()).await.unwrap();
            let reads = (0..500).map(|n| tokio::spawn(file.read_at(vec![0; 8], n)));
            for (n, read) in join_all(reads).await.into_iter().enumerate() {
                let (read, buf) = read.unwrap();
                assert_eq!((read.unwrap(), buf), (8, pattern_bytes(n as u64, 8)));
            }
        });
    });
}

#[test]
fn the_bound_holds_calls_back_in_order() {
    bounded(|| {
        let scratch = Scratch::filled("order", 100);
        let runtime = Runtime::new().unwrap();
        let files = Files::builder().max_in_flight(3).on(runtime.handle());
        let file = runtime.block_on(files.open(scratch.path())).unwrap();
        let watch = Watch::new();
        let mut reads: Vec<_> = (0..5)
            .map(|n| Box::pin(file.read_at(watch.buf(1), n)))
            .collect();
        let waker = std::task::Waker::noop();
        for read in &mut reads {
            assert!(crate::support::poll_with(read.as_mut(), waker).is_pending());
        }
        // Of those that have no room the buffers go at once; of the others as well, as none has begun.
        drop(reads.split_off(3));
        assert_eq!(watch.dropped(), 2);
        drop(reads.split_off(2));
        assert_eq!(watch.dropped(), 3);
        // Who is dropped makes room.
        let mut next = Box::pin(file.read_at(watch.buf(1), 9));
        assert!(crate::support::poll_with(next.as_mut(), waker).is_pending());
        let mut beyond = Box::pin(file.read_at(watch.buf(1), 10));
        assert!(crate::support::poll_with(beyond.as_mut(), waker).is_pending());
        runtime.block_on(async {
            let (read, buf) = beyond.await;
            assert_eq!((read.unwrap(), buf.bytes()), (1, &pattern_bytes(10, 1)[..]));
            let (read, buf) = next.await;
            assert_eq!((read.unwrap(), buf.bytes()), (1, &pattern_bytes(9, 1)[..]));
            for (n, read) in reads.into_iter().enumerate() {
                assert_eq!(read.await.1.bytes(), pattern_bytes(n as u64, 1));
            }
        });
        assert_eq!((watch.alive(), watch.dropped_twice()), (0, 0));
    });
}

#[test]
fn a_runtime_may_serve_itself_and_others() {
    bounded(|| {
        let scratch = Scratch::filled("own", 50);
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let files = Files::on(Handle::current());
            let file = files.open(scratch.path()).await.unwrap();
            assert_eq!(file.read_at(vec![0; 50], 0).await.1, pattern_bytes(0, 50));
            let other = file.clone();
            let read = spawn_blocking(move || block_on(other.read_at(vec![0; 50], 0)));
            assert_eq!(read.await.unwrap().1, pattern_bytes(0, 50));
            files.shutdown().await;
            assert!(file.read_at(vec![0; 1], 0).await.0.is_err());
        });
        // The runtime goes on.
        runtime.block_on(async { saferring::op::nop().await.unwrap() });
    });
}

#[test]
fn clones_are_one_file_and_one_service() {
    bounded(|| {
        let scratch = Scratch::filled("clones", 10);
        let files = Files::start().unwrap();
        block_on(async {
            let (other, first) = (files.clone(), files.open(scratch.path()).await.unwrap());
            drop(files);
            let second = first.clone();
            drop(first);
            assert_eq!(second.read_at(vec![0; 10], 0).await.1, pattern_bytes(0, 10));
            let third = other.open(scratch.path()).await.unwrap();
            drop(other);
            second.close().await.unwrap();
            assert_eq!(third.read_at(vec![0; 10], 0).await.1, pattern_bytes(0, 10));
        });
    });
}
