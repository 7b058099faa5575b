//! Freed memory that the kernel still writes to.
//!
//! The allocator of this binary keeps every block that is freed, and tells whether somebody has written to one.
//!
//! That the net has no hole: `a_write_after_free_is_noticed` frees a buffer under a raw ring's receive, and [`damage`]
//! tells of it. And by hand: where the drop of an operation's future drops the operation at once, instead of leaving
//! it to the completion, `dropped_in_flight`, `aborted_tasks` and `runtime_dropped` fail ("a freed block of 4560
//! bytes was written to at 0: 0x3c").

use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use saferring::buf::AlignedBuf;
use saferring::fs::File;
use saferring::net::{TcpListener, UdpSocket, UnixStream};
use saferring::runtime::{Builder, Runtime, metrics};
use saferring_tests::quarantine::{self, Quarantine, check, damage};
use saferring_tests::{
    Account, Random, in_child, is_software, leaks_on_purpose, refuse_waits, until,
};

saferring_tests::also_on_software!();

type StdStream = std::os::unix::net::UnixStream;

const SENT: u8 = 0x3c;

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine;

/// Runs a test with the quarantine closed behind it.
fn quarantined(name: &str, body: impl FnOnce() + Send + 'static) {
    in_child(name, move || {
        quarantine::activate();
        body();
        check();
        // What is left is looked for until nothing is, which allocates.
        quarantine::deactivate();
    });
}

fn runtime() -> Runtime {
    Builder::new().entries(32).build().unwrap()
}

/// A file of 1 MiB, opened past the page cache if its file system can.
async fn file(name: &str) -> File {
    let path = std::env::temp_dir().join(format!(
        "saferring-quarantine-{name}-{}",
        std::process::id()
    ));
    std::fs::write(&path, vec![SENT; 1 << 20]).unwrap();
    let file = match File::options().read(true).direct(true).open(&path).await {
        Ok(file) => file,
        Err(_) => File::open(&path).await.unwrap(),
    };
    std::fs::remove_file(&path).unwrap();
    file
}

/// Reads of every kind, and what makes their data arrive.
struct Reads {
    file: File,
    pipe: File,
    pipe_writer: std::io::PipeWriter,
    stream: UnixStream,
    stream_peer: StdStream,
    udp: UdpSocket,
    udp_peer: std::net::UdpSocket,
    listener: TcpListener,
}

/// What is done to each operation, by its kind: these differ in type, so this is a macro.
macro_rules! each_read {
    ($reads:expr, $size:expr, $end:path) => {{
        let (reads, size): (&Reads, usize) = ($reads, $size);
        $end(
            reads
                .file
                .read_at(AlignedBuf::new(4096 * 2, 4096), 0)
                .submit(),
        );
        $end(reads.file.read_at(vec![0; size], 4096).submit());
        $end(
            reads
                .file
                .read_vectored_at(vec![vec![0; size], vec![0; 600]], 0)
                .submit(),
        );
        $end(reads.pipe.read_at(vec![0; size], 0).submit());
        match size % 3 {
            0 => $end(reads.stream.read(vec![0; size]).submit()),
            1 => $end(reads.stream.read([0; 48]).submit()),
            _ => $end(reads.stream.read([0; 3000]).submit()),
        }
        $end(reads.udp.recv(vec![0; size]).submit());
    }};
}

impl Reads {
    async fn new(name: &str) -> Self {
        let (pipe, pipe_writer) = std::io::pipe().unwrap();
        let (stream, stream_peer) = StdStream::pair().unwrap();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let udp_peer = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        udp_peer.connect(udp.local_addr().unwrap()).unwrap();
        Reads {
            file: file(name).await,
            pipe: File::from_std(std::fs::File::from(OwnedFd::from(pipe))),
            pipe_writer,
            stream: UnixStream::from_std(stream),
            stream_peer,
            udp,
            udp_peer,
            listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
        }
    }

    /// Data for every read, and a client for the listener.
    fn arrive(&self) {
        (&self.pipe_writer).write_all(&[SENT; 100]).unwrap();
        (&self.stream_peer).write_all(&[SENT; 100]).unwrap();
        self.udp_peer.send(&[SENT; 100]).unwrap();
        drop(std::net::TcpStream::connect(self.listener.local_addr().unwrap()).unwrap());
    }
}

#[test]
fn dropped_in_flight() {
    quarantined("dropped_in_flight", || {
        let mut random = Random::new(1);
        runtime().block_on(async {
            let reads = Reads::new("dropped").await;
            for round in 0..200 {
                let size = 100 + random.below(8000) as usize;
                each_read!(&reads, size, drop);
                // Those that wrap their operation: dropped while they are polled.
                let mut polled = Box::pin(futures_util::future::join3(
                    reads.udp.recv_from(vec![0; size]),
                    reads.listener.accept(),
                    saferring::fs::metadata("/proc/self/exe"),
                ));
                assert!(saferring_tests::poll_once(&mut polled).await.is_none());
                match round % 4 {
                    0 => reads.arrive(),
                    1 => {
                        saferring::op::nop().await.unwrap();
                        reads.arrive();
                    }
                    2 => {
                        reads.arrive();
                        saferring::op::nop().await.unwrap();
                    }
                    _ => {}
                }
                drop(polled);
                if round % 3 == 0 {
                    until("the orphans", || metrics().orphans <= 1).await;
                }
            }
            until("the orphans", || metrics().orphans <= 1).await;
            check();
        });
    });
}

#[test]
fn aborted_tasks() {
    quarantined("aborted_tasks", || {
        let mut random = Random::new(2);
        runtime().block_on(async {
            for _ in 0..200 {
                let (stream, mut peer) = StdStream::pair().unwrap();
                let stream = UnixStream::from_std(stream);
                let size = 100 + random.below(8000) as usize;
                let task = saferring::spawn(async move { stream.read(vec![0; size]).await.1 });
                saferring::task::yield_now().await;
                if random.below(2) == 0 {
                    saferring::op::nop().await.unwrap();
                }
                peer.write_all(&[SENT; 100]).unwrap();
                task.abort();
                let _ = task.await;
                peer.write_all(&[SENT; 100]).unwrap_or_default();
            }
            until("the orphans", || metrics().orphans <= 1).await;
        });
    });
}

#[test]
fn forgotten() {
    quarantined("forgotten", || {
        leaks_on_purpose(
            &[Account::Descriptors, Account::Drivers],
            "forgotten futures keep their descriptors and their drivers",
        );
        for size in [100, 4096, 7777] {
            let runtime = runtime();
            let reads = runtime.block_on(Reads::new("forgotten"));
            runtime.block_on(async {
                each_read!(&reads, size, std::mem::forget);
                saferring::op::nop().await.unwrap();
                reads.arrive();
                until("the completions", || {
                    metrics().in_flight <= 1 + metrics().orphans
                })
                .await;
            });
            drop(runtime);
            reads.arrive();
            check();
        }
    });
}

#[test]
fn runtime_dropped() {
    quarantined("runtime_dropped", || {
        leaks_on_purpose(
            &[Account::Descriptors, Account::Drivers],
            "half of the operations are forgotten",
        );
        for round in 0..60 {
            let size = 100 + round * 100;
            let runtime = runtime();
            let reads = runtime.block_on(Reads::new("shutdown"));
            runtime.block_on(async {
                each_read!(&reads, size, drop);
                each_read!(&reads, size, std::mem::forget);
                let stream = UnixStream::from_std(reads.stream_peer.try_clone().unwrap());
                drop(saferring::spawn(async move {
                    stream.read(vec![0; 512]).await.1
                }));
                if round % 2 == 0 {
                    saferring::op::nop().await.unwrap();
                }
            });
            if round % 3 == 0 {
                reads.arrive();
            }
            let (mut pipe, mut stream) = (
                reads.pipe_writer.try_clone().unwrap(),
                reads.stream_peer.try_clone().unwrap(),
            );
            let writer = std::thread::spawn(move || {
                pipe.write_all(&[SENT; 64]).unwrap();
                stream.write_all(&[SENT; 64]).unwrap();
            });
            drop(runtime);
            writer.join().unwrap();
            reads.arrive();
        }
    });
}

/// The kernel is not asked any more: the ring is closed under the operations, and it may still write.
#[test]
fn leaked_at_shutdown() {
    quarantined("leaked_at_shutdown", || {
        leaks_on_purpose(
            &[Account::Descriptors, Account::Lost],
            "the kernel is not asked any more, so what it has is never freed",
        );
        for round in 0..30 {
            // A thread of its own, because a refusal is for good.
            let thread = std::thread::spawn(move || {
                let runtime = runtime();
                let reads = runtime.block_on(Reads::new("leaked"));
                runtime.block_on(async {
                    each_read!(&reads, 100 + round * 100, drop);
                    if round % 2 == 0 {
                        saferring::op::nop().await.unwrap();
                    }
                });
                refuse_waits(libc::EPERM).unwrap();
                let left = runtime.shutdown_timeout(Duration::ZERO);
                // With a turn in between, the cancels may have been answered; the software ring needs no wait for them.
                assert!(left.is_err() || round % 2 == 0 || is_software());
                reads.arrive();
            });
            thread.join().unwrap();
        }
    });
}

/// The answers that came before the drop, some of them never looked at.
#[test]
fn completed_and_dropped() {
    quarantined("completed_and_dropped", || {
        runtime().block_on(async {
            let reads = Reads::new("completed").await;
            for round in 0..100 {
                reads.arrive();
                if round % 2 == 0 {
                    let read = reads.stream.read(vec![0; 200 + round]).submit();
                    saferring::op::nop().await.unwrap();
                    drop(read);
                } else {
                    let (result, data) = reads.stream.read([0; 77]).await;
                    assert!(data[..result.unwrap()].iter().all(|&byte| byte == SENT));
                }
            }
        });
    });
}

/// The net itself: a raw ring receives into a buffer that is freed meanwhile.
#[test]
fn a_write_after_free_is_noticed() {
    in_child("a_write_after_free_is_noticed", || {
        use io_uring::{IoUring, opcode, types};
        quarantine::activate();
        let mut ring = IoUring::new(8).unwrap();
        let (stream, mut peer) = StdStream::pair().unwrap();
        let mut buf = vec![0u8; 4096];
        let receive =
            opcode::Recv::new(types::Fd(stream.as_raw_fd()), buf.as_mut_ptr(), 4096).build();
        // SAFETY: the buffer is freed below while the kernel has it, which is the point. The allocator of this binary
        // never hands the memory out again, so that the write hits nobody.
        unsafe { ring.submission().push(&receive).unwrap() };
        ring.submit().unwrap();
        drop(buf);
        assert_eq!(damage(), None);
        peer.write_all(&[SENT; 10]).unwrap();
        ring.submit_and_wait(1).unwrap();
        assert_eq!(damage(), Some((4096, 0, SENT)));
    });
}
