//! 100,000 operations cancelled at random points, over sockets that carry a known stream of bytes: no byte is lost or
//! swapped, no buffer and no descriptor leaks. One test, so that the process's descriptors are its own.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, select};
use saferring::net::{UnixDatagram, UnixStream};
use saferring::runtime::{Builder, Setup, metrics};
use saferring_tests::{Random, Watch, bounded, open_fds, pattern, pattern_bytes, rounds, until};

saferring_tests::also_on_software!();

const OPERATIONS: usize = 100_000;
const STREAMS: usize = 30;

/// What the tasks of a run share.
#[derive(Clone)]
struct Run {
    watch: Watch,
}

/// One stream: what was sent into it, and how far it was received and found right.
struct Checked {
    stream: UnixStream,
    peer: std::os::unix::net::UnixStream,
    sent: u64,
    received: Rc<Cell<u64>>,
    run: Run,
}

impl Checked {
    fn new(run: &Run) -> Self {
        let (ours, peer) = std::os::unix::net::UnixStream::pair().unwrap();
        Checked {
            stream: UnixStream::from_std(ours),
            peer,
            sent: 0,
            received: Rc::new(Cell::new(0)),
            run: run.clone(),
        }
    }

    /// Sends some bytes if there is room for them, that is, not too many on their way.
    fn feed(&mut self, len: u64) {
        if self.sent - self.received.get() < 16 * 1024 {
            self.peer
                .write_all(&pattern_bytes(self.sent, len as usize))
                .unwrap();
            self.sent += len;
        }
    }

    /// Sees to it that a read has an end.
    fn feed_if_drained(&mut self, random: &mut Random) {
        if self.sent == self.received.get() {
            self.feed(1 + random.below(100));
        }
    }

    fn take(&self, bytes: &[u8]) {
        take(&self.received, bytes);
    }

    /// One operation, ended in some way.
    async fn step(&mut self, random: &mut Random) {
        if random.below(8) > 0 {
            // Lets the orphan before come to its end: else this one only waits for its turn.
            saferring::op::nop().await.unwrap();
        }
        if random.below(3) == 0 {
            self.feed(1 + random.below(200));
        }
        let size = 1 + random.below(300) as usize;
        let buf = self.run.watch.buf(size);
        match random.below(32) {
            0..8 => drop(self.stream.read(buf).submit()),
            8..14 => {
                let read = self.stream.read(buf).submit();
                for _ in 0..random.below(3) {
                    saferring::op::nop().await.unwrap();
                }
                drop(read);
            }
            14..20 => {
                let read = self.stream.read(buf).submit();
                if random.below(2) == 0 {
                    saferring::task::yield_now().await;
                }
                let (result, buf) = read.cancel().await;
                if let Ok(n) = result {
                    self.take(&buf.bytes()[..n]);
                }
            }
            20 => {
                let timeout = Duration::from_millis(random.below(2));
                let (result, buf) = self.stream.read(buf).timeout(timeout).await;
                if let Ok(n) = result {
                    self.take(&buf.bytes()[..n]);
                }
            }
            21..25 => {
                let read = Box::pin(self.stream.read(buf));
                let other = Box::pin(saferring::op::nop());
                if let Either::Left(((Ok(n), buf), _)) = select(read, other).await {
                    self.take(&buf.bytes()[..n]);
                }
            }
            25..28 => {
                let read = self.stream.read(buf).submit();
                let received = Rc::clone(&self.received);
                let task = saferring::spawn(async move {
                    if let (Ok(n), buf) = read.await {
                        take(&received, &buf.bytes()[..n]);
                    }
                });
                for _ in 0..random.below(3) {
                    saferring::task::yield_now().await;
                }
                task.abort();
                let _ = task.await;
            }
            28 => {
                let second = self.run.watch.buf(size);
                let mut read = Box::pin(self.stream.read_vectored(vec![buf, second]));
                if let Some((Ok(n), bufs)) = saferring_tests::poll_once(&mut read).await {
                    let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.bytes()).copied().collect();
                    self.take(&bytes[..n]);
                }
            }
            29 => {
                let mut peek = Box::pin(self.stream.peek(buf));
                let _ = saferring_tests::poll_once(&mut peek).await;
            }
            30 => {
                drop(buf);
                self.feed_if_drained(random);
                let (result, data) = self.stream.read([0; 64]).await;
                self.take(&data[..result.unwrap()]);
            }
            _ => {
                self.feed_if_drained(random);
                let (result, buf) = self.stream.read(buf).await;
                self.take(&buf.bytes()[..result.unwrap()]);
            }
        }
    }

    /// Receives the rest, and closes the stream.
    async fn finish(self) {
        while self.received.get() < self.sent {
            let (result, buf) = self.stream.read(self.run.watch.buf(4096)).await;
            let n = result.unwrap();
            assert!(
                n > 0,
                "{} bytes are missing",
                self.sent - self.received.get()
            );
            self.take(&buf.bytes()[..n]);
        }
        self.stream.close().await.unwrap();
    }
}

/// Checks what came against what was sent.
#[track_caller]
fn take(received: &Cell<u64>, bytes: &[u8]) {
    for (offset, &byte) in (received.get()..).zip(bytes) {
        assert_eq!(byte, pattern(offset), "at byte {offset} of the stream");
    }
    received.set(received.get() + bytes.len() as u64);
}

/// Writes, cancelled so that it is known how much of them was sent: what the peer receives is the known stream.
async fn cancelled_writes(run: Run, mut random: Random, operations: usize) {
    let (writer, reader) = UnixStream::pair().unwrap();
    let received = Rc::new(Cell::new(0));
    let reading = {
        let (received, watch) = (Rc::clone(&received), run.watch.clone());
        saferring::spawn(async move {
            loop {
                let (result, buf) = reader.read(watch.buf(50_000)).await;
                match result.unwrap() {
                    0 => break,
                    n => take(&received, &buf.bytes()[..n]),
                }
            }
        })
    };
    let mut sent = 0;
    for _ in 0..operations {
        let len = 1 + random.below(100_000) as usize / 16;
        let write = writer.write(run.watch.filled(pattern_bytes(sent, len)));
        let (result, _buf) = match random.below(8) {
            0..3 => write.submit().cancel().await,
            3..6 => {
                let write = write.submit();
                saferring::task::yield_now().await;
                write.cancel().await
            }
            6 => write.timeout(Duration::ZERO).await,
            _ => write.await,
        };
        if let Ok(n) = result {
            sent += n as u64;
        }
    }
    drop(writer);
    reading.await.unwrap();
    assert_eq!(received.get(), sent);
}

/// Writes that are dropped: each is sent or is not, whole and in order.
async fn dropped_writes(run: Run, mut random: Random, operations: u64) {
    let (writer, reader) = UnixDatagram::pair().unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let reading = {
        let seen = Rc::clone(&seen);
        saferring::spawn(async move {
            loop {
                let (result, data) = reader.recv([0; 8]).await;
                assert_eq!(result.unwrap(), 8);
                match u64::from_ne_bytes(data) {
                    u64::MAX => break,
                    number => seen.borrow_mut().push(number),
                }
            }
        })
    };
    let mut surely = Vec::new();
    for number in 0..operations {
        let write = writer.send(run.watch.filled(number.to_ne_bytes()));
        match random.below(4) {
            0 => drop(write.submit()),
            1 => {
                let write = write.submit();
                saferring::task::yield_now().await;
                drop(write);
            }
            2 => {
                let task = saferring::spawn(write.submit());
                saferring::task::yield_now().await;
                task.abort();
                let _ = task.await;
            }
            _ => {
                assert_eq!(write.await.0.unwrap(), 8);
                surely.push(number);
            }
        }
    }
    assert_eq!(writer.send(u64::MAX.to_ne_bytes()).await.0.unwrap(), 8);
    reading.await.unwrap();
    let seen = seen.borrow();
    assert!(
        seen.is_sorted_by(|a, b| a < b),
        "writes of one socket keep their order"
    );
    assert!(
        surely
            .iter()
            .all(|number| seen.binary_search(number).is_ok())
    );
}

fn run(seed: u64, builder: Builder, operations: usize) {
    let runtime = builder.build().unwrap();
    let run = Run {
        watch: Watch::new(),
    };
    runtime.block_on(async {
        // A third of them is dropped before its turn comes.
        let share = operations * 2 / (STREAMS + 2);
        let mut tasks = Vec::new();
        for number in 0..STREAMS {
            let mut random = Random::new(seed.wrapping_mul(1_000_003) + number as u64 * 7919);
            let mut checked = Checked::new(&run);
            tasks.push(saferring::spawn(async move {
                for _ in 0..share {
                    checked.step(&mut random).await;
                }
                checked.finish().await;
            }));
        }
        tasks.push(saferring::spawn(cancelled_writes(
            run.clone(),
            Random::new(seed),
            share,
        )));
        tasks.push(saferring::spawn(dropped_writes(
            run.clone(),
            Random::new(!seed),
            share as u64,
        )));
        for task in tasks {
            task.await.unwrap();
        }
        until("the last orphans", || run.watch.alive() == 0).await;
        assert_eq!(metrics().stale, 0);
    });
    let left = runtime.shutdown_timeout(Duration::from_secs(30));
    assert!(left.is_ok(), "{left:?}");
    assert_eq!(run.watch.alive(), 0);
    // Those whose turn had not come before they were dropped do not count.
    assert!(
        run.watch.addresses() >= operations,
        "{} operations",
        run.watch.addresses()
    );
}

#[test]
fn operations_cancelled_at_random_points() {
    bounded(|| {
        // Whatever the first runtime of a process opens for good is open now.
        drop(Builder::new().entries(8).build().unwrap());
        let before = open_fds();
        // A longer search: any number in this variable.
        let seed = std::env::var("SAFERRING_STRESS_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed: u64 = seed.unwrap_or(1);
        eprintln!("seed {seed}");
        run(
            seed,
            Builder::new().entries(256),
            rounds(OPERATIONS * 4 / 10),
        );
        // Both queues far too small.
        let tiny = Builder::new().entries(8).completion_entries(8);
        run(seed + 1, tiny.clone(), rounds(OPERATIONS * 3 / 10));
        run(
            seed + 2,
            tiny.setup(Setup::Cooperative),
            rounds(OPERATIONS * 2 / 10),
        );
        run(
            seed + 3,
            Builder::new().entries(64).setup(Setup::Plain),
            rounds(OPERATIONS / 10),
        );
        assert_eq!(open_fds(), before);
    });
}
