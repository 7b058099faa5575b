//! Reads and writes that are given up: what is lost, and what is not.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::task::Poll;

use saferring::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use saferring::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Incomplete};
use saferring::net::UnixStream;
use saferring::time::{Duration, deadline};
use saferring_tests::{Random, pattern_bytes, poll_once, rounds};
use saferring_tls::TlsStream;

use crate::common::*;

/// A transport of which every read and write waits for a turn first, and once more when it is done: so it can be dropped
/// before, and between. It counts them.
struct Stepped {
    inner: UnixStream,
    most: usize,
    steps: Rc<Cell<usize>>,
}

impl Stepped {
    async fn turn(&self) {
        self.steps.set(self.steps.get() + 1);
        let mut was_polled = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut was_polled, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl AsyncRead for Stepped {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        self.turn().await;
        let (read, buf) = self.inner.read(buf.slice(..self.most)).await;
        (read, buf.into_inner())
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, bufs: V) -> BufResult<usize, V> {
        self.inner.read_vectored(bufs).await
    }
}

impl AsyncWrite for Stepped {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        self.turn().await;
        let written = self.inner.write(buf).await;
        self.turn().await;
        written
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, bufs: V) -> BufResult<usize, V> {
        self.inner.write_vectored(bufs).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        AsyncWrite::shutdown(&mut self.inner).await
    }
}

async fn stepped(most: usize) -> (TlsStream<Stepped>, TlsStream<UnixStream>) {
    let (client, server) = pair();
    let client = Stepped {
        inner: client,
        most,
        steps: Rc::default(),
    };
    connected_by(&ends(configs(BOTH)), (client, server)).await
}

/// Polls it so often, then drops it; `None` if it was not ready by then.
pub(crate) async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if let Some(output) = poll_once(&mut future).await {
            return Some(output);
        }
        let _ = saferring::op::nop().await;
    }
    None
}

/// Every read is dropped after one poll, then two, then three, and so on, until one comes through.
#[test]
fn a_read_that_is_dropped_loses_nothing() {
    run(async || {
        for most in [1, 7, 100_000] {
            let (mut client, mut server) = stepped(most).await;
            let total = if most == 1 { 2_000 } else { 60_000 };
            let sent = pattern_bytes(0, total);
            let expected = sent.clone();
            let sending = async {
                for piece in sent.chunks(999) {
                    server.write_all(piece.to_vec()).await.0.unwrap();
                }
                server.shutdown().await.unwrap();
            };
            let reading = async {
                let (mut all, mut polls) = (Vec::new(), 0);
                loop {
                    let read = dropped_after(polls % 9, client.read(Vec::with_capacity(500)));
                    if let Some((read, buf)) = read.await {
                        if read.unwrap() == 0 {
                            break all;
                        }
                        all.extend(buf);
                    }
                    polls += 1;
                }
            };
            let ((), all) = futures_util::join!(sending, reading);
            assert_eq!(all, expected, "at most {most}");
        }
    });
}

#[test]
fn a_look_that_is_dropped_loses_nothing() {
    run(async || {
        let (mut client, mut server) = stepped(50).await;
        let sent = pattern_bytes(0, 10_000);
        let expected = sent.clone();
        let sending = async {
            server.write_all(sent).await.0.unwrap();
            server.shutdown().await.unwrap();
        };
        let reading = async {
            let (mut all, mut polls) = (Vec::<u8>::new(), 0);
            loop {
                polls += 1;
                let looked = async { client.fill_buf().await.unwrap().to_vec() };
                let Some(bytes) = dropped_after(polls % 5, looked).await else {
                    continue;
                };
                if bytes.is_empty() {
                    break all;
                }
                let n = bytes.len().min(777);
                client.consume(n);
                all.extend(&bytes[..n]);
            }
        };
        let ((), all) = futures_util::join!(sending, reading);
        assert_eq!(all, expected);
    });
}

/// A read on a real socket, dropped while the kernel has it.
#[test]
fn a_read_that_the_kernel_has_loses_nothing_when_it_is_dropped() {
    run(async || {
        let (mut client, mut server) = connected_by(&ends(configs(BOTH)), tcp_pair().await).await;
        for round in 0..50_u8 {
            assert!(dropped_after(1, client.read([0; 10])).await.is_none());
            server.write_all(vec![round; 5]).await.0.unwrap();
            let (read, buf) = client.read_exact([0; 5]).await;
            read.unwrap();
            assert_eq!(buf, [round; 5]);
        }
    });
}

/// A write is dropped after each number of polls. Either all of it had been sent, or the direction is broken and says so.
#[test]
fn a_write_that_is_dropped_never_garbles_what_follows() {
    run(async || {
        let (mut broken, mut whole) = (0, 0);
        for polls in 0..12 {
            let (mut client, mut server) = stepped(100_000).await;
            client.write_all("before ").await.0.unwrap();
            let write = dropped_after(polls, client.write(b"given up ".to_vec())).await;
            let after = client.write_all("after").await.0;
            let ended = client.shutdown().await;
            server.write_all("reads go on").await.0.unwrap();
            let (end, bytes) = rest(&mut server).await;
            let text = String::from_utf8(bytes).unwrap();
            match after {
                Ok(()) => {
                    ended.unwrap();
                    end.unwrap();
                    let expected = match write {
                        Some((written, _)) => {
                            assert_eq!(written.unwrap(), 9);
                            "before given up after"
                        }
                        None => "before after",
                    };
                    assert_eq!(text, expected);
                    whole += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                    assert!(error.to_string().contains("was dropped"), "{error}");
                    assert_eq!(ended.unwrap_err().kind(), ErrorKind::BrokenPipe);
                    assert!(write.is_none());
                    assert!(text == "before " || text == "before given up ", "{text}");
                    assert_eq!(end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
                    broken += 1;
                }
            }
            let (read, _) = client.read_exact([0; 11]).await;
            read.unwrap();
        }
        assert!(broken > 1 && whole > 1, "{broken} {whole}");
    });
}

#[test]
fn a_write_within_a_deadline_goes_on_where_it_stopped() {
    run(async || {
        let (mut client, mut server) = connected().await;
        let sent = pattern_bytes(0, 3_000_000);
        let writing = client.write_all(sent.clone());
        let (written, buf) = deadline(Duration::from_millis(20), writing).await;
        let error = written.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let done = Incomplete::done_before(&error).unwrap();
        assert!(done > 0 && done < buf.len());

        // A flush within one ends, too, and can be made again.
        let flushed = deadline(Duration::from_millis(5), client.flush()).await;
        assert_eq!(flushed.unwrap_err().kind(), ErrorKind::TimedOut);
        let ended = deadline(Duration::from_millis(5), client.shutdown()).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::TimedOut);

        let ending = async { client.shutdown().await.unwrap() };
        let ((), (end, got)) = futures_util::join!(ending, rest(&mut server));
        end.unwrap();
        assert_eq!(got, sent[..done]);
    });
}

#[test]
fn a_read_within_a_deadline_gives_its_buffer_back() {
    run(async || {
        let (mut client, mut server) = connected().await;
        let (read, buf) = deadline(Duration::from_millis(5), client.read(b"mine".to_vec())).await;
        assert_eq!(
            (read.unwrap_err().kind(), &buf[..]),
            (ErrorKind::TimedOut, &b"mine"[..])
        );
        server.write_all("later").await.0.unwrap();
        let (read, buf) = client.read(buf.slice(..0).into_inner()).await;
        assert_eq!(&buf[..read.unwrap()], &b"later"[..buf.len()]);
    });
}

/// Everything at once, and much of it given up: reads are dropped, writes and flushes are cut short from within.
#[test]
fn nothing_is_lost_or_garbled_by_impatience() {
    async fn send(mut writer: impl AsyncWrite, total: usize, seed: u64) {
        let (mut random, mut at) = (Random::new(seed), 0);
        while at < total {
            let len = (1 + random.below(100_000) as usize).min(total - at);
            let piece = pattern_bytes(at as u64, len);
            let patience = Duration::from_micros(random.below(300));
            match deadline(patience, writer.write(piece)).await.0 {
                Ok(n) => at += n,
                Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
            }
            if random.below(8) == 0 {
                let _ = deadline(patience, writer.flush()).await;
            }
        }
        writer.shutdown().await.unwrap();
    }

    async fn receive(mut reader: impl AsyncBufRead, total: usize, seed: u64) {
        let (mut random, mut at) = (Random::new(seed), 0);
        loop {
            let room = 1 + random.below(50_000) as usize;
            let polls = random.below(4) as usize;
            let read = if random.below(2) == 0 {
                dropped_after(polls, reader.read(vec![0; room])).await
            } else {
                let patience = Duration::from_micros(random.below(300));
                Some(deadline(patience, reader.read(vec![0; room])).await)
            };
            match read {
                None => {}
                Some((Ok(0), _)) => break,
                Some((Ok(n), buf)) => {
                    assert_eq!(buf, pattern_bytes(at as u64, n));
                    at += n;
                }
                Some((Err(error), _)) => assert_eq!(error.kind(), ErrorKind::TimedOut),
            }
        }
        assert_eq!(at, total);
    }

    run(async || {
        for version in [&TLS12, &TLS13] {
            let ends = ends(configs(&[version]));
            let (client, server) = connected_by(&ends, tcp_pair().await).await;
            let (client, server) = (client.into_split(), server.into_split());
            let total = rounds(3_000_000);
            futures_util::join!(
                send(client.1, total, 1),
                send(server.1, total, 2),
                receive(client.0, total, 3),
                receive(server.0, total, 4),
            );
        }
    });
}
