//! What waits on threads keeps nobody else waiting, and leaves no threads behind.

use std::ffi::CString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use futures_util::future::{join, join_all, poll_immediate};
use saferring::Feature;
use saferring::fs::{self, File};
use saferring::net::{UnixStream, lookup_host};
use saferring::op::nop;
use saferring::runtime::Builder;
use saferring::time::sleep;
use saferring_tests::{a_thread_is_in, bounded, in_child, is_software, skipped, until, uses};

use super::{Scratch, runtime};

fn make_fifo(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path ends with a zero and lives across the call.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// How many threads of the kernel can work for one ring on what may be long: four a core.
fn many() -> usize {
    4 * std::thread::available_parallelism().unwrap().get() + 1
}

#[test]
fn opens_that_wait_stop_nobody_else() {
    in_child("threads::opens_that_wait_stop_nobody_else", || {
        let dir = Scratch::new("fifos");
        runtime().block_on(async {
            nop().await.unwrap();
            let before = threads();
            let mut opens = Vec::new();
            for n in 0..many() {
                let path = dir.path(&format!("fifo-{n}"));
                make_fifo(&path);
                // For reading, for writing, and with what else is said beside it.
                opens.push(saferring::spawn(async move {
                    match n % 3 {
                        0 => File::open(&path).await,
                        1 => File::options().write(true).open(&path).await,
                        _ => File::create(&path).await,
                    }
                }));
            }
            for _ in 0..20 {
                nop().await.unwrap();
            }
            let path = dir.path("ordinary");
            fs::write(&path, "written").await.0.unwrap();
            assert_eq!(fs::read(&path).await.unwrap(), b"written");
            assert_eq!(fs::metadata(&path).await.unwrap().len(), 7);
            assert!(opens.iter().all(|open| !open.is_finished()));

            for (n, open) in opens.into_iter().enumerate() {
                let path = dir.path(&format!("fifo-{n}"));
                // Dropped: every second one.
                if n % 2 == 0 {
                    open.abort();
                    assert!(open.await.unwrap_err().is_cancelled());
                    continue;
                }
                let mut options = std::fs::OpenOptions::new();
                let reads = n % 3 == 0;
                let end = std::thread::spawn(move || options.read(!reads).write(reads).open(path));
                let mut file = open.await.unwrap().unwrap();
                let mut other = end.join().unwrap().unwrap();
                let mut one = [0; 1];
                if reads {
                    other.write_all(b"x").unwrap();
                    assert_eq!(file.read(vec![0; 8]).await.1[..1], *b"x");
                } else {
                    file.write_all("x").await.0.unwrap();
                    other.read_exact(&mut one).unwrap();
                    assert_eq!(&one, b"x");
                }
            }
            // Besides those that wait for more work, of which there are few.
            until("the end of the threads", || threads() <= before + 8).await;
        });
    });
}

/// As in std: the open ends when there is another end, and not before.
#[test]
fn a_fifo_opens_when_its_other_end_does() {
    bounded(|| {
        let dir = Scratch::new("fifo");
        let path = dir.path("fifo");
        make_fifo(&path);
        runtime().block_on(async {
            for _ in 0..10 {
                let reader = File::open(&path);
                let writer = async {
                    for _ in 0..10 {
                        nop().await.unwrap();
                    }
                    File::options().write(true).open(&path).await
                };
                let (reader, writer) = join(reader, writer).await;
                let (mut reader, mut writer) = (reader.unwrap(), writer.unwrap());
                writer.write_all("over").await.0.unwrap();
                assert_eq!(reader.read(vec![0; 8]).await.1[..4], *b"over");
                drop(writer);
                assert_eq!(reader.read(vec![0; 8]).await.0.unwrap(), 0);
            }
            // With both ends in one it waits for nobody.
            let mut options = File::options();
            let mut both = options.read(true).write(true).open(&path).await.unwrap();
            both.write_all("self").await.0.unwrap();
            assert_eq!(both.read(vec![0; 4]).await.1, b"self");
            // Nor when it says so itself.
            drop(both);
            let mut options = File::options();
            options.write(true).custom_flags(libc::O_NONBLOCK);
            let error = options.open(&path).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENXIO));
            let mut options = File::options();
            options.read(true).custom_flags(libc::O_NONBLOCK);
            options.open(&path).await.unwrap();
        });
    });
}

#[test]
fn connects_that_wait_take_few_threads() {
    in_child("threads::connects_that_wait_take_few_threads", || {
        let dir = Scratch::new("backlog");
        let path = dir.path("listener");
        runtime().block_on(async {
            let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
            // SAFETY: the call takes numbers only. A second listen sets the length of the queue.
            let listening = unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 2) };
            assert_eq!(listening, 0);
            nop().await.unwrap();
            let before = threads();
            let connects: Vec<_> = (0..300)
                .map(|_| saferring::spawn(UnixStream::connect(path.clone())))
                .collect();
            // The kernel tries a few hundred times before it hands something to a thread.
            for _ in 0..1000 {
                nop().await.unwrap();
            }
            assert!(threads() <= before + 8, "{} threads", threads());
            let finished = connects.iter().filter(|c| c.is_finished()).count();
            assert!(finished < 10, "{finished}");
            let accepting = std::thread::spawn(move || {
                let accepted = listener.incoming().take(300);
                accepted.collect::<Result<Vec<_>, _>>().unwrap().len()
            });
            for stream in join_all(connects).await {
                stream.unwrap().unwrap();
            }
            assert_eq!(accepting.join().unwrap(), 300);
        });
    });
}

#[test]
fn jobs_that_wait_stop_neither_names_nor_copies() {
    bounded(|| {
        let dir = Scratch::new("jobs");
        let from = dir.file("from", "to be copied");
        runtime().block_on(async {
            let jobs_max = 1024;
            let gate = Arc::new(Barrier::new(65));
            let (started, begun) = mpsc::channel();
            let jobs: Vec<_> = (0..64)
                .map(|n| {
                    let (gate, started) = (Arc::clone(&gate), started.clone());
                    saferring::spawn_blocking(move || {
                        started.send(n).unwrap();
                        gate.wait();
                        n
                    })
                })
                .collect();
            let mut running = 0;
            until("the jobs", || {
                running += begun.try_iter().count();
                running == 64 || running == jobs_max
            })
            .await;
            assert!(lookup_host("localhost:80").await.unwrap().next().is_some());
            let to = dir.path("to");
            assert_eq!(fs::copy(&from, &to).await.unwrap(), 12);
            assert_eq!(std::fs::read(&to).unwrap(), b"to be copied");
            let file = File::open(&to).await.unwrap();
            let permissions = std::fs::metadata(&to).unwrap().permissions();
            file.set_permissions(permissions).await.unwrap();
            assert!(jobs.iter().all(|job| !job.is_finished()));
            gate.wait();
            for (n, job) in jobs.into_iter().enumerate() {
                assert_eq!(job.await.unwrap(), n);
            }
        });
    });
}

/// One that waits has no thread; and when it is given up, nobody sees another end: who waits beside it waits on.
#[test]
fn an_open_that_is_given_up_disturbs_nobody() {
    in_child("threads::an_open_that_is_given_up_disturbs_nobody", || {
        let dir = Scratch::new("given-up");
        runtime().block_on(async {
            nop().await.unwrap();
            let before = threads();
            for writes in [false, true] {
                let path = dir.path(&format!("fifo-{writes}"));
                make_fifo(&path);
                let mut options = File::options();
                let options = options.read(!writes).write(writes);
                let mut kept = Box::pin(options.open(&path));
                let mut given_up = Box::pin(options.open(&path));
                let rest = dir.path(&format!("renamed-{writes}"));
                for round in 0..10 {
                    assert!(poll_immediate(&mut kept).await.is_none());
                    if round < 5 {
                        assert!(poll_immediate(&mut given_up).await.is_none());
                    } else if round == 5 {
                        drop(std::mem::replace(
                            &mut given_up,
                            Box::pin(options.open(&path)),
                        ));
                        // It stays the same FIFO, whatever its name.
                        std::fs::rename(&path, &rest).unwrap();
                    }
                    sleep(Duration::from_millis(2)).await;
                }
                // The software ring's own, which do not wait in it.
                let pool = if is_software() { 7 } else { 0 };
                assert!(threads() <= before + 1 + pool, "{} threads", threads());
                let mut other = File::options();
                let other = other.read(writes).write(!writes).open(&rest);
                let (kept, other) = join(kept, other).await;
                let (mut reader, mut writer) = match writes {
                    false => (kept.unwrap(), other.unwrap()),
                    true => (other.unwrap(), kept.unwrap()),
                };
                writer.write_all("through").await.0.unwrap();
                drop(writer);
                let (read, bytes) = reader.read_to_end(Vec::new()).await;
                assert_eq!((read.unwrap(), &bytes[..]), (7, &b"through"[..]));
            }
        });
    });
}

/// One who opens the other end and says nothing is noticed.
#[test]
fn a_fifo_opens_for_a_silent_end() {
    bounded(|| {
        let dir = Scratch::new("silent");
        let path = dir.path("fifo");
        make_fifo(&path);
        let other = path.clone();
        let (go, gone) = mpsc::channel::<()>();
        let writer = std::thread::spawn(move || {
            let silent = std::fs::File::options().write(true).open(other).unwrap();
            gone.recv().unwrap_err();
            drop(silent);
        });
        runtime().block_on(async {
            let mut reader = File::open(&path).await.unwrap();
            drop(go);
            assert_eq!(reader.read(vec![0; 1]).await.0.unwrap(), 0);
        });
        writer.join().unwrap();
    });
}

/// The other end comes, and is gone again at once: both opens end all the same, and what was written arrives.
#[test]
fn a_fifo_opens_for_an_end_that_does_not_stay() {
    bounded(|| {
        let dir = Scratch::new("quick");
        let path = dir.path("fifo");
        make_fifo(&path);
        let (go, gone) = mpsc::channel();
        let writer = path.clone();
        let writer = std::thread::spawn(move || {
            for n in gone {
                std::fs::write(&writer, [n]).unwrap();
            }
        });
        runtime().block_on(async {
            for n in 0..200 {
                go.send(n).unwrap();
                let mut file = File::open(&path).await.unwrap();
                let mut data = Vec::new();
                while data.is_empty() {
                    data = file.read(vec![0; 1]).await.1;
                }
                assert_eq!(data, [n]);
            }
        });
        drop(go);
        writer.join().unwrap();
    });
}

/// Dropped as soon as its thread is made, or sooner.
#[test]
fn opens_dropped_at_any_time_leave_no_threads() {
    in_child(
        "threads::opens_dropped_at_any_time_leave_no_threads",
        || {
            let dir = Scratch::new("any-time");
            let path = dir.path("fifo");
            make_fifo(&path);
            runtime().block_on(async {
                nop().await.unwrap();
                let before = threads();
                for n in 0..300 {
                    let writes = n % 2 == 0;
                    let mut options = File::options();
                    let mut open = Box::pin(options.read(!writes).write(writes).open(&path));
                    for _ in 0..n % 5 {
                        // It may find the end that was opened for one before.
                        if poll_immediate(&mut open).await.is_some() {
                            break;
                        }
                        nop().await.unwrap();
                    }
                    drop(open);
                }
                until("the end of the threads", || match is_software() {
                    false => threads() <= before + 8,
                    // Its own stay for a while, but none waits in an open.
                    true => !a_thread_is_in(libc::SYS_openat),
                })
                .await;
            });
        },
    );
}

/// How many threads the kernel has made for the rings of this thread; or the software ring for files.
fn workers() -> usize {
    let name = match is_software() {
        // SAFETY: takes and gives numbers only.
        false => format!("iou-wrk-{}", unsafe { libc::gettid() }),
        true => "saferring-files".to_owned(),
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|one| one.trim_end() == name).count()
}

#[test]
fn kernel_workers_keep_to_their_limits() {
    in_child("threads::kernel_workers_keep_to_their_limits", || {
        if !is_software() && !uses(Feature::KernelWorkers) {
            return skipped("the kernel does not let its threads be limited");
        }
        // The software ring has one kind of threads.
        let others = |limit| if is_software() { 0 } else { limit };
        for limit in [1, 3] {
            let runtime = Builder::new().kernel_workers(limit, 7).build().unwrap();
            let info = runtime.ring_info().unwrap();
            assert_eq!(
                (info.bounded_workers, info.unbounded_workers),
                (limit, others(7))
            );
            runtime.block_on(async {
                for _ in 0..20 {
                    let stats = join_all((0..200).map(|_| fs::metadata("/proc/self/status"))).await;
                    assert!(stats.iter().all(Result::is_ok));
                    let workers = workers();
                    assert!(
                        (1..=limit as usize).contains(&workers),
                        "{workers} of {limit}"
                    );
                }
            });
        }
        // What is left as it is stays so.
        let runtime = Builder::new().kernel_workers(0, 5).build().unwrap();
        let info = runtime.ring_info().unwrap();
        let kept = if is_software() { 64 } else { 3 };
        assert_eq!(
            (info.bounded_workers, info.unbounded_workers),
            (kept, others(5))
        );
    });
}
