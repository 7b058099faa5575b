//! Registered buffers, registered files and direct descriptors.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use saferring::Feature;
use saferring::buf::{IoBuf, IoBufMut};
use saferring::features;
use saferring::fs::{self, File, FixedBufPool};
use saferring::op::Registry;
use saferring::runtime::{Builder, Runtime, fixed_buffers};
use saferring_tests::{
    bounded, holders, in_child, is_software, limit, lockable, open_fds, pattern_bytes, poll_once,
    skipped, small_pool, unprivileged, until, uses,
};
use socket2::{Domain, SockAddr, Type};

saferring_tests::also_on_software!();

/// A file of its own, removed at the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str, contents: &[u8]) -> Self {
        let name = format!("saferring-registered-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, contents).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// How many files and buffers the process's only ring has registered, by the kernel's own account.
fn registered() -> (usize, usize) {
    let ring = open_fds()
        .into_iter()
        .find(|(_, link)| link.contains("io_uring"))
        .unwrap();
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", ring.0)).unwrap();
    let mut section = "";
    let (mut files, mut buffers) = (0, 0);
    for line in info.lines() {
        match line.split_once(':') {
            Some((head @ ("UserFiles" | "UserBufs" | "PollList"), _)) => section = head,
            Some((index, rest)) if index.trim().parse::<u32>().is_ok() => match section {
                "UserFiles" => files += 1,
                // Before 6.13 an empty slot is a buffer at the end of memory.
                "UserBufs" if !rest.contains("<none>") && !rest.contains("0xffffffff") => {
                    buffers += 1;
                }
                _ => {}
            },
            _ => {}
        }
    }
    (files, buffers)
}

#[test]
fn fixed_buffers_read_and_write_files() {
    bounded(|| {
        let source = Scratch::new("fixed", &pattern_bytes(0, 100_000));
        Runtime::new().unwrap().block_on(async {
            let pool = small_pool(4, 10_000);
            assert_eq!((pool.capacity(), pool.buffer_size()), (4, 10_000));
            let file = File::options()
                .read(true)
                .write(true)
                .open(&source.0)
                .await
                .unwrap();
            for at in [0, 1, 4095, 95_000] {
                let (n, buf) = file.read_at(pool.take().await, at).await;
                let n = n.unwrap();
                assert_eq!(n, 10_000.min(100_000 - at as usize));
                assert!(buf[..] == pattern_bytes(at, n)[..]);
                assert_eq!(buf.as_ptr().addr() % 4096, 0);
            }
            // A part of one, and a read behind what it holds already.
            let mut buf = pool.take().await;
            assert!(buf.is_empty(), "what it held before is not to be seen");
            assert_eq!(buf.extend_from_slice(b"head:"), 5);
            let (n, part) = file.read_at(buf.slice(5..25), 50).await;
            assert_eq!(n.unwrap(), 20);
            let buf = part.into_inner();
            assert_eq!(&buf[..5], b"head:");
            assert!(buf[5..] == pattern_bytes(50, 20)[..]);
            let (n, part) = file.write_at(buf.slice(..5), 70).await;
            assert_eq!(n.unwrap(), 5);
            drop(part);
            let (n, back) = file.read_at([0; 5], 70).await;
            assert_eq!((n.unwrap(), &back), (5, b"head:"));
            assert_eq!(pool.available(), 4);
        });
    });
}

#[test]
fn a_pool_without_a_free_buffer_makes_its_takers_wait() {
    bounded(|| {
        Runtime::new().unwrap().block_on(async {
            let pool = small_pool(1, 10);
            let only = pool.take().await;
            assert!(pool.try_take().is_none());
            let taken = Rc::new(Cell::new(0));
            let tasks: Vec<_> = (0..3)
                .map(|_| {
                    let (pool, taken) = (pool.clone(), Rc::clone(&taken));
                    saferring::spawn(async move {
                        let buf = pool.take().await;
                        taken.set(taken.get() + 1);
                        drop(buf);
                    })
                })
                .collect();
            // One that waited and gave up must not swallow a wake.
            let mut given_up = Box::pin(pool.take());
            assert!(poll_once(&mut given_up).await.is_none());
            drop(given_up);
            assert_eq!(taken.get(), 0);
            drop(only);
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!((taken.get(), pool.available()), (3, 1));
        });
    });
}

/// The kernel writes to a buffer whose read was dropped: it does not return to the pool before.
#[test]
fn hazard_28_a_buffer_in_flight_is_not_free() {
    bounded(|| {
        Runtime::new().unwrap().block_on(async {
            let (reader, writer) = std::io::pipe().unwrap();
            let mut reader = File::from(std::os::fd::OwnedFd::from(reader));
            let pool = small_pool(1, 10);
            let mut read = Box::pin(reader.read(pool.take().await));
            assert!(poll_once(&mut read).await.is_none());
            drop(read);
            assert_eq!(pool.available(), 0);
            until("the buffer of a dropped read", || pool.available() == 1).await;
            drop(writer);
        });
    });
}

#[test]
fn hazard_28_buffers_outlive_their_runtime_and_work_in_another() {
    bounded(|| {
        let source = Scratch::new("outlive", b"contents");
        let runtime = Runtime::new().unwrap();
        let mut buf = runtime.block_on(async { small_pool(2, 64).take().await });
        buf.fill_from(b"kept");
        drop(runtime);
        assert_eq!(&buf[..], b"kept");
        Runtime::new().unwrap().block_on(async {
            // The other runtime has a pool in the same slot of its own table.
            let other = small_pool(2, 64);
            let file = File::open(&source.0).await.unwrap();
            let (n, buf) = file.read_at(buf, 0).await;
            assert_eq!((n.unwrap(), &buf[..]), (8, &b"contents"[..]));
            assert_eq!(other.available(), 2);
        });
    });
}

#[test]
fn hazard_28_a_pool_is_registered_while_it_or_a_buffer_lives() {
    in_child(
        "hazard_28_a_pool_is_registered_while_it_or_a_buffer_lives",
        || {
            Runtime::new().unwrap().block_on(async {
                if lockable() < 1 << 20 {
                    return skipped("too little memory may be locked for 64 pools");
                }
                let pool = FixedBufPool::new(2, 4096).unwrap();
                if !pool.is_registered() {
                    return skipped("no registered buffers");
                }
                // The software ring's table is seen by nobody.
                let sees = |pools| is_software() || registered().1 == pools;
                assert!(sees(1));
                let buf = pool.take().await;
                drop(pool);
                assert!(sees(1));
                drop(buf);
                assert!(sees(0));
                // Slots are used again: more pools than there are, one after the other, and those beyond are ordinary.
                for _ in 0..100 {
                    assert!(FixedBufPool::new(1, 1).unwrap().is_registered());
                }
                let pools: Vec<_> = (0..65).map(|_| FixedBufPool::new(1, 1).unwrap()).collect();
                assert_eq!(pools.iter().filter(|pool| pool.is_registered()).count(), 64);
            });
        },
    );
}

#[test]
fn hazard_32_locked_memory_for_buffers() {
    in_child("hazard_32_locked_memory_for_buffers", || {
        let source = Scratch::new("memlock", &pattern_bytes(0, 300_000));
        let may_lock = lockable().min(512 << 10);
        limit(libc::RLIMIT_MEMLOCK, may_lock);
        let may_lock = format!("{} KiB", may_lock >> 10);
        // Whoever may lock any amount of memory becomes someone who may not.
        unprivileged(|| {
            Runtime::new().unwrap().block_on(async {
                match FixedBufPool::new(16, 64 * 1024) {
                    // No memory needs to be locked.
                    Ok(pool) if is_software() => assert!(pool.is_registered()),
                    // Before 5.19 there is no table to register it in.
                    Ok(pool) => assert!(!pool.is_registered() && !features().multishot_accept()),
                    Err(error) => {
                        assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
                        for word in ["1024 KiB", "ulimit -l", &may_lock] {
                            assert!(error.to_string().contains(word), "{error}");
                        }
                    }
                }
                // The runtime's own pool makes do.
                let pool = fixed_buffers().unwrap();
                assert_eq!(pool.is_registered(), is_software());
                let file = File::open(&source.0).await.unwrap();
                let read: Vec<u8> = file
                    .read_stream(.., 4)
                    .try_fold(Vec::new(), async |mut all, chunk| {
                        all.extend_from_slice(&chunk);
                        Ok(all)
                    })
                    .await
                    .unwrap();
                assert!(read == pattern_bytes(0, 300_000));
            })
        });
    });
}

#[test]
fn pools_that_cannot_be_say_so() {
    bounded(|| {
        Runtime::new().unwrap().block_on(async {
            for (buffers, size) in [(0, 10), (10, 0), (u32::MAX, 4096), (1, usize::MAX)] {
                let error = FixedBufPool::new(buffers, size).unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
                assert!(error.to_string().contains("1 GiB"), "{error}");
            }
        });
    });
}

#[test]
fn a_file_streams_its_range_in_order() {
    bounded(|| {
        let len = 1_000_001;
        let source = Scratch::new("stream", &pattern_bytes(0, len));
        let builder = Builder::new().fixed_buffers(10_000, 4);
        builder.build().unwrap().block_on(async {
            let file = File::open(&source.0).await.unwrap();
            for (from, to) in [(0, u64::MAX), (1, 10_001), (999_990, u64::MAX), (5, 5)] {
                for depth in [0, 1, 3, 32] {
                    // Chunks are kept, more than the pool has: that must stop nothing.
                    let chunks: Vec<_> = file
                        .read_stream(from..to, depth)
                        .try_collect()
                        .await
                        .unwrap();
                    let end = to.min(len as u64);
                    let all = chunks.iter().flat_map(|chunk| chunk.iter().copied());
                    assert!(
                        all.eq(pattern_bytes(from, (end - from) as usize)),
                        "{from}..{to} by {depth}"
                    );
                }
            }
            let mut empty = file.read_stream(2_000_000.., 4);
            assert!(empty.next().await.is_none() && empty.next().await.is_none());
            // Dropped midway: all buffers return.
            let mut chunks = file.read_stream(.., 4);
            chunks.next().await.unwrap().unwrap();
            drop(chunks);
            let pool = fixed_buffers().unwrap();
            until("buffers of a dropped stream", || pool.available() == 4).await;
            let directory = File::open(std::env::temp_dir()).await.unwrap();
            let mut chunks = directory.read_stream(.., 2);
            let error = chunks.next().await.unwrap().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::IsADirectory);
            assert!(chunks.next().await.is_none());
        });
    });
}

/// How often this thread has touched a page for the first time.
fn faults() -> i64 {
    // SAFETY: the record is plain numbers, valid when zeroed, and lives across the call, which writes it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &mut usage), 0);
        usage
    };
    usage.ru_minflt
}

/// How many bytes are mapped.
fn mapped() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').next().unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn streams_keep_the_buffers_that_the_pool_does_not_have() {
    in_child(
        "streams_keep_the_buffers_that_the_pool_does_not_have",
        || {
            const STREAMS: usize = 64;
            const CHUNKS: usize = 8;
            let source = Scratch::new("many", &pattern_bytes(0, CHUNKS << 16));
            Runtime::new().unwrap().block_on(async {
                let file = File::open(&source.0).await.unwrap();
                let read_all = async || {
                    let mut streams: Vec<_> =
                        (0..STREAMS).map(|_| file.read_stream(.., 2)).collect();
                    for _ in 0..CHUNKS {
                        for stream in &mut streams {
                            assert_eq!(stream.next().await.unwrap().unwrap().len(), 1 << 16);
                        }
                    }
                };
                read_all().await;
                let before = faults();
                read_all().await;
                let faults = faults() - before;
                assert!(
                    faults < (STREAMS * CHUNKS) as i64,
                    "{faults} pages touched anew"
                );

                // Far more than are kept.
                let before = mapped();
                let held: Vec<_> = (0..100).map(|_| file.read_stream(.., 1)).collect();
                let held = futures_util::future::join_all(
                    held.into_iter().map(StreamExt::collect::<Vec<_>>),
                )
                .await;
                assert!(mapped() - before > 40 << 20);
                drop(held);
                assert!(
                    mapped() - before < 20 << 20,
                    "{} bytes are kept",
                    mapped() - before
                );
            });
        },
    );
}

#[test]
fn a_file_in_much_use_registers_itself_and_lets_go() {
    in_child("a_file_in_much_use_registers_itself_and_lets_go", || {
        if !uses(Feature::RegisteredFiles) {
            return skipped("only the kernel's ring gains by it, if it has the table");
        }
        let source = Scratch::new("uses", &pattern_bytes(0, 1000));
        let registered = || registered().0;
        Runtime::new().unwrap().block_on(async {
            let file = File::open(&source.0).await.unwrap();
            for at in 0..100 {
                let (n, buf) = file.read_at([0; 8], at).await;
                assert_eq!(n.unwrap(), 8);
                assert!(buf[..] == pattern_bytes(at, 8)[..]);
            }
            assert_eq!(registered(), 1);
            // Reads in flight keep the file, and a close waits for them.
            let read = file.read_at(vec![0; 100], 0).submit();
            file.close().await.unwrap();
            assert_eq!(read.await.0.unwrap(), 100);
            assert_eq!(registered(), 0);
            for _ in 0..3 {
                let file = File::open(&source.0).await.unwrap();
                for _ in 0..20 {
                    file.read_at([0; 8], 0).await.0.unwrap();
                }
                assert_eq!(registered(), 1);
                drop(file);
                until("the slot of a dropped file", || registered() == 0).await;
            }
        });
    });
}

/// A file is registered with one ring; another ring's table has another file in that place.
#[test]
fn a_registered_file_works_in_another_runtime() {
    bounded(|| {
        let one = Scratch::new("ring-one", b"one");
        let two = Scratch::new("ring-two", b"two");
        let first = Runtime::new().unwrap();
        let second = Runtime::new().unwrap();
        let used = async |path: &std::path::Path| {
            let file = File::open(path).await.unwrap();
            for _ in 0..20 {
                file.read_at([0; 3], 0).await.0.unwrap();
            }
            file
        };
        let a = first.block_on(used(&one.0));
        let b = second.block_on(used(&two.0));
        second.block_on(async {
            assert_eq!(&a.read_at([0; 3], 0).await.1, b"one");
            assert_eq!(&b.read_at([0; 3], 0).await.1, b"two");
        });
        drop(first);
        second.block_on(async {
            assert_eq!(&a.read_at([0; 3], 0).await.1, b"one");
            drop(a);
            assert_eq!(&b.read_at([0; 3], 0).await.1, b"two");
        });
    });
}

#[test]
fn direct_descriptors_open_accept_connect_and_become_ordinary() {
    in_child(
        "direct_descriptors_open_accept_connect_and_become_ordinary",
        || {
            let source = Scratch::new("direct", b"contents");
            Runtime::new().unwrap().block_on(async {
                let registry = Registry::current().unwrap();
                let in_software = !uses(Feature::RegisteredFiles);
                if in_software {
                    // It is made now.
                    let first = registry.open(&source.0, libc::O_RDONLY, 0).unwrap();
                    first.await.unwrap().close().await.unwrap();
                }
                let before = open_fds().len();
                // Where the table is in software, a direct descriptor costs an ordinary one.
                let costs = |direct| before + if in_software { direct } else { 0 };
                let file = registry.open(&source.0, libc::O_RDWR | libc::O_CLOEXEC, 0);
                let file = file.unwrap().await.unwrap();
                assert_eq!(&file.read_at([0; 8], 0).await.1, b"contents");
                assert_eq!(file.write_at(*b"C", 0).await.0.unwrap(), 1);
                file.sync_all().await.unwrap();
                assert_eq!(open_fds().len(), costs(1));
                let missing = registry.open("/no/such/file", libc::O_RDONLY, 0).unwrap();
                let error = missing.await.unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound);

                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let address = SockAddr::from(listener.local_addr().unwrap());
                let listening = registry.register(&listener).unwrap();
                drop(listener);
                let client = registry.socket(Domain::IPV4, Type::STREAM, None).unwrap();
                let client = client.await.unwrap();
                client.connect(address.clone()).await.unwrap();
                // An accept whose future is dropped when the connection is there: the next one gets it.
                let accept = listening.accept().unwrap().submit();
                until("the connection", || {
                    saferring::runtime::in_flight()
                        .iter()
                        .all(|operation| operation.name != "accept")
                })
                .await;
                drop(accept);
                let server = listening.accept().unwrap().await.unwrap();
                assert_eq!(client.send_all(*b"ping").await.0.unwrap(), 4);
                assert_eq!(&server.recv([0; 4]).await.1, b"ping");
                assert_eq!(open_fds().len(), costs(4));
                assert!(in_software || registered().0 == 4);

                // Closing one is seen by the other at once.
                let receive = server.recv([0; 4]).submit();
                client.close().await.unwrap();
                assert_eq!(receive.await.0.unwrap(), 0);

                let fd = file.install().await.unwrap();
                until("the slot to be empty", || open_fds().len() == costs(2) + 1).await;
                let file = File::from(fd);
                assert_eq!(&file.read_at([0; 8], 0).await.1, b"Contents");
                drop((server, listening));
                until("slots of dropped descriptors", || {
                    open_fds().len() == before + 1 && (in_software || registered().0 == 0)
                })
                .await;
            });
        },
    );
}

#[test]
fn a_dropped_open_leaves_its_slot_empty() {
    in_child("a_dropped_open_leaves_its_slot_empty", || {
        let source = Scratch::new("dropped", b"contents");
        Runtime::new().unwrap().block_on(async {
            let registry = Registry::current().unwrap();
            for _ in 0..200 {
                drop(
                    registry
                        .open(&source.0, libc::O_RDONLY, 0)
                        .unwrap()
                        .submit(),
                );
            }
            until("dropped opens", || {
                saferring::runtime::in_flight().is_empty()
            })
            .await;
            match !uses(Feature::RegisteredFiles) {
                false => assert_eq!(registered().0, 0),
                true => assert_eq!(holders(&source.0.to_string_lossy()), 0),
            }
            // A receive with a deadline on a direct descriptor gives its buffer back.
            let socket = registry.socket(Domain::IPV4, Type::DGRAM, None).unwrap();
            let socket = socket.await.unwrap();
            let receive = socket.recv(vec![7; 3]).timeout(Duration::from_millis(1));
            let (received, buf) = receive.await;
            assert_eq!(received.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
            assert_eq!(buf, [7; 3]);
        });
    });
}

#[test]
fn copies_are_whole_when_the_pool_is_out() {
    bounded(|| {
        let contents = pattern_bytes(0, 5_000_001);
        let source = Scratch::new("copy-from", &contents);
        let target = Scratch::new("copy-to", b"");
        Runtime::new().unwrap().block_on(async {
            let pool = fixed_buffers().unwrap();
            let held: Vec<_> = std::iter::from_fn(|| pool.try_take()).collect();
            assert_eq!(fs::copy(&source.0, &target.0).await.unwrap(), 5_000_001);
            assert!(std::fs::read(&target.0).unwrap() == contents);
            drop(held);
        });
    });
}
