//! Who takes nothing of what has arrived keeps nobody else waiting.

use std::io::Write;

use futures_util::StreamExt;
use futures_util::future::poll_immediate;
use saferring::net::UdpSocket;
use saferring::op::nop;
use saferring::runtime::{Builder, metrics};
use saferring_tests::bounded;

use super::pair;

#[test]
fn with_all_buffers_held_others_are_served() {
    bounded(|| {
        let builder = Builder::new().provided_buffers(64, 4, 1);
        builder.build().unwrap().block_on(async {
            let mut held = Vec::new();
            while held.len() < 8 {
                let (stream, mut peer) = pair();
                peer.write_all(&[held.len() as u8; 64]).unwrap();
                let mut chunks = stream.recv_stream();
                let chunk = chunks.next().await.unwrap().unwrap();
                held.push((stream, peer, chunks, chunk));
            }
            assert_eq!(metrics().provided_free, 0);
            let (stream, mut peer) = pair();
            let mut chunks = stream.recv_stream();
            for round in 0..20u8 {
                peer.write_all(&[round; 40]).unwrap();
                let mut arrived = Vec::new();
                while arrived.len() < 40 {
                    arrived.extend_from_slice(&chunks.next().await.unwrap().unwrap());
                }
                assert_eq!(arrived, [round; 40]);
            }
            for (n, (_, _, _, chunk)) in held.iter().enumerate() {
                assert_eq!(chunk[..], [n as u8; 64]);
            }
            drop(held);
            assert_eq!(metrics().provided_free, metrics().provided_buffers);
        });
    });
}

/// What has arrived lies in the buffers, and nobody takes it out; who was armed before and who comes afterwards get theirs.
#[test]
fn with_all_buffers_full_of_what_nobody_takes_others_are_served() {
    bounded(|| {
        let builder = Builder::new().provided_buffers(64, 4, 1);
        builder.build().unwrap().block_on(async {
            let (early, mut early_peer) = pair();
            let mut early = early.recv_stream();
            assert!(poll_immediate(early.next()).await.is_none());
            let mut slow = Vec::new();
            for n in 0..6u8 {
                let (stream, mut peer) = pair();
                let mut chunks = stream.recv_stream();
                assert!(poll_immediate(chunks.next()).await.is_none());
                nop().await.unwrap();
                peer.write_all(&[n; 640]).unwrap();
                slow.push((chunks, peer));
            }
            for _ in 0..10 {
                nop().await.unwrap();
            }
            let (late, mut late_peer) = pair();
            let mut late = late.recv_stream();
            for round in 0..20u8 {
                for (chunks, peer) in [(&mut early, &mut early_peer), (&mut late, &mut late_peer)] {
                    peer.write_all(&[round; 40]).unwrap();
                    let mut arrived = Vec::new();
                    while arrived.len() < 40 {
                        arrived.extend_from_slice(&chunks.next().await.unwrap().unwrap());
                    }
                    assert_eq!(arrived, [round; 40]);
                }
            }
            for (n, (mut chunks, peer)) in slow.into_iter().enumerate() {
                drop(peer);
                let mut arrived = Vec::new();
                while let Some(chunk) = chunks.next().await {
                    arrived.extend_from_slice(&chunk.unwrap());
                }
                assert_eq!(arrived, [n as u8; 640]);
            }
        });
    });
}

/// The same with datagrams, of sockets and senders.
#[test]
fn with_all_buffers_full_of_datagrams_others_are_served() {
    bounded(|| {
        let builder = Builder::new().provided_buffers(256, 4, 1);
        builder.build().unwrap().block_on(async {
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            let from = sender.local_addr().unwrap();
            let mut slow = Vec::new();
            for n in 0..6u8 {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let mut datagrams = socket.recv_from_stream();
                assert!(poll_immediate(datagrams.next()).await.is_none());
                nop().await.unwrap();
                for _ in 0..5 {
                    let to = socket.local_addr().unwrap();
                    sender.send_to([n; 30], to).await.0.unwrap();
                }
                slow.push(datagrams);
            }
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let to = socket.local_addr().unwrap();
            let mut datagrams = socket.recv_from_stream();
            for round in 0..20u8 {
                sender.send_to([round; 40], to).await.0.unwrap();
                let (data, sent_by) = datagrams.next().await.unwrap().unwrap();
                assert_eq!((&data[..], sent_by), (&[round; 40][..], from));
            }
            for (n, mut datagrams) in slow.into_iter().enumerate() {
                for _ in 0..5 {
                    let (data, sent_by) = datagrams.next().await.unwrap().unwrap();
                    assert_eq!((&data[..], sent_by), (&[n as u8; 30][..], from));
                }
            }
        });
    });
}
