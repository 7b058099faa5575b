//! `io::splice`: between files, sockets and pipes; ends, errors, drops, and no descriptor left.

use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use futures_util::FutureExt;
use futures_util::future::{join, poll_immediate};
use saferring::fs::File;
use saferring::io::splice;
use saferring::net::{TcpStream, UnixStream};
use saferring::op::nop;
use saferring::runtime::{Builder, Runtime, in_flight};
use saferring_tests::{bounded, in_child, open_fds, pattern_bytes, until};

saferring_tests::also_on_software!();

const MEGABYTE: usize = 1 << 20;

fn runtime() -> Runtime {
    Builder::new().entries(32).build().unwrap()
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let one = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (two, _) = listener.accept().unwrap();
    (TcpStream::from_std(one), TcpStream::from_std(two))
}

/// A file without a name.
async fn scratch(name: &str, contents: &[u8]) -> File {
    scratch_in(std::env::temp_dir(), name, contents).await
}

async fn scratch_in(dir: std::path::PathBuf, name: &str, contents: &[u8]) -> File {
    let path = dir.join(format!("saferring-splice-{name}-{}", std::process::id()));
    let mut options = File::options();
    options.read(true).write(true).create(true);
    let file = options.open(&path).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all_at(contents.to_vec(), 0).await.0.unwrap();
    file
}

fn pipe() -> (File, File) {
    let (reader, writer) = std::io::pipe().unwrap();
    let file = |fd: OwnedFd| File::from_std(fd.into());
    (file(reader.into()), file(writer.into()))
}

async fn receive(stream: &TcpStream, len: usize) -> Vec<u8> {
    let (received, data) = stream.read_exact(Vec::with_capacity(len)).await;
    received.unwrap();
    data
}

#[test]
fn a_file_to_a_socket_and_back() {
    bounded(|| {
        runtime().block_on(async {
            let data = pattern_bytes(0, 7 * MEGABYTE + 123);
            let from = scratch("from", &data).await;
            let to = scratch("to", b"").await;
            let (a, b) = tcp_pair();
            let (sent, received) = join(
                async {
                    let sent = splice(from.at(0), &a, u64::MAX).await.unwrap();
                    a.close().await.unwrap();
                    sent
                },
                async { splice(&b, to.at(5), u64::MAX).await.unwrap() },
            )
            .await;
            assert_eq!((sent, received), (data.len() as u64, data.len() as u64));
            let (read, back) = to.read_exact_at(vec![0; data.len()], 5).await;
            read.unwrap();
            assert!(back == data);
            assert_eq!(to.metadata().await.unwrap().len(), data.len() as u64 + 5);
        });
    });
}

#[test]
fn part_of_a_file_by_cursor() {
    bounded(|| {
        runtime().block_on(async {
            let data = pattern_bytes(0, 3 * MEGABYTE);
            let mut from = scratch("cursor", &data).await;
            let mut to = scratch("target", b"").await;
            for len in [10, 2 * MEGABYTE as u64, 1, 0] {
                assert_eq!(splice(&mut from, &mut to, len).await.unwrap(), len);
            }
            let done = 2 * MEGABYTE as u64 + 11;
            assert_eq!(from.stream_position().await.unwrap(), done);
            // Short: the source ends.
            let rest = splice(&mut from, &mut to, u64::MAX).await.unwrap();
            assert_eq!(rest, data.len() as u64 - done);
            assert_eq!(splice(&mut from, &mut to, 100).await.unwrap(), 0);
            assert_eq!(
                splice(from.at(u64::from(u32::MAX)), &mut to, 100)
                    .await
                    .unwrap(),
                0
            );
            let (read, back) = to.read_exact_at(vec![0; data.len()], 0).await;
            read.unwrap();
            assert!(back == data);
        });
    });
}

#[test]
fn sockets_and_pipes_in_a_row() {
    bounded(|| {
        runtime().block_on(async {
            let (tcp, tcp_in) = tcp_pair();
            let (unix_out, unix_in) = UnixStream::pair().unwrap();
            let (mut pipe_out, mut pipe_in) = pipe();
            let data = pattern_bytes(3, 2 * MEGABYTE);
            let file = scratch("row", &data).await;
            let first = async {
                splice(file.at(0), &tcp, u64::MAX).await.unwrap();
                tcp.close().await.unwrap();
            };
            let second = async {
                splice(&tcp_in, &unix_out, u64::MAX).await.unwrap();
                unix_out.close().await.unwrap();
            };
            let third = async {
                let moved = splice(&unix_in, &mut pipe_in, u64::MAX).await.unwrap();
                pipe_in.close().await.unwrap();
                moved
            };
            let fourth = async {
                let mut back = Vec::new();
                loop {
                    let (read, buf) = pipe_out.read(Vec::with_capacity(50_000)).await;
                    if read.unwrap() == 0 {
                        return back;
                    }
                    back.extend(buf);
                }
            };
            let ((), ((), (moved, back))) = join(first, join(second, join(third, fourth))).await;
            assert_eq!(moved, data.len() as u64);
            assert!(back == data);
            let (mut one, mut writer) = pipe();
            writer.write_all("from a pipe").await.0.unwrap();
            let (a, b) = tcp_pair();
            assert_eq!(splice(&mut one, &a, 6).await.unwrap(), 6);
            assert_eq!(receive(&b, 6).await, b"from a");
        });
    });
}

#[test]
fn what_arrived_late_goes_first() {
    bounded(|| {
        runtime().block_on(async {
            let (a, b) = tcp_pair();
            let (c, d) = tcp_pair();
            let read = b.read(vec![0; 100]).submit();
            saferring::op::nop().await.unwrap();
            a.write_all("late ").await.0.unwrap();
            for _ in 0..5 {
                saferring::op::nop().await.unwrap();
            }
            // It has completed, and nobody takes it.
            drop(read);
            assert_eq!(splice(&b, &c, 3).await.unwrap(), 3);
            a.write_all("and more").await.0.unwrap();
            assert_eq!(splice(&b, &c, 7).await.unwrap(), 7);
            assert_eq!(receive(&d, 10).await, b"late and m");
            assert_eq!(receive(&b, 3).await, b"ore");
        });
    });
}

/// What was dropped in flight may still move the cursor, and a read moves it back: a splice waits for that.
#[test]
fn by_cursor_after_a_read_or_write_that_was_dropped() {
    bounded(|| {
        runtime().block_on(async {
            let data: Vec<u8> = (0..64).collect();
            // There a thread of the kernel reads, at the same time.
            let memory = std::path::PathBuf::from("/dev/shm");
            let dir = match memory.is_dir() {
                true => memory,
                false => std::env::temp_dir(),
            };
            for round in 0..500 {
                let (a, b) = UnixStream::pair().unwrap();
                let mut file = scratch_in(dir.clone(), "dropped", &data).await;
                {
                    let mut read = Box::pin(file.read(vec![0; 8]));
                    assert!(poll_immediate(&mut read).await.is_none());
                    for _ in 0..round % 3 {
                        nop().await.unwrap();
                    }
                }
                let sent = splice(&mut file, &a, u64::MAX).await.unwrap();
                let (read, sent_data) = b.read_exact(vec![0; sent as usize]).await;
                read.unwrap();
                assert_eq!(sent_data, data, "round {round}");
                assert_eq!(file.stream_position().await.unwrap(), 64);
                file.rewind().await.unwrap();
                {
                    let mut write = Box::pin(file.write(vec![255; 8]));
                    assert!(poll_immediate(&mut write).await.is_none());
                    for _ in 0..round % 3 {
                        nop().await.unwrap();
                    }
                }
                a.write_all(b"spliced").await.0.unwrap();
                splice(&b, &mut file, 7).await.unwrap();
                let end = file.stream_position().await.unwrap() as usize;
                let written = if end == 15 { 8 } else { 0 };
                let (read, contents) = file.read_exact_at(vec![0; 64], 0).await;
                read.unwrap();
                assert_eq!(end, written + 7, "round {round}");
                assert_eq!(contents[..written], [255; 8][..written], "round {round}");
                assert_eq!(&contents[written..end], b"spliced", "round {round}");
                assert_eq!(contents[end..], data[end..], "round {round}");
            }
        });
    });
}

#[test]
fn errors_and_no_descriptor_left() {
    in_child("errors_and_no_descriptor_left", || {
        runtime().block_on(async {
            saferring::op::nop().await.unwrap();
            let file = scratch("errors", &pattern_bytes(0, 100_000)).await;
            let path = std::env::temp_dir()
                .join(format!("saferring-splice-append-{}", std::process::id()));
            let append = File::options()
                .append(true)
                .create(true)
                .open(&path)
                .await
                .unwrap();
            std::fs::remove_file(&path).unwrap();
            let read_only = File::open("/proc/self/exe").await.unwrap();
            let (a, b) = tcp_pair();
            b.close().await.unwrap();
            let before = open_fds();
            for _ in 0..20 {
                let error = splice(file.at(0), append.at(0), 100).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                let error = splice(file.at(0), read_only.at(0), 100).await.unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EBADF));
                let error = splice(file.at(u64::MAX), append.at(0), 100)
                    .await
                    .unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                // The peer is gone.
                let error = loop {
                    if let Err(error) = splice(file.at(0), &a, u64::MAX).await {
                        break error;
                    }
                };
                let broken = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
                assert!(broken.contains(&error.kind()), "{error}");
            }
            until("the pipes' closes", || open_fds() == before).await;
        });
    });
}

#[test]
fn dropped_at_each_step() {
    in_child("dropped_at_each_step", || {
        runtime().block_on(async {
            saferring::op::nop().await.unwrap();
            let file = scratch("dropped", &pattern_bytes(0, 4 * MEGABYTE)).await;
            let before = open_fds();
            for steps in 0..30 {
                let (a, b) = tcp_pair();
                let mut sending = Box::pin(splice(file.at(0), &a, u64::MAX));
                let mut receiving = Box::pin(splice(&b, file.at(8 << 20), u64::MAX));
                for _ in 0..steps {
                    assert!((&mut sending).now_or_never().is_none_or(|_| steps > 1));
                    let _ = (&mut receiving).now_or_never();
                    saferring::op::nop().await.unwrap();
                }
                drop(sending);
                drop(receiving);
                a.close().await.unwrap();
                b.close().await.unwrap();
            }
            until("the descriptors' closes", || open_fds() == before).await;
        });
    });
}

#[test]
fn waiting_loses_nothing_and_ends_with_a_close() {
    bounded(|| {
        runtime().block_on(async {
            let (a, b) = tcp_pair();
            let (c, d) = tcp_pair();
            let mut waiting = Box::pin(splice(&b, &c, u64::MAX));
            assert!((&mut waiting).now_or_never().is_none());
            saferring::op::nop().await.unwrap();
            assert!(
                in_flight()
                    .iter()
                    .any(|op| op.name == "poll" && op.fd == Some(b.as_raw_fd()))
            );
            drop(waiting);
            a.write_all("hello").await.0.unwrap();
            assert_eq!(receive(&b, 5).await, b"hello");
            // A full destination: the step that waits for room ends with the drop, too.
            let zeros = scratch("zeros", b"").await;
            zeros.set_len(1 << 30).await.unwrap();
            let mut full = Box::pin(splice(zeros.at(0), &c, u64::MAX));
            for _ in 0..2000 {
                assert!((&mut full).now_or_never().is_none());
                saferring::op::nop().await.unwrap();
            }
            drop(full);
            c.close().await.unwrap();
            drop(d);
        });
    });
}

#[test]
fn the_runtime_ends_meanwhile() {
    bounded(|| {
        let (a, mut peer) = {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            (UnixStream::from_std(ours), theirs)
        };
        let runtime = runtime();
        runtime.block_on(async {
            let (c, _d) = tcp_pair();
            let task = saferring::spawn(async move { splice(&a, &c, u64::MAX).await });
            peer.write_all(b"some").unwrap();
            for _ in 0..3 {
                saferring::op::nop().await.unwrap();
            }
            drop(task);
        });
        let left = runtime.shutdown_timeout(std::time::Duration::from_secs(30));
        assert!(left.is_ok(), "{left:?}");
        // The end, or a reset if "some" was not read.
        let mut rest = Vec::new();
        let ended = peer.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{ended:?}");
    });
}
