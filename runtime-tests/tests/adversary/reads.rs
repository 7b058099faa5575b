//! Reads of one stream, which take turns: three subjects, and a task that reads what they leave.

use std::cell::Cell;
use std::io::{self, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use saferring::net::UnixStream;
use saferring_tests::adversary::{Held, Task};
use saferring_tests::poll_once;

use crate::scene::{Scene, Setup, Tools, task};

pub(crate) const READS: &[Setup] = &[
    ("read", |tools| reads(tools, [read, read, read])),
    ("read_vectored", |tools| {
        reads(tools, [vectored, read, vectored])
    }),
    ("peek", |tools| reads(tools, [peek, read, peek])),
];

pub(crate) const ENDS: &[Setup] = &[
    ("timeout", timeouts),
    ("cancel", |tools| reads(tools, [cancelled, read, cancelled])),
    ("close", close),
];

type Read = fn(&Rc<Tools>, &Rc<UnixStream>) -> Task;
type StdStream = std::os::unix::net::UnixStream;

/// What a read has given.
fn came(tools: &Tools, result: io::Result<usize>, bytes: &[u8]) {
    match result {
        Ok(n) => tools.log.bytes(&bytes[..n]),
        Err(error) => tools.failed("a read", &error),
    }
}

fn read(tools: &Rc<Tools>, stream: &Rc<UnixStream>) -> Task {
    let (tools, op) = (Rc::clone(tools), stream.read(tools.buf(8)));
    task(async move {
        let (result, buf) = op.await;
        came(&tools, result, buf.bytes());
    })
}

fn vectored(tools: &Rc<Tools>, stream: &Rc<UnixStream>) -> Task {
    let (tools, stream) = (Rc::clone(tools), Rc::clone(stream));
    task(async move {
        let bufs = vec![tools.buf(3), tools.buf(5)];
        let (result, bufs) = stream.read_vectored(bufs).await;
        let bytes = [bufs[0].bytes(), bufs[1].bytes()].concat();
        came(&tools, result, &bytes);
    })
}

fn peek(tools: &Rc<Tools>, stream: &Rc<UnixStream>) -> Task {
    let (tools, stream) = (Rc::clone(tools), Rc::clone(stream));
    task(async move {
        let (result, buf) = stream.peek(tools.buf(8)).await;
        match result {
            Ok(n) => {
                let seen = &buf.bytes()[..n];
                if seen.windows(2).any(|two| two[0] + 1 != two[1]) {
                    tools.stage.fault(format!("peek saw {seen:?}"));
                }
            }
            Err(error) => tools.failed("a peek", &error),
        }
    })
}

fn timed(tools: &Rc<Tools>, stream: &Rc<UnixStream>) -> Task {
    let op = stream.read(tools.buf(8)).timeout(Duration::from_millis(1));
    let tools = Rc::clone(tools);
    task(async move {
        let (result, buf) = op.await;
        match result {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            result => came(&tools, result, buf.bytes()),
        }
    })
}

fn cancelled(tools: &Rc<Tools>, stream: &Rc<UnixStream>) -> Task {
    let (tools, op) = (Rc::clone(tools), stream.read(tools.buf(8)));
    task(async move {
        let mut read = op.submit();
        if let Some((result, buf)) = poll_once(&mut read).await {
            return came(&tools, result, buf.bytes());
        }
        let (result, buf) = read.cancel().await;
        match result {
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {}
            result => came(&tools, result, buf.bytes()),
        }
    })
}

/// The far end of a stream: writes one byte after the other, each of its own value.
struct Peer {
    stream: StdStream,
    next: Cell<u8>,
    ended: Cell<bool>,
}

impl Peer {
    fn write(&self, count: u8) {
        if self.ended.get() || self.next.get() > 240 {
            return;
        }
        let from = self.next.get();
        let bytes: Vec<_> = (from..from + count).collect();
        // The stream may be gone.
        let _ = (&self.stream).write(&bytes);
        self.next.set(from + count);
    }

    fn end(&self) {
        self.write(8);
        self.ended.set(true);
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// A stream and its far end.
fn pair(tools: &Tools) -> (Held<Rc<UnixStream>>, Rc<Peer>) {
    let (ours, theirs) = StdStream::pair().unwrap();
    let ours = tools.hold(UnixStream::from_std(ours), UnixStream::close);
    let peer = Peer {
        stream: theirs,
        next: Cell::new(0),
        ended: Cell::new(false),
    };
    (ours, Rc::new(peer))
}

/// Reads until the end of the stream.
fn reader(tools: &Rc<Tools>, stream: &Held<Rc<UnixStream>>) -> Box<dyn Fn() -> Task> {
    let (tools, stream) = (Rc::clone(tools), stream.clone());
    Box::new(move || {
        let (tools, stream) = (Rc::clone(&tools), stream.clone());
        task(async move {
            while let Some(read) = stream.with(|stream| stream.read(vec![0; 8])) {
                let (result, bytes) = read.await;
                let ends = !matches!(result, Ok(1..));
                came(&tools, result, &bytes);
                if ends {
                    break;
                }
            }
        })
    })
}

fn reads(tools: &Rc<Tools>, subjects: [Read; 3]) -> Scene {
    let (stream, peer) = pair(tools);
    let subjects = subjects.into_iter();
    let (causing, ending) = (Rc::clone(&peer), Rc::clone(&peer));
    Scene {
        subjects: subjects
            .filter_map(|subject| stream.with(|stream| subject(tools, stream)))
            .collect(),
        innocents: vec![reader(tools, &stream)],
        cause: Box::new(move |round| causing.write(if round == 0 { 24 } else { 8 })),
        end: Box::new(move || ending.end()),
        check: Box::new(move |tools| tools.all_came(peer.next.get())),
        ..Scene::default()
    }
}

/// Nothing comes before the time is over.
fn timeouts(tools: &Rc<Tools>) -> Scene {
    let scene = reads(tools, [timed, timed, timed]);
    let cause = scene.cause;
    Scene {
        cause: Box::new(move |round| match round {
            0 => std::thread::sleep(Duration::from_millis(2)),
            round => cause(round),
        }),
        ..scene
    }
}

/// Closed with reads in flight and in the queue.
fn close(tools: &Rc<Tools>) -> Scene {
    let scene = reads(tools, [read, read, read]);
    let (stream, peer) = pair(tools);
    tools.stage.set_closed();
    let mut subjects: Vec<_> = (0..2)
        .filter_map(|_| stream.with(|stream| read(tools, stream)))
        .collect();
    let closed = Rc::clone(tools);
    subjects.push(task(async move {
        let Some(stream) = stream.take().and_then(Rc::into_inner) else {
            return;
        };
        if let Err(error) = stream.close().await {
            closed.failed("a close", &error);
        }
        drop(peer);
    }));
    subjects.extend(scene.subjects);
    Scene { subjects, ..scene }
}
