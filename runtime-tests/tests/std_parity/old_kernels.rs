//! What an old kernel lacks is done another way, and comes to the same. A filter that lets nothing be registered with a
//! ring makes the newest kernel such a one: it does not say what it has, makes no tables, takes no buffers and passes no
//! messages. The software ring is told so by the environment alone.

use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use saferring::fs::{self, File};
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixListener};
use saferring::op::{Registry, nop};
use saferring::runtime::{Builder, Runtime, in_flight, metrics};
use saferring::{features, spawn, spawn_blocking};
use saferring_tests::{Refusal, in_child, is_software, refuse, small_pool, until};

use super::{Scratch, pair, runtime};

/// Runs `body` where the kernel does not say what it has, so that it is taken for one of 5.10.
fn on_an_old_kernel(name: &str, body: impl FnOnce() + Send + 'static) {
    in_child(name, || {
        refuse(Refusal {
            call: libc::SYS_io_uring_register,
            errno: libc::EINVAL,
        })
        .unwrap();
        // What is tried by submitting passes the filter.
        // SAFETY: this process has no other thread that looks at the environment now.
        unsafe { std::env::set_var("SAFERRING_DISABLE", "kernel-5.14") };
        body();
        let features = features();
        const MKDIRAT: u8 = 37;
        assert!(!(MKDIRAT..=u8::MAX).any(|code| features.has_opcode(code)));
        assert!(!features.multishot_accept() && !features.multishot_recv());
    });
}

#[test]
fn files_and_directories() {
    on_an_old_kernel("old_kernels::files_and_directories", || {
        let scratch = Scratch::new("old-files");
        runtime().block_on(async {
            let dir = scratch.path("dir");
            fs::create_dir(&dir).await.unwrap();
            assert!(dir.is_dir());
            let again = fs::create_dir(&dir).await.unwrap_err();
            assert_eq!(again.kind(), std::fs::create_dir(&dir).unwrap_err().kind());
            let (written, _) = fs::write(dir.join("file"), "contents").await;
            written.unwrap();
            let full = fs::remove_dir(&dir).await.unwrap_err();
            assert_eq!(full.kind(), std::fs::remove_dir(&dir).unwrap_err().kind());
            fs::rename(dir.join("file"), dir.join("other"))
                .await
                .unwrap();
            assert!(!dir.join("file").exists());
            let mut options = File::options();
            let file = options.read(true).write(true).open(dir.join("other"));
            let file = file.await.unwrap();
            for len in [3, 5] {
                file.set_len(len).await.unwrap();
                assert_eq!(std::fs::metadata(dir.join("other")).unwrap().len(), len);
            }
            assert_eq!(file.read_at(vec![9; 8], 0).await.1[..5], *b"con\0\0");
            assert_eq!(fs::metadata(dir.join("other")).await.unwrap().len(), 5);
            let gone = fs::remove_file(dir.join("file")).await.unwrap_err();
            assert_eq!(gone.kind(), ErrorKind::NotFound);
            fs::remove_file(dir.join("other")).await.unwrap();
            fs::remove_dir(&dir).await.unwrap();
            assert!(!dir.exists());
            let deep = scratch.path("a/b/c");
            fs::create_dir_all(&deep).await.unwrap();
            assert!(deep.is_dir());
        });
    });
}

#[test]
fn streams_of_chunks() {
    on_an_old_kernel("old_kernels::streams_of_chunks", || {
        let runtime = Builder::new().provided_buffers(16, 8, 1).build().unwrap();
        runtime.block_on(async {
            let (stream, mut peer) = pair();
            let mut chunks = stream.recv_stream();
            peer.write_all(b"chunk").unwrap();
            assert_eq!(chunks.next().await.unwrap().unwrap()[..], *b"chunk");
            peer.write_all(&[7; 20]).unwrap();
            assert_eq!(chunks.next_batch().await.unwrap().unwrap().total_len(), 16);
            assert_eq!(chunks.next().await.unwrap().unwrap()[..], [7; 4]);
            drop(peer);
            assert!(chunks.next().await.is_none());

            let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
            let theirs = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let from = theirs.local_addr().unwrap();
            theirs.connect(ours.local_addr().unwrap()).unwrap();
            let mut datagrams = ours.recv_stream();
            theirs.send(b"").unwrap();
            theirs.send(&[8; 20]).unwrap();
            // An empty one is no end.
            assert!(datagrams.next().await.unwrap().unwrap().is_empty());
            let cut = datagrams.next().await.unwrap().unwrap();
            assert_eq!((&cut[..], cut.missing()), (&[8; 16][..], 4));
            // It can be parted as any other.
            let mut cut = cut;
            let tail = cut.split_off(10);
            assert_eq!((&cut[..], &tail[..]), (&[8; 10][..], &[8; 6][..]));
            assert_eq!(Bytes::from(cut), [8; 10][..]);
            theirs.send(&[9; 17]).unwrap();
            let cut = datagrams.next().await.unwrap().unwrap();
            assert_eq!(cut.missing(), 1);
            assert_eq!(Bytes::from(cut), [9; 16][..]);
            drop(datagrams);
            let mut datagrams = ours.recv_from_stream();
            theirs.send(b"last").unwrap();
            let (datagram, sender) = datagrams.next().await.unwrap().unwrap();
            assert_eq!((&datagram[..], sender), (&b"last"[..], from));
        });
    });
}

#[test]
fn connections() {
    on_an_old_kernel("old_kernels::connections", || {
        let scratch = Scratch::new("old-connections");
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let mut incoming = listener.incoming();
            for _ in 0..3 {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                let server = incoming.next().await.unwrap().unwrap();
                assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
                // With a copy, as the kernel cannot do it without.
                server.set_zero_copy_threshold(1);
                let (sent, buf) = server.write_all_zc(vec![3; 1000]).await;
                sent.unwrap();
                assert_eq!(buf.await, [3; 1000]);
                let (sent, bufs) = server.send_vectored_zc([vec![4; 2], vec![5; 3]]).await;
                assert_eq!((sent.unwrap(), bufs.await.concat().len()), (5, 5));
                drop(server);
                let mut all = Vec::new();
                client.read_to_end(&mut all).unwrap();
                assert_eq!(all, [&[3; 1000][..], &[4; 2], &[5; 3]].concat());
            }
            assert_eq!(metrics().zero_copy_sends, 0);

            let path = scratch.path("listener");
            let listener = UnixListener::bind(&path).unwrap();
            let mut incoming = listener.incoming();
            let clients = [0, 1].map(|_| std::os::unix::net::UnixStream::connect(&path).unwrap());
            for mut client in clients {
                let server = incoming.next().await.unwrap().unwrap();
                client.write_all(b"to the first").unwrap();
                assert_eq!(server.read(vec![0; 12]).await.1, b"to the first");
            }
            let std = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(std.local_addr().unwrap()).await;
            let (_accepted, peer) = std.accept().unwrap();
            assert_eq!(stream.unwrap().local_addr().unwrap(), peer);
        });
    });
}

/// A write to an eventfd ends the wait, from any thread.
/// The runtime reads an eventfd there, to be woken by; that is no operation of the user.
#[test]
fn in_flight_is_what_the_user_has_begun() {
    on_an_old_kernel("old_kernels::in_flight_is_what_the_user_has_begun", || {
        let runtime = runtime();
        runtime.block_on(async {
            nop().await.unwrap();
            assert_eq!(in_flight(), []);
            let metrics = metrics();
            assert_eq!((metrics.in_flight, metrics.orphans), (0, 0));
            let (stream, _peer) = pair();
            let read = stream.read(vec![0; 8]).submit();
            nop().await.unwrap();
            assert_eq!(in_flight().len(), 1);
            drop(read);
            until("the end of the read", || in_flight().is_empty()).await;
        });
        assert_eq!(runtime.in_flight(), []);
        assert_eq!(runtime.shutdown_timeout(Duration::from_secs(10)), Ok(()));
    });
}

#[test]
fn wakes_from_other_threads() {
    on_an_old_kernel("old_kernels::wakes_from_other_threads", || {
        let runtime = runtime();
        runtime.block_on(async {
            for n in 0..100 {
                assert_eq!(spawn_blocking(move || n).await.unwrap(), n);
            }
            let (sender, receiver) = mpsc::channel::<std::task::Waker>();
            let thread =
                std::thread::spawn(move || receiver.into_iter().for_each(|waker| waker.wake()));
            for _ in 0..100 {
                let mut asked = false;
                std::future::poll_fn(|cx| {
                    if std::mem::replace(&mut asked, true) {
                        return std::task::Poll::Ready(());
                    }
                    sender.send(cx.waker().clone()).unwrap();
                    std::task::Poll::Pending
                })
                .await;
            }
            drop(sender);
            thread.join().unwrap();
        });
        // A task that another thread holds a waker of may outlive the runtime.
        let late = runtime.block_on(async {
            let (sender, waker) = mpsc::channel();
            drop(spawn(std::future::poll_fn(move |cx| {
                let _ = sender.send(cx.waker().clone());
                std::task::Poll::<()>::Pending
            })));
            saferring::task::yield_now().await;
            waker.recv().unwrap()
        });
        drop(runtime);
        std::thread::spawn(move || late.wake()).join().unwrap();
    });
}

/// What is registered saves time, and is done without.
#[test]
fn nothing_can_be_registered() {
    on_an_old_kernel("old_kernels::nothing_can_be_registered", || {
        let scratch = Scratch::new("old-registered");
        let path = scratch.file("file", [7; 100]);
        runtime().block_on(async {
            let file = File::open(&path).await.unwrap();
            let pool = small_pool(1, 64);
            assert!(!pool.is_registered());
            for _ in 0..20 {
                let (read, buf) = file.read_at(pool.take().await, 50).await;
                assert_eq!((read.unwrap(), &buf[..]), (50, &[7; 50][..]));
            }
            // A table in software serves direct descriptors.
            let direct = Registry::current().unwrap().register(&file).unwrap();
            let (read, buf) = direct.read_at(vec![0; 50], 50).await;
            assert_eq!((read.unwrap(), &buf[..]), (50, &[7; 50][..]));
        });
    });
}

/// Before 6.15, more than one descriptor can be wanted to start: the ring's, and one to wake it by.
#[test]
fn without_a_descriptor_to_wake_it_by_a_runtime_says_so() {
    on_an_old_kernel(
        "old_kernels::without_a_descriptor_to_wake_it_by_a_runtime_says_so",
        || {
            let words = match is_software() {
                false => [
                    "no descriptor is free for an eventfd; raise the limit (`ulimit -n`",
                    "cannot start the runtime: an eventfd: ",
                ],
                true => [
                    "no descriptor is free for epoll(7); raise the limit (`ulimit -n`",
                    "cannot start the runtime: epoll(7) or its eventfd: ",
                ],
            };
            for (errno, word) in [libc::EMFILE, libc::EPERM].into_iter().zip(words) {
                refuse(Refusal {
                    call: libc::SYS_eventfd2,
                    errno,
                })
                .unwrap();
                let error = Runtime::new().map(drop).unwrap_err();
                let text = error.to_string();
                assert!(text.contains(word), "{text}");
                let error = std::io::Error::from(error);
                assert_eq!(error.to_string(), text);
            }
            // Nor is anything left of the attempt.
            assert_eq!(saferring_tests::ring_fds(), 0);
        },
    );
}
