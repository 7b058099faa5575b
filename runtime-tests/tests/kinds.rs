//! Files of every kind, as a program may hand them over: what they are besides stays as it was, what is read and written is
//! what read(2) and write(2) would, and a number that comes again is another file. On both rings; what is hard for the
//! software ring is what these tests look for.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::{join, join_all};
use saferring::fs::File;
use saferring::net::{TcpListener, UnixStream};
use saferring::op::{Registry, nop};
use saferring::runtime::{Builder, Runtime, in_flight};
use saferring_tests::{
    Account, a_thread_is_in, bounded, in_child, is_software, leaks_on_purpose, pattern_bytes,
    poll_once, spin_until, until,
};

saferring_tests::also_on_software!();

fn runtime() -> Runtime {
    Builder::new().entries(32).build().unwrap()
}

fn file(fd: impl Into<OwnedFd>) -> File {
    File::from_std(fd.into().into())
}

fn is_nonblocking(fd: RawFd) -> bool {
    // SAFETY: the call takes numbers only.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    assert!(flags >= 0, "{}", io::Error::last_os_error());
    flags & libc::O_NONBLOCK != 0
}

/// A descriptor that a call has made.
#[track_caller]
fn owned(made: RawFd) -> OwnedFd {
    assert!(made >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the call has just made it.
    unsafe { OwnedFd::from_raw_fd(made) }
}

fn scratch(name: &str, contents: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("saferring-kinds-{name}-{}", std::process::id()));
    std::fs::write(&path, contents).unwrap();
    path
}

/// What others share with us stays as they made it, while an operation waits and after.
#[test]
fn blocking_pipes_and_sockets_stay_so() {
    bounded(|| {
        runtime().block_on(async {
            let (reader, writer) = std::io::pipe().unwrap();
            let (mut ours, mut theirs) = (file(reader), writer);
            let ours_fd = ours.as_raw_fd();
            let mut read = Box::pin(ours.read(vec![0; 8]));
            assert!(poll_once(&mut read).await.is_none());
            nop().await.unwrap();
            assert!(!is_nonblocking(ours_fd));
            theirs.write_all(b"pipe").unwrap();
            let (read, data) = read.await;
            assert_eq!((read.unwrap(), &data[..4]), (4, &b"pipe"[..]));
            assert!(!is_nonblocking(ours_fd));

            let (one, mut two) = std::os::unix::net::UnixStream::pair().unwrap();
            let one = UnixStream::from_std(one);
            let read = one.read(vec![0; 8]).submit();
            nop().await.unwrap();
            assert!(!is_nonblocking(one.as_raw_fd()));
            two.write_all(b"socket").unwrap();
            assert_eq!(read.await.0.unwrap(), 6);
            assert!(!is_nonblocking(one.as_raw_fd()));
        });
    });
}

#[test]
fn a_listener_is_blocking_again_when_nobody_accepts() {
    bounded(|| {
        runtime().block_on(async {
            let std = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let other = std.try_clone().unwrap();
            let address = std.local_addr().unwrap();
            let listener = TcpListener::from_std(std);
            let client = std::net::TcpStream::connect(address).unwrap();
            let (accepted, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
            assert!(!is_nonblocking(accepted.as_raw_fd()));
            let mut waits = Box::pin(listener.accept());
            assert!(poll_once(&mut waits).await.is_none());
            nop().await.unwrap();
            drop(waits);
            until("the end of the accept", || in_flight().is_empty()).await;
            assert!(!is_nonblocking(other.as_raw_fd()));
            let accepting = std::thread::spawn(move || other.accept().unwrap().1);
            let client = std::net::TcpStream::connect(address).unwrap();
            assert_eq!(accepting.join().unwrap(), client.local_addr().unwrap());
        });
    });
}

/// One listener by several descriptors, in one runtime or two: who ends first leaves the others as they are, and one that
/// comes too late for a connection waits on, and holds up nobody.
#[test]
fn a_listener_is_shared_by_accepts_that_end_at_different_times() {
    bounded(|| {
        let (first, second) = (runtime(), runtime());
        for other in [&first, &second] {
            let std = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = std.local_addr().unwrap();
            let twins = [(); 2].map(|()| TcpListener::from_std(std.try_clone().unwrap()));
            let listener = TcpListener::from_std(std);
            let connect = || std::net::TcpStream::connect(address).unwrap();
            let mut one = Box::pin(listener.accept());
            first.block_on(async {
                assert!(poll_once(&mut one).await.is_none());
                nop().await.unwrap();
            });
            let waiting: Vec<_> = other.block_on(async {
                let waiting = twins
                    .map(|twin| saferring::spawn(async move { twin.accept().await.unwrap().1 }));
                saferring::task::yield_now().await;
                nop().await.unwrap();
                waiting.into()
            });
            drop(one);
            let still = if std::ptr::eq(other, &raw const first) {
                2
            } else {
                0
            };
            first.block_on(until("the end of the first", || in_flight().len() <= still));
            other.block_on(async {
                let done = || waiting.iter().filter(|one| one.is_finished()).count();
                let mut clients = Vec::new();
                for count in 1..=2 {
                    clients.push(connect());
                    until("a connection", || done() == count).await;
                    for _ in 0..10 {
                        nop().await.unwrap();
                    }
                    assert_eq!(done(), count);
                }
                for one in waiting {
                    let peer = one.await.unwrap();
                    assert!(
                        clients
                            .iter()
                            .any(|client| client.local_addr().unwrap() == peer)
                    );
                }
            });
        }
    });
}

/// Twice the same number in a row, and in two runtimes: what was known of the file before does not count.
#[test]
fn a_number_that_comes_again_is_another_file() {
    in_child("a_number_that_comes_again_is_another_file", || {
        let (first, second) = (runtime(), runtime());
        let mut number = None;
        for round in 0..60_u32 {
            let runtime = [&first, &second][round as usize / 3 % 2];
            let (ours, mut theirs): (OwnedFd, Box<dyn Write>) = match round % 4 {
                0 => {
                    let (reader, writer) = std::io::pipe().unwrap();
                    (reader.into(), Box::new(writer))
                }
                1 | 3 => {
                    let (one, two) = std::os::unix::net::UnixStream::pair().unwrap();
                    (one.into(), Box::new(two))
                }
                _ => {
                    let path = scratch("again", b"");
                    let ours = std::fs::File::open(&path).unwrap();
                    let theirs = std::fs::File::create(&path).unwrap();
                    std::fs::remove_file(path).unwrap();
                    (ours.into(), Box::new(theirs))
                }
            };
            assert_eq!(*number.get_or_insert(ours.as_raw_fd()), ours.as_raw_fd());
            let mut ours = file(ours);
            let text = round.to_string();
            runtime.block_on(async {
                if round % 4 == 2 {
                    theirs.write_all(text.as_bytes()).unwrap();
                    assert_eq!(
                        &ours.read(vec![0; 8]).await.1[..text.len()],
                        text.as_bytes()
                    );
                    return;
                }
                let mut read = Box::pin(ours.read(vec![0; 8]));
                assert!(poll_once(&mut read).await.is_none());
                nop().await.unwrap();
                theirs.write_all(text.as_bytes()).unwrap();
                let (read, data) = read.await;
                assert_eq!(&data[..read.unwrap()], text.as_bytes());
            });
            // It is closed by a thread that no ring hears of.
            if round % 5 == 0 {
                let std = ours.into_std().unwrap();
                std::thread::spawn(move || drop(std)).join().unwrap();
            } else {
                drop(ours);
            }
        }
    });
}

/// Two descriptors of one file share what it has; each operation ends by its own.
#[test]
fn duplicates_wait_for_themselves() {
    bounded(|| {
        runtime().block_on(async {
            let (one, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
            let twin = UnixStream::from_std(one.try_clone().unwrap());
            let one = UnixStream::from_std(one);
            for round in 0..20_u8 {
                let (a, b) = (one.read([0; 1]).submit(), twin.read([0; 1]).submit());
                nop().await.unwrap();
                peer.write_all(&[round]).unwrap();
                until("one of them", || in_flight().len() <= 1).await;
                peer.write_all(&[round]).unwrap();
                let (a, b) = join(a, b).await;
                assert_eq!((a.1, b.1), ([round], [round]));
            }
            // The one is closed, and the other reads on.
            let read = twin.read([0; 1]).submit();
            nop().await.unwrap();
            one.close().await.unwrap();
            peer.write_all(b"x").unwrap();
            assert_eq!(&read.await.1, b"x");
        });
    });
}

#[test]
fn devices() {
    bounded(|| {
        runtime().block_on(async {
            let open = |path: &str| {
                let file = std::fs::File::options().read(true).write(true).open(path);
                File::from_std(file.unwrap())
            };
            let mut null = open("/dev/null");
            assert_eq!(null.read(vec![1; 8]).await.0.unwrap(), 0);
            // On Linux 5.10 the software ring writes as much at a time as a pipe has room for.
            let written = null.write(vec![1; 100_000]).await.0.unwrap();
            assert!(written == 100_000 || is_software() && written == libc::PIPE_BUF);
            assert_eq!(null.read_at(vec![1; 8], 1000).await.0.unwrap(), 0);
            let mut zero = open("/dev/zero");
            let (read, data) = zero.read(vec![1; 100_000]).await;
            let read = read.unwrap();
            // Linux 5.10 gives a page of it to who does not wait, and others end it between two pages if they are interrupted.
            assert!(read == 100_000 || read > 0 && read % 4096 == 0, "{read}");
            assert!(data[..read].iter().all(|&byte| byte == 0));
            let full = open("/dev/full").write_at(vec![1; 8], 0).await.0;
            assert_eq!(full.unwrap_err().raw_os_error(), Some(libc::ENOSPC));
        });
    });
}

#[test]
fn counters_and_timers() {
    bounded(|| {
        runtime().block_on(async {
            for flags in [libc::EFD_CLOEXEC, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK] {
                // SAFETY: the call takes numbers only.
                let event = std::fs::File::from(owned(unsafe { libc::eventfd(0, flags) }));
                let mut ours = File::from_std(event.try_clone().unwrap());
                let fd = ours.as_raw_fd();
                (&event).write_all(&3_u64.to_ne_bytes()).unwrap();
                assert_eq!(ours.read([0; 8]).await.1, 3_u64.to_ne_bytes());
                if flags & libc::EFD_NONBLOCK == 0 {
                    let mut read = Box::pin(ours.read([0; 8]));
                    assert!(poll_once(&mut read).await.is_none());
                    nop().await.unwrap();
                    (&event).write_all(&4_u64.to_ne_bytes()).unwrap();
                    assert_eq!(read.await.1, 4_u64.to_ne_bytes());
                }
                ours.write_all(5_u64.to_ne_bytes()).await.0.unwrap();
                assert_eq!(is_nonblocking(fd), flags & libc::EFD_NONBLOCK != 0);
            }

            // SAFETY: the call takes numbers only.
            let made = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) };
            let mut timer = file(owned(made));
            let soon = libc::timespec {
                tv_sec: 0,
                tv_nsec: 2_000_000,
            };
            let setting = libc::itimerspec {
                it_interval: soon,
                it_value: soon,
            };
            let fd = timer.as_raw_fd();
            // SAFETY: the call reads the record, which lives across it.
            let set =
                unsafe { libc::timerfd_settime(fd, 0, &raw const setting, std::ptr::null_mut()) };
            assert_eq!(set, 0);
            for _ in 0..3 {
                let (read, times) = timer.read([0; 8]).await;
                assert_eq!(read.unwrap(), 8);
                assert!(u64::from_ne_bytes(times) >= 1);
            }
        });
    });
}

#[test]
fn terminals() {
    bounded(|| {
        runtime().block_on(async {
            let (mut ours, mut theirs) = (0, 0);
            let none = std::ptr::null_mut();
            // SAFETY: the call writes two numbers, and reads nothing of what it is not given.
            let made = unsafe {
                libc::openpty(
                    &raw mut ours,
                    &raw mut theirs,
                    none,
                    std::ptr::null(),
                    std::ptr::null(),
                )
            };
            assert_eq!(made, 0);
            let (terminal, line) = (owned(ours), owned(theirs));
            let mut line = file(line);
            let mut terminal = std::fs::File::from(terminal);
            let fd = line.as_raw_fd();
            let mut read = Box::pin(line.read(vec![0; 64]));
            assert!(poll_once(&mut read).await.is_none());
            for _ in 0..10 {
                nop().await.unwrap();
            }
            assert!(!is_nonblocking(fd));
            terminal.write_all(b"typed\n").unwrap();
            let (read, data) = read.await;
            assert_eq!(&data[..read.unwrap()], b"typed\n");
            line.write_all("shown\n").await.0.unwrap();
            let mut all = Vec::new();
            // Its echo comes first.
            while !all.ends_with(b"shown\r\n") {
                let mut bytes = [0; 64];
                let n = terminal.read(&mut bytes).unwrap();
                all.extend_from_slice(&bytes[..n]);
            }
            drop(terminal);
            assert!(matches!(line.read(vec![0; 8]).await.0, Ok(0) | Err(_)));
        });
    });
}

#[test]
fn a_fifo_by_its_name() {
    bounded(|| {
        let path = scratch("fifo", b"");
        std::fs::remove_file(&path).unwrap();
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the path ends with a zero and lives across the call.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        runtime().block_on(async {
            let (mut reader, mut writer) = {
                let reader = File::open(&path);
                let mut options = File::options();
                let (reader, writer) = join(reader, options.write(true).open(&path)).await;
                (reader.unwrap(), writer.unwrap())
            };
            let data = pattern_bytes(0, 300_000);
            let write = async {
                writer.write_all(data.clone()).await.0.unwrap();
                drop(writer);
            };
            let ((), (read, came)) = join(write, reader.read_to_end(Vec::new())).await;
            assert_eq!(read.unwrap(), data.len());
            assert!(came == data);
        });
        std::fs::remove_file(path).unwrap();
    });
}

/// On a disk and in memory; past the page cache, from it, and partly from it.
#[test]
fn files_cached_or_not() {
    const PAGE: usize = 4096;
    const PAGES: usize = 64;
    bounded(|| {
        let data = pattern_bytes(0, PAGES * PAGE + 100);
        let dirs = [std::env::temp_dir(), "/dev/shm".into(), "/var/tmp".into()];
        for dir in dirs.iter().filter(|dir| dir.is_dir()) {
            let path = dir.join(format!("saferring-kinds-cached-{}", std::process::id()));
            std::fs::write(&path, &data).unwrap();
            std::fs::File::open(&path).unwrap().sync_all().unwrap();
            runtime().block_on(async {
                let std = std::fs::File::open(&path).unwrap();
                // SAFETY: the call takes numbers only.
                let forget = || unsafe {
                    libc::posix_fadvise(std.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED)
                };
                let ours = File::open(&path).await.unwrap();
                for (cached, len) in [(0, 3), (1, 8), (7, 20), (30, 34)] {
                    forget();
                    // Some pages are there, others between them are not.
                    for page in [cached, cached + 2] {
                        let at = (page * PAGE) as u64;
                        std::os::unix::fs::FileExt::read_at(&std, &mut [0; 1], at).unwrap();
                    }
                    let (read, bytes) = ours
                        .read_at(vec![0; len * PAGE], (cached * PAGE) as u64)
                        .await;
                    assert_eq!(read.unwrap(), len * PAGE);
                    assert!(bytes == data[cached * PAGE..(cached + len) * PAGE]);
                    forget();
                    // A vector over the same, by parts that are no pages.
                    let parts = vec![vec![0; PAGE + 1], vec![0; 0], vec![0; 3 * PAGE - 7]];
                    let (read, parts) = ours.read_vectored_at(parts, 11).await;
                    let read = read.unwrap();
                    assert!(parts.concat()[..read] == data[11..11 + read]);
                    assert!(read > 0);
                }
                // To the end, and no more.
                let at = (PAGES * PAGE - 50) as u64;
                let (read, bytes) = ours.read_at(vec![0; 1000], at).await;
                assert_eq!(read.unwrap(), 150);
                assert!(bytes[..150] == data[PAGES * PAGE - 50..]);
                assert_eq!(ours.read_at(vec![0; 8], 1 << 30).await.0.unwrap(), 0);
                let all = join_all(
                    (0..PAGES).map(|page| ours.read_at(vec![0; PAGE], (page * PAGE) as u64)),
                );
                for (page, (read, bytes)) in all.await.into_iter().enumerate() {
                    assert_eq!(read.unwrap(), PAGE);
                    assert!(bytes == data[page * PAGE..(page + 1) * PAGE]);
                }
            });
            let mut options = std::fs::OpenOptions::new();
            let direct = options.read(true).custom_flags(libc::O_DIRECT).open(&path);
            if let Ok(direct) = direct {
                direct_reads(File::from_std(direct), &data);
            }
            std::fs::remove_file(&path).unwrap();
        }
    });
}

fn direct_reads(file: File, data: &[u8]) {
    use saferring::buf::AlignedBuf;
    runtime().block_on(async {
        let reads = (0..8_u64).map(|page| file.read_at(AlignedBuf::new(8192, 4096), page * 4096));
        for (page, (read, bytes)) in join_all(reads).await.into_iter().enumerate() {
            match read {
                Ok(n) => assert!(n == 8192 && bytes[..] == data[page * 4096..][..8192]),
                // Some file systems take the flag, and no such block.
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EINVAL)),
            }
        }
    });
}

/// A vector that a pipe takes in parts, and gives in others.
#[test]
fn vectors_are_taken_in_parts() {
    bounded(|| {
        runtime().block_on(async {
            let (reader, writer) = std::io::pipe().unwrap();
            let (mut reader, writer) = (file(reader), file(writer));
            let data = pattern_bytes(0, 400_000);
            let write = async {
                let mut sent = 0;
                while sent < data.len() {
                    let rest = &data[sent..];
                    let middle = rest.len() / 3;
                    let parts = vec![rest[..middle].to_vec(), vec![], rest[middle..].to_vec()];
                    let written = writer.write_vectored_at(parts, 0).await.0.unwrap();
                    assert!(written > 0);
                    sent += written;
                }
                drop(writer);
            };
            let ((), (read, came)) = join(write, reader.read_to_end(Vec::new())).await;
            assert_eq!(read.unwrap(), data.len());
            assert!(came == data);
        });
    });
}

/// What waits in a thread when the runtime ends is told, and whatever it opens later is closed.
#[test]
fn an_open_that_waits_at_shutdown_is_told_and_closed_late() {
    in_child(
        "an_open_that_waits_at_shutdown_is_told_and_closed_late",
        || {
            leaks_on_purpose(
                &[Account::Lost],
                "an open that nobody can end holds its path for good",
            );
            let path = scratch("late", b"");
            std::fs::remove_file(&path).unwrap();
            let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
            // SAFETY: the path ends with a zero and lives across the call.
            assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
            let runtime = runtime();
            let open = runtime.block_on(async {
                let registry = Registry::current().ok()?;
                let open = registry.open(&path, libc::O_WRONLY, 0).unwrap().submit();
                nop().await.unwrap();
                Some(open)
            });
            let Some(open) = open else { return };
            spin_until("a thread that waits", || {
                !saferring_tests::is_software() || a_thread_is_in(libc::SYS_openat)
            });
            drop(open);
            let left = runtime.shutdown_timeout(Duration::ZERO);
            if saferring_tests::is_software() {
                let left = left.unwrap_err();
                assert!(left.iter().any(|op| op.name == "openat"), "{left:?}");
            }
            // The other end: whoever still opens it writes nothing, and is gone.
            let mut options = std::fs::OpenOptions::new();
            let reader = options.read(true).custom_flags(libc::O_NONBLOCK);
            let mut reader = reader.open(&path).unwrap();
            spin_until("the end of the late writer", || {
                matches!(reader.read(&mut [0; 8]), Ok(0))
                    && saferring_tests::holders(&path.to_string_lossy()) == 1
            });
            std::fs::remove_file(&path).unwrap();
        },
    );
}
