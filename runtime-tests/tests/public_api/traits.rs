//! What reads and writes through the traits of `io`, as generic code does: streams, references to them, halves, files; and
//! what wraps them.

use std::io::{Read, Seek, SeekFrom, Write};

use saferring::fs::File;
use saferring::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
    BufWriter,
};
use saferring::net::{TcpStream, UnixStream};
use saferring_tests::bounded;

use super::files::Dir;
use super::runtime;

/// What `peer` writes arrives, in one buffer and in several.
async fn reads<R: AsyncRead>(mut reader: R, mut peer: impl Write) {
    peer.write_all(b"abcdefg").unwrap();
    let (read, buf) = reader.read(vec![0; 3]).await;
    assert_eq!((read.unwrap(), &buf[..]), (3, &b"abc"[..]));
    let bufs = [vec![0; 2], vec![0; 3]];
    let (read, bufs) = reader.read_vectored(bufs).await;
    assert_eq!(read.unwrap(), 4);
    assert_eq!(bufs, [b"de".to_vec(), b"fg".to_vec()]);
}

/// What is written arrives at `peer`, and after the end so does that.
async fn writes<W: AsyncWrite>(mut writer: W, mut peer: impl Read) {
    assert_eq!(writer.write("one ").await.0.unwrap(), 4);
    let (written, bufs) = writer.write_vectored(["two ", "three"]).await;
    assert_eq!((written.unwrap(), bufs), (9, ["two ", "three"]));
    writer.flush().await.unwrap();
    writer.shutdown().await.unwrap();
    let mut all = String::new();
    peer.read_to_string(&mut all).unwrap();
    assert_eq!(all, "one two three");
}

fn unix() -> (UnixStream, std::os::unix::net::UnixStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    (ours.into(), theirs)
}

async fn tcp() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await;
    (ours.unwrap(), listener.accept().unwrap().0)
}

#[test]
fn streams_and_references_to_them() {
    bounded(|| {
        runtime().block_on(async {
            let (mut ours, theirs) = unix();
            reads(&ours, &theirs).await;
            reads(&mut ours, &theirs).await;
            reads(&mut &ours, &theirs).await;
            writes(&ours, &theirs).await;
            let (mut ours, theirs) = unix();
            writes(&mut &mut ours, &theirs).await;
            let (ours, theirs) = unix();
            writes(ours, &theirs).await;
            let (ours, theirs) = unix();
            reads(ours, &theirs).await;

            let (mut ours, theirs) = tcp().await;
            reads(&ours, &theirs).await;
            reads(&mut ours, &theirs).await;
            writes(&mut ours, &theirs).await;
            let (ours, theirs) = tcp().await;
            writes(&ours, &theirs).await;
            reads(ours, &theirs).await;
        });
    });
}

#[test]
fn halves() {
    bounded(|| {
        runtime().block_on(async {
            let (ours, theirs) = unix();
            let (mut reader, mut writer) = ours.into_split();
            reads(&mut reader, &theirs).await;
            writes(&mut writer, &theirs).await;
            reads(reader, &theirs).await;
            let (ours, theirs) = tcp().await;
            let (reader, writer) = ours.into_split();
            writes(writer, &theirs).await;
            reads(reader, &theirs).await;
        });
    });
}

#[test]
fn files_by_their_cursor() {
    bounded(|| {
        let dir = Dir::new("traits");
        let path = dir.0.join("file");
        runtime().block_on(async {
            let file = File::create(&path).await.unwrap();
            writes(file, std::fs::File::open(&path).unwrap()).await;
            let mut theirs = std::fs::File::create(&path).unwrap();
            let mut file = File::open(&path).await.unwrap();
            reads(&mut file, &theirs).await;
            theirs.seek(SeekFrom::Start(7)).unwrap();
            reads(file, &theirs).await;
        });
    });
}

/// As [`BufRead::fill_buf`](std::io::BufRead::fill_buf), through a reference.
async fn buffered<R: AsyncBufRead>(mut reader: R) -> Vec<u8> {
    let buffered = reader.fill_buf().await.unwrap().to_vec();
    reader.consume(buffered.len());
    buffered
}

/// What wraps a reader or writer lends it, and gives it back, as in std.
#[test]
fn wrappers_lend_and_give_back_what_they_wrap() {
    bounded(|| {
        runtime().block_on(async {
            let (ours, theirs) = (
                BufReader::with_capacity(8, &b"0123456789"[..]),
                std::io::BufReader::with_capacity(8, &b"0123456789"[..]),
            );
            assert_eq!(ours.capacity(), theirs.capacity());
            let (mut ours, mut theirs) = (ours, theirs);
            assert_eq!(
                buffered(&mut ours).await,
                std::io::BufRead::fill_buf(&mut theirs).unwrap()
            );
            assert_eq!(ours.get_mut(), &b"89");
            *ours.get_mut() = b"other";
            assert_eq!(buffered(&mut ours).await, b"other");
            // What is larger than the buffer goes past it.
            *ours.get_mut() = b"0123456789abcdef";
            let (read, bufs) = ours.read_vectored([vec![0; 6], vec![0; 6]]).await;
            assert_eq!(read.unwrap(), 12);
            assert_eq!(bufs.concat(), b"0123456789ab");
            assert!(ours.buffer().is_empty());
            assert_eq!(ours.into_inner(), b"cdef");

            let mut writer = BufWriter::with_capacity(9, Vec::new());
            writer.write_all("buffered").await.0.unwrap();
            assert_eq!((writer.capacity(), writer.buffer()), (9, &b"buffered"[..]));
            writer.get_mut().extend_from_slice(b"before ");
            writer.flush().await.unwrap();
            assert_eq!(writer.into_inner(), b"before buffered");

            let chain = AsyncReadExt::chain(&b"ab"[..], &b"cd"[..]);
            assert_eq!(chain.get_ref(), (&&b"ab"[..], &&b"cd"[..]));
            let mut chain = chain;
            assert_eq!(chain.read([0; 1]).await.1, *b"a");
            assert_eq!(chain.into_inner(), (&b"b"[..], &b"cd"[..]));

            let mut take = AsyncReadExt::take(&b"abcdef"[..], 2);
            assert_eq!(take.read([0; 1]).await.1, *b"a");
            *take.get_mut() = b"XYZ";
            let (read, rest) = take.read_to_end(Vec::new()).await;
            assert_eq!((read.unwrap(), &rest[..]), (1, &b"X"[..]));

            let mut parts = BufReader::new(&b"short,much too long,"[..])
                .split(b',')
                .with_max_len(8);
            assert_eq!(parts.next_segment().await.unwrap().unwrap(), b"short");
            let error = parts.next_segment().await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
        });
    });
}
