//! What several tasks write to one stream, each message by one call, arrives message by message; and one call is one
//! request to the kernel, however small the socket's buffer is.

use std::io::Read;
use std::net;
use std::os::fd::AsFd;
use std::os::unix::net as unix;
use std::rc::Rc;
use std::thread;

use saferring::features;
use saferring::net::{TcpStream, UnixStream};
use saferring::runtime::{Runtime, metrics};
use saferring_tests::bounded;
use socket2::SockRef;

saferring_tests::also_on_software!();

const TASKS: u8 = 2;
const MESSAGES: u8 = 4;
const LEN: usize = 300_000;

fn shrink(socket: &impl AsFd) {
    SockRef::from(socket).set_send_buffer_size(8192).unwrap();
}

fn tcp() -> (TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).set_recv_buffer_size(8192).unwrap();
    let ours = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    shrink(&ours);
    let (theirs, _) = listener.accept().unwrap();
    (TcpStream::from_std(ours), theirs)
}

fn unix() -> (UnixStream, unix::UnixStream) {
    let (ours, theirs) = unix::UnixStream::pair().unwrap();
    shrink(&ours);
    (UnixStream::from_std(ours), theirs)
}

/// Five parts of unequal sizes, one of them empty, each byte of them `tag`.
fn parts(tag: u8) -> Vec<Vec<u8>> {
    let sizes = [1, 0, 100_000, 7, LEN - 100_008];
    sizes.map(|size| vec![tag; size]).into()
}

/// Reads to the end, little at a time, and counts the bytes of each run of equal ones.
fn runs(mut peer: impl Read) -> Vec<(u8, usize)> {
    let mut runs: Vec<(u8, usize)> = Vec::new();
    let mut buf = [0; 1000];
    loop {
        let n = peer.read(&mut buf).unwrap();
        if n == 0 {
            return runs;
        }
        for &byte in &buf[..n] {
            match runs.last_mut() {
                Some((tag, count)) if *tag == byte => *count += 1,
                _ => runs.push((byte, 1)),
            }
        }
    }
}

/// Each task sends its messages by `write`, which gets the stream and the message's tag.
fn arrive_whole<S: 'static, W: AsyncFn(&S, u8) + Copy + 'static>(
    stream: S,
    peer: impl Read + Send + 'static,
    write: W,
) {
    let reader = thread::spawn(|| runs(peer));
    let requests = Runtime::new().unwrap().block_on(async {
        let stream = Rc::new(stream);
        // What the runtime needs to be woken by is submitted with the first.
        saferring::op::nop().await.unwrap();
        let before = metrics().submissions;
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let stream = Rc::clone(&stream);
                saferring::spawn(async move {
                    for message in 0..MESSAGES {
                        write(&stream, task * MESSAGES + message).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        metrics().submissions - before
    });
    let mut runs = reader.join().unwrap();
    let total: usize = runs.iter().map(|(_, count)| count).sum();
    assert_eq!(total, usize::from(TASKS * MESSAGES) * LEN);
    // Kernels before 5.19, which the multishot accept came with too, end a send when the socket is full.
    if features().multishot_accept() {
        runs.sort();
        let whole: Vec<_> = (0..TASKS * MESSAGES).map(|tag| (tag, LEN)).collect();
        assert_eq!(runs, whole);
        assert_eq!(requests, u64::from(TASKS * MESSAGES));
    }
}

#[test]
fn messages_in_one_buffer() {
    bounded(|| {
        let (stream, peer) = tcp();
        arrive_whole(stream, peer, async |stream: &TcpStream, tag| {
            stream.write_all(vec![tag; LEN]).await.0.unwrap();
        });
        let (stream, peer) = unix();
        arrive_whole(stream, peer, async |stream: &UnixStream, tag| {
            stream.write_all(vec![tag; LEN]).await.0.unwrap();
        });
    });
}

#[test]
fn messages_in_several_buffers() {
    bounded(|| {
        let (stream, peer) = tcp();
        arrive_whole(stream, peer, async |stream: &TcpStream, tag| {
            let (written, bufs) = stream.write_all_vectored(parts(tag)).await;
            written.unwrap();
            assert_eq!(bufs, parts(tag));
        });
        let (stream, peer) = unix();
        arrive_whole(stream, peer, async |stream: &UnixStream, tag| {
            let (written, bufs) = stream.write_all_vectored(parts(tag)).await;
            written.unwrap();
            assert_eq!(bufs, parts(tag));
        });
    });
}
