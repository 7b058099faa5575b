//! Pipes: read and written by a `File`, which one task has at a time. There are three of them, each with a subject, and an
//! innocent that has the file afterwards.

use std::cell::{Cell, RefCell};
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use saferring::fs::File;
use saferring_tests::adversary::{Held, Task};

use crate::scene::{Lent, PATIENCE, Scene, Setup, Tools, task};
use crate::writes::{INNOCENT, INNOCENT_LEN, Peer, whole, wrote};

pub(crate) const PIPES: &[Setup] = &[
    ("pipe_read", |tools| reads(tools, [read, vectored, exact])),
    ("pipe_write", |tools| {
        writes(tools, [write, write_all, write_vectored])
    }),
];

type Pipe = Held<Rc<File>>;
type Read = fn(&Rc<Tools>, &Pipe) -> Task;
type WriteOne = fn(&Rc<Tools>, &Pipe, u8) -> Task;

/// One and a half times what a pipe holds.
const LEN: usize = 96 << 10;

/// A file that is one end of a pipe.
pub(crate) fn end_of_pipe(tools: &Tools, end: impl Into<OwnedFd>) -> Pipe {
    let file = File::from_std(std::fs::File::from(end.into()));
    tools.hold(file, File::close)
}

fn came(tools: &Tools, result: io::Result<usize>, bytes: &[u8]) -> bool {
    match result {
        Ok(n) => {
            tools.log.bytes(&bytes[..n]);
            n > 0
        }
        Err(error) => {
            tools.failed("a read", &error);
            false
        }
    }
}

fn read(tools: &Rc<Tools>, pipe: &Pipe) -> Task {
    let (tools, pipe) = (Rc::clone(tools), pipe.clone());
    task(async move {
        let Some(mut lent) = Lent::take(&tools, &pipe) else {
            return;
        };
        let (result, buf) = lent.get().read(tools.buf(8)).await;
        came(&tools, result, buf.bytes());
    })
}

fn vectored(tools: &Rc<Tools>, pipe: &Pipe) -> Task {
    let (tools, pipe) = (Rc::clone(tools), pipe.clone());
    task(async move {
        let Some(mut lent) = Lent::take(&tools, &pipe) else {
            return;
        };
        let bufs = vec![tools.buf(3), tools.buf(5)];
        let (result, bufs) = lent.get().read_vectored(bufs).await;
        let bytes = [bufs[0].bytes(), bufs[1].bytes()].concat();
        came(&tools, result, &bytes);
    })
}

/// The bytes come eight at a time, so one read gets all.
fn exact(tools: &Rc<Tools>, pipe: &Pipe) -> Task {
    let (tools, pipe) = (Rc::clone(tools), pipe.clone());
    task(async move {
        let Some(mut lent) = Lent::take(&tools, &pipe) else {
            return;
        };
        let (result, buf) = lent.get().read_exact(tools.buf(8)).await;
        came(&tools, result.map(|()| 8), buf.bytes());
    })
}

/// Reads to the end of the pipe.
async fn drain(tools: &Tools, pipe: &Pipe) {
    let Some(mut lent) = Lent::wait(tools, pipe).await else {
        return;
    };
    loop {
        let (result, bytes) = lent.get().read(vec![0; 8]).await;
        if !came(tools, result, &bytes) {
            break;
        }
    }
}

/// The far ends: each byte that they write has a value of its own.
#[derive(Default)]
pub(crate) struct Writers {
    ends: RefCell<Vec<PipeWriter>>,
    next: Cell<u8>,
}

impl Writers {
    /// One more.
    pub(crate) fn add(&self) -> PipeReader {
        let (reader, writer) = io::pipe().unwrap();
        self.ends.borrow_mut().push(writer);
        reader
    }

    /// Each writes eight bytes.
    pub(crate) fn write(&self) {
        for mut end in &*self.ends.borrow() {
            let from = self.next.get();
            // The pipe may be gone.
            if from < 240 && end.write(&(from..from + 8).collect::<Vec<_>>()).is_ok() {
                self.next.set(from + 8);
            }
        }
    }

    /// The end of the pipes.
    pub(crate) fn end(&self) {
        self.write();
        self.ends.take();
    }

    /// How many bytes were written.
    pub(crate) fn count(&self) -> u8 {
        self.next.get()
    }
}

fn reads(tools: &Rc<Tools>, subjects: [Read; 3]) -> Scene {
    let writers = Rc::new(Writers::default());
    let pipes = subjects.map(|_| end_of_pipe(tools, writers.add()));
    let subjects = subjects.iter().zip(&pipes);
    let subjects = subjects.map(|(subject, pipe)| subject(tools, pipe));
    let subjects = subjects.collect();
    let innocents = pipes.into_iter().map(|pipe| {
        let tools = Rc::clone(tools);
        let innocent: Box<dyn Fn() -> Task> = Box::new(move || {
            let (tools, pipe) = (Rc::clone(&tools), pipe.clone());
            task(async move { drain(&tools, &pipe).await })
        });
        innocent
    });
    let (causing, ending) = (Rc::clone(&writers), Rc::clone(&writers));
    Scene {
        subjects,
        innocents: innocents.collect(),
        cause: Box::new(move |_| causing.write()),
        end: Box::new(move || ending.end()),
        check: Box::new(move |tools| tools.all_came(writers.count())),
        submits: true,
        ..Scene::default()
    }
}

fn write(tools: &Rc<Tools>, pipe: &Pipe, id: u8) -> Task {
    let (tools, pipe) = (Rc::clone(tools), pipe.clone());
    task(async move {
        let Some(mut lent) = Lent::take(&tools, &pipe) else {
            return;
        };
        let (result, buf) = lent.get().write(tools.bytes(id, LEN)).await;
        wrote(&tools, id, result);
        drop(buf);
    })
}

fn write_all(tools: &Rc<Tools>, pipe: &Pipe, id: u8) -> Task {
    let (tools, pipe) = (Rc::clone(tools), pipe.clone());
    task(async move {
        let Some(mut lent) = Lent::take(&tools, &pipe) else {
            return;
        };
        let (result, buf) = lent.get().write_all(tools.bytes(id, LEN)).await;
        wrote(&tools, id, result.map(|()| LEN));
        drop(buf);
    })
}

fn write_vectored(tools: &Rc<Tools>, pipe: &Pipe, id: u8) -> Task {
    let (tools, pipe) = (Rc::clone(tools), pipe.clone());
    task(async move {
        let Some(mut lent) = Lent::take(&tools, &pipe) else {
            return;
        };
        let bufs = vec![tools.bytes(id, LEN / 2), tools.bytes(id, LEN / 2)];
        let (result, bufs) = lent.get().write_vectored(bufs).await;
        wrote(&tools, id, result);
        drop(bufs);
    })
}

fn writes(tools: &Rc<Tools>, subjects: [WriteOne; 3]) -> Scene {
    let ids = Rc::new(Cell::new(INNOCENT));
    let (mut futures, mut peers) = (Vec::new(), Vec::new());
    let mut innocents: Vec<Box<dyn Fn() -> Task>> = Vec::new();
    for (subject, id) in subjects.into_iter().zip(1..) {
        let (reader, writer) = io::pipe().unwrap();
        let pipe = end_of_pipe(tools, writer);
        peers.push(Peer::new(reader));
        futures.push(subject(tools, &pipe, id));
        let (tools, ids) = (Rc::clone(tools), Rc::clone(&ids));
        innocents.push(Box::new(move || {
            let (tools, pipe, id) = (Rc::clone(&tools), pipe.clone(), ids.get());
            ids.set(id + 1);
            task(async move {
                if let Some(mut lent) = Lent::wait(&tools, &pipe).await {
                    wrote(&tools, id, lent.get().write(vec![id; INNOCENT_LEN]).await.0);
                }
            })
        }));
    }
    let peers = Rc::new(peers);
    let causing = Rc::clone(&peers);
    Scene {
        subjects: futures,
        innocents,
        cause: Box::new(move |_| causing.iter().for_each(|peer| peer.drain())),
        check: Box::new(move |tools| {
            let runs = peers.iter().flat_map(|peer| peer.runs());
            whole(tools, &runs.collect::<Vec<_>>())
        }),
        patience: PATIENCE,
        submits: true,
        moves: true,
        ..Scene::default()
    }
}
