//! The same entries given to the kernel's ring and to the software ring: the same answers.

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

use io_uring::{opcode, squeue, types};

use crate::feature::Feature;
use crate::sys;
use crate::sys::buf_ring::BufRing;
use crate::sys::{Backend, Completion, Entry, Promised, Ring, RingConfig, Wait};

const MORE: u32 = 1 << 1;

fn ring(backend: Backend) -> Ring {
    let config = RingConfig {
        backend,
        entries: 64,
        completions: 256,
        ..RingConfig::default()
    };
    Ring::new(&config).unwrap()
}

/// Runs `body` on each ring, and compares what it gives.
#[track_caller]
fn same<T: PartialEq + std::fmt::Debug>(body: impl FnMut(&mut Ring) -> T) -> T {
    same_with(&[], body)
}

/// The same, but on a kernel's ring only if it has these.
#[track_caller]
fn same_with<T: PartialEq + std::fmt::Debug>(
    features: &[Feature],
    mut body: impl FnMut(&mut Ring) -> T,
) -> T {
    let software = body(&mut ring(Backend::Software));
    let kernel = Ring::new(&RingConfig {
        backend: Backend::IoUring,
        entries: 64,
        completions: 256,
        ..RingConfig::default()
    });
    if let Ok(mut kernel) = kernel {
        if features.iter().all(|&one| kernel.features().has(one)) {
            assert_eq!(body(&mut kernel), software, "kernel's ring, software ring");
        }
    }
    software
}

fn push(ring: &mut Ring, entry: squeue::Entry, user_data: u64) {
    let mut entry = Entry::from(entry);
    entry.set_user_data(user_data);
    // SAFETY: each test keeps what its entries point to until the ring is gone or they are complete.
    assert!(ring.push(&unsafe { Promised::new(&entry) }));
}

/// The next completion; waits for it, but not without end.
#[track_caller]
fn reap(ring: &mut Ring) -> Completion {
    let began = Instant::now();
    loop {
        if let Some(cqe) = ring.reap() {
            return cqe;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "nothing came");
        ring.enter(Wait::For(Duration::from_millis(100))).unwrap();
    }
}

/// What one entry is answered.
#[track_caller]
fn ask(ring: &mut Ring, entry: impl Into<squeue::Entry>) -> i32 {
    push(ring, entry.into(), 7);
    let cqe = reap(ring);
    assert_eq!(cqe.user_data(), 7);
    cqe.raw_result()
}

/// Whether nothing comes, when all was submitted.
fn is_quiet(ring: &mut Ring) -> bool {
    ring.enter(Wait::No).unwrap();
    ring.enter(Wait::No).unwrap();
    !ring.has_completions()
}

/// Whether the process may lock so much memory, which the kernel's ring does for what it sends without a copy.
fn may_lock(bytes: usize) -> bool {
    const IPC_LOCK: u64 = 1 << 14;
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().split_whitespace().next().unwrap().to_owned()
    };
    let limit = field("/proc/self/limits", "Max locked memory");
    let capabilities = field("/proc/self/status", "CapEff:");
    u64::from_str_radix(&capabilities, 16).unwrap() & IPC_LOCK != 0
        || limit.parse().is_ok_and(|limit: usize| limit >= bytes)
        || limit == "unlimited"
}

fn fd(file: &impl AsRawFd) -> types::Fd {
    types::Fd(file.as_raw_fd())
}

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

#[test]
fn bad_descriptors_have_the_same_errors() {
    let mut buf = [0_u8; 8];
    let start = buf.as_mut_ptr();
    let closed = types::Fd(1 << 20);
    let file = std::fs::File::open("Cargo.toml").unwrap();
    let entries: [(&str, squeue::Entry); 14] = [
        ("recv", opcode::Recv::new(closed, start, 8).build()),
        (
            "recv of a file",
            opcode::Recv::new(fd(&file), start, 8).build(),
        ),
        ("send", opcode::Send::new(closed, start, 8).build()),
        (
            "send to a file",
            opcode::Send::new(fd(&file), start, 8).build(),
        ),
        ("read", opcode::Read::new(closed, start, 8).build()),
        (
            "read of -1",
            opcode::Read::new(types::Fd(-1), start, 8).build(),
        ),
        ("write", opcode::Write::new(closed, start, 8).build()),
        (
            "write to what is open for reading",
            opcode::Write::new(fd(&file), start, 8).build(),
        ),
        (
            "poll",
            opcode::PollAdd::new(closed, libc::POLLIN as u32).build(),
        ),
        ("fsync", opcode::Fsync::new(closed).build()),
        ("close", opcode::Close::new(closed).build()),
        ("truncate", opcode::Ftruncate::new(fd(&file), 0).build()),
        ("allocate", opcode::Fallocate::new(closed, 1).build()),
        (
            "socket",
            opcode::Socket::new(9999, libc::SOCK_STREAM, 0).build(),
        ),
    ];
    same(|ring| {
        let answers = entries
            .clone()
            .map(|(name, entry)| (name, ask(ring, entry)));
        assert!(answers.iter().all(|(_, result)| *result < 0), "{answers:?}");
        answers
    });
    let accept = opcode::Accept::new(fd(&file), std::ptr::null_mut(), std::ptr::null_mut()).build();
    same(|ring| ask(ring, accept.clone()));
}

#[test]
fn a_stream_is_received_sent_and_ended() {
    same(|ring| {
        let (ours, mut theirs) = tcp();
        let mut buf = [0_u8; 8];
        let recv = opcode::Recv::new(fd(&ours), buf.as_mut_ptr(), 8).build();
        push(ring, recv.clone(), 1);
        let quiet = is_quiet(ring);
        theirs.write_all(b"four").unwrap();
        let first = reap(ring).raw_result();
        theirs.write_all(b"more than eight").unwrap();
        let (second, third) = (ask(ring, recv.clone()), ask(ring, recv.clone()));
        let at_once = opcode::Recv::new(fd(&ours), buf.as_mut_ptr(), 8).flags(libc::MSG_DONTWAIT);
        let none = ask(ring, at_once.build());
        let sent = ask(
            ring,
            opcode::Send::new(fd(&ours), b"abc".as_ptr(), 3).build(),
        );
        let empty = ask(
            ring,
            opcode::Send::new(fd(&ours), b"abc".as_ptr(), 0).build(),
        );
        let mut came = [0; 3];
        theirs.read_exact(&mut came).unwrap();
        drop(theirs);
        let end = ask(ring, recv);
        (quiet, first, second, third, none, sent, empty, came, end)
    });
}

/// More than the socket holds, with a peer that reads late: all of it in one completion.
#[test]
fn a_send_of_the_whole_goes_on_when_there_is_room() {
    let bytes: Vec<u8> = (0..8_000_000_u32).map(|i| (i % 251) as u8).collect();
    for zero_copy in [false, true] {
        if zero_copy && !may_lock(bytes.len()) {
            continue;
        }
        // Before the kernel that has zero-copy sends, one of the whole ends as others do.
        same_with(&[Feature::SendZc], |ring| {
            let (ours, mut theirs) = tcp();
            let (start, len) = (bytes.as_ptr(), bytes.len() as u32);
            let entry = match zero_copy {
                false => opcode::Send::new(fd(&ours), start, len)
                    .flags(libc::MSG_WAITALL)
                    .build(),
                true => opcode::SendZc::new(fd(&ours), start, len)
                    .flags(libc::MSG_WAITALL)
                    .build(),
            };
            push(ring, entry, 1);
            let quiet = is_quiet(ring);
            let reader = std::thread::spawn(move || {
                let mut came = Vec::new();
                theirs.read_to_end(&mut came).unwrap();
                came
            });
            let sent = reap(ring);
            let notified = zero_copy.then(|| reap(ring).flags() & MORE);
            drop(ours);
            assert!(reader.join().unwrap() == bytes);
            (quiet, sent.raw_result(), sent.flags() & MORE, notified)
        });
    }
}

#[test]
fn datagrams_carry_their_addresses_and_say_that_they_are_cut() {
    same(|ring| {
        let (a, b) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        let to = socket2::SockAddr::from(b.local_addr().unwrap());
        let send = opcode::Send::new(fd(&a), b"datagram".as_ptr(), 8)
            .dest_addr(to.as_ptr().cast())
            .dest_addr_len(to.len());
        let sent = ask(ring, send.build());
        let mut buf = [0_u8; 3];
        let mut vector = libc::iovec {
            iov_base: buf.as_mut_ptr().cast(),
            iov_len: 3,
        };
        // SAFETY: a header of zeros has no name, no vector and no control data.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        (header.msg_iov, header.msg_iovlen) = (&raw mut vector, 1);
        let recv = opcode::RecvMsg::new(fd(&b), &raw mut header).flags(libc::MSG_TRUNC as u32);
        let came = ask(ring, recv.build());
        (sent, came, header.msg_flags, buf)
    });
}

#[test]
fn accepts_connects_and_refusals() {
    same_with(&[Feature::MultishotAccept, Feature::Socket], |ring| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = socket2::SockAddr::from(listener.local_addr().unwrap());
        push(ring, opcode::AcceptMulti::new(fd(&listener)).build(), 1);
        let quiet = is_quiet(ring);
        let mut told = Vec::new();
        let mut files = Vec::new();
        for _ in 0..3 {
            let made = ask(
                ring,
                opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).build(),
            );
            // SAFETY: it was just made.
            let socket = unsafe { OwnedFd::from_raw_fd(made) };
            let connect = opcode::Connect::new(fd(&socket), to.as_ptr().cast(), to.len());
            push(ring, connect.build(), 2);
            let mut two = [reap(ring), reap(ring)];
            two.sort_by_key(Completion::user_data);
            told.push((
                two[0].raw_result() > 0,
                two[0].has_more(),
                two[1].raw_result(),
            ));
            // SAFETY: it was just accepted.
            files.push((socket, unsafe { OwnedFd::from_raw_fd(two[0].raw_result()) }));
        }
        push(ring, opcode::AsyncCancel::new(1).build(), 3);
        let mut ends =
            [reap(ring), reap(ring)].map(|cqe| (cqe.user_data(), cqe.raw_result(), cqe.has_more()));
        ends.sort_unstable();
        drop(listener);
        let made = ask(
            ring,
            opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).build(),
        );
        // SAFETY: it was just made.
        let socket = unsafe { OwnedFd::from_raw_fd(made) };
        let connect = opcode::Connect::new(fd(&socket), to.as_ptr().cast(), to.len());
        let refused = ask(ring, connect.build());
        (quiet, told, ends, refused)
    });
}

/// A stream into provided buffers: what comes, with which flags, how it ends, and what it says when none is left.
#[test]
fn provided_buffers_are_taken_in_order_and_run_out() {
    same_with(&[Feature::BufferRings, Feature::MultishotRecv], |ring| {
        let (ours, mut theirs) = tcp();
        let mut buffers = BufRing::new(3, 2, 8).unwrap();
        // SAFETY: `buffers` is dropped after the ring has given all back, below.
        if unsafe { ring.register_buffers(&buffers) }.is_err() {
            return None;
        }
        // SAFETY: each is given once.
        (0..2).for_each(|id| unsafe { buffers.give(id) });
        push(ring, opcode::RecvMulti::new(fd(&ours), 3).build(), 1);
        assert!(is_quiet(ring));
        theirs.write_all(b"12345678abc").unwrap();
        let mut told = Vec::new();
        for _ in 0..2 {
            let cqe = reap(ring);
            let id = cqe.buffer().unwrap();
            let len = cqe.raw_result() as usize;
            // SAFETY: the completion has named it.
            let bytes = unsafe { std::slice::from_raw_parts(buffers.buffer(id).as_ptr(), len) };
            told.push((cqe.raw_result(), cqe.flags() & MORE, id, bytes.to_vec()));
        }
        theirs.write_all(b"x").unwrap();
        let none = reap(ring);
        // SAFETY: both were named, and nobody uses them.
        (0..2).for_each(|id| unsafe { buffers.give(id) });
        push(ring, opcode::RecvMulti::new(fd(&ours), 3).build(), 2);
        let last = reap(ring);
        drop(theirs);
        let end = reap(ring);
        let all = [none, last, end].map(|cqe| (cqe.raw_result(), cqe.flags() & (MORE | 1)));
        std::mem::forget(buffers);
        Some((told, all))
    });
}

#[test]
fn cancels_find_what_waits_and_say_what_they_found() {
    same(|ring| {
        let (ours, _theirs) = tcp();
        let (pipe, _writer) = io::pipe().unwrap();
        let mut buf = [[0_u8; 8]; 3];
        push(
            ring,
            opcode::Recv::new(fd(&ours), buf[0].as_mut_ptr(), 8).build(),
            1,
        );
        push(
            ring,
            opcode::Read::new(fd(&pipe), buf[1].as_mut_ptr(), 8).build(),
            2,
        );
        push(
            ring,
            opcode::PollAdd::new(fd(&pipe), libc::POLLIN as u32).build(),
            3,
        );
        assert!(is_quiet(ring));
        let mut told = Vec::new();
        for (target, found) in [(9, false), (1, true), (3, true), (3, false)] {
            push(ring, opcode::AsyncCancel::new(target).build(), 8);
            let count = if found { 2 } else { 1 };
            let mut some: Vec<_> = (0..count)
                .map(|_| reap(ring))
                .map(|cqe| (cqe.user_data(), cqe.raw_result()))
                .collect();
            some.sort_unstable();
            told.push(some);
        }
        // The read of a pipe may be at work on a kernel's thread in old kernels, so only how it ends is compared.
        push(ring, opcode::AsyncCancel::new(2).build(), 8);
        let mut two = [reap(ring), reap(ring)];
        two.sort_by_key(Completion::user_data);
        let ended = matches!(-two[0].raw_result(), libc::ECANCELED | libc::EINTR);
        (told, ended)
    });
}

/// What was sent of a send is told when it is cancelled: with and without a copy, in one piece and in several.
#[test]
fn a_send_that_is_cancelled_says_how_much_it_has_sent() {
    let much = vec![7_u8; 32 << 20];
    let vector = [libc::iovec {
        iov_base: much.as_ptr().cast_mut().cast(),
        iov_len: much.len(),
    }];
    for zero_copy in [false, true] {
        if zero_copy && !may_lock(much.len()) {
            continue;
        }
        for message in [false, true] {
            let features = match zero_copy {
                true => &[Feature::SendZc, Feature::SendmsgZc][..],
                false => &[],
            };
            let body = |ring: &mut Ring| {
                let (ours, mut theirs) = tcp();
                let len = much.len() as u32;
                // SAFETY: all zero is a header without a name, a vector or control data.
                let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
                header.msg_iov = vector.as_ptr().cast_mut();
                header.msg_iovlen = 1;
                let entry = match (zero_copy, message) {
                    (false, false) => opcode::Send::new(fd(&ours), much.as_ptr(), len)
                        .flags(libc::MSG_WAITALL)
                        .build(),
                    (false, true) => opcode::SendMsg::new(fd(&ours), &raw const header)
                        .flags(libc::MSG_WAITALL as u32)
                        .build(),
                    (true, false) => opcode::SendZc::new(fd(&ours), much.as_ptr(), len)
                        .flags(libc::MSG_WAITALL)
                        .build(),
                    (true, true) => opcode::SendMsgZc::new(fd(&ours), &raw const header)
                        .flags(libc::MSG_WAITALL as u32)
                        .build(),
                };
                push(ring, entry, 1);
                assert!(is_quiet(ring));
                push(ring, opcode::AsyncCancel::new(1).build(), 2);
                let mut told = Vec::new();
                let of = |told: &[Completion], user_data| {
                    told.iter()
                        .find(|one| one.user_data() == user_data)
                        .copied()
                };
                while of(&told, 1).is_none() || of(&told, 2).is_none() {
                    told.push(reap(ring));
                }
                drop(ours);
                let mut came = Vec::new();
                theirs.read_to_end(&mut came).unwrap();
                let sent = of(&told, 1).unwrap().raw_result();
                assert!(
                    sent > 0 && came.len() == sent as usize,
                    "{sent}, {}",
                    came.len()
                );
                // The notification.
                while zero_copy && told.len() < 3 {
                    told.push(reap(ring));
                }
                of(&told, 2).unwrap().raw_result()
            };
            match sys::counts_sends() {
                true => same_with(features, body),
                false => body(&mut ring(Backend::Software)),
            };
        }
    }
}

#[test]
fn cancels_by_descriptor_and_of_all_say_how_many() {
    let ring = &mut ring(Backend::Software);
    let (ours, _theirs) = tcp();
    let (other, _peer) = tcp();
    let mut buf = [[0_u8; 8]; 4];
    for (i, socket) in [&ours, &ours, &other, &other].into_iter().enumerate() {
        push(
            ring,
            opcode::Recv::new(fd(socket), buf[i].as_mut_ptr(), 8).build(),
            i as u64,
        );
    }
    assert!(is_quiet(ring));
    let by_fd = types::CancelBuilder::fd(fd(&ours)).all();
    push(ring, opcode::AsyncCancel2::new(by_fd).build(), 8);
    let told: Vec<_> = (0..3)
        .map(|_| reap(ring))
        .map(|cqe| (cqe.user_data(), cqe.raw_result()))
        .collect();
    assert_eq!(told, [(0, -libc::ECANCELED), (1, -libc::ECANCELED), (8, 2)]);
    push(
        ring,
        opcode::AsyncCancel2::new(types::CancelBuilder::any()).build(),
        8,
    );
    let told: Vec<_> = (0..3)
        .map(|_| reap(ring))
        .map(|cqe| (cqe.user_data(), cqe.raw_result()))
        .collect();
    assert_eq!(told, [(2, -libc::ECANCELED), (3, -libc::ECANCELED), (8, 2)]);
}

#[test]
fn files_are_opened_read_changed_and_named() {
    let dir = std::env::temp_dir().join(format!("saferring-software-{}", std::process::id()));
    let at = types::Fd(libc::AT_FDCWD);
    same(|ring| {
        let _ = std::fs::remove_dir_all(&dir);
        let path = |name: &str| {
            CString::new(dir.join(name).into_os_string().into_encoded_bytes()).unwrap()
        };
        let (root, one, two) = (path(""), path("one"), path("two"));
        let mut told = vec![ask(
            ring,
            opcode::MkDirAt::new(at, root.as_ptr()).mode(0o700).build(),
        )];
        told.push(ask(
            ring,
            opcode::MkDirAt::new(at, root.as_ptr()).mode(0o700).build(),
        ));
        let open = opcode::OpenAt::new(at, one.as_ptr())
            .flags(libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)
            .mode(0o600)
            .build();
        let opened = ask(ring, open.clone());
        // SAFETY: it was just opened.
        let file = unsafe { OwnedFd::from_raw_fd(opened) };
        told.push(ask(ring, open));
        told.push(ask(
            ring,
            opcode::Write::new(fd(&file), b"0123456789".as_ptr(), 10)
                .offset(0)
                .build(),
        ));
        let mut buf = [0_u8; 32];
        for offset in [0, 4, 10, 11, u64::MAX] {
            told.push(ask(
                ring,
                opcode::Read::new(fd(&file), buf.as_mut_ptr(), 32)
                    .offset(offset)
                    .build(),
            ));
        }
        let (mut a, mut b) = ([0_u8; 4], [0_u8; 32]);
        let vector = [
            libc::iovec {
                iov_base: a.as_mut_ptr().cast(),
                iov_len: 4,
            },
            libc::iovec {
                iov_base: b.as_mut_ptr().cast(),
                iov_len: 32,
            },
        ];
        told.push(ask(
            ring,
            opcode::Readv::new(fd(&file), vector.as_ptr(), 2)
                .offset(1)
                .build(),
        ));
        told.push(ask(ring, opcode::Fsync::new(fd(&file)).build()));
        told.push(ask(ring, opcode::Fallocate::new(fd(&file), 100).build()));
        told.push(ask(ring, opcode::Fallocate::new(fd(&file), 0).build()));
        told.push(ask(
            ring,
            opcode::Fadvise::new(fd(&file), 0, libc::POSIX_FADV_RANDOM).build(),
        ));
        told.push(ask(ring, opcode::Fadvise::new(fd(&file), 0, 77).build()));
        // SAFETY: any bytes are such a record.
        let mut stat: libc::statx = unsafe { std::mem::zeroed() };
        let statx =
            opcode::Statx::new(at, one.as_ptr(), (&raw mut stat).cast()).mask(libc::STATX_SIZE);
        told.push(ask(ring, statx.build()));
        told.push(stat.stx_size as i32);
        told.push(ask(
            ring,
            opcode::RenameAt::new(at, one.as_ptr(), at, two.as_ptr()).build(),
        ));
        told.push(ask(ring, opcode::UnlinkAt::new(at, one.as_ptr()).build()));
        told.push(ask(ring, opcode::UnlinkAt::new(at, two.as_ptr()).build()));
        told.push(ask(
            ring,
            opcode::UnlinkAt::new(at, root.as_ptr())
                .flags(libc::AT_REMOVEDIR)
                .build(),
        ));
        told.push(ask(
            ring,
            opcode::Close::new(types::Fd(std::os::fd::IntoRawFd::into_raw_fd(file))).build(),
        ));
        (told, a, b, buf)
    });
}

/// Files without positions: what is there, what is not there yet, and the end.
#[test]
fn pipes_sockets_and_devices_are_read_and_written() {
    same(|ring| {
        let mut told = Vec::new();
        let mut buf = [0_u8; 8];
        let start = buf.as_mut_ptr();
        let (reader, mut writer) = io::pipe().unwrap();
        push(
            ring,
            opcode::Read::new(fd(&reader), start, 8)
                .offset(u64::MAX)
                .build(),
            1,
        );
        let quiet = is_quiet(ring);
        writer.write_all(b"abc").unwrap();
        told.push(reap(ring).raw_result());
        told.push(ask(
            ring,
            opcode::Write::new(fd(&writer), b"de".as_ptr(), 2)
                .offset(u64::MAX)
                .build(),
        ));
        told.push(ask(ring, opcode::Read::new(fd(&reader), start, 8).build()));
        drop(writer);
        told.push(ask(ring, opcode::Read::new(fd(&reader), start, 8).build()));
        let (a, b) = UnixStream::pair().unwrap();
        told.push(ask(
            ring,
            opcode::Write::new(fd(&a), b"socket".as_ptr(), 6).build(),
        ));
        told.push(ask(ring, opcode::Read::new(fd(&b), start, 8).build()));
        let zero = std::fs::File::open("/dev/zero").unwrap();
        told.push(ask(ring, opcode::Read::new(fd(&zero), start, 8).build()));
        let null = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .unwrap();
        told.push(ask(ring, opcode::Write::new(fd(&null), start, 8).build()));
        told.push(ask(ring, opcode::Read::new(fd(&null), start, 8).build()));
        let dir = std::fs::File::open("/").unwrap();
        told.push(ask(ring, opcode::Read::new(fd(&dir), start, 8).build()));
        (quiet, told)
    });
}

#[test]
fn datagrams_between_processes_end_with_a_shutdown() {
    same(|ring| {
        let (a, b) = UnixDatagram::pair().unwrap();
        let mut buf = [0_u8; 8];
        a.send(b"one").unwrap();
        a.send(b"").unwrap();
        let recv = opcode::Recv::new(fd(&b), buf.as_mut_ptr(), 8).build();
        let told = [ask(ring, recv.clone()), ask(ring, recv.clone())];
        push(ring, recv, 1);
        let quiet = is_quiet(ring);
        b.shutdown(std::net::Shutdown::Both).unwrap();
        (told, quiet, reap(ring).raw_result())
    });
}

/// Slots keep their files open, and empty ones say so.
#[test]
fn direct_descriptors_work_like_others() {
    let (_, lacks) = match ring(Backend::Auto) {
        Ring::Kernel(_) => ((), false),
        _ => ((), true),
    };
    let body = |ring: &mut Ring| {
        ring.make_file_table(4).unwrap();
        let again = ring.make_file_table(4).is_err();
        let (ours, mut theirs) = tcp();
        ring.set_file(2, ours.as_raw_fd()).unwrap();
        drop(ours);
        let mut buf = [0_u8; 8];
        theirs.write_all(b"hello").unwrap();
        let slot = |slot: u32| types::Fixed(slot);
        let mut told = vec![ask(
            ring,
            opcode::Recv::new(slot(2), buf.as_mut_ptr(), 8).build(),
        )];
        told.push(ask(
            ring,
            opcode::Recv::new(slot(1), buf.as_mut_ptr(), 8).build(),
        ));
        told.push(ask(
            ring,
            opcode::Recv::new(slot(9), buf.as_mut_ptr(), 8).build(),
        ));
        let path = CString::new("Cargo.toml").unwrap();
        let into = types::DestinationSlot::try_from_slot_target(0).unwrap();
        let open =
            opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).file_index(Some(into));
        told.push(ask(ring, open.build()));
        told.push(ask(
            ring,
            opcode::Read::new(slot(0), buf.as_mut_ptr(), 8)
                .offset(0)
                .build(),
        ));
        let installed = ask(ring, opcode::FixedFdInstall::new(slot(0), 0).build());
        // SAFETY: it was just made.
        drop(unsafe { OwnedFd::from_raw_fd(installed) });
        ring.set_file(2, -1).unwrap();
        told.push(theirs.read(&mut [0; 1]).unwrap() as i32);
        told.push(i32::from(ring.set_file(9, -1).is_err()));
        (again, installed > 2, told)
    };
    match lacks {
        false => drop(same(body)),
        true => drop(body(&mut ring(Backend::Software))),
    }
}

#[test]
fn registered_memory_bounds_what_names_it() {
    same_with(&[Feature::RegisteredBuffers], |ring| {
        let memory = crate::sys::Memory::map(8192).unwrap();
        ring.make_buffer_table(2).unwrap();
        if ring.set_buffer(1, Some(&memory)).is_err() {
            return None;
        }
        let file = std::fs::File::open("Cargo.toml").unwrap();
        let start = memory.start().as_ptr();
        let told = [
            (start, 100, 1),
            (start.wrapping_add(8192 - 10), 100, 1),
            (start, 100, 0),
            (start, 100, 5),
        ]
        .map(|(start, len, slot)| {
            ask(
                ring,
                opcode::ReadFixed::new(fd(&file), start, len, slot)
                    .offset(0)
                    .build(),
            )
        });
        ring.set_buffer(1, None).unwrap();
        Some(told)
    });
}

#[test]
fn what_it_does_not_know_is_refused_by_name() {
    let ring = &mut ring(Backend::Software);
    push(
        ring,
        opcode::EpollWait::new(types::Fd(0), std::ptr::null_mut(), 0).build(),
        1,
    );
    let refusal = reap(ring);
    assert_eq!(refusal.raw_result(), -libc::EOPNOTSUPP);
    let error = refusal.result().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    assert!(
        error.to_string().contains("epoll_wait needs io_uring"),
        "{error}"
    );
    let linked = opcode::Nop::new().build().flags(squeue::Flags::IO_LINK);
    push(ring, linked, 1);
    assert!(reap(ring).result().is_err());
}

/// A full queue takes no more, and nothing is lost.
#[test]
fn the_queue_has_a_bound() {
    let ring = &mut ring(Backend::Software);
    let offer = |ring: &mut Ring, user_data| {
        let mut entry = Entry::from(opcode::Nop::new().build());
        entry.set_user_data(user_data);
        // SAFETY: a nop points to nothing.
        ring.push(&unsafe { Promised::new(&entry) })
    };
    assert!((0..64).all(|i| offer(ring, i)));
    assert!(!offer(ring, 64));
    assert_eq!(ring.unsubmitted(), 64);
    ring.enter(Wait::Forever).unwrap();
    let all: Vec<u64> = std::iter::from_fn(|| ring.reap())
        .map(|cqe| cqe.user_data())
        .collect();
    assert_eq!(all, (0..64).collect::<Vec<_>>());
}

/// A thread that waits without end keeps a ring that is dropped from nothing; what it opens late is closed.
#[test]
fn a_late_open_of_a_dropped_ring_is_closed() {
    let path = std::env::temp_dir().join(format!("saferring-late-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let name = CString::new(path.clone().into_os_string().into_encoded_bytes()).unwrap();
    // SAFETY: a path that ends with a zero.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let mut ring = ring(Backend::Software);
    let open = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), name.as_ptr()).flags(libc::O_RDONLY);
    push(&mut ring, open.build(), 1);
    assert!(is_quiet(&mut ring));
    // A thread has it, which cannot be stopped.
    push(&mut ring, opcode::AsyncCancel::new(1).build(), 2);
    let told = loop {
        let cqe = reap(&mut ring);
        if cqe.user_data() == 2 {
            break cqe.raw_result();
        }
    };
    if told == -libc::EALREADY {
        drop(ring);
        let mut writer = std::fs::File::options().write(true).open(&path).unwrap();
        // When the reader's end is closed, writing fails.
        let began = Instant::now();
        while writer.write_all(b"x").is_ok() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "the reader's end stays open"
            );
            std::thread::yield_now();
        }
    }
    std::fs::remove_file(&path).unwrap();
}

/// A number that was closed by somebody else, and is another file's now.
#[test]
fn a_number_that_comes_again_is_another_file() {
    let ring = &mut ring(Backend::Software);
    let mut buf = [0_u8; 8];
    let mut number: Option<RawFd> = None;
    for _ in 0..3 {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        // As a `SharedFd` does.
        crate::sys::note_descriptor(ours.as_raw_fd());
        if number.is_some_and(|number| ours.as_raw_fd() != number) {
            return; // Another test has taken the number.
        }
        number = Some(ours.as_raw_fd());
        let mut recv = Entry::from(opcode::Recv::new(fd(&ours), buf.as_mut_ptr(), 8).build());
        recv = recv.with_ioprio(crate::sys::sqe::POLL_FIRST);
        recv.set_user_data(1);
        // SAFETY: the buffer outlives the ring's use of it.
        assert!(ring.push(&unsafe { Promised::new(&recv) }));
        assert!(is_quiet(ring));
        theirs.write_all(b"x").unwrap();
        assert_eq!(reap(ring).raw_result(), 1);
    }
}

/// A FIFO, read by its own position and by an offset, with and without a writer, blocking or not.
#[test]
fn a_fifo_has_no_offsets() {
    let path = std::env::temp_dir().join(format!("saferring-fifo-{}", std::process::id()));
    let name = CString::new(path.clone().into_os_string().into_encoded_bytes()).unwrap();
    same(|ring| {
        let _ = std::fs::remove_file(&path);
        // SAFETY: a path that ends with a zero.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let mut told = Vec::new();
        let mut buf = [0_u8; 8];
        let open = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), name.as_ptr())
            .flags(libc::O_RDONLY | libc::O_NONBLOCK);
        let opened = ask(ring, open.build());
        // SAFETY: it was just opened.
        let reader = unsafe { OwnedFd::from_raw_fd(opened) };
        let mut read = |at| {
            opcode::Read::new(fd(&reader), buf.as_mut_ptr(), 8)
                .offset(at)
                .build()
        };
        let entries = [read(0), read(u64::MAX)];
        for entry in &entries {
            told.push(ask(ring, entry.clone()));
        }
        let mut writer = std::fs::File::options().write(true).open(&path).unwrap();
        for entry in &entries {
            writer.write_all(b"x").unwrap();
            told.push(ask(ring, entry.clone()));
        }
        drop(writer);
        told
    });
    std::fs::remove_file(&path).unwrap();
}

/// More connections than one go takes: the listener blocks again afterwards, and its number is known anew.
#[test]
fn a_listener_is_as_it_was_after_many_accepts() {
    let ring = &mut ring(Backend::Software);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = listener.as_raw_fd();
    crate::sys::note_descriptor(number);
    push(ring, opcode::AcceptMulti::new(fd(&listener)).build(), 1);
    assert!(is_quiet(ring));
    let to = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..70).map(|_| TcpStream::connect(to).unwrap()).collect();
    for _ in &clients {
        // SAFETY: it was just accepted.
        drop(unsafe { OwnedFd::from_raw_fd(reap(ring).raw_result()) });
    }
    push(ring, opcode::AsyncCancel::new(1).build(), 2);
    let mut ends = [reap(ring), reap(ring)].map(|cqe| cqe.raw_result());
    ends.sort_unstable();
    assert_eq!(ends, [-libc::ECANCELED, 0]);
    let flags = rustix::fs::fcntl_getfl(&listener).unwrap();
    assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
    drop(listener);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    if ours.as_raw_fd() != number {
        return; // Another test has taken the number.
    }
    crate::sys::note_descriptor(number);
    let mut buf = [0_u8; 8];
    let recv = opcode::Recv::new(fd(&ours), buf.as_mut_ptr(), 8).build();
    push(ring, recv, 3);
    assert!(is_quiet(ring));
    theirs.write_all(b"x").unwrap();
    assert_eq!(reap(ring).raw_result(), 1);
}

/// Rings that have cloned a listener do not make each other's accepts block.
#[test]
fn a_listener_of_two_rings_is_non_blocking_until_both_let_go() {
    let mut rings = [ring(Backend::Software), ring(Backend::Software)];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let clone = listener.try_clone().unwrap();
    let is_nonblocking = || {
        let flags = rustix::fs::fcntl_getfl(&listener).unwrap();
        flags.contains(rustix::fs::OFlags::NONBLOCK)
    };
    push(
        &mut rings[0],
        opcode::AcceptMulti::new(fd(&listener)).build(),
        1,
    );
    let one = |ring: &mut Ring, user_data| {
        let accept = opcode::Accept::new(fd(&clone), std::ptr::null_mut(), std::ptr::null_mut());
        push(ring, accept.build(), user_data);
        assert!(is_quiet(ring));
    };
    assert!(is_quiet(&mut rings[0]));
    one(&mut rings[1], 1);
    one(&mut rings[1], 2);
    for (which, target, left) in [(0, 1, true), (1, 1, true), (1, 2, false)] {
        let ring = &mut rings[which];
        push(ring, opcode::AsyncCancel::new(target).build(), 7);
        let mut ends = [reap(ring), reap(ring)].map(|cqe| cqe.raw_result());
        ends.sort_unstable();
        assert_eq!(ends, [-libc::ECANCELED, 0]);
        assert_eq!(is_nonblocking(), left);
    }
}
