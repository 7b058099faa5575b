//! Reads of an exact length, and ends that come before it.

use std::io::{self, ErrorKind, Read, Write};

use saferring::buf::{IoBuf, IoBufMut};
use saferring::fs::File;
use saferring::io::{AsyncReadExt, BufReader};
use saferring::net::{UdpSocket, UnixStream};
use saferring_tests::{bounded, pattern_bytes};

use super::{Scratch, pair, runtime};

/// What reads exactly: of each, what it makes of a buffer when there are so many bytes, and then the end.
async fn all_ways<B: IoBufMut>(
    content: &[u8],
    buf: impl Fn() -> B,
) -> Vec<(&'static str, io::Result<()>, B)> {
    let dir = Scratch::new(&format!("exact-{:?}", std::thread::current().id()));
    let path = dir.file("content", content);
    let mut answers = Vec::new();
    let mut add = |way, (result, buf)| answers.push((way, result, buf));
    let mut file = File::open(&path).await.unwrap();
    add("file", file.read_exact(buf()).await);
    add("file at", file.read_exact_at(buf(), 0).await);
    file.rewind().await.unwrap();
    add(
        "ext of a file",
        AsyncReadExt::read_exact(&mut file, buf()).await,
    );
    file.rewind().await.unwrap();
    let mut reader = BufReader::new(file);
    add("buffered", reader.read_exact(buf()).await);
    for ext in [false, true] {
        let (stream, mut peer) = pair();
        peer.write_all(content).unwrap();
        drop(peer);
        match ext {
            false => add("stream", stream.read_exact(buf()).await),
            true => add(
                "ext of a stream",
                AsyncReadExt::read_exact(&mut &stream, buf()).await,
            ),
        }
    }
    answers
}

/// std's answer for so many bytes out of so many.
fn std_answer(mut content: &[u8], length: usize) -> Result<(), ErrorKind> {
    let answer = Read::read_exact(&mut content, &mut vec![0; length]);
    answer.map_err(|error| error.kind())
}

async fn check<B: IoBufMut>(
    content: &[u8],
    length: usize,
    buf: impl Fn() -> B,
    bytes: impl Fn(B) -> Vec<u8>,
) {
    let expected = std_answer(content, length);
    for (way, result, buf) in all_ways(content, buf).await {
        let result = result.map_err(|error| error.kind());
        assert_eq!(result, expected, "{way}: {length} of {}", content.len());
        if expected.is_ok() {
            assert_eq!(bytes(buf)[..length], content[..length], "{way}");
        }
    }
}

#[test]
fn a_vector_that_is_used_again_is_filled_to_its_length() {
    bounded(|| {
        runtime().block_on(async {
            let content = pattern_bytes(0, 100);
            for length in [1, 2, 10, 99, 100, 101] {
                let used = || {
                    let mut used = Vec::with_capacity(200);
                    used.resize(length, 0xff);
                    used
                };
                check(&content, length, used, |buf: Vec<u8>| {
                    assert_eq!(buf.len(), length);
                    buf
                })
                .await;
            }
        });
    });
}

#[test]
fn an_empty_vector_is_filled_to_its_capacity() {
    bounded(|| {
        runtime().block_on(async {
            let content = pattern_bytes(0, 64);
            for length in [1, 10, 64, 65] {
                let empty = || Vec::with_capacity(length);
                check(&content, length, empty, |buf: Vec<u8>| {
                    assert_eq!(buf.len(), buf.capacity());
                    buf
                })
                .await;
            }
        });
    });
}

#[test]
fn arrays_and_slices_are_filled_whole() {
    bounded(|| {
        runtime().block_on(async {
            let content = pattern_bytes(0, 20);
            check(&content, 0, || [0; 0], |buf| buf.to_vec()).await;
            check(&content, 1, || [0; 1], |buf| buf.to_vec()).await;
            check(&content, 20, || [0; 20], |buf| buf.to_vec()).await;
            check(&content, 21, || [0; 21], |buf| buf.to_vec()).await;
            check(&[], 0, Vec::new, |buf| buf).await;
            check(&[], 1, || [0; 1], |buf| buf.to_vec()).await;
            let boxed = || vec![0; 7].into_boxed_slice();
            check(&content, 7, boxed, |buf| buf.into_vec()).await;

            // With an end: as far as that. Without: to the length, or of what is empty to the capacity.
            let bounded = || vec![0; 20].slice(4..9);
            check(&content, 5, bounded, |buf| buf.into_inner()[4..].to_vec()).await;
            let open = || vec![0; 20].slice(4..);
            check(&content, 16, open, |buf| buf.into_inner()[4..].to_vec()).await;
            let beyond = || Vec::with_capacity(20).slice(0..9);
            check(&content, 9, beyond, |buf| {
                assert_eq!(buf.get_ref().len(), 9);
                buf.into_inner()
            })
            .await;
            let nothing = || vec![0; 20].slice(4..4);
            check(&content, 0, nothing, |buf| buf.into_inner()).await;
        });
    });
}

/// Bytes that come one after the other, and the end in between.
#[test]
fn short_reads_are_put_together_and_the_end_gives_back_what_came() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let reading = saferring::spawn(async move {
                let first = stream.read_exact(vec![0; 10]).await;
                let second = stream.read_exact(Vec::with_capacity(10)).await;
                (first, second)
            });
            for n in 0..14u8 {
                peer.write_all(&[n]).unwrap();
                saferring::op::nop().await.unwrap();
            }
            drop(peer);
            let (first, second) = reading.await.unwrap();
            first.0.unwrap();
            assert_eq!(first.1, Vec::from_iter(0..10));
            assert_eq!(second.0.unwrap_err().kind(), ErrorKind::UnexpectedEof);
            assert_eq!(second.1, [10, 11, 12, 13]);
        });
    });
}

/// Not as in std, where an answer of nothing looks like the end: it is refused, and takes nothing, of datagrams either.
#[test]
fn reads_without_room_are_refused_and_take_nothing() {
    bounded(|| {
        let dir = Scratch::new("no-room");
        let path = dir.file("content", "ab");
        runtime().block_on(async {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let to = udp.local_addr().unwrap();
            udp.send_to("kept", to).await.0.unwrap();
            let (stream, mut peer) = pair();
            peer.write_all(b"ab").unwrap();
            let mut file = File::open(&path).await.unwrap();
            for refused in [
                udp.recv(Vec::new()).await.0,
                udp.recv_from(vec![0; 0]).await.0.map(|(n, _)| n),
                udp.peek_from(Vec::new()).await.0.map(|(n, _)| n),
                stream.read(Vec::new()).await.0,
                stream.read_vectored([[0; 0]; 2]).await.0,
                stream.peek(Vec::new()).await.0,
                file.read(Vec::new()).await.0,
                file.read_vectored([[0; 0]; 2]).await.0,
                file.read_at(Vec::new(), 1).await.0,
                file.read_vectored_at([[0; 0]; 2], 1).await.0,
            ] {
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
            }
            assert_eq!(udp.recv_from(vec![0; 8]).await.0.unwrap(), (4, to));
            assert_eq!(stream.read(vec![0; 2]).await.1, b"ab");
            assert_eq!(file.read(vec![0; 2]).await.1, b"ab");
            // Writing nothing is no error, as in std, where nothing may be written either.
            file.write_all("").await.0.unwrap();
            file.write_all_at("", 7).await.0.unwrap();
            saferring::fs::write(&path, "").await.0.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"");
            assert_eq!(file.read_to_end(Vec::new()).await.0.unwrap(), 0);
        });
    });
}

/// What is appended to, to the end of a file that has grown, or is made up by the kernel.
#[test]
fn reads_to_the_end_are_those_of_std() {
    bounded(|| {
        let dir = Scratch::new("to-end");
        let path = dir.file("content", pattern_bytes(0, 100_000));
        runtime().block_on(async {
            for (path, from) in [
                (path.to_str().unwrap(), 0),
                (path.to_str().unwrap(), 99_999),
                (path.to_str().unwrap(), 100_000),
                (path.to_str().unwrap(), 200_000),
                ("/proc/self/mountinfo", 0),
                ("/proc/version", 3),
            ] {
                let mut theirs = std::fs::File::open(path).unwrap();
                let mut ours = File::open(path).await.unwrap();
                io::Seek::seek(&mut theirs, io::SeekFrom::Start(from)).unwrap();
                ours.seek(io::SeekFrom::Start(from)).await.unwrap();
                let mut expected = b"before".to_vec();
                let n = Read::read_to_end(&mut theirs, &mut expected).unwrap();
                let (read, data) = ours.read_to_end(b"before".to_vec()).await;
                assert_eq!(read.unwrap(), n, "{path}");
                assert_eq!(data, expected, "{path}");
            }
        });
    });
}

/// More empty buffers than the kernel takes at all, and then some bytes.
#[test]
fn empty_buffers_stand_in_nobodys_way() {
    bounded(|| {
        let scratch = Scratch::new("empties");
        runtime().block_on(async {
            let with_empties = || {
                let mut bufs = vec![Vec::new(); 1100];
                bufs.push(b"bytes".to_vec());
                bufs
            };
            let room = || {
                let mut bufs: Vec<Box<[u8]>> = vec![Box::default(); 1100];
                bufs.push(vec![0; 5].into_boxed_slice());
                bufs
            };
            let (a, b) = UnixStream::pair().unwrap();
            a.write_all_vectored(with_empties()).await.0.unwrap();
            let (read, bufs) = b.read_vectored(room()).await;
            assert_eq!((read.unwrap(), &bufs[1100][..]), (5, &b"bytes"[..]));
            assert_eq!(a.write_vectored(with_empties()).await.0.unwrap(), 5);
            let (read, bufs) = b.read_vectored(room()).await;
            assert_eq!((read.unwrap(), &bufs[1100][..]), (5, &b"bytes"[..]));
            a.write_all_vectored(vec![Vec::new(); 1100])
                .await
                .0
                .unwrap();

            let mut options = File::options();
            let options = options.read(true).write(true).create(true);
            let mut file = options.open(scratch.path("file")).await.unwrap();
            assert_eq!(file.write_vectored(with_empties()).await.0.unwrap(), 5);
            let (written, _) = file.write_all_vectored_at(with_empties(), 5).await;
            written.unwrap();
            file.rewind().await.unwrap();
            let (read, bufs) = file.read_vectored(room()).await;
            assert_eq!((read.unwrap(), &bufs[1100][..]), (5, &b"bytes"[..]));
            let (read, bufs) = file.read_vectored_at(room(), 5).await;
            assert_eq!((read.unwrap(), &bufs[1100][..]), (5, &b"bytes"[..]));
        });
    });
}
