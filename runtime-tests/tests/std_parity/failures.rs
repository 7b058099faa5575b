//! Reads and writes that fail, at once or midway: the same errors as in std, and the buffer comes back.

use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use saferring::fs::File;
use saferring::io::{AsyncReadExt, AsyncWriteExt};
use saferring::net::{TcpStream, UnixStream};
use saferring::op::Registry;
use saferring_tests::{bounded, in_child, skipped};

use super::{Scratch, pair, runtime};

type Kind = Result<(), ErrorKind>;

fn kind<T>(result: std::io::Result<T>) -> Kind {
    result.map(drop).map_err(|error| error.kind())
}

/// Every read and write of a file that was opened for something else, beside std's.
async fn all_ways(mut ours: File, mut theirs: std::fs::File) {
    assert_eq!(
        kind(ours.read([0; 2]).await.0),
        kind(theirs.read(&mut [0; 2]))
    );
    let exact = ours.read_exact(vec![0; 2]).await;
    assert_eq!(kind(exact.0), kind(theirs.read_exact(&mut [0; 2])));
    assert_eq!(exact.1, [0; 2]);
    let exact = ours.read_exact_at(vec![0; 2], 0).await;
    assert_eq!(kind(exact.0), kind(theirs.read_exact_at(&mut [0; 2], 0)));
    assert_eq!(exact.1, [0; 2]);
    let end = ours.read_to_end(b"kept".to_vec()).await;
    assert_eq!(kind(end.0), kind(theirs.read_to_end(&mut Vec::new())));
    assert_eq!(end.1, b"kept");
    let vectored = ours.read_vectored([vec![0; 1], vec![0; 1]]).await;
    assert_eq!(kind(vectored.0), kind(theirs.read(&mut [0; 2])));
    let vectored = AsyncReadExt::read_exact_vectored(&mut ours, [vec![1; 1], vec![2; 1]]).await;
    assert_eq!(kind(vectored.0), kind(theirs.read_exact(&mut [0; 2])));
    assert_eq!(vectored.1.concat(), [1, 2]);

    assert_eq!(kind(ours.write("x").await.0), kind(theirs.write(b"x")));
    let (written, buf) = ours.write_all("all").await;
    assert_eq!(kind(written), kind(theirs.write_all(b"all")));
    assert_eq!(buf, "all");
    let (written, buf) = ours.write_all_at("all", 1).await;
    assert_eq!(kind(written), kind(theirs.write_all_at(b"all", 1)));
    assert_eq!(buf, "all");
    let (written, bufs) = ours.write_vectored(["a", "b"]).await;
    assert_eq!(kind(written), kind(theirs.write(b"ab")));
    assert_eq!(bufs, ["a", "b"]);
    let (written, bufs) = ours.write_all_vectored_at(["a", "b"], 0).await;
    assert_eq!(kind(written), kind(theirs.write_all_at(b"ab", 0)));
    assert_eq!(bufs, ["a", "b"]);
    let seek = ours.seek(SeekFrom::Start(1)).await;
    let theirs = Seek::seek(&mut theirs, SeekFrom::Start(1));
    assert_eq!(kind(seek), kind(theirs));
}

#[test]
fn files_that_were_opened_for_something_else() {
    bounded(|| {
        let scratch = Scratch::new("failures");
        let path = scratch.file("file", "contents");
        runtime().block_on(async {
            let open = |options: &mut std::fs::OpenOptions, path| {
                let ours = File::from_std(options.open(path).unwrap());
                (ours, options.open(path).unwrap())
            };
            let mut options = std::fs::OpenOptions::new();
            let (ours, theirs) = open(options.write(true), &path);
            all_ways(ours, theirs).await;
            let mut options = std::fs::OpenOptions::new();
            let (ours, theirs) = open(options.read(true), &scratch.0);
            all_ways(ours, theirs).await;
            // A name of a file, and no more.
            let (ours, theirs) = open(options.custom_flags(libc::O_PATH), &path);
            all_ways(ours, theirs).await;
            let mut options = std::fs::OpenOptions::new();
            let (ours, theirs) = open(options.write(true), &"/dev/full".into());
            all_ways(ours, theirs).await;
        });
    });
}

/// Runs `body` in a process whose files may not be longer than this. It ends as where the disk is full.
fn where_files_may_grow_to(len: u64, body: impl FnOnce()) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the call writes to the record, which lives across it.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
    assert_eq!(failed, 0);
    // SAFETY: the process has no handler that this replaces. The signal would end it.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let set = |rlim_cur| {
        let limit = libc::rlimit { rlim_cur, ..limit };
        // SAFETY: the call reads the record, which lives across it.
        let failed = unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
        assert_eq!(failed, 0);
    };
    set(len);
    body();
    // What is written when a process ends, such as what was covered, is to be whole.
    set(limit.rlim_cur);
}

/// What fits is written, and then it fails.
#[test]
fn files_that_may_not_grow_so_far() {
    in_child("failures::files_that_may_not_grow_so_far", || {
        let scratch = Scratch::new("failures-size");
        where_files_may_grow_to(1000, || {
            runtime().block_on(async {
                let bytes: Vec<u8> = (0..1500).map(|n| n as u8).collect();
                for at in [0, 400, 1000] {
                    let (ours, theirs) = (scratch.path("ours"), scratch.path("theirs"));
                    let file = File::create(&ours).await.unwrap();
                    let std_file = std::fs::File::create(&theirs).unwrap();
                    let (written, buf) = file.write_all_at(bytes.clone(), at).await;
                    assert_eq!(kind(written), kind(std_file.write_all_at(&bytes, at)));
                    assert!(buf == bytes);
                    assert!(std::fs::read(&ours).unwrap() == std::fs::read(&theirs).unwrap());

                    let file = File::create(&ours).await.unwrap();
                    let bufs = [bytes[..900].to_vec(), bytes[900..].to_vec()];
                    let (written, bufs) = file.write_all_vectored_at(bufs, at).await;
                    assert_eq!(kind(written), kind(std_file.write_all_at(&bytes, at)));
                    assert!(bufs.concat() == bytes);
                    assert!(std::fs::read(&ours).unwrap() == std::fs::read(&theirs).unwrap());
                }
            })
        });
    });
}

/// The cursor is behind what was written, so that nothing is written over it.
#[test]
fn cursors_of_files_that_may_not_grow_so_far() {
    in_child(
        "failures::cursors_of_files_that_may_not_grow_so_far",
        || {
            let scratch = Scratch::new("failures-cursor");
            where_files_may_grow_to(1000, || {
                runtime().block_on(async {
                    let bytes: Vec<u8> = (0..1500).map(|n| n as u8).collect();
                    for (append, begin) in [
                        (false, 0),
                        (false, 700),
                        (false, 1000),
                        (true, 0),
                        (true, 300),
                    ] {
                        let mut options = std::fs::OpenOptions::new();
                        let options = options.read(true).create(true).append(append).write(true);
                        let paths =
                            ["ours", "theirs"].map(|name| scratch.file(name, vec![1; begin]));
                        let mut file = File::from_std(options.open(&paths[0]).unwrap());
                        let mut std_file = options.open(&paths[1]).unwrap();
                        if !append {
                            let end = SeekFrom::End(0);
                            assert_eq!(file.seek(end).await.unwrap(), std_file.seek(end).unwrap());
                        }
                        // Of the first there is room for a part.
                        for _ in 0..2 {
                            let written = file.write(bytes.clone()).await.0;
                            let std_written = std_file.write(&bytes);
                            assert_eq!(written.ok(), std_written.ok());
                            let position = file.stream_position().await.unwrap();
                            assert_eq!(position, std_file.stream_position().unwrap());
                        }
                        std_file.set_len(begin as u64).unwrap();
                        file.set_len(begin as u64).await.unwrap();
                        let begin = SeekFrom::Start(begin as u64);
                        assert_eq!(
                            file.seek(begin).await.unwrap(),
                            std_file.seek(begin).unwrap()
                        );
                        let bufs = [bytes[..100].to_vec(), bytes[100..].to_vec()];
                        let written = file.write_vectored(bufs).await.0;
                        assert_eq!(written.ok(), std_file.write(&bytes).ok());
                        let (written, buf) = file.write_all(bytes.clone()).await;
                        assert_eq!(kind(written), kind(std_file.write_all(&bytes)));
                        assert!(buf == bytes);
                        let [ours, theirs] = paths.map(|path| std::fs::read(path).unwrap());
                        assert!(ours == theirs);
                    }
                })
            });
        },
    );
}

/// As much as no socket takes at once.
const LARGE: usize = 8 << 20;

fn tcp() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours.into(), listener.accept().unwrap().0)
}

/// Reads a little of what is sent, and goes.
fn takes_a_little(mut peer: impl Read + Send + 'static) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || peer.read_exact(&mut [0; 10_000]).unwrap())
}

/// What std says of a large write to a peer that goes midway.
fn std_kinds(mut stream: impl Write, peer: impl Read + Send + 'static) -> Kind {
    let peer = takes_a_little(peer);
    let written = stream.write_all(&vec![7; LARGE]);
    peer.join().unwrap();
    kind(written)
}

#[test]
fn peers_that_go_midway() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = pair();
            let unix = std_kinds(stream.into_std().unwrap(), peer);
            assert_eq!(unix, Err(ErrorKind::BrokenPipe));
            let ways: [fn(UnixStream) -> std::pin::Pin<Box<dyn Future<Output = Kind>>>; 5] = [
                |stream| Box::pin(async move { kind(stream.write_all(vec![7; LARGE]).await.0) }),
                |stream| {
                    let bufs = [vec![7; LARGE / 2], vec![7; LARGE / 2]];
                    Box::pin(async move { kind(stream.write_all_vectored(bufs).await.0) })
                },
                |stream| {
                    Box::pin(async move {
                        let (sent, buf) = stream.write_all_zc(vec![7; LARGE]).await;
                        assert_eq!(buf.await.len(), LARGE);
                        kind(sent)
                    })
                },
                |mut stream| {
                    let write = async move {
                        AsyncWriteExt::write_all(&mut stream, vec![7; LARGE])
                            .await
                            .0
                    };
                    Box::pin(async move { kind(write.await) })
                },
                |stream| {
                    let (_reader, mut writer) = stream.into_split();
                    Box::pin(async move { kind(writer.write_all(vec![7; LARGE]).await.0) })
                },
            ];
            for way in ways {
                let (stream, peer) = pair();
                let peer = takes_a_little(peer);
                assert_eq!(way(stream).await, unix);
                peer.join().unwrap();
            }

            // A reset: the kernel may have told it to itself, when it went on, and tells a broken pipe then.
            let gone = [Err(ErrorKind::ConnectionReset), Err(ErrorKind::BrokenPipe)];
            let (stream, peer) = tcp();
            let std_kind = std_kinds(stream.into_std().unwrap(), peer);
            assert!(gone.contains(&std_kind), "{std_kind:?}");
            for zero_copy in [false, true] {
                let (stream, peer) = tcp();
                let peer = takes_a_little(peer);
                stream.set_zero_copy_threshold(1);
                let sent = match zero_copy {
                    false => stream.write_all(vec![7; LARGE]).await.0,
                    true => stream.write_all_zc(vec![7; LARGE]).await.0,
                };
                peer.join().unwrap();
                let sent = kind(sent);
                assert!(gone.contains(&sent), "{sent:?}");
            }
        });
    });
}

/// [`RegisteredFd::send_all`](saferring::op::RegisteredFd::send_all) tells how far it came.
#[test]
fn a_direct_descriptor_whose_peer_goes_midway() {
    bounded(|| {
        runtime().block_on(async {
            let Ok(registry) = Registry::current() else {
                return skipped("no registered files");
            };
            let (ours, peer) = std::os::unix::net::UnixStream::pair().unwrap();
            let stream = registry.register(&ours).unwrap();
            drop(ours);
            let peer = takes_a_little(peer);
            let (sent, buf) = stream.send_all(vec![7; LARGE]).await;
            peer.join().unwrap();
            assert_eq!(buf.len(), LARGE);
            match sent {
                Ok(sent) => assert!((10_000..LARGE).contains(&sent), "{sent}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::BrokenPipe),
            }
            let (sent, _) = stream.send_all("more").await;
            assert_eq!(kind(sent), Err(ErrorKind::BrokenPipe));
        });
    });
}
