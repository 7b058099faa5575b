//! Provided buffers on lease: split, turned into `Bytes`, given back from other threads.

use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::poll_immediate;
use saferring::features;
use saferring::net::{ProvidedBuf, RecvStream, UnixStream};
use saferring::runtime::{Builder, Runtime, metrics};
use saferring_tests::{bounded, skipped, until};

saferring_tests::also_on_software!();

/// Runs `test` in a runtime with this many buffers of 16 bytes, where the kernel has them.
fn with_buffers<F: Future<Output = ()>>(count: u16, test: impl FnOnce() -> F + Send + 'static) {
    bounded(move || {
        if !features().multishot_recv() {
            return skipped("no provided buffers for streams");
        }
        let runtime = Builder::new()
            .provided_buffers(16, count, 1)
            .build()
            .unwrap();
        runtime.block_on(test());
    });
}

async fn next(chunks: &mut RecvStream) -> ProvidedBuf {
    chunks.next().await.unwrap().unwrap()
}

async fn send(peer: &UnixStream, bytes: &'static str) {
    peer.write_all(bytes).await.0.unwrap();
}

#[test]
fn parts_dropped_in_any_order_give_the_buffer_back_with_the_last() {
    with_buffers(2, async || {
        let (stream, peer) = UnixStream::pair().unwrap();
        let mut chunks = stream.recv_stream();
        const ORDERS: [[usize; 3]; 6] = [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ];
        for order in ORDERS {
            send(&peer, "headbodytail").await;
            let mut body = next(&mut chunks).await;
            let start = body.as_ptr();
            let head = body.split_to(4);
            let tail = body.split_off(4);
            assert_eq!(
                (&head[..], &body[..], &tail[..]),
                (&b"head"[..], &b"body"[..], &b"tail"[..])
            );
            assert_eq!(tail.as_ptr().addr() - start.addr(), 8);
            let mut parts = [Some(head), Some(body), Some(tail)];
            for part in order {
                assert_eq!(metrics().provided_free, 1);
                parts[part] = None;
            }
            assert_eq!(metrics().provided_free, 2);
        }
        assert_eq!(metrics().provided_dry, 0);
    });
}

#[test]
fn an_empty_part_holds_nothing() {
    with_buffers(2, async || {
        let (stream, peer) = UnixStream::pair().unwrap();
        let mut chunks = stream.recv_stream();
        send(&peer, "0123456789").await;
        let mut rest = next(&mut chunks).await;
        assert!(rest.split_to(0).is_empty() && rest.split_off(10).is_empty());
        rest.advance(2);
        rest.truncate(100);
        rest.truncate(6);
        assert_eq!(rest[..], *b"234567");
        let all = rest.split_to(6);
        assert_eq!(metrics().provided_free, 1);
        drop(all);
        assert_eq!(metrics().provided_free, 2);
        assert!(rest.is_empty());
        rest.advance(0);
        drop(rest.split_off(0));
    });
}

#[test]
fn a_split_beyond_the_end_panics() {
    bounded(|| {
        let split = || ProvidedBuf::from(b"abc".to_vec()).split_to(4);
        let panic = std::panic::catch_unwind(split).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(
            message.contains("position 4 is beyond the buffer's 3 bytes"),
            "{message}"
        );
    });
}

#[test]
fn bytes_are_not_copied_and_go_back_when_all_are_gone() {
    with_buffers(2, async || {
        let (stream, peer) = UnixStream::pair().unwrap();
        let mut chunks = stream.recv_stream();
        for split in [false, true] {
            send(&peer, "headbody").await;
            let mut body = next(&mut chunks).await;
            let start = body.as_ptr();
            let head = split.then(|| body.split_to(4));
            let bytes = Bytes::from(body);
            assert_eq!(bytes[bytes.len() - 4..], *b"body");
            assert_eq!(
                bytes.as_ptr().addr() - start.addr(),
                if split { 4 } else { 0 }
            );
            let part = bytes.slice(1..3);
            drop(bytes);
            assert_eq!(metrics().provided_free, 1);
            drop(part);
            assert_eq!(metrics().provided_free, 1 + u32::from(!split));
            drop(head);
            assert_eq!(metrics().provided_free, 2);
        }
    });
}

#[test]
fn bytes_of_the_heap_are_those_that_are_left() {
    bounded(|| {
        let mut chunk = ProvidedBuf::from(b"abcdef".to_vec());
        chunk.advance(1);
        chunk.truncate(4);
        let tail = chunk.split_off(3);
        assert_eq!(Bytes::from(chunk), b"bcd"[..]);
        assert_eq!(Bytes::from(tail), b"e"[..]);
        let mut chunk = ProvidedBuf::from(b"abcdef".to_vec());
        chunk.advance(2);
        chunk.truncate(3);
        assert_eq!(Bytes::from(chunk), b"cde"[..]);
        assert!(Bytes::from(ProvidedBuf::from(Vec::new())).is_empty());
    });
}

/// One buffer, which another thread holds whenever the stream wants it: each drop there has to reach the stream, which
/// is just about to wait, or parked.
#[test]
fn bytes_dropped_on_another_thread_wake_a_dry_stream() {
    with_buffers(1, async || {
        let (stream, peer) = UnixStream::pair().unwrap();
        let (held, holder) = mpsc::channel::<Bytes>();
        let thread = thread::spawn(move || {
            for (round, bytes) in holder.into_iter().enumerate() {
                assert_eq!(bytes[..], *b"0123456789abcdef");
                for _ in 0..round % 64 * 50 {
                    std::hint::spin_loop();
                }
            }
        });
        let mut chunks = stream.recv_stream();
        for _ in 0..2000 {
            send(&peer, "0123456789abcdef").await;
            held.send(next(&mut chunks).await.into()).unwrap();
        }
        drop(held);
        thread.join().unwrap();
        assert_eq!(metrics().provided_free, 1);
    });
}

#[test]
fn all_dry_streams_are_woken_and_none_waits_twice() {
    with_buffers(1, async || {
        let (stream, peer) = UnixStream::pair().unwrap();
        send(&peer, "held").await;
        let mut holding = stream.recv_stream();
        let held = Bytes::from(next(&mut holding).await);
        drop(holding);
        let dry = metrics().provided_dry;
        // One waits and is dropped, though the task of both goes on; the others are served.
        let (other, _other_peer) = UnixStream::pair().unwrap();
        let mut gone = other.recv_stream();
        for _ in 0..10 {
            assert!(poll_immediate(gone.next()).await.is_none());
        }
        assert_eq!(metrics().provided_dry, dry + 1, "it waits once");
        drop(gone);
        let readers: Vec<_> = (0..3)
            .map(|_| {
                saferring::spawn(async {
                    let (stream, peer) = UnixStream::pair().unwrap();
                    send(&peer, "0123456789abcdef0123").await;
                    drop(peer);
                    let mut received = Vec::new();
                    let mut chunks = stream.recv_stream();
                    while let Some(chunk) = chunks.next().await {
                        received.extend_from_slice(&chunk.unwrap());
                    }
                    assert_eq!(received, b"0123456789abcdef0123");
                })
            })
            .collect();
        until("three streams that wait", || {
            metrics().provided_dry >= dry + 4
        })
        .await;
        thread::spawn(move || drop(held)).join().unwrap();
        for reader in readers {
            reader.await.unwrap();
        }
        assert_eq!(metrics().provided_free, 1);
    });
}

#[test]
fn bytes_outlive_the_runtime_and_its_thread() {
    bounded(|| {
        let bytes: Vec<Bytes> = thread::spawn(|| {
            Runtime::new().unwrap().block_on(async {
                let (stream, peer) = UnixStream::pair().unwrap();
                send(&peer, "whole").await;
                let mut chunks = stream.recv_stream();
                let whole = next(&mut chunks).await;
                send(&peer, "head, tail").await;
                let mut head = next(&mut chunks).await;
                let tail = head.split_off(6);
                vec![whole.into(), head.into(), tail.into()]
            })
        })
        .join()
        .unwrap();
        // Others may take whatever was unmapped.
        let noise: Vec<_> = (0..64).map(|_| vec![0xffu8; 1 << 16]).collect();
        assert_eq!(bytes, [&b"whole"[..], b"head, ", b"tail"]);
        drop(noise);
        thread::spawn(move || drop(bytes)).join().unwrap();
    });
}
