//! Who takes nothing of what has arrived keeps nobody else waiting.

use std::io::Write;

use futures_util::StreamExt;
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
