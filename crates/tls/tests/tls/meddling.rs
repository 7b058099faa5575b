//! Somebody between both ends who changes, drops or repeats what passes.

use std::io;
use std::net::Shutdown;
use std::rc::Rc;

use saferring::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use saferring::net::UnixStream;
use saferring::spawn;
use saferring_tests::{Random, pattern_bytes, rounds};
use saferring_tls::TlsStream;

use crate::cancel::dropped_after;
use crate::common::*;

/// What is done to the byte at an offset.
#[derive(Clone, Copy, Debug)]
enum Meddling {
    Flip(u8),
    /// It and those after it, some of them.
    Drop(usize),
    Repeat(usize),
    End,
}

fn meddle(bytes: &mut Vec<u8>, at: usize, how: Meddling) {
    match how {
        Meddling::Flip(bits) => bytes[at] ^= bits,
        Meddling::Drop(n) => drop(bytes.drain(at..(at + n).min(bytes.len()))),
        Meddling::Repeat(n) => {
            let part = bytes[at..(at + n).min(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
        Meddling::End => bytes.truncate(at),
    }
}

/// Passes bytes on, in pieces of any size, and meddles once, at an offset. Both sides may wait for each other after that: it ends the
/// stream when nothing has come for some rounds.
async fn pass(
    from: Rc<UnixStream>,
    to: Rc<UnixStream>,
    offset: usize,
    how: Option<Meddling>,
    seed: u64,
) {
    let (mut random, mut passed) = (Random::new(seed), 0);
    let mut has_meddled = false;
    loop {
        let room = 1 + random.below(2000) as usize;
        let rounds = if has_meddled { 200 } else { usize::MAX };
        let read = dropped_after(rounds, from.read(vec![0; room]).into_future());
        let Some((Ok(n @ 1..), buf)) = read.await else {
            break;
        };
        let mut bytes = buf[..n].to_vec();
        let is_here = (passed..passed + n).contains(&offset);
        if let (true, Some(how)) = (is_here, how) {
            meddle(&mut bytes, offset - passed, how);
            has_meddled = true;
        }
        passed += n;
        let was_end = is_here && matches!(how, Some(Meddling::End));
        if to.write_all(bytes).await.0.is_err() || was_end {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    // The other direction is not to be reset by what nobody reads.
    while matches!(from.read(vec![0; 1000]).await.0, Ok(1..)) {}
}

/// A question and an answer, and the end of both directions; both sides check what they get.
async fn client(mut stream: TlsStream<UnixStream>, total: usize) -> io::Result<()> {
    stream.write_all(pattern_bytes(0, total)).await.0?;
    let (read, buf) = stream.read_exact(vec![0; total]).await;
    read?;
    assert_eq!(buf, pattern_bytes(7, total));
    stream.shutdown().await?;
    if cfg!(debug_assertions) {
        return Ok(()); // See `a_fault_after_our_own_end_is_told`.
    }
    let (end, more) = rest(&mut stream).await;
    assert!(more.is_empty());
    end
}

async fn server(mut stream: TlsStream<UnixStream>, total: usize) -> io::Result<()> {
    let (read, buf) = stream.read_exact(vec![0; total]).await;
    read?;
    assert_eq!(buf, pattern_bytes(0, total));
    stream.write_all(pattern_bytes(7, total)).await.0?;
    let (end, more) = rest(&mut stream).await;
    assert!(more.is_empty());
    end?;
    stream.shutdown().await
}

#[test]
fn nobody_can_change_what_passes() {
    run(async || {
        let mut random = Random::new(42);
        let both = [&TLS12, &TLS13].map(|version| ends(configs(&[version])));
        let (mut failed, count) = (0, rounds(400));
        for round in 0..count {
            let ends = &both[round % 2];
            let total = [100, 20_000][random.below(2) as usize];
            // What passes is a little more than the data, and the handshake.
            let offset = random.below(total as u64 + 1200) as usize;
            let n = 1 + random.below(40) as usize;
            let how = match random.below(4) {
                0 => Meddling::Flip(1 << random.below(8)),
                1 => Meddling::Drop(n),
                2 => Meddling::Repeat(n),
                _ => Meddling::End,
            };
            let is_client = random.below(2) == 0;
            let (one, left) = pair();
            let (right, other) = pair();
            let (left, right) = (Rc::new(left), Rc::new(right));
            let of = |is_its| if is_its { Some(how) } else { None };
            let seed = round as u64;
            let passing = [
                spawn(pass(
                    Rc::clone(&left),
                    Rc::clone(&right),
                    offset,
                    of(is_client),
                    seed,
                )),
                spawn(pass(right, left, offset, of(!is_client), !seed)),
            ];
            let asking = async { client(ends.0.connect(localhost(), one).await?, total).await };
            let answering = async { server(ends.1.accept(other).await?, total).await };
            let (asked, answered) = futures_util::join!(asking, answering);
            failed += usize::from(asked.is_err() || answered.is_err());
            for error in [asked.err(), answered.err()].into_iter().flatten() {
                assert!(!error.to_string().is_empty(), "{how:?} at {offset}");
            }
            for pass in passing {
                pass.await.unwrap();
            }
        }
        // Some offsets are beyond the end.
        assert!(failed > count / 2, "{failed} of {count}");
    });
}
