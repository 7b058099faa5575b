//! Files, pipes and what else can be read and written, under the traits of others; and theirs under ours.

use std::io::{self, SeekFrom};
use std::os::fd::OwnedFd;

use futures_util::future::{join, poll_immediate};
use saferring::fs::File;
use saferring::io::{AsyncReadExt as _, AsyncWriteExt as _};
use saferring::runtime::Runtime;
use saferring_compat::{CompatHalves, CompatReader, CompatWriter, FromFutures, FromTokio};
use saferring_tests::bounded;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

saferring_tests::also_on_software!();

fn run(test: impl AsyncFnOnce() + Send + 'static) {
    bounded(|| Runtime::new().unwrap().block_on(test()));
}

/// A pipe, as two files.
#[allow(clippy::incompatible_msrv, reason = "only tests need it")]
fn pipe() -> io::Result<(File, File)> {
    let (reader, writer) = io::pipe()?;
    let [reader, writer] = [OwnedFd::from(reader), OwnedFd::from(writer)];
    Ok((
        File::from(std::fs::File::from(reader)),
        File::from(std::fs::File::from(writer)),
    ))
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn files_are_read_and_written() {
    run(async || {
        let path = std::env::temp_dir().join(format!("saferring-compat-{}", std::process::id()));
        let mut writer = CompatWriter::new(File::create(&path).await.unwrap());
        AsyncWriteExt::write_all(&mut writer, &pattern(200_000))
            .await
            .unwrap();
        AsyncWriteExt::flush(&mut writer).await.unwrap();
        let file = writer.into_inner().await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 200_000);
        drop(file);
        let mut reader = CompatReader::new(File::open(&path).await.unwrap());
        let mut head = vec![0; 100];
        AsyncReadExt::read_exact(&mut reader, &mut head)
            .await
            .unwrap();
        assert_eq!(head, pattern(100));
        let (mut file, ahead) = reader.into_inner().await;
        assert_eq!(ahead, &pattern(200_000)[100..100 + ahead.len()]);
        let at = file.seek(SeekFrom::Current(0)).await.unwrap();
        assert_eq!(at, 100 + ahead.len() as u64);
        let mut rest = ahead;
        AsyncReadExt::read_to_end(&mut CompatReader::new(file), &mut rest)
            .await
            .unwrap();
        assert_eq!(rest, &pattern(200_000)[100..]);
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn pipes_are_a_stream_of_two_halves() {
    run(async || {
        let (a_reader, a_writer) = pipe().unwrap();
        let (b_reader, b_writer) = pipe().unwrap();
        let mut one = CompatHalves::new(a_reader, b_writer);
        let mut other = CompatHalves::new(b_reader, a_writer);
        let asks = async {
            AsyncWriteExt::write_all(&mut one, &pattern(300_000))
                .await
                .unwrap();
            AsyncWriteExt::flush(&mut one).await.unwrap();
            let mut answer = [0; 3];
            AsyncReadExt::read_exact(&mut one, &mut answer)
                .await
                .unwrap();
            assert_eq!(&answer, b"yes");
        };
        let answers = async {
            let mut question = vec![0; 300_000];
            AsyncReadExt::read_exact(&mut other, &mut question)
                .await
                .unwrap();
            assert_eq!(question, pattern(300_000));
            AsyncWriteExt::write_all(&mut other, b"yes").await.unwrap();
            AsyncWriteExt::flush(&mut other).await.unwrap();
        };
        join(asks, answers).await;
        drop(other);
        assert_eq!(AsyncReadExt::read(&mut one, &mut [0; 4]).await.unwrap(), 0);
        AsyncWriteExt::write_all(&mut one, b"lost").await.unwrap();
        let error = AsyncWriteExt::flush(&mut one).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_read_that_is_dropped_or_taken_back_loses_nothing() {
    run(async || {
        let (reader, mut writer) = pipe().unwrap();
        let mut reader = CompatReader::new(reader);
        assert!(
            poll_immediate(AsyncReadExt::read(&mut reader, &mut [0; 4]))
                .await
                .is_none()
        );
        saferring::io::AsyncWriteExt::write_all(&mut writer, "hello")
            .await
            .0
            .unwrap();
        let mut some = [0; 2];
        AsyncReadExt::read_exact(&mut reader, &mut some)
            .await
            .unwrap();
        assert_eq!(&some, b"he");
        let (reader, left) = reader.into_inner().await;
        assert_eq!(left, b"llo");
        // With a read under way.
        let mut reader = CompatReader::new(reader);
        assert!(
            poll_immediate(AsyncReadExt::read(&mut reader, &mut [0; 4]))
                .await
                .is_none()
        );
        saferring::io::AsyncWriteExt::write_all(&mut writer, "again")
            .await
            .0
            .unwrap();
        let (mut reader, left) = reader.into_inner().await;
        let mut rest = left;
        drop(writer);
        while let (Ok(1..), part) = saferring::io::AsyncRead::read(&mut reader, vec![0; 3]).await {
            rest.extend(part);
        }
        assert_eq!(&rest[..5], b"again");
    });
}

#[test]
fn what_was_written_before_the_drop_is_written() {
    run(async || {
        let (mut reader, writer) = pipe().unwrap();
        let mut writer = CompatWriter::new(writer);
        let writes = saferring::spawn(async move {
            // More than the pipe takes at once: the last part is under way.
            AsyncWriteExt::write_all(&mut writer, &pattern(150_000))
                .await
                .unwrap();
        });
        let (read, all) = saferring::io::AsyncReadExt::read_to_end(&mut reader, Vec::new()).await;
        read.unwrap();
        assert_eq!(all, pattern(150_000));
        writes.await.unwrap();
    });
}

#[test]
fn their_streams_are_ours() {
    run(async || {
        let (one, other) = tokio::io::duplex(1_000);
        let (mut one, mut other) = (FromTokio::new(one), FromTokio::new(other));
        let writes = async {
            one.write_all(pattern(50_000)).await.0.unwrap();
            one.write_all_vectored([pattern(10), pattern(2_000)])
                .await
                .0
                .unwrap();
            saferring::io::AsyncWrite::flush(&mut one).await.unwrap();
            saferring::io::AsyncWrite::shutdown(&mut one).await.unwrap();
        };
        let reads = async {
            let (read, bytes) = other.read_exact(vec![0; 50_000]).await;
            read.unwrap();
            assert_eq!(bytes, pattern(50_000));
            let (read, rest) =
                saferring::io::AsyncReadExt::read_to_end(&mut other, Vec::new()).await;
            read.unwrap();
            assert_eq!(rest, [pattern(10), pattern(2_000)].concat());
            let (none, _) = saferring::io::AsyncRead::read(&mut other, Vec::new()).await;
            assert_eq!(none.unwrap_err().kind(), io::ErrorKind::InvalidInput);
            let (end, _) = saferring::io::AsyncRead::read(&mut other, vec![0; 4]).await;
            assert_eq!(end.unwrap(), 0);
        };
        join(writes, reads).await;
        assert!(one.get_mut().write_all(b"x").await.is_err());
        drop(one.into_inner());

        let mut cursor = FromFutures::new(futures_util::io::Cursor::new(pattern(300)));
        let (read, parts) =
            saferring::io::AsyncRead::read_vectored(&mut cursor, [vec![0; 100], vec![0; 100]])
                .await;
        assert_eq!(read.unwrap(), 200);
        assert_eq!(parts.concat(), pattern(200));
        assert_eq!(cursor.get_ref().position(), 200);
        let mut sink = FromFutures::new(futures_util::io::Cursor::new(Vec::new()));
        sink.write_all("hello").await.0.unwrap();
        saferring::io::AsyncWrite::shutdown(&mut sink)
            .await
            .unwrap();
        assert_eq!(sink.into_inner().into_inner(), b"hello");
    });
}
