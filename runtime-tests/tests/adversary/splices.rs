//! Bytes that the kernel moves by itself: each has a value of its own, and none comes twice. Those that were under way when
//! a splice was dropped may be lost.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream as StdStream;
use std::rc::Rc;

use saferring::fs::File;
use saferring::io::splice;
use saferring::net::UnixStream;
use saferring_tests::adversary::{Held, Task};

use crate::files::{file, file_of};
use crate::pipes::{Writers, end_of_pipe};
use crate::scene::{Lent, PATIENCE, Scene, Setup, Tools, task};

pub(crate) const SPLICES: &[Setup] = &[
    ("splice_streams", streams),
    ("splice_file", from_file),
    ("splice_cursor", from_cursor),
    ("splice_pipe", from_pipe),
];

/// What each splice of a subject moves.
const LEN: u64 = 16;

/// How many splices have begun, and how many of them have ended well.
#[derive(Default)]
struct Splices {
    begun: Cell<u32>,
    ended: Cell<u32>,
}

impl Splices {
    /// Awaits one.
    async fn run(&self, tools: &Tools, splice: impl Future<Output = io::Result<u64>>) {
        self.begun.set(self.begun.get() + 1);
        match splice.await {
            Ok(_) => self.ended.set(self.ended.get() + 1),
            Err(error) => tools.failed("a splice", &error),
        }
    }

    /// Whether all that have begun have ended well.
    fn are_over(&self) -> bool {
        self.begun == self.ended
    }

    /// Whether each of the bytes below `end` has come, once; not all of them, if somebody was dropped.
    fn check(&self, tools: &Tools, mut bytes: Vec<u8>, end: u8) -> Result<(), String> {
        bytes.sort_unstable();
        let once = bytes.windows(2).all(|two| two[0] < two[1]) && bytes.iter().all(|&b| b < end);
        let dropped = !self.are_over() || tools.stage.is_closed();
        if once && (dropped || bytes.len() == usize::from(end)) {
            Ok(())
        } else {
            Err(format!("of {end} bytes there came {bytes:?}"))
        }
    }
}

/// The far end of the stream that bytes are moved to.
struct Sink {
    stream: StdStream,
    bytes: RefCell<Vec<u8>>,
}

impl Sink {
    fn new(stream: StdStream) -> Rc<Self> {
        stream.set_nonblocking(true).unwrap();
        Rc::new(Sink {
            stream,
            bytes: RefCell::default(),
        })
    }

    /// Takes what has come.
    fn drain(&self) {
        let mut bytes = [0; 256];
        while let Ok(n @ 1..) = (&self.stream).read(&mut bytes) {
            self.bytes.borrow_mut().extend_from_slice(&bytes[..n]);
        }
    }

    /// All that has come.
    fn bytes(&self) -> Vec<u8> {
        self.drain();
        self.bytes.borrow().clone()
    }
}

fn sink(tools: &Tools) -> (Held<Rc<UnixStream>>, Rc<Sink>) {
    let (ours, theirs) = StdStream::pair().unwrap();
    let ours = tools.hold(UnixStream::from_std(ours), UnixStream::close);
    (ours, Sink::new(theirs))
}

/// From one stream to another; an innocent moves what the subjects leave.
fn streams(tools: &Rc<Tools>) -> Scene {
    let (ours, source) = StdStream::pair().unwrap();
    let from = tools.hold(UnixStream::from_std(ours), UnixStream::close);
    let (to, sink) = sink(tools);
    let splices = Rc::new(Splices::default());
    let moving = Rc::clone(&splices);
    let move_some = move |tools: &Rc<Tools>, len: u64| {
        let (from, to) = (from.with(Rc::clone), to.with(Rc::clone));
        let (tools, splices) = (Rc::clone(tools), Rc::clone(&moving));
        task(async move {
            if let (Some(from), Some(to)) = (from, to) {
                splices.run(&tools, splice(&*from, &*to, len)).await;
            }
        })
    };
    let innocent = Rc::clone(tools);
    let next = Rc::new(Cell::new(0u8));
    let (source, sent) = (Rc::new(source), Rc::clone(&next));
    let ending = Rc::clone(&source);
    let causing = Rc::clone(&sink);
    let ended = Rc::new(Cell::new(false));
    let finished = Rc::clone(&ended);
    Scene {
        subjects: (0..3).map(|_| move_some(tools, LEN)).collect(),
        innocents: vec![Box::new(move || move_some(&innocent, u64::MAX))],
        cause: Box::new(move |round| {
            let count = if round == 0 { 32 } else { 8 };
            let from = sent.get();
            if from < 200 && !finished.get() {
                let bytes = (from..from + count).collect::<Vec<_>>();
                if (&*source).write(&bytes).is_ok() {
                    sent.set(from + count);
                }
            }
            causing.drain();
        }),
        end: Box::new(move || {
            ended.set(true);
            let _ = ending.shutdown(Shutdown::Write);
        }),
        check: Box::new(move |tools| splices.check(tools, sink.bytes(), next.get())),
        patience: PATIENCE,
        competes: true,
        submits: true,
        ..Scene::default()
    }
}

/// The bytes of a file, a part of them by each subject, to one stream.
fn from_file(tools: &Rc<Tools>) -> Scene {
    let file = tools.hold(File::from_std(file()), File::close);
    let (to, sink) = sink(tools);
    let move_part = move |tools: &Rc<Tools>, part: u8| {
        let (file, to) = (file.with(Rc::clone), to.with(Rc::clone));
        let tools = Rc::clone(tools);
        task(async move {
            let (Some(file), Some(to)) = (file, to) else {
                return;
            };
            match splice(file.at(u64::from(part) * LEN), &*to, LEN).await {
                Ok(LEN) => tools.log.wrote(part, LEN as usize),
                Ok(moved) => tools.stage.fault(format!("{moved} bytes were moved")),
                Err(error) => tools.failed("a splice", &error),
            }
        })
    };
    let causing = Rc::clone(&sink);
    // One that begins anew in another runtime would move its part again.
    let (innocent, moved) = (Rc::clone(tools), Cell::new(false));
    Scene {
        subjects: (0..3).map(|part| move_part(tools, part)).collect(),
        innocents: vec![Box::new(move || match moved.replace(true) {
            true => task(async {}),
            false => move_part(&innocent, 3),
        })],
        cause: Box::new(move |_| causing.drain()),
        check: Box::new(move |tools| {
            let mut bytes = sink.bytes();
            bytes.sort_unstable();
            let once = bytes.windows(2).all(|two| two[0] < two[1]);
            let whole = tools.log.writes().iter().all(|&(part, len)| {
                let of_it = bytes.iter().filter(|&byte| byte / LEN as u8 == part);
                of_it.count() == len || tools.stage.is_closed()
            });
            match once && whole {
                true => Ok(()),
                false => Err(format!("of {:?} came {bytes:?}", tools.log.writes())),
            }
        }),
        patience: PATIENCE,
        submits: true,
        moves: true,
        ..Scene::default()
    }
}

/// The bytes of files by their cursors: a subject reads some, and moves some; an innocent moves what is left.
fn from_cursor(tools: &Rc<Tools>) -> Scene {
    let (to, sink) = sink(tools);
    let splices = Rc::new(Splices::default());
    let (mut subjects, mut innocents) = (Vec::new(), Vec::<Box<dyn Fn() -> Task>>::new());
    for bytes in [0..64, 64..128] {
        let file = tools.hold(File::from_std(file_of(bytes)), File::close);
        let innocent = (Rc::clone(tools), file.clone(), to.clone());
        let (tools, splices) = (Rc::clone(tools), Rc::clone(&splices));
        let (to, moving) = (to.with(Rc::clone), Rc::clone(&splices));
        subjects.push(task(async move {
            let (Some(mut lent), Some(to)) = (Lent::take(&tools, &file), to) else {
                return;
            };
            let (read, buf) = lent.get().read(tools.buf(8)).await;
            match read {
                Ok(n) => tools.log.bytes(&buf.bytes()[..n]),
                Err(error) => tools.failed("a read", &error),
            }
            splices.run(&tools, splice(lent.get(), &*to, 8)).await;
        }));
        innocents.push(Box::new(move || {
            let ((tools, file, to), splices) = (innocent.clone(), Rc::clone(&moving));
            let to = to.with(Rc::clone);
            task(async move {
                if let (Some(mut lent), Some(to)) = (Lent::wait(&tools, &file).await, to) {
                    let rest = splice(lent.get(), &*to, u64::MAX);
                    splices.run(&tools, rest).await;
                }
            })
        }));
    }
    let causing = Rc::clone(&sink);
    Scene {
        subjects,
        innocents,
        cause: Box::new(move |_| causing.drain()),
        check: Box::new(move |tools| {
            let mut bytes = [sink.bytes(), tools.log.all()].concat();
            if !splices.are_over() {
                // What was under way is still before the cursor, and moved again.
                bytes.sort_unstable();
                bytes.dedup();
            }
            match bytes.len() < 128 && !tools.stage.is_closed() {
                true => Err(format!("of 128 bytes there came {bytes:?}")),
                false => splices.check(tools, bytes, 128),
            }
        }),
        patience: PATIENCE,
        submits: true,
        moves: true,
        ..Scene::default()
    }
}

/// From pipes into one file, each to a part of its own.
fn from_pipe(tools: &Rc<Tools>) -> Scene {
    let target = file();
    target.set_len(0).unwrap();
    let into = File::from_std(target.try_clone().unwrap());
    let into = tools.hold(into, File::close);
    let writers = Rc::new(Writers::default());
    let splices = Rc::new(Splices::default());
    let (mut subjects, mut innocents) = (Vec::new(), Vec::<Box<dyn Fn() -> Task>>::new());
    for part in 0..3 {
        let pipe = end_of_pipe(tools, writers.add());
        let (into, splices) = (into.clone(), Rc::clone(&splices));
        // The subjects' parts, and far behind them those of the innocents.
        let move_to = move |tools: &Rc<Tools>, offset: u64, len: u64| {
            let (tools, pipe) = (Rc::clone(tools), pipe.clone());
            let (into, splices) = (into.with(Rc::clone), Rc::clone(&splices));
            task(async move {
                let lent = match len {
                    LEN => Lent::take(&tools, &pipe),
                    _ => Lent::wait(&tools, &pipe).await,
                };
                if let (Some(into), Some(mut lent)) = (into, lent) {
                    let to = into.at(offset);
                    splices.run(&tools, splice(lent.get(), to, len)).await;
                }
            })
        };
        subjects.push(move_to(tools, part * LEN, LEN));
        let (tools, times) = (Rc::clone(tools), Cell::new(1));
        innocents.push(Box::new(move || {
            let at = times.replace(times.get() + 1) * 4096 + part * 1024;
            move_to(&tools, at, u64::MAX)
        }));
    }
    let (causing, ending) = (Rc::clone(&writers), Rc::clone(&writers));
    Scene {
        subjects,
        innocents,
        cause: Box::new(move |_| causing.write()),
        end: Box::new(move || ending.end()),
        check: Box::new(move |tools| {
            let mut bytes = vec![0; 16384];
            let len = target.read_at(&mut bytes, 0).unwrap();
            bytes.truncate(len);
            // The first byte cannot be told from a hole.
            bytes.retain(|&byte| byte != 0);
            bytes.push(0);
            splices.check(tools, bytes, writers.count())
        }),
        patience: PATIENCE,
        submits: true,
        moves: true,
        ..Scene::default()
    }
}
