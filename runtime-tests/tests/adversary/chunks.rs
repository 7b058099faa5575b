//! Streams of chunks in provided buffers, of which there are few; and datagrams.

use std::cell::Cell;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown};
use std::rc::Rc;

use futures_util::{Stream, StreamExt};
use saferring::net::{UdpSocket, UnixStream};
use saferring_tests::adversary::{Held, Task};

use crate::scene::{Scene, Setup, Tools, task};

pub(crate) const CHUNKS: &[Setup] = &[
    ("recv_stream", |tools| chunks(tools, held)),
    ("next_batch", |tools| chunks(tools, batches)),
];

pub(crate) const DATAGRAMS: &[Setup] = &[
    ("recv", |tools| datagrams(tools, [recv, recv, recv])),
    ("recv_from", |tools| {
        datagrams(tools, [recv_from, recv, recv_from])
    }),
    ("peek_from", |tools| {
        datagrams(tools, [peek_from, recv, peek_from])
    }),
    ("recv_from_stream", |tools| {
        datagrams(tools, [recv_from_stream, recv, recv_stream])
    }),
];

type StdStream = std::os::unix::net::UnixStream;

/// Bytes that a chunk stream's subject takes before it lets go of them.
const TAKEN: usize = 24;

fn came(tools: &Tools, item: io::Result<&[u8]>) -> usize {
    match item {
        Ok(bytes) => {
            tools.log.bytes(bytes);
            bytes.len()
        }
        Err(error) => {
            tools.failed("a receive", &error);
            0
        }
    }
}

/// Holds the chunks until all have come.
fn held(tools: &Rc<Tools>, stream: &Rc<UnixStream>) -> Task {
    let (tools, mut chunks) = (Rc::clone(tools), stream.recv_stream());
    task(async move {
        let (mut held, mut count) = (Vec::new(), 0);
        while count < TAKEN
            && let Some(chunk) = chunks.next().await
        {
            count += came(&tools, chunk.as_deref().map_err(copy));
            held.push(chunk);
        }
    })
}

fn batches(tools: &Rc<Tools>, stream: &Rc<UnixStream>) -> Task {
    let (tools, mut chunks) = (Rc::clone(tools), stream.recv_stream());
    task(async move {
        let (mut held, mut count) = (Vec::new(), 0);
        while count < TAKEN
            && let Some(batch) = chunks.next_batch().await
        {
            match batch {
                Ok(batch) => {
                    for chunk in &batch {
                        count += came(&tools, Ok(chunk));
                    }
                    held.push(batch);
                }
                Err(error) => {
                    came(&tools, Err(error));
                }
            }
        }
    })
}

fn copy(error: &io::Error) -> io::Error {
    io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0))
}

/// A stream, its far end, and which byte the far end sends next.
type Line = (Held<Rc<UnixStream>>, StdStream);

fn line(tools: &Tools) -> Line {
    let (ours, theirs) = StdStream::pair().unwrap();
    (
        tools.hold(UnixStream::from_std(ours), UnixStream::close),
        theirs,
    )
}

/// Two streams share the buffers; a task reads what the subjects leave of each.
fn chunks(tools: &Rc<Tools>, subject: fn(&Rc<Tools>, &Rc<UnixStream>) -> Task) -> Scene {
    let lines: Rc<[Line; 2]> = Rc::new([line(tools), line(tools)]);
    let next = Rc::new(Cell::new(0u8));
    let subjects = lines.iter();
    let subjects = subjects.filter_map(|line| line.0.with(|stream| subject(tools, stream)));
    let subjects = subjects.collect();
    let innocents = lines.iter().map(|line| {
        let (tools, stream) = (Rc::clone(tools), line.0.clone());
        let innocent: Box<dyn Fn() -> Task> = Box::new(move || {
            let (tools, stream) = (Rc::clone(&tools), stream.clone());
            task(async move { drain(&tools, &stream).await })
        });
        innocent
    });
    let innocents = innocents.collect();
    let ended = Rc::new(Cell::new(false));
    let (sending, ending) = (Rc::clone(&lines), Rc::clone(&lines));
    let (sent, finished) = (Rc::clone(&next), Rc::clone(&ended));
    let send = move |line: &Line, count: u8| {
        if !finished.get() && sent.get() <= 240 {
            let from = sent.get();
            let bytes: Vec<_> = (from..from + count).collect();
            let _ = (&line.1).write(&bytes);
            sent.set(from + count);
        }
    };
    Scene {
        subjects,
        innocents,
        cause: Box::new(move |_| sending.iter().for_each(|line| send(line, 8))),
        end: Box::new(move || {
            ended.set(true);
            for line in ending.iter() {
                let _ = line.1.shutdown(Shutdown::Write);
            }
        }),
        check: Box::new(move |tools| tools.all_came(next.get())),
        // One that finds no buffer is armed anew, behind the task that waits for the turn.
        competes: true,
        submits: true,
        ..Scene::default()
    }
}

/// Reads a stream to its end, one chunk after the other.
async fn drain(tools: &Tools, stream: &Held<Rc<UnixStream>>) {
    // It comes after the subject, whose turn ends with it.
    saferring::task::yield_now().await;
    let Some(mut chunks) = stream.with(|stream| stream.recv_stream()) else {
        return;
    };
    while let Some(chunk) = chunks.next().await {
        came(tools, chunk.as_deref().map_err(copy));
    }
}

type Receive = fn(&Rc<Tools>, &Rc<UdpSocket>) -> Task;

/// The last datagram, which ends the task that reads what is left.
const LAST: u8 = 255;

/// A datagram is one byte.
fn datagram(tools: &Tools, received: io::Result<usize>, bytes: &[u8]) {
    match received {
        Ok(1) if bytes[0] == LAST => {}
        Ok(n) => tools.log.bytes(&bytes[..n]),
        Err(error) => tools.failed("a receive", &error),
    }
}

fn recv(tools: &Rc<Tools>, socket: &Rc<UdpSocket>) -> Task {
    let (tools, op) = (Rc::clone(tools), socket.recv(tools.buf(8)));
    task(async move {
        let (result, buf) = op.await;
        datagram(&tools, result, buf.bytes());
    })
}

fn recv_from(tools: &Rc<Tools>, socket: &Rc<UdpSocket>) -> Task {
    let (tools, socket) = (Rc::clone(tools), Rc::clone(socket));
    task(async move {
        let (result, buf) = socket.recv_from(tools.buf(8)).await;
        datagram(&tools, result.map(|(n, _)| n), buf.bytes());
    })
}

fn peek_from(tools: &Rc<Tools>, socket: &Rc<UdpSocket>) -> Task {
    let (tools, socket) = (Rc::clone(tools), Rc::clone(socket));
    task(async move {
        let (result, buf) = socket.peek_from(tools.buf(8)).await;
        match result {
            Ok((1, _)) => drop(buf),
            Ok((n, _)) => tools.stage.fault(format!("peek saw {n} bytes")),
            Err(error) => tools.failed("a peek", &error),
        }
    })
}

fn recv_from_stream(tools: &Rc<Tools>, socket: &Rc<UdpSocket>) -> Task {
    let stream = socket.recv_from_stream();
    some(tools, stream.map(|item| item.map(|(chunk, _)| chunk)))
}

fn recv_stream(tools: &Rc<Tools>, socket: &Rc<UdpSocket>) -> Task {
    some(tools, socket.recv_stream())
}

/// Takes two datagrams and holds them.
fn some<C>(tools: &Rc<Tools>, stream: impl Stream<Item = io::Result<C>> + Unpin + 'static) -> Task
where
    C: AsRef<[u8]> + 'static,
{
    let (tools, mut stream) = (Rc::clone(tools), stream);
    task(async move {
        let mut held = Vec::new();
        while held.len() < 2
            && let Some(item) = stream.next().await
        {
            match item {
                Ok(chunk) => {
                    datagram(&tools, Ok(chunk.as_ref().len()), chunk.as_ref());
                    held.push(chunk);
                }
                Err(error) => {
                    datagram(&tools, Err(error), &[]);
                    break;
                }
            }
        }
    })
}

fn datagrams(tools: &Rc<Tools>, subjects: [Receive; 3]) -> Scene {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let peer = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    peer.connect(socket.local_addr().unwrap()).unwrap();
    let socket = tools.hold(socket, UdpSocket::close);
    let subjects = subjects.into_iter();
    let subjects = subjects.filter_map(|subject| socket.with(|socket| subject(tools, socket)));
    let subjects = subjects.collect();
    let reader = (Rc::clone(tools), socket);
    let next = Rc::new(Cell::new(0u8));
    let (sent, peer) = (Rc::clone(&next), Rc::new(peer));
    let last = Rc::clone(&peer);
    let ended = Rc::new(Cell::new(false));
    let finished = Rc::clone(&ended);
    Scene {
        subjects,
        innocents: vec![Box::new(move || {
            let (tools, socket) = reader.clone();
            task(async move { until_last(&tools, &socket).await })
        })],
        cause: Box::new(move |_| {
            for _ in 0..3 {
                if !finished.get() && sent.get() < 240 && peer.send(&[sent.get()]).is_ok() {
                    sent.set(sent.get() + 1);
                }
            }
        }),
        end: Box::new(move || {
            ended.set(true);
            let _ = last.send(&[LAST]);
        }),
        check: Box::new(move |tools| tools.all_came(next.get())),
        submits: true,
        ..Scene::default()
    }
}

async fn until_last(tools: &Rc<Tools>, socket: &Held<Rc<UdpSocket>>) {
    while let Some(receive) = socket.with(|socket| socket.recv(vec![0; 8])) {
        let (result, bytes) = receive.await;
        let ends = result.is_err() || bytes[0] == LAST;
        datagram(tools, result, &bytes);
        if ends {
            break;
        }
    }
}
