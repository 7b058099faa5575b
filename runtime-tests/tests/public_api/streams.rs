//! Streams: halves, readiness, and signals.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;

use saferring::io::BufWriter;
use saferring::net::UnixStream;
use saferring::op::{PollAdd, Readiness};
use saferring::runtime::Builder;
use saferring_tests::{bounded, in_child};

use super::runtime;

fn pair() -> (UnixStream, StdStream) {
    let (ours, theirs) = StdStream::pair().unwrap();
    (UnixStream::from_std(ours), theirs)
}

#[test]
fn halves_become_one_again() {
    bounded(|| {
        runtime().block_on(async {
            let ((one, mut peer), (other, _other_peer)) = (pair(), pair());
            let (reader, writer) = one.into_split();
            let (other_reader, other_writer) = other.into_split();
            // Those of two streams come back as they were.
            let error = reader.reunite(other_writer).unwrap_err();
            let text = error.to_string();
            assert_eq!(
                text,
                "tried to reunite halves that are not from the same stream"
            );
            let (reader, other_writer) = (error.0, error.1);
            peer.write_all(b"in").unwrap();
            assert_eq!(reader.read(vec![0; 2]).await.1, b"in");
            let whole = reader.reunite(writer).unwrap();
            // The direction was not ended on the way.
            whole.write_all("out").await.0.unwrap();
            let mut out = [0; 3];
            peer.read_exact(&mut out).unwrap();
            assert_eq!(&out, b"out");
            drop(other_reader.reunite(other_writer).unwrap());
        });
    });
}

#[test]
fn a_submitted_write_of_the_whole_goes_on_without_being_polled() {
    bounded(|| {
        runtime().block_on(async {
            let (one, other) = UnixStream::pair().unwrap();
            let bytes: Vec<u8> = (0..2_000_000).map(|i| (i % 251) as u8).collect();
            let sending = one.write(bytes.clone()).whole().submit();
            // What comes after it waits for its turn.
            let last = one.write("!").whole().submit();
            let received = other.read_exact(vec![0; bytes.len() + 1]).await.1;
            assert!(received.starts_with(&bytes) && received.ends_with(b"!"));
            assert_eq!(sending.await.0.unwrap(), bytes.len());
            assert_eq!(last.await.0.unwrap(), 1);
            // Nothing is the whole of nothing.
            assert_eq!(one.write(Vec::new()).whole().await.0.unwrap(), 0);
            drop(other);
            let error = one.write(bytes).whole().await.0.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        });
    });
}

/// A batch is a list of buffers: each can be cut where it is, and what is left is sent by one request.
#[test]
fn a_batch_is_sent_without_what_was_cut_from_it() {
    bounded(|| {
        let runtime = Builder::new().provided_buffers(4, 16, 1).build().unwrap();
        runtime.block_on(async {
            let ((stream, mut peer), (out, mut received)) = (pair(), pair());
            peer.write_all(b"abcdefghij").unwrap();
            drop(peer);
            let mut chunks = stream.recv_stream();
            while let Some(batch) = chunks.next_batch().await {
                let mut batch = batch.unwrap();
                for buf in batch.iter_mut() {
                    buf.advance(1);
                }
                out.write_all_vectored(batch).await.0.unwrap();
            }
            drop(out);
            let mut all = String::new();
            received.read_to_string(&mut all).unwrap();
            assert_eq!(all, "bcdfghj");
        });
    });
}

/// Dropped, the writing half ends its direction, and the other goes on; forgotten, it ends nothing.
#[test]
fn the_writing_half_ends_its_direction_unless_forgotten() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, mut peer) = pair();
            let (reader, writer) = stream.into_split();
            writer.write_all("last").await.0.unwrap();
            drop(writer);
            let mut last = String::new();
            peer.read_to_string(&mut last).unwrap();
            assert_eq!(last, "last");
            peer.write_all(b"answer").unwrap();
            assert_eq!(reader.read(vec![0; 6]).await.1, b"answer");

            let (stream, peer) = pair();
            let (reader, writer) = stream.into_split();
            writer.forget();
            peer.set_nonblocking(true).unwrap();
            let open = (&peer).read(&mut [0; 1]).unwrap_err();
            assert_eq!(open.kind(), std::io::ErrorKind::WouldBlock);
            drop(reader);
            assert_eq!((&peer).read(&mut [0; 1]).unwrap(), 0);
        });
    });
}

#[test]
fn readiness_tells_of_ends_and_errors() {
    bounded(|| {
        runtime().block_on(async {
            let (reader, writer) = std::io::pipe().unwrap();
            let (ready, writer) = PollAdd::new(writer, Readiness::WRITABLE).await;
            let ready = ready.unwrap();
            assert!(ready.contains(Readiness::WRITABLE));
            assert!(!ready.is_error() && !ready.is_hang_up());
            drop(writer);
            let (ready, reader) = PollAdd::new(reader, Readiness::READABLE).await;
            let ready = ready.unwrap();
            assert!(ready.is_hang_up() && !ready.is_error());
            drop(reader);

            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let (ready, _writer) = PollAdd::new(writer, Readiness::PRIORITY).await;
            assert!(ready.unwrap().is_error());

            let (one, mut other) = StdStream::pair().unwrap();
            other.write_all(b"x").unwrap();
            let both = Readiness::READABLE.or(Readiness::WRITABLE);
            let (ready, one) = PollAdd::new(OwnedFd::from(one), both).await;
            assert!(ready.unwrap().contains(both));
            drop(other);
            let (ready, _) = PollAdd::new(one, Readiness::READABLE).await;
            assert!(ready.unwrap().is_hang_up());
        });
    });
}

/// Those who wait are all told, and those who begin to wait afterwards are not.
#[test]
fn an_interrupt_from_the_terminal_is_told_to_all_who_wait() {
    in_child(
        "streams::an_interrupt_from_the_terminal_is_told_to_all_who_wait",
        || {
            runtime().block_on(async {
                for _ in 0..2 {
                    let waiting = [0, 1].map(|_| saferring::signal::ctrl_c());
                    // SAFETY: the call takes a number only.
                    assert_eq!(unsafe { libc::raise(libc::SIGINT) }, 0);
                    let mut later = Box::pin(saferring::signal::ctrl_c());
                    for one in waiting {
                        one.await.unwrap();
                    }
                    for _ in 0..3 {
                        let polled = futures_util::future::poll_immediate(&mut later).await;
                        assert!(polled.is_none());
                        saferring::op::nop().await.unwrap();
                    }
                }
            });
        },
    );
}

/// What was copied into a buffer is sent before the copy waits for more.
#[test]
fn a_copy_flushes_before_it_waits() {
    bounded(|| {
        runtime().block_on(async {
            let (source, from) = UnixStream::pair().unwrap();
            let (to, sink) = UnixStream::pair().unwrap();
            let copying = saferring::spawn(async move {
                let mut to = BufWriter::new(to);
                saferring::io::copy(&mut &from, &mut to).await
            });
            for message in [*b"ping", *b"pong"] {
                source.write_all(message).await.0.unwrap();
                let (came, bytes) = sink.read_exact([0; 4]).await;
                came.unwrap();
                assert_eq!(bytes, message);
            }
            drop(source);
            assert_eq!(copying.await.unwrap().unwrap(), 8);
        });
    });
}
