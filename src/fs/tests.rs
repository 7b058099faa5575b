//! Files on a real file system, against std.

use std::future::Future;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::*;
use crate::buf::{AlignedBuf, IoBuf};
use crate::io::{AsyncReadExt, AsyncWriteExt};
use crate::op::SpliceEnd;
use crate::runtime::Runtime;

fn run<F: Future>(future: F) -> F::Output {
    Runtime::new().unwrap().block_on(future)
}

/// A directory of the test's own, removed afterwards.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("saferring-fs-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn with(self, name: &str, contents: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.join(name), contents).unwrap();
        self
    }
}

impl Deref for Dir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 / 7 + i / 251) as u8).collect()
}

fn pipe() -> (File, File) {
    let (reader, writer) = io::pipe().unwrap();
    (OwnedFd::from(reader).into(), OwnedFd::from(writer).into())
}

#[test]
fn positional_reads_and_writes_leave_the_cursor_alone() {
    let dir = Dir::new();
    run(async {
        let mut file = File::create_new(dir.join("f")).await.unwrap();
        assert_eq!(file.write_at("world", 6).await.0.unwrap(), 5);
        file.write_all_at(b"hello,".to_vec(), 0).await.0.unwrap();
        let (read, buf) = file.read_exact_at([0; 11], 0).await;
        read.unwrap();
        assert_eq!(&buf, b"hello,world");
        let (read, buf) = file.read_at(vec![7; 4], 11).await;
        assert_eq!((read.unwrap(), buf), (0, vec![]));
        assert_eq!(file.stream_position().await.unwrap(), 0);
    });
}

#[test]
fn exact_reads_report_the_end_and_keep_what_was_read() {
    let dir = Dir::new().with("f", "0123456789");
    run(async {
        let mut file = File::open(dir.join("f")).await.unwrap();
        let (read, buf) = file
            .read_exact_at(Vec::with_capacity(8).slice(..8), 4)
            .await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(&buf[..], b"456789");
        let (read, buf) = file.read_exact([0; 4]).await;
        read.unwrap();
        assert_eq!(&buf, b"0123");
        let (read, buf) = file.read_exact(Vec::with_capacity(9).slice(..9)).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(&buf[..], b"456789");
        file.read_exact([]).await.0.unwrap();
    });
}

#[test]
fn offsets_that_no_file_has_are_refused() {
    let dir = Dir::new().with("f", "0123456789");
    run(async {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(dir.join("f"))
            .await
            .unwrap();
        for offset in [u64::MAX, u64::MAX - 1, i64::MAX as u64 + 1] {
            let (read, _) = file.read_at([0; 4], offset).await;
            assert_eq!(
                read.unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{offset}"
            );
            let (written, _) = file.write_all_at("x", offset).await;
            assert_eq!(
                written.unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{offset}"
            );
        }
    });
    assert_eq!(std::fs::read(dir.join("f")).unwrap(), b"0123456789");
}

#[test]
fn the_cursor_moves_as_that_of_std() {
    let dir = Dir::new().with("f", pattern(1000));
    run(async {
        let mut ours = File::open(dir.join("f")).await.unwrap();
        let mut theirs = std::fs::File::open(dir.join("f")).unwrap();
        for to in [
            SeekFrom::Start(10),
            SeekFrom::Current(-4),
            SeekFrom::Current(-7),
            SeekFrom::End(-3),
            SeekFrom::End(-1001),
            SeekFrom::Current(0),
            SeekFrom::Start(5000),
            SeekFrom::Start(u64::MAX),
            SeekFrom::Current(i64::MAX),
            SeekFrom::End(i64::MIN),
            SeekFrom::Start(990),
        ] {
            let kind = |result: io::Result<u64>| result.map_err(|error| error.kind());
            assert_eq!(kind(ours.seek(to).await), kind(theirs.seek(to)), "{to:?}");
            let mut expected = [0; 4];
            let n = theirs.read(&mut expected).unwrap();
            let (read, buf) = ours.read([0; 4]).await;
            assert_eq!((read.unwrap(), buf), (n, expected), "{to:?}");
        }
        ours.rewind().await.unwrap();
        assert_eq!(ours.stream_position().await.unwrap(), 0);
    });
}

#[test]
fn the_cursor_of_a_file_from_std_starts_where_that_was_and_goes_back_with_it() {
    let dir = Dir::new().with("f", "0123456789");
    run(async {
        let mut file = std::fs::File::open(dir.join("f")).unwrap();
        file.seek(SeekFrom::Start(2)).unwrap();
        let mut file = File::from_std(file);
        assert_eq!(&file.read([0; 3]).await.1, b"234");
        let mut file = file.into_std().unwrap();
        let mut rest = String::new();
        file.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "56789");
    });
}

#[test]
fn a_file_in_use_is_not_given_away() {
    run(async {
        let (reader, mut writer) = pipe();
        let read = reader.read_at([0; 4], 0).submit();
        let reader = std::fs::File::try_from(reader).unwrap_err();
        writer.write_all("done").await.0.unwrap();
        assert_eq!(&read.await.1, b"done");
        reader.into_std().unwrap();
    });
}

#[test]
fn a_dropped_read_by_cursor_loses_nothing() {
    let dir = Dir::new().with("f", "0123456789");
    run(async {
        let mut file = File::open(dir.join("f")).await.unwrap();
        assert!(file.read([0; 4]).now_or_never().is_none());
        assert_eq!(&file.read([0; 4]).await.1, b"0123");

        let (mut reader, mut writer) = pipe();
        writer.write_all("0123456789").await.0.unwrap();
        // The data is there: the kernel gives it to the read, whose future is gone.
        assert!(reader.read([0; 4]).now_or_never().is_none());
        assert!(reader.read_vectored([[0; 2]; 2]).now_or_never().is_none());
        let (read, bufs) = reader.read_vectored([[0; 2]; 2]).await;
        assert_eq!((read.unwrap(), bufs), (4, [*b"01", *b"23"]));
        let (read, rest) = reader.read_exact([0; 6]).await;
        read.unwrap();
        assert_eq!(&rest, b"456789");
    });
}

#[test]
fn a_dropped_write_by_cursor_is_not_overtaken() {
    let dir = Dir::new();
    let writes = || {
        let all = crate::runtime::in_flight();
        all.iter().filter(|op| op.name.starts_with("write")).count()
    };
    run(async {
        let mut file = File::create(dir.join("f")).await.unwrap();
        for round in 50..100u8 {
            file.rewind().await.unwrap();
            let first = vec![b'-'; 100_000];
            assert!(file.write(first).now_or_never().is_none());
            assert_eq!(writes(), 1);
            // Neither of these goes to the kernel before that one has ended.
            let second = [vec![b'.'; 100_000]];
            assert!(file.write_vectored(second).now_or_never().is_none());
            assert!(file.write("+").now_or_never().is_none());
            assert_eq!(writes(), 1);
            let last = vec![round; 100_000];
            file.write_all(last).await.0.unwrap();
            // The first may have been written, or a part of it, before it was cancelled. The cursor is then behind that.
            let end = file.stream_position().await.unwrap() as usize;
            let found = std::fs::read(dir.join("f")).unwrap();
            let (before, last) = found[..end].split_at(end - 100_000);
            assert!(before.iter().all(|&byte| byte == b'-'), "round {round}");
            assert!(last.iter().all(|&byte| byte == round), "round {round}");
        }
    });
}

#[test]
fn pipes_are_read_and_written_in_order_and_do_not_seek() {
    run(async {
        let (mut reader, mut writer) = pipe();
        writer.write_all("one ").await.0.unwrap();
        writer.write_vectored(("tw", *b"o")).await.0.unwrap();
        assert_eq!(
            reader.seek(SeekFrom::Start(0)).await.unwrap_err().kind(),
            ErrorKind::NotSeekable
        );
        drop(writer);
        let (n, all) = reader.read_to_end(b"> ".to_vec()).await;
        assert_eq!((n.unwrap(), &all[..]), (7, &b"> one two"[..]));
    });
}

#[test]
fn files_that_do_not_tell_their_length_are_read_to_the_end() {
    run(async {
        let status = read_to_string("/proc/self/status").await.unwrap();
        assert!(
            status.contains("\nVmRSS:") && status.ends_with('\n'),
            "{status}"
        );
        let mut zeros = File::open("/dev/zero").await.unwrap();
        let (read, buf) = zeros.read_exact([1; 9]).await;
        read.unwrap();
        assert_eq!(buf, [0; 9]);
    });
}

#[test]
fn appended_bytes_go_to_the_end_wherever_the_cursor_is() {
    let dir = Dir::new().with("f", "0123");
    run(async {
        let mut file = OpenOptions::new()
            .append(true)
            .open(dir.join("f"))
            .await
            .unwrap();
        file.write_all("45").await.0.unwrap();
        file.write_all_at("67", 0).await.0.unwrap();
        file.write_all("89").await.0.unwrap();
    });
    assert_eq!(std::fs::read(dir.join("f")).unwrap(), b"0123456789");
}

#[test]
fn vectored_reads_and_writes_pass_many_buffers_and_empty_ones() {
    let dir = Dir::new();
    run(async {
        let file = File::create_new(dir.join("f")).await.unwrap();
        // More than the kernel takes at once, and a run of empty ones that would fill a whole vector.
        let mut bufs: Vec<Vec<u8>> = (0..1500).map(|i| vec![i as u8; i % 5]).collect();
        bufs.extend(vec![Vec::new(); 1100]);
        bufs.push(b"end".to_vec());
        let expected = bufs.concat();
        file.write_all_vectored_at(bufs, 5).await.0.unwrap();
        let (read, whole) = file.read_exact_at(vec![1; 5 + expected.len()], 0).await;
        read.unwrap();
        assert_eq!((&whole[..5], &whole[5..]), (&[0; 5][..], &expected[..]));
        let (read, parts) = file.read_vectored_at(([0; 4], [0; 2]), 6).await;
        assert_eq!(read.unwrap(), 6);
        assert_eq!([&parts.0[..], &parts.1[..]].concat(), whole[6..12]);
    });
}

#[test]
fn the_traits_work_upon_the_cursor() {
    let dir = Dir::new().with("from", pattern(100_000));
    run(async {
        let mut from = File::open(dir.join("from")).await.unwrap();
        let mut to = File::create(dir.join("to")).await.unwrap();
        let (read, head) = AsyncReadExt::read_exact(&mut from, [0; 10]).await;
        read.unwrap();
        AsyncWriteExt::write_all(&mut to, head).await.0.unwrap();
        assert_eq!(crate::io::copy(&mut from, &mut to).await.unwrap(), 99_990);
    });
    assert_eq!(std::fs::read(dir.join("to")).unwrap(), pattern(100_000));
}

#[test]
fn metadata_is_that_of_std() {
    let dir = Dir::new().with("f", "12345");
    symlink("f", dir.join("link")).unwrap();
    symlink("nowhere", dir.join("dangling")).unwrap();
    run(async {
        for name in ["f", "", "link", "/dev/null"] {
            let path = dir.join(name);
            for (ours, theirs) in [
                (
                    metadata(&path).await.unwrap(),
                    std::fs::metadata(&path).unwrap(),
                ),
                (
                    symlink_metadata(&path).await.unwrap(),
                    std::fs::symlink_metadata(&path).unwrap(),
                ),
            ] {
                assert_eq!(
                    (ours.len(), ours.mode(), ours.ino()),
                    (theirs.len(), theirs.mode(), theirs.ino())
                );
                assert_eq!(
                    (ours.dev(), ours.rdev(), ours.nlink()),
                    (theirs.dev(), theirs.rdev(), theirs.nlink())
                );
                assert_eq!(
                    (ours.uid(), ours.gid(), ours.size()),
                    (theirs.uid(), theirs.gid(), theirs.size())
                );
                assert_eq!(
                    (ours.blksize(), ours.blocks()),
                    (theirs.blksize(), theirs.blocks())
                );
                assert_eq!(
                    (ours.mtime(), ours.mtime_nsec()),
                    (theirs.mtime(), theirs.mtime_nsec())
                );
                assert_eq!(
                    (ours.ctime(), ours.ctime_nsec()),
                    (theirs.ctime(), theirs.ctime_nsec())
                );
                assert_eq!(ours.modified().unwrap(), theirs.modified().unwrap());
                assert_eq!(ours.accessed().unwrap(), theirs.accessed().unwrap());
                assert_eq!(ours.created().ok(), theirs.created().ok());
                assert_eq!(ours.permissions(), theirs.permissions());
                assert_eq!(
                    (ours.is_file(), ours.is_dir(), ours.is_symlink()),
                    (theirs.is_file(), theirs.is_dir(), theirs.is_symlink())
                );
            }
        }
        assert!(try_exists(dir.join("link")).await.unwrap());
        assert!(!try_exists(dir.join("dangling")).await.unwrap());
        assert_eq!(
            try_exists(dir.join("f/x")).await.unwrap_err().kind(),
            ErrorKind::NotADirectory
        );
        assert_eq!(
            try_exists("a\0b").await.unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    });
}

#[test]
fn lengths_and_permissions_can_be_set() {
    let dir = Dir::new();
    run(async {
        let file = File::create_new(dir.join("f")).await.unwrap();
        file.set_len(10_000).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 10_000);
        file.set_len(3).await.unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o640))
            .await
            .unwrap();
        file.sync_data().await.unwrap();
        file.sync_all().await.unwrap();
        let metadata = file.metadata().await.unwrap();
        assert_eq!((metadata.len(), metadata.mode() & 0o7777), (3, 0o640));
        let reader = File::open(dir.join("f")).await.unwrap();
        assert_eq!(
            reader.set_len(1).await.unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert!(file.set_len(u64::MAX).await.is_err());
        file.close().await.unwrap();
    });
}

#[test]
fn advice_changes_no_file_and_a_pipe_takes_none() {
    use std::os::unix::fs::OpenOptionsExt;

    const ALL: [Advice; 6] = [
        Advice::Normal,
        Advice::Sequential,
        Advice::Random,
        Advice::WillNeed,
        Advice::DontNeed,
        Advice::NoReuse,
    ];
    let dir = Dir::new().with("f", pattern(20_000));
    run(async {
        let mut file = File::open(dir.join("f")).await.unwrap();
        file.read_exact([0; 5]).await.0.unwrap();
        let writer = File::options().write(true).open(dir.join("f")).await;
        let (writer, directory) = (writer.unwrap(), File::open(&*dir).await.unwrap());
        let (reader, end) = pipe();
        let unreadable = std::fs::File::options()
            .read(true)
            .custom_flags(libc::O_PATH)
            .open(dir.join("f"));
        let unreadable = File::from_std(unreadable.unwrap());
        for advice in ALL {
            file.advise(.., advice).await.unwrap();
            file.advise(4096..=8191, advice).await.unwrap();
            file.advise(7..1 << 40, advice).await.unwrap();
            file.advise(1 << 40.., advice).await.unwrap();
            writer.advise(..10_000, advice).await.unwrap();
            directory.advise(.., advice).await.unwrap();
            for pipe in [&reader, &end] {
                let error = pipe.advise(.., advice).await.unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::ESPIPE));
                assert_eq!(error.kind(), ErrorKind::NotSeekable);
                // There is no byte that it could be about.
                pipe.advise(7..7, advice).await.unwrap();
            }
            let error = unreadable.advise(.., advice).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        }
        assert_eq!(file.stream_position().await.unwrap(), 5);
        let (read, rest) = file.read_to_end(Vec::new()).await;
        assert_eq!(read.unwrap(), 19_995);
        assert!(rest == pattern(20_000)[5..]);
    });
}

#[test]
fn the_cursor_is_shared_as_in_std() {
    use std::io::{Read, Seek, Write};

    let dir = Dir::new().with("f", "0123456789");
    run(async {
        let mut one = File::open(dir.join("f")).await.unwrap();
        one.seek(SeekFrom::Start(2)).await.unwrap();
        let mut two = one.try_clone().unwrap();
        assert_eq!(&one.read([0; 3]).await.1, b"234");
        let (read, parts) = two.read_vectored([[0; 2]; 2]).await;
        assert_eq!((read.unwrap(), parts), (4, [*b"56", *b"78"]));
        one.close().await.unwrap();
    });
    run(async {
        // A log that this program, std and a child write to in turn.
        let path = dir.join("log");
        let mut std_file = std::fs::File::create(&path).unwrap();
        let mut file = File::from_std(std_file.try_clone().unwrap());
        file.write_all("one\n").await.0.unwrap();
        std_file.write_all(b"two\n").unwrap();
        file.write_vectored(["three", "\n"]).await.0.unwrap();
        assert_eq!(std_file.stream_position().unwrap(), 14);
        assert_eq!(file.stream_position().await.unwrap(), 14);
        file.rewind().await.unwrap();
        std_file.write_all(b"ONE").unwrap();
        // Positional calls leave it alone.
        file.write_at("TWO", 4).await.0.unwrap();
        assert_eq!(std_file.stream_position().unwrap(), 3);
        let mut std_file = file.into_std().unwrap();
        std_file.write_all(b"!").unwrap();
        drop(std_file);
        assert_eq!(std::fs::read(&path).unwrap(), b"ONE!TWO\nthree\n");
        let mut text = String::new();
        let mut std_file = std::fs::File::open(&path).unwrap();
        let mut file = File::from_std(std_file.try_clone().unwrap());
        let (_, line) = file.read_exact([0; 4]).await;
        assert_eq!(&line, b"ONE!");
        std_file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "TWO\nthree\n");
        assert_eq!(file.read([0; 1]).await.0.unwrap(), 0);
    });
}

#[test]
fn the_cursor_is_back_after_a_dropped_read() {
    let dir = Dir::new().with("f", pattern(1 << 20));
    run(async {
        let mut file = File::open(dir.join("f")).await.unwrap();
        for round in 0..20 {
            let mut read = Box::pin(file.read(vec![0; 1 << 20]));
            assert!(futures_util::poll!(&mut read).is_pending());
            if round % 2 == 0 {
                crate::op::nop().await.unwrap();
            }
            drop(read);
            assert_eq!(file.stream_position().await.unwrap(), 0);
        }
        assert_eq!(file.read_to_end(Vec::new()).await.1, pattern(1 << 20));
    });
}

#[test]
fn unaligned_direct_reads_are_refused_and_aligned_ones_are_not() {
    let dir = Dir::new().with("f", pattern(10_000));
    run(async {
        let file = match OpenOptions::new()
            .read(true)
            .direct(true)
            .open(dir.join("f"))
            .await
        {
            Err(error) if error.kind() == ErrorKind::InvalidInput => return, // not on this file system
            opened => opened.unwrap(),
        };
        let (read, block) = file.read_at(AlignedBuf::with_capacity(8192), 4096).await;
        assert_eq!(
            (read.unwrap(), &block[..]),
            (5904, &pattern(10_000)[4096..])
        );
    });
}

#[test]
fn directories_are_made_by_many_at_once() {
    let dir = Dir::new();
    run(async {
        let deep = dir.join("a/b/c/d/e");
        let made = join_all((0..20).map(|_| create_dir_all(&deep))).await;
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        create_dir_all(dir.join("x/../y/./z/")).await.unwrap();
        assert!(metadata(dir.join("y/z")).await.unwrap().is_dir());
        create_dir_all("").await.unwrap();
        create_dir_all("/").await.unwrap();
        write(dir.join("file"), "").await.0.unwrap();
        for below in ["file", "file/x", "file/x/y"] {
            let ours = create_dir_all(dir.join(below)).await.unwrap_err();
            let theirs = std::fs::create_dir_all(dir.join(below)).unwrap_err();
            assert_eq!(ours.kind(), theirs.kind(), "{below}");
        }
        assert_eq!(
            create_dir(&deep).await.unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            remove_dir(dir.join("a")).await.unwrap_err().kind(),
            ErrorKind::DirectoryNotEmpty
        );
        remove_dir(&deep).await.unwrap();
        assert!(!try_exists(&deep).await.unwrap());
    });
}

#[test]
fn names_change_and_go() {
    let dir = Dir::new().with("a", "a").with("b", "b");
    run(async {
        rename(dir.join("a"), dir.join("b")).await.unwrap();
        assert_eq!(read(dir.join("b")).await.unwrap(), b"a");
        assert_eq!(
            rename(dir.join("a"), dir.join("c"))
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            remove_file(&*dir).await.unwrap_err().kind(),
            ErrorKind::IsADirectory
        );
        remove_file(dir.join("b")).await.unwrap();
        assert_eq!(
            remove_file(dir.join("b")).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            read(&*dir).await.unwrap_err().kind(),
            ErrorKind::IsADirectory
        );
    });
}

#[test]
fn whole_files_are_read_and_written() {
    let dir = Dir::new();
    run(async {
        for len in [0, 1, 8191, 8192, 8193, 3_000_000] {
            let (written, contents) = write(dir.join("f"), pattern(len)).await;
            written.unwrap();
            assert!(read(dir.join("f")).await.unwrap() == contents, "{len}");
        }
        write(dir.join("f"), b"\xff").await.0.unwrap();
        assert_eq!(
            read_to_string(dir.join("f")).await.unwrap_err().kind(),
            ErrorKind::InvalidData
        );
    });
}

#[test]
fn copies_have_contents_and_permissions_of_the_source() {
    let dir = Dir::new();
    run(async {
        for len in [0, 1, 131_071, 131_072, 131_073, 5_000_000] {
            std::fs::write(dir.join("from"), pattern(len)).unwrap();
            std::fs::set_permissions(dir.join("from"), std::fs::Permissions::from_mode(0o604))
                .unwrap();
            // Once over nothing, once over something longer.
            let _ = std::fs::remove_file(dir.join("to"));
            for _ in 0..2 {
                assert_eq!(
                    copy(dir.join("from"), dir.join("to")).await.unwrap(),
                    len as u64
                );
                assert!(
                    std::fs::read(dir.join("to")).unwrap() == pattern(len),
                    "{len}"
                );
                let mode = std::fs::metadata(dir.join("to")).unwrap().mode();
                assert_eq!(mode & 0o7777, 0o604);
                std::fs::write(dir.join("to"), pattern(len + 200_000)).unwrap();
                std::fs::set_permissions(dir.join("to"), std::fs::Permissions::from_mode(0o666))
                    .unwrap();
            }
        }
        assert!(copy("/proc/self/status", dir.join("to")).await.unwrap() > 0);
        assert_eq!(
            copy(dir.join("from"), "/dev/null").await.unwrap(),
            5_000_000
        );
    });
}

#[test]
fn a_copy_refuses_directories_and_a_file_onto_itself() {
    let dir = Dir::new().with("f", "contents");
    symlink("f", dir.join("link")).unwrap();
    run(async {
        assert_eq!(
            copy(&*dir, dir.join("to")).await.unwrap_err().kind(),
            ErrorKind::IsADirectory
        );
        assert!(!dir.join("to").exists());
        assert_eq!(
            copy(dir.join("f"), &*dir).await.unwrap_err().kind(),
            ErrorKind::IsADirectory
        );
        assert_eq!(
            copy("/dev/null", dir.join("to")).await.unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        for to in ["f", "link"] {
            let error = copy(dir.join("f"), dir.join(to)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert_eq!(std::fs::read(dir.join("f")).unwrap(), b"contents");
        }
    });
}

#[test]
fn a_copy_into_a_pipe_is_in_order() {
    let dir = Dir::new().with("from", pattern(3_000_000));
    let (mut reader, writer) = io::pipe().unwrap();
    let drain = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).map(|_| all)
    });
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    assert_eq!(run(copy(dir.join("from"), path)).unwrap(), 3_000_000);
    drop(writer);
    assert!(drain.join().unwrap().unwrap() == pattern(3_000_000));
}

#[test]
fn errors_of_a_blocking_thread_come_back() {
    run(async {
        let found = fallback::blocking(|| std::fs::read("/no/such/file")).await;
        assert_eq!(found.unwrap_err().kind(), ErrorKind::NotFound);
        let panicked = fallback::blocking::<()>(|| panic!("expected by the test")).await;
        assert_eq!(panicked.unwrap_err().kind(), ErrorKind::Other);
    });
}

#[test]
fn what_another_writes_meanwhile_is_read() {
    let dir = Dir::new().with("f", "one");
    run(async {
        let mut file = File::open(dir.join("f")).await.unwrap();
        assert_eq!(file.read_to_end(Vec::new()).await.1, b"one");
        let mut other = std::fs::OpenOptions::new()
            .append(true)
            .open(dir.join("f"))
            .unwrap();
        other.write_all(b"two").unwrap();
        assert_eq!(file.read_to_end(Vec::new()).await.1, b"two");
    });
}

#[test]
fn writes_at_once_have_positions_errors_and_never_wait() {
    let dir = Dir::new();
    run(async {
        let path = dir.join("f");
        let mut file = File::create(&path).await.unwrap();
        file.set_inline_writes(true);
        assert_eq!(file.write_at("middle", 6).await.0.unwrap(), 6);
        file.write_all("start,").await.0.unwrap();
        file.write_all("MID").await.0.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"start,MIDdle");
        let reader = File::open(&path).await.unwrap();
        reader.set_inline_writes(true);
        let (written, kept) = reader.write_at("no", 0).await;
        assert_eq!(written.unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(kept, "no");
        // A pipe that is full makes the write wait, and not the thread.
        let (end, pipe) = io::pipe().unwrap();
        let mut pipe = File::from_std(OwnedFd::from(pipe).into());
        pipe.set_inline_writes(true);
        let mut full = Box::pin(pipe.write_all(vec![0; 1 << 20]));
        assert!((&mut full).now_or_never().is_none());
        drop(end);
        assert_eq!(full.await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn what_is_spliced_by_cursor_is_told_apart() {
    let mut file = File::from_std(std::fs::File::open("Cargo.toml").unwrap());
    assert!(SpliceEnd::is_cursor(&mut &mut file).unwrap());
    assert!(!file.at(3).is_cursor().unwrap());
    let (reader, _writer) = io::pipe().unwrap();
    let mut pipe = File::from_std(OwnedFd::from(reader).into());
    assert!(!SpliceEnd::is_cursor(&mut &mut pipe).unwrap());
}
