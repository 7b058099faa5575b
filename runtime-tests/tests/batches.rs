//! What has arrived together is taken, and sent, together.

use std::io::{ErrorKind, Read, Write};
use std::thread;

use futures_util::future::poll_immediate;
use saferring::features;
use saferring::net::{Batch, TcpListener, TcpStream, UnixStream};
use saferring::runtime::{Builder, Runtime, metrics};
use saferring_tests::{bounded, pattern_bytes, until};

saferring_tests::also_on_software!();

fn small_buffers() -> Runtime {
    Builder::new().provided_buffers(64, 256, 1).build().unwrap()
}

fn flat(batch: &Batch) -> Vec<u8> {
    batch.iter().flat_map(|buf| buf.to_vec()).collect()
}

/// Messages of four buffers come back whole and in order, by far fewer requests than there are buffers.
#[test]
fn a_message_of_several_buffers_is_echoed_by_one_send() {
    bounded(|| {
        small_buffers().block_on(async {
            const ROUNDS: u64 = 500;
            let (stream, peer) = UnixStream::pair().unwrap();
            let mut peer = peer.into_std().unwrap();
            let client = thread::spawn(move || {
                for round in 0..ROUNDS {
                    let message = pattern_bytes(round * 256, 256);
                    peer.write_all(&message).unwrap();
                    let mut back = [0; 256];
                    peer.read_exact(&mut back).unwrap();
                    assert!(back[..] == message);
                }
            });
            let before = metrics().submissions;
            let (mut pieces, mut sends) = (0, 0);
            let mut chunks = stream.recv_stream();
            while let Some(batch) = chunks.next_batch().await {
                let batch = batch.unwrap();
                pieces += batch.len() as u64;
                sends += 1;
                let (sent, batch) = stream.write_all_vectored(batch).await;
                sent.unwrap();
                assert!(batch.total_len() <= 256);
            }
            client.join().unwrap();
            if features().multishot_recv() {
                assert_eq!(pieces, ROUNDS * 4);
                assert!(sends < pieces / 2, "{sends} sends for {pieces} pieces");
                let submissions = metrics().submissions - before;
                assert!(submissions < pieces / 2 + 100, "{submissions} requests");
            }
        });
    });
}

#[test]
fn batches_are_bounded_and_lose_nothing() {
    bounded(|| {
        small_buffers().block_on(async {
            let (stream, peer) = UnixStream::pair().unwrap();
            let sent = pattern_bytes(0, 300_000);
            let writer = saferring::spawn({
                let sent = sent.clone();
                async move { peer.write_all(sent).await.0.unwrap() }
            });
            let mut received = Vec::new();
            let mut chunks = stream.recv_stream();
            let mut round = 0;
            loop {
                round += 1;
                // Dropped before it is ready, now and then.
                let batch = match poll_immediate(Box::pin(chunks.next_batch())).await {
                    Some(batch) => batch,
                    None if round % 3 == 0 => continue,
                    None => chunks.next_batch().await,
                };
                let Some(batch) = batch else { break };
                let batch = batch.unwrap();
                assert!((1..=64).contains(&batch.len()));
                assert_eq!(batch.total_len(), flat(&batch).len());
                received.extend(flat(&batch));
                if round % 2 == 0 {
                    let bufs: Vec<_> = batch.into_iter().collect();
                    drop(bufs);
                }
                if round % 5 == 0 {
                    // Another stream goes on where this one was left.
                    drop(chunks);
                    chunks = stream.recv_stream();
                }
                saferring::op::nop().await.unwrap();
            }
            writer.await.unwrap();
            assert!(received == sent);
            assert!(chunks.next_batch().await.is_none());
            drop(chunks);
            if features().multishot_recv() {
                assert_eq!(metrics().provided_free, metrics().provided_buffers);
            }
        });
    });
}

#[test]
fn an_error_comes_after_what_arrived_before_it() {
    bounded(|| {
        small_buffers().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap());
            let (client, server) = futures_util::future::join(client, listener.accept()).await;
            let (client, server) = (client.unwrap(), server.unwrap().0);
            let mut chunks = server.recv_stream();
            assert!(
                poll_immediate(Box::pin(chunks.next_batch()))
                    .await
                    .is_none()
            );
            client.write_all(pattern_bytes(0, 150)).await.0.unwrap();
            if features().multishot_recv() {
                until("three buffers", || {
                    metrics().provided_free + 3 == metrics().provided_buffers
                })
                .await;
            }
            // With this option a close resets the connection.
            let client = client.into_std().unwrap();
            socket2::SockRef::from(&client)
                .set_linger(Some(std::time::Duration::ZERO))
                .unwrap();
            drop(client);
            let mut received = Vec::new();
            let error = loop {
                match chunks.next_batch().await.unwrap() {
                    Ok(batch) => received.extend(flat(&batch)),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert!(received == pattern_bytes(0, 150));
            assert!(chunks.next_batch().await.is_none());
        });
    });
}
