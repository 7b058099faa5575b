//! Kinds of errors, and ends.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::path::PathBuf;
use std::time::Duration;

use saferring::fs::{self, File};
use saferring::io::{AsyncWrite, AsyncWriteExt, BufWriter, copy_bidirectional};
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use saferring::time::Elapsed;
use saferring_tests::bounded;
use socket2::SockRef;

use super::{Scratch, pair, runtime};

fn tcp_pair() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    (TcpStream::from_std(ours), theirs)
}

/// Ends a connection by a reset.
fn reset(peer: std::net::TcpStream) {
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
}

#[track_caller]
fn same<A, B>(ours: io::Result<A>, theirs: io::Result<B>) {
    let theirs = theirs.map(drop).map_err(|error| error.kind());
    assert_eq!(ours.map(drop).map_err(|error| error.kind()), theirs);
}

#[test]
fn a_deadline_says_that_it_is_one() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, _peer) = pair();
            let short = Duration::from_millis(1);
            let (read, buf) = stream.read(vec![7; 8]).timeout(short).await;
            let error = read.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(error.get_ref().unwrap().is::<Elapsed>(), "{error:?}");
            assert_eq!(buf, [7; 8]);

            let elapsed = saferring::time::timeout(short, std::future::pending::<()>());
            let error = io::Error::from(elapsed.await.unwrap_err());
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(error.get_ref().unwrap().is::<Elapsed>());

            // What TCP calls a timeout is something else.
            let other = io::Error::from_raw_os_error(libc::ETIMEDOUT);
            assert!(other.get_ref().is_none());
        });
    });
}

#[test]
fn ending_what_has_ended_is_no_error() {
    bounded(|| {
        runtime().block_on(async {
            for gone in ["twice", "closed", "reset"] {
                let (stream, mut peer) = tcp_pair();
                match gone {
                    "twice" => stream.shutdown(Shutdown::Write).unwrap(),
                    "closed" => drop(peer),
                    _ => {
                        peer.write_all(b"x").unwrap();
                        reset(peer);
                        while stream.read(vec![0; 8]).await.0.is_ok_and(|n| n > 0) {}
                    }
                }
                stream.shutdown(Shutdown::Write).unwrap();
                stream.shutdown(Shutdown::Both).unwrap();
                AsyncWrite::shutdown(&mut &stream).await.unwrap();
                let (_reader, mut writer) = stream.into_split();
                writer.shutdown().await.unwrap();
                let mut buffered = BufWriter::new(writer);
                buffered.shutdown().await.unwrap();
            }
            let (stream, peer) = pair();
            drop(peer);
            stream.shutdown(Shutdown::Both).unwrap();
            stream.shutdown(Shutdown::Both).unwrap();
        });
    });
}

#[test]
fn both_directions_may_end_in_any_order() {
    bounded(|| {
        runtime().block_on(async {
            let ((a, mut one), (b, mut two)) = (tcp_pair(), tcp_pair());
            let forward = saferring::spawn(async move { copy_bidirectional(&a, &b).await });
            one.write_all(b"there").unwrap();
            two.write_all(b"back again").unwrap();
            one.shutdown(Shutdown::Write).unwrap();
            let thread = std::thread::spawn(move || {
                let mut data = Vec::new();
                two.read_to_end(&mut data).unwrap();
                drop(two);
                data
            });
            let moved = forward.await.unwrap().unwrap();
            assert_eq!(moved, (5, 10));
            assert_eq!(thread.join().unwrap(), b"there");
            let mut data = Vec::new();
            one.read_to_end(&mut data).unwrap();
            assert_eq!(data, b"back again");
        });
    });
}

/// Those whose peers are gone already have nothing to move, and nothing to end.
#[test]
fn what_has_ended_on_both_sides_is_copied_without_an_error() {
    bounded(|| {
        runtime().block_on(async {
            for unix in [false, true] {
                let moved = match unix {
                    false => {
                        let ((a, one), (b, two)) = (tcp_pair(), tcp_pair());
                        drop((one, two));
                        copy_bidirectional(&a, &b).await
                    }
                    true => {
                        let ((a, one), (b, two)) = (pair(), pair());
                        drop((one, two));
                        copy_bidirectional(&a, &b).await
                    }
                };
                assert_eq!(moved.unwrap(), (0, 0));
            }
        });
    });
}

/// std looks at nothing if there is nothing to write.
#[test]
fn writing_nothing_is_no_error() {
    bounded(|| {
        runtime().block_on(async {
            for gone in [false, true] {
                let (stream, peer) = tcp_pair();
                let (std_stream, std_peer) = tcp_pair();
                let mut std_stream = std_stream.into_std().unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                std_stream.shutdown(Shutdown::Write).unwrap();
                if gone {
                    drop((peer, std_peer));
                }
                std_stream.write_all(b"").unwrap();
                stream.write_all("").await.0.unwrap();
                stream.write_all_vectored(["", ""]).await.0.unwrap();
                stream.write_all_zc("").await.0.unwrap();
                AsyncWriteExt::write_all(&mut &stream, "").await.0.unwrap();
                let (_reader, mut writer) = stream.into_split();
                writer.write_all("").await.0.unwrap();
                same(writer.write("").await.0, std_stream.write(b""));
            }
        });
    });
}

#[test]
fn a_reset_is_told_once_and_then_the_end() {
    bounded(|| {
        runtime().block_on(async {
            let (std_stream, peer) = tcp_pair();
            let mut std_stream = std_stream.into_std().unwrap();
            reset(peer);
            let (stream, peer) = tcp_pair();
            reset(peer);
            for _ in 0..3 {
                let (read, _) = stream.read(vec![0; 8]).await;
                same(read, std_stream.read(&mut [0; 8]));
            }
            let (written, _) = stream.write("x").await;
            same(written, std_stream.write(b"x"));
            let exact = stream.read_exact([0; 1]).await.0;
            same(exact, std_stream.read_exact(&mut [0; 1]));
        });
    });
}

#[test]
fn the_end_is_the_end_as_often_as_it_is_asked_for() {
    bounded(|| {
        let dir = Scratch::new("end");
        let path = dir.file("short", "ab");
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            peer.write_all(b"ab").unwrap();
            drop(peer);
            assert_eq!(stream.read(vec![0; 8]).await.0.unwrap(), 2);
            let mut file = File::open(&path).await.unwrap();
            assert_eq!(file.read(vec![0; 8]).await.0.unwrap(), 2);
            for _ in 0..3 {
                assert_eq!(stream.read(vec![0; 8]).await.0.unwrap(), 0);
                assert_eq!(stream.peek(vec![0; 8]).await.0.unwrap(), 0);
                assert_eq!(file.read(vec![0; 8]).await.0.unwrap(), 0);
                assert_eq!(file.read_at(vec![0; 8], 9).await.0.unwrap(), 0);
            }
        });
    });
}

#[test]
fn writing_to_who_is_gone_is_a_broken_pipe() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = pair();
            drop(peer);
            let kinds = [
                stream.write("x").await.0.map(drop),
                stream.write_all("x").await.0,
                stream.write_vectored(["x", "y"]).await.0.map(drop),
                stream.write_all_vectored(["x", "y"]).await.0,
                AsyncWriteExt::write_all(&mut &stream, "x").await.0,
            ];
            for kind in kinds {
                assert_eq!(kind.unwrap_err().kind(), ErrorKind::BrokenPipe);
            }
            let (stream, peer) = tcp_pair();
            stream.shutdown(Shutdown::Write).unwrap();
            let error = stream.write("x").await.0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            drop(peer);
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut pipe = File::from(std::os::fd::OwnedFd::from(writer));
            let error = pipe.write("x").await.0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        });
    });
}

#[test]
fn connects_fail_as_in_std() {
    bounded(|| {
        let dir = Scratch::new("connects");
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let taken = TcpListener::bind(address);
            same(taken, std::net::TcpListener::bind(address));
            drop(listener);
            let ours = TcpStream::connect(address).await;
            same(ours, std::net::TcpStream::connect(address));
            let ours = TcpStream::connect_timeout(address, Duration::ZERO).await;
            same(
                ours,
                std::net::TcpStream::connect_timeout(&address, Duration::ZERO),
            );
            let limit = Duration::from_secs(30);
            let ours = TcpStream::connect_timeout(address, limit).await;
            same(ours, std::net::TcpStream::connect_timeout(&address, limit));

            for path in [
                dir.path("missing"),
                dir.file("file", ""),
                dir.0.clone(),
                "x".repeat(200).into(),
            ] {
                let ours = UnixStream::connect(&path).await;
                same(ours, std::os::unix::net::UnixStream::connect(&path));
            }

            let (udp, theirs) = (
                UdpSocket::bind("127.0.0.1:0").unwrap(),
                std::net::UdpSocket::bind("127.0.0.1:0").unwrap(),
            );
            same(udp.send("x").await.0, theirs.send(b"x"));
            same(udp.peer_addr(), theirs.peer_addr());
            let large = vec![0; 70_000];
            same(
                udp.send_to(large.clone(), address).await.0,
                theirs.send_to(&large, address),
            );
        });
    });
}

#[test]
fn paths_fail_as_in_std() {
    bounded(|| {
        let dir = Scratch::new("paths");
        let file = dir.file("file", "x");
        let (missing, below) = (dir.path("missing"), dir.path("file/below"));
        let long = dir.path(&"x".repeat(300));
        runtime().block_on(async {
            let empty = PathBuf::new();
            for path in [&missing, &below, &long, &file, &dir.0, &empty] {
                same(File::open(path).await, std::fs::File::open(path));
                same(fs::metadata(path).await, std::fs::metadata(path));
                let made = fs::create_dir(path).await;
                if made.is_ok() {
                    std::fs::remove_dir(path).unwrap();
                }
                let std = std::fs::create_dir(path);
                if std.is_ok() {
                    std::fs::remove_dir(path).unwrap();
                }
                same(made, std);
                same(fs::try_exists(path).await, std::fs::exists(path));
                let made = File::create_new(path).await;
                if made.is_ok() {
                    std::fs::remove_file(path).unwrap();
                }
                let std = std::fs::File::create_new(path);
                if std.is_ok() {
                    std::fs::remove_file(path).unwrap();
                }
                same(made, std);
            }
            same(fs::remove_dir(&dir.0).await, std::fs::remove_dir(&dir.0));
            same(fs::remove_dir(&file).await, std::fs::remove_dir(&file));
            same(fs::remove_file(&dir.0).await, std::fs::remove_file(&dir.0));
            same(
                fs::remove_file(&missing).await,
                std::fs::remove_file(&missing),
            );
            same(
                fs::rename(&missing, &below).await,
                std::fs::rename(&missing, &below),
            );
            same(
                fs::copy(&missing, &below).await,
                std::fs::copy(&missing, &below),
            );
            let mut open = File::open(&dir.0).await.unwrap();
            let mut std_open = std::fs::File::open(&dir.0).unwrap();
            same(open.read(vec![0; 8]).await.0, std_open.read(&mut [0; 8]));
            let taken = UnixListener::bind(&file);
            same(taken, std::os::unix::net::UnixListener::bind(&file));
            let mut open = File::open(&file).await.unwrap();
            same(
                open.write("x").await.0,
                std::fs::File::open(&file).unwrap().write(b"x"),
            );
            let std_open = std::fs::File::open(&file).unwrap();
            same(open.set_len(3).await, std_open.set_len(3));
        });
    });
}
