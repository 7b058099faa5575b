//! A file's cursor is the position of the open file, which all that share it move.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::Command;

use futures_util::future::poll_immediate;
use saferring::buf::AlignedBuf;
use saferring::fs::{File, OpenOptions};
use saferring::io::AsyncWriteExt;
use saferring::op::nop;
use saferring::runtime::metrics;
use saferring_tests::{bounded, skipped, until};

use super::{Scratch, runtime};

/// What the same steps make of a cursor in std and here.
#[test]
fn seeking_answers_as_std_does() {
    bounded(|| {
        let dir = Scratch::new("seek");
        let path = dir.file("digits", "0123456789");
        runtime().block_on(async {
            let mut theirs = std::fs::File::open(&path).unwrap();
            let mut ours = File::open(&path).await.unwrap();
            for to in [
                SeekFrom::Start(3),
                SeekFrom::Current(2),
                SeekFrom::Current(-5),
                SeekFrom::Current(-1),
                SeekFrom::End(-1),
                SeekFrom::End(0),
                SeekFrom::End(5),
                SeekFrom::End(-11),
                SeekFrom::End(i64::MAX),
                SeekFrom::Start(u64::MAX),
                SeekFrom::Start(i64::MAX as u64),
                SeekFrom::Current(i64::MAX),
            ] {
                let (std, own) = (theirs.seek(to), ours.seek(to).await);
                let kinds = (std.map_err(|e| e.kind()), own.map_err(|e| e.kind()));
                assert_eq!(kinds.0, kinds.1, "{to:?}");
                let at = ours.stream_position().await.unwrap();
                assert_eq!(at, theirs.stream_position().unwrap(), "{to:?}");
            }
            ours.rewind().await.unwrap();
            assert_eq!(ours.stream_position().await.unwrap(), 0);
            let (read, digits) = ours.read_exact([0; 10]).await;
            read.unwrap();
            assert_eq!(&digits, b"0123456789");
        });
    });
}

#[test]
fn a_pipe_cannot_be_sought_in() {
    bounded(|| {
        runtime().block_on(async {
            let (reader, _writer) = std::io::pipe().unwrap();
            let mut theirs = std::fs::File::from(std::os::fd::OwnedFd::from(reader));
            let mut ours = File::from_std(theirs.try_clone().unwrap());
            for to in [SeekFrom::Start(0), SeekFrom::Current(0), SeekFrom::End(0)] {
                let kind = theirs.seek(to).unwrap_err().kind();
                assert_eq!(ours.seek(to).await.unwrap_err().kind(), kind);
            }
        });
    });
}

/// Made up by the kernel, or devices, or directories.
#[test]
fn files_of_other_kinds_are_sought_in_as_in_std() {
    bounded(|| {
        runtime().block_on(async {
            for path in [
                "/proc/self/status",
                "/proc/self/maps",
                "/dev/null",
                "/dev/zero",
                "/",
            ] {
                let mut theirs = std::fs::File::open(path).unwrap();
                let mut ours = File::open(path).await.unwrap();
                for to in [
                    SeekFrom::End(0),
                    SeekFrom::Start(3),
                    SeekFrom::Current(2),
                    SeekFrom::End(-1),
                    SeekFrom::Current(-9),
                ] {
                    let (std, own) = (theirs.seek(to), ours.seek(to).await);
                    let (std, own) = (std.map_err(|e| e.kind()), own.map_err(|e| e.kind()));
                    assert_eq!(own, std, "{path}: {to:?}");
                }
            }
        });
    });
}

#[test]
fn clones_share_it() {
    bounded(|| {
        let dir = Scratch::new("clones");
        let path = dir.file("digits", "0123456789");
        runtime().block_on(async {
            let mut theirs = std::fs::File::open(&path).unwrap();
            let mut ours = File::from_std(theirs.try_clone().unwrap());
            let mut clone = ours.try_clone().unwrap();
            let mut two = [0; 2];
            theirs.read_exact(&mut two).unwrap();
            assert_eq!(&two, b"01");
            assert_eq!(ours.read(vec![0; 2]).await.1, b"23");
            assert_eq!(clone.read(vec![0; 2]).await.1, b"45");
            theirs.read_exact(&mut two).unwrap();
            assert_eq!(&two, b"67");
            theirs.rewind().unwrap();
            assert_eq!(ours.read(vec![0; 1]).await.1, b"0");
            ours.seek(SeekFrom::Start(9)).await.unwrap();
            assert_eq!(clone.stream_position().await.unwrap(), 9);
            // Positions are no cursor.
            assert_eq!(ours.read_at(vec![0; 3], 4).await.1, b"456");
            assert_eq!(ours.read_vectored_at([vec![0; 1]], 0).await.1, [b"0"]);
            ours.read_exact_at([0; 4], 0).await.0.unwrap();
            assert_eq!(theirs.stream_position().unwrap(), 9);
            drop((theirs, clone));
            let mut back = ours.into_std().unwrap();
            assert_eq!(back.stream_position().unwrap(), 9);
        });
    });
}

#[test]
fn a_child_process_writes_on_where_we_stopped() {
    bounded(|| {
        let dir = Scratch::new("child");
        let path = dir.path("log");
        runtime().block_on(async {
            let mut log = File::create(&path).await.unwrap();
            for round in ["one", "two"] {
                log.write_all(format!("ours {round}\n")).await.0.unwrap();
                let out = log.try_clone().unwrap().into_std().unwrap();
                let echo = Command::new("echo").arg("theirs").stdout(out).status();
                assert!(echo.unwrap().success());
            }
            log.write_vectored(["the ", "end\n"]).await.0.unwrap();
            let expected = "ours one\ntheirs\nours two\ntheirs\nthe end\n";
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
            assert_eq!(log.stream_position().await.unwrap(), expected.len() as u64);
        });
    });
}

#[test]
fn appended_is_at_the_end_whoever_has_written() {
    bounded(|| {
        let dir = Scratch::new("append");
        let (one, two) = (dir.file("one", "start "), dir.file("two", "start "));
        runtime().block_on(async {
            let mut options = std::fs::OpenOptions::new();
            let mut theirs = options.append(true).read(true).open(&one).unwrap();
            let mut options = File::options();
            let mut ours = options.append(true).read(true).open(&two).await.unwrap();
            for path in [&one, &two] {
                let mut other = std::fs::OpenOptions::new().append(true).open(path).unwrap();
                other.write_all(b"other ").unwrap();
            }
            theirs.rewind().unwrap();
            ours.rewind().await.unwrap();
            theirs.write_all(b"own").unwrap();
            ours.write_all("own").await.0.unwrap();
            let at = theirs.stream_position().unwrap();
            assert_eq!(ours.stream_position().await.unwrap(), at);
            std::os::unix::fs::FileExt::write_all_at(&theirs, b"!", 0).unwrap();
            ours.write_all_at("!", 0).await.0.unwrap();
            assert_eq!(std::fs::read(&one).unwrap(), b"start other own!");
            assert_eq!(std::fs::read(&two).unwrap(), b"start other own!");
            assert_eq!(
                ours.stream_position().await.unwrap(),
                theirs.stream_position().unwrap()
            );
        });
    });
}

#[test]
fn positional_writes_leave_it_alone() {
    bounded(|| {
        let dir = Scratch::new("positional");
        let path = dir.path("file");
        runtime().block_on(async {
            let mut file = File::create_new(&path).await.unwrap();
            file.write_all("0123456789").await.0.unwrap();
            file.write_at("A", 0).await.0.unwrap();
            file.write_all_at("BC", 1).await.0.unwrap();
            file.write_vectored_at(["D", "E"], 3).await.0.unwrap();
            let (written, _) = file.write_all_vectored_at(["F", "G"], 5).await;
            written.unwrap();
            file.set_len(20).await.unwrap();
            assert_eq!(file.stream_position().await.unwrap(), 10);
            file.write_all("end").await.0.unwrap();
            let content = std::fs::read(&path).unwrap();
            assert_eq!(content, b"ABCDEFG789end\0\0\0\0\0\0\0");
        });
    });
}

#[test]
fn a_dropped_read_leaves_it_as_it_was() {
    bounded(|| {
        let dir = Scratch::new("dropped");
        let path = dir.file("digits", "0123456789");
        runtime().block_on(async {
            let mut file = File::open(&path).await.unwrap();
            for _ in 0..20 {
                let read = poll_immediate(Box::pin(file.read(vec![0; 3]))).await;
                if read.is_some() {
                    file.rewind().await.unwrap();
                }
                assert_eq!(file.stream_position().await.unwrap(), 0);
            }
            assert_eq!(file.read(vec![0; 3]).await.1, b"012");
        });
    });
}

/// One block of `byte` for `O_DIRECT`.
fn block(byte: u8) -> AlignedBuf {
    let mut block = AlignedBuf::with_capacity(4096);
    block.resize(4096, byte);
    block
}

/// There the kernel leaves the position to who knows when the disk is done.
#[test]
fn direct_reads_and_writes_move_it() {
    bounded(|| {
        let scratch = Scratch::new("direct-cursor");
        let path = scratch.file("file", ".".repeat(16_384));
        runtime().block_on(async {
            let mut options = OpenOptions::new();
            let Ok(mut to) = options.write(true).direct(true).open(&path).await else {
                return skipped("no direct input and output on this file system");
            };
            for byte in *b"AB" {
                to.write_all(block(byte)).await.0.unwrap();
            }
            to.write_all_vectored([block(b'C'), block(b'D')])
                .await
                .0
                .unwrap();
            assert_eq!(to.stream_position().await.unwrap(), 16_384);
            let written = std::fs::read(&path).unwrap();
            let blocks: Vec<_> = written.chunks(4096).map(|block| block[0]).collect();
            assert_eq!(blocks, b"ABCD");

            let mut options = OpenOptions::new();
            let mut from = options.read(true).direct(true).open(&path).await.unwrap();
            let mut seen = Vec::new();
            loop {
                let (read, bytes) = from.read(block(0)).await;
                if read.unwrap() == 0 {
                    break;
                }
                seen.push(bytes[0]);
                assert_eq!(
                    from.stream_position().await.unwrap(),
                    4096 * seen.len() as u64
                );
            }
            assert_eq!(seen, b"ABCD");

            // Dropped in flight, and when it has been answered.
            for turns in [0, 50] {
                from.seek(SeekFrom::Start(4096)).await.unwrap();
                let mut read = Box::pin(from.read(block(0)));
                assert!(poll_immediate(&mut read).await.is_none());
                for _ in 0..turns {
                    nop().await.unwrap();
                }
                drop(read);
                assert_eq!(from.stream_position().await.unwrap(), 4096);
                assert_eq!(from.read(block(0)).await.1[0], b'B');
            }

            // What is appended goes to the end, and so does the cursor.
            let mut options = OpenOptions::new();
            let mut more = options.append(true).direct(true).open(&path).await.unwrap();
            more.write_all(block(b'E')).await.0.unwrap();
            assert_eq!(more.stream_position().await.unwrap(), 20_480);
        });
    });
}

/// Of two that take turns, the second begins where the first has ended.
#[test]
fn turns_of_direct_writes_do_not_overlap() {
    bounded(|| {
        let scratch = Scratch::new("direct-turns");
        let path = scratch.file("file", "");
        runtime().block_on(async {
            let mut options = OpenOptions::new();
            let Ok(to) = options.write(true).direct(true).open(&path).await else {
                return skipped("no direct input and output on this file system");
            };
            let mut to = to;
            for byte in *b"abcdefgh" {
                let mut write = Box::pin(to.write(block(byte)));
                // It goes on without its future; what comes next waits for it.
                assert!(poll_immediate(&mut write).await.is_none());
                nop().await.unwrap();
                drop(write);
            }
            to.write_all(block(b'!')).await.0.unwrap();
            let written = std::fs::read(&path).unwrap();
            let blocks: Vec<_> = written.chunks(4096).map(|block| block[0]).collect();
            // One that was dropped may have been cancelled; none was written over.
            assert_eq!(blocks.last(), Some(&b'!'));
            assert!(
                blocks.is_sorted_by(|one, next| one < next || *next == b'!'),
                "{blocks:?}"
            );
            assert_eq!(to.stream_position().await.unwrap(), written.len() as u64);
        });
    });
}

/// An eventfd can be sought in, and has no positions: what a dropped read has taken is kept for the next.
#[test]
fn what_has_no_positions_keeps_what_a_dropped_read_took() {
    bounded(|| {
        // SAFETY: the call takes numbers only, and gives a descriptor that nobody else has.
        let event = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) };
        let mut sender = std::fs::File::from(event.try_clone().unwrap());
        runtime().block_on(async {
            let mut event = File::from(event);
            let mut read = Box::pin(event.read([0; 8]));
            assert!(poll_immediate(&mut read).await.is_none());
            sender.write_all(&7u64.to_ne_bytes()).unwrap();
            until("the answer", || metrics().in_flight == 0).await;
            drop(read);
            let (read, bytes) = event.read([0; 8]).await;
            assert_eq!((read.unwrap(), u64::from_ne_bytes(bytes)), (8, 7));
        });
    });
}
