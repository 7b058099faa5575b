//! What values say of themselves when they are formatted: their type, and what somebody who looks for a fault wants to
//! know. No addresses of memory, and of buffers how much they hold, not what.

use std::fmt::Debug;
use std::future::pending;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::poll_immediate;
use futures_util::stream::FusedStream;
use saferring::buf::{AlignedBuf, BufferPool};
use saferring::fs::File;
use saferring::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, BufWriter};
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use saferring::op::{PollAdd, Readiness, Registry, nop};
use saferring::runtime::{in_flight, metrics};
use saferring::task::JoinSet;
use saferring::time::sleep_until;
use saferring::{features, spawn};
use saferring_tests::{bounded, skipped, small_pool, until};

use super::files::Dir;
use super::runtime;

#[track_caller]
fn says(value: &impl Debug, text: impl AsRef<str>) {
    assert_eq!(format!("{value:?}"), text.as_ref());
}

fn pair() -> (UnixStream, std::os::unix::net::UnixStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    (UnixStream::from_std(ours), theirs)
}

/// Checks that a socket says what std says of it, under the same number.
macro_rules! says_as_std {
    ($ours:expr) => {{
        let ours = $ours;
        let (fd, text) = (ours.as_raw_fd(), format!("{ours:?}"));
        let std = format!("{:?}", ours.into_std().unwrap());
        // How std has its own number wrapped up is of its own concern.
        let std = std.replace(
            &format!("FileDesc(OwnedFd {{ fd: {fd} }})"),
            &fd.to_string(),
        );
        assert_eq!(text, std);
    }};
}

#[test]
fn sockets_say_what_those_of_std_say() {
    bounded(|| {
        let dir = Dir::new("debug");
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let client = TcpStream::connect(address).await.unwrap();
            let (server, peer) = listener.accept().await.unwrap();
            let fd = server.as_raw_fd();
            says(
                &server,
                format!("TcpStream {{ addr: {address}, peer: {peer}, fd: {fd} }}"),
            );
            says_as_std!(server);
            says_as_std!(client);
            let mut incoming = listener.incoming();
            assert!(poll_immediate(incoming.next()).await.is_none());
            let text = format!("{incoming:?}");
            let fd = format!("listener: fd {}, ", listener.as_raw_fd());
            assert!(
                text.starts_with("Incoming(") && text.contains(&fd),
                "{text}"
            );
            assert!(
                text.contains("accept (multishot): in flight") || !features().multishot_accept()
            );
            drop(incoming);
            until("the end of the accept", || in_flight().is_empty()).await;
            says_as_std!(listener);
            says_as_std!(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());

            let path = dir.0.join("listener");
            let listener = UnixListener::bind(&path).unwrap();
            let client = UnixStream::connect(&path).await.unwrap();
            says_as_std!(listener.accept().await.unwrap().0);
            says_as_std!(client);
            says_as_std!(listener);
            let path = dir.0.join("datagrams");
            let bound = UnixDatagram::bind(&path).unwrap();
            let connected = UnixDatagram::unbound().unwrap();
            says_as_std!(UnixDatagram::unbound().unwrap());
            let unconnected = connected.peer_addr().unwrap_err();
            assert_eq!(unconnected.kind(), std::io::ErrorKind::NotConnected);
            connected.connect(&path).await.unwrap();
            let peer = connected.peer_addr().unwrap();
            assert_eq!(peer.as_pathname(), Some(path.as_path()));
            says_as_std!(connected);
            says_as_std!(bound);
        });
    });
}

#[test]
fn files_say_their_number_and_what_they_are() {
    bounded(|| {
        let dir = Dir::new("debug-files");
        let path = dir.0.join("file");
        std::fs::write(&path, [7; 100]).unwrap();
        runtime().block_on(async {
            let file = File::open(&path).await.unwrap();
            let fd = file.as_raw_fd();
            says(&file, format!("File {{ fd: {fd} }}"));
            let metadata = file.metadata().await.unwrap();
            let (kind, ino) = (metadata.file_type(), metadata.ino());
            let (mode, modified) = (metadata.mode(), metadata.modified().unwrap());
            says(
                &metadata,
                format!(
                    "Metadata {{ file_type: {kind:?}, mode: {mode:o}, len: 100, ino: {ino}, \
                     modified: Some({modified:?}), .. }}"
                ),
            );

            let mut chunks = file.read_stream(.., 2);
            let about = |next: u64, in_flight: usize, ended: bool| {
                format!(
                    "ReadStream {{ file: fd {fd}, next: {next}, in_flight: {in_flight}, ended: {ended} }}"
                )
            };
            says(&chunks, about(0, 0, false));
            assert_eq!(chunks.next().await.unwrap().unwrap().len(), 100);
            assert!(!chunks.is_terminated());
            assert!(chunks.next().await.is_none() && chunks.is_terminated());
            assert!(format!("{chunks:?}").contains("in_flight: 0, ended: true"));
        });
    });
}

/// A stream of chunks: before it is polled, with the kernel, at its end.
#[test]
fn streams_say_how_far_they_are() {
    bounded(|| {
        runtime().block_on(async {
            let armed = match features().multishot_recv() {
                true => "armed",
                // There is a request only while somebody polls.
                false => "idle",
            };
            let (stream, peer) = pair();
            let fd = stream.as_raw_fd();
            let mut chunks = stream.recv_stream();
            says(&chunks, format!("RecvStream(fd {fd}, idle)"));
            assert!(poll_immediate(chunks.next()).await.is_none());
            says(&chunks, format!("RecvStream(fd {fd}, armed)"));
            (&peer).write_all(b"chunk").unwrap();
            let chunk = chunks.next().await.unwrap().unwrap();
            says(&chunk, "ProvidedBuf(5 bytes)");
            (&peer).write_all(b"batch").unwrap();
            let batch = chunks.next_batch().await.unwrap().unwrap();
            says(&batch, "[ProvidedBuf(5 bytes)]");
            assert!(!chunks.is_terminated());
            drop(peer);
            assert!(chunks.next().await.is_none() && chunks.is_terminated());
            says(&chunks, format!("RecvStream(fd {fd}, ended)"));

            let (ours, theirs) = (
                UdpSocket::bind("127.0.0.1:0").unwrap(),
                std::net::UdpSocket::bind("127.0.0.1:0").unwrap(),
            );
            let fd = ours.as_raw_fd();
            let mut datagrams = ours.recv_stream();
            says(&datagrams, format!("RecvStream(fd {fd}, idle)"));
            let address = ours.local_addr().unwrap();
            theirs.send_to(b"one", address).unwrap();
            theirs.send_to(b"two", address).unwrap();
            assert_eq!(&datagrams.next().await.unwrap().unwrap()[..], b"one");
            let batch = datagrams.next_batch().await.unwrap().unwrap();
            assert_eq!((batch.len(), &batch[0][..]), (1, &b"two"[..]));
            says(&datagrams, format!("RecvStream(fd {fd}, {armed})"));
            assert!(!datagrams.is_terminated());
            drop(datagrams);
            let mut datagrams = ours.recv_from_stream();
            says(&datagrams, format!("RecvFromStream(fd {fd}, idle)"));
            assert!(poll_immediate(datagrams.next()).await.is_none());
            says(&datagrams, format!("RecvFromStream(fd {fd}, armed)"));
            assert!(!datagrams.is_terminated());
        });
    });
}

#[test]
fn operations_say_their_name_and_how_far_they_are() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, _peer) = pair();
            let fd = stream.as_raw_fd();
            let read = stream.read(vec![0; 8]);
            says(&read, "Op(recv: not submitted)");
            let mut read = read.submit();
            says(&read, "Submitted(recv: in flight)");
            read = read.cancel();
            until("the end of the read", || in_flight().is_empty()).await;
            assert!(poll_immediate(&mut read).await.is_some());
            says(&read, "Submitted(recv: complete)");
            says(&nop(), "Op(nop: not submitted)");

            // The list of those in flight tells the task, the descriptor and the age.
            let task = spawn(async move { stream.read(vec![0; 8]).await.0 });
            until("the read", || !in_flight().is_empty()).await;
            let line = in_flight()[0].to_string();
            let (begin, end) = (
                format!("recv fd {fd}, "),
                format!(" ms, task {}", task.id()),
            );
            assert!(line.starts_with(&begin) && line.ends_with(&end), "{line}");
            let ready = PollAdd::new(
                OwnedFd::from(std::io::pipe().unwrap().0),
                Readiness::READABLE,
            );
            says(&ready, "Op(poll: not submitted)");
            let readiness = ready.await.0.unwrap();
            assert!(readiness.is_hang_up());
            says(&readiness, format!("Readiness({:#x})", libc::POLLHUP));
        });
    });
}

#[test]
fn buffers_say_how_much_they_hold_and_not_what() {
    bounded(|| {
        runtime().block_on(async {
            let mut aligned = AlignedBuf::new(1024, 512);
            assert_eq!(aligned.extend_from_slice(b"secret"), 6);
            says(
                &aligned,
                "AlignedBuf { len: 6, capacity: 1024, alignment: 512 }",
            );
            let pool = BufferPool::with_alignment(1000, 3, 64);
            assert_eq!(pool.buffer_size(), 1000);
            let mut pooled = pool.try_take().unwrap();
            assert_eq!(pooled.extend_from_slice(b"secret"), 6);
            says(&pooled, "PooledBuf { len: 6, capacity: 1000 }");
            says(
                &pool,
                "BufferPool { buffer_size: 1000, alignment: 64, capacity: 3, available: 2 }",
            );

            let pool = small_pool(2, 5000);
            let registered = pool.is_registered();
            let mut fixed = pool.take().await;
            fixed.resize(3, b's');
            says(
                &fixed,
                format!("FixedBuf {{ len: 3, capacity: 5000, registered: {registered} }}"),
            );
            says(
                &pool,
                format!(
                    "FixedBufPool {{ buffer_size: 5000, capacity: 2, available: 1, registered: {registered} }}"
                ),
            );

            let mut reader = BufReader::with_capacity(16, &b"a line\nmore"[..]);
            let (read, line) = reader.read_line(String::new()).await;
            assert_eq!((read.unwrap(), line.as_str()), (7, "a line\n"));
            let text = format!("{reader:?}");
            assert!(text.ends_with("buffered: 4, capacity: 16 }"), "{text}");
            let mut writer = BufWriter::with_capacity(32, saferring::io::sink());
            writer.write_all("secret").await.0.unwrap();
            says(
                &writer,
                "BufWriter { inner: Sink, buffered: 6, capacity: 32 }",
            );
        });
    });
}

/// The buffer of a zero-copy send: with the kernel, free again, and given back.
#[test]
fn sent_buffers_say_whose_they_are() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, _peer) = pair();
            let (sent, mut buf) = stream.send_zc(*b"abc").await;
            assert_eq!(sent.unwrap(), 3);
            says(&buf, format!("ZcBuf({:?})", b"abc"));
            assert_eq!((&mut buf).await, *b"abc");
            says(&buf, "ZcBuf(given back)");

            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let client = TcpStream::connect(address).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            client.set_zero_copy_threshold(1);
            let (sent, buf) = client.send_zc([7; 100]).await;
            assert_eq!(sent.unwrap(), 100);
            // The peer's kernel has it until it is received.
            if metrics().zero_copy_sends == 1 {
                let text = format!("{buf:?}");
                assert!(text == "ZcBuf(the kernel has it)", "{text}");
            }
            server.read_exact([0; 100]).await.0.unwrap();
            assert_eq!(buf.await, [7; 100]);
        });
    });
}

#[test]
fn direct_descriptors_say_their_slot() {
    bounded(|| {
        runtime().block_on(async {
            let Ok(registry) = Registry::current() else {
                return skipped("no registered files");
            };
            says(&registry, "Registry");
            let (reader, mut writer) = std::io::pipe().unwrap();
            let first = registry.register(&reader).unwrap();
            let second = registry.register(&reader).unwrap();
            says(&first, "RegisteredFd(slot 0)");
            says(&second, "RegisteredFd(slot 1)");
            writer.write_all(b"x").unwrap();
            assert_eq!(second.read_at(vec![0; 1], 0).await.1, b"x");
        });
    });
}

#[test]
fn tasks_and_timers_say_whether_they_have_ended() {
    bounded(|| {
        runtime().block_on(async {
            let task = spawn(pending::<()>());
            let id = task.id();
            let about =
                |finished: bool| format!("JoinHandle {{ id: {id:?}, finished: {finished} }}");
            says(&task, about(false));
            task.abort();
            until("the end of the task", || task.is_finished()).await;
            says(&task, about(true));
            says(&task.await.unwrap_err(), "JoinError::Cancelled");
            let panics = |text: Option<String>| async move {
                match text {
                    Some(text) => panic!("{text}"),
                    None => std::panic::panic_any(7),
                }
            };
            let error = spawn(panics(Some("of its own".to_owned())))
                .await
                .unwrap_err();
            says(&error, "JoinError::Panic(\"of its own\")");
            assert_eq!(error.to_string(), "the task panicked: of its own");
            let error = spawn(panics(None)).await.unwrap_err();
            says(&error, "JoinError::Panic(..)");
            assert_eq!(error.to_string(), "the task panicked");

            let mut set = JoinSet::new();
            set.spawn(async {});
            says(&set, "JoinSet { len: 1, .. }");
            set.join_next().await.unwrap().unwrap();
            says(&set, "JoinSet { len: 0, .. }");

            let deadline = Instant::now() + Duration::from_millis(1);
            let mut sleep = Box::pin(sleep_until(deadline));
            says(
                &sleep,
                format!("Sleep {{ deadline: {deadline:?}, elapsed: false }}"),
            );
            sleep.as_mut().await;
            says(
                &sleep,
                format!("Sleep {{ deadline: {deadline:?}, elapsed: true }}"),
            );
        });
    });
}

/// A runtime tells of its ring, its counters, and all that is in flight.
#[test]
fn a_runtime_says_what_it_is_at() {
    bounded(|| {
        let runtime = runtime();
        let ring = runtime.ring_info().unwrap();
        let (stream, _peer) = pair();
        let read = runtime.block_on(async { Some(stream.read(vec![0; 8]).submit()) });
        let text = format!("{runtime:?}");
        let begin = format!("Runtime {{ driver: Driver {{ ring: Some({ring:?}), in_flight: 1, ");
        assert!(text.starts_with(&begin), "{text}");
        let metrics = format!("metrics: {:?}, ", runtime.metrics());
        assert!(text.contains(&metrics), "{text}");
        let fd = stream.as_raw_fd();
        let operation = format!("name: \"recv\", fd: Some({fd}), ");
        assert!(text.contains(&operation), "{text}");
        drop(read);
        let count = format!(
            "opcodes: {}",
            (0..=255)
                .filter(|&code| features().has_opcode(code))
                .count()
        );
        let features = format!("{:?}", features());
        assert!(features.contains(&count), "{features} {count}");
    });
}
