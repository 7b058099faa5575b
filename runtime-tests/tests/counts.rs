//! Counts, not times: how often the kernel is entered for a request. Server and clients share one runtime, so that
//! nothing depends on who runs when.

use futures_util::StreamExt;
use saferring::net::{TcpListener, TcpStream};
use saferring::runtime::{Runtime, metrics};
use saferring_tests::{bounded, is_software};

saferring_tests::also_on_software!();

/// Clients in lockstep, each with one message of 64 bytes on its way; returns enters a request.
async fn echo(connections: usize, rounds: u64, chunks: bool) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    saferring::spawn(async move {
        let mut incoming = listener.incoming();
        while let Some(stream) = incoming.next().await {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            saferring::spawn(async move {
                if chunks {
                    let mut chunks = stream.recv_stream();
                    while let Some(chunk) = chunks.next().await {
                        stream.write_all(chunk.unwrap()).await.0.unwrap();
                    }
                    return;
                }
                let mut buf = Vec::with_capacity(64);
                loop {
                    let (read, data) = stream.read(buf).await;
                    if read.unwrap() == 0 {
                        return;
                    }
                    let (written, data) = stream.write_all(data).await;
                    written.unwrap();
                    buf = data;
                }
            });
        }
    });
    let mut clients = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        clients.push(stream);
    }
    let mut before = 0;
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|stream| {
            saferring::spawn(async move {
                let mut buf = vec![7; 64];
                for round in 0..rounds {
                    let (written, data) = stream.write_all(buf).await;
                    written.unwrap();
                    let (read, data) = stream.read_exact(data).await;
                    read.unwrap();
                    buf = data;
                    if round == 0 {
                        // The connections are made, and the buffers.
                        saferring::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    before += metrics().enters;
    for task in tasks {
        task.await.unwrap();
    }
    let enters = metrics().enters - before;
    enters as f64 / (rounds * connections as u64) as f64
}

#[track_caller]
fn enters_at_most(limit: f64, connections: usize, rounds: u64) {
    for chunks in [false, true] {
        bounded(move || {
            let runtime = Runtime::new().unwrap();
            let enters = runtime.block_on(echo(connections, rounds, chunks));
            // The beginning takes a few more.
            let limit = limit + 5.0 / (connections as u64 * rounds) as f64;
            assert!(
                enters <= limit,
                "{enters:.3} enters a request with {connections} connections (by chunks: {chunks})"
            );
            println!(
                "{connections} connections, by chunks: {chunks}: {enters:.3} enters a request"
            );
        });
    }
}

#[test]
fn one_connection_enters_twice_a_request() {
    // The software ring's are fewer system calls than turns.
    enters_at_most(if is_software() { 4.0 } else { 2.0 }, 1, 2000);
}

#[test]
fn fifty_connections_enter_a_tenth_a_request() {
    enters_at_most(0.1, 50, 500);
}

/// What has many at once: as many operations go with one enter as the queue has entries.
#[test]
fn operations_submitted_together_share_an_enter() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            saferring::op::nop().await.unwrap();
            let before = metrics().enters;
            for _ in 0..100 {
                let nops: Vec<_> = (0..200).map(|_| saferring::op::nop().submit()).collect();
                for nop in nops {
                    nop.await.unwrap();
                }
            }
            let enters = metrics().enters - before;
            assert!(enters <= 101, "{enters} enters for 100 batches of 200");
        });
    });
}
