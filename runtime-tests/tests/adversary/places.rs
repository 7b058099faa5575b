//! Files by position, several buffers at once or the whole of one; and by the cursor, which one task has at a time.

use std::cell::Cell;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use saferring::fs::File;
use saferring_tests::adversary::{Held, Task};
use saferring_tests::{Tracked, Watch};

use crate::files::{file, file_of};
use crate::scene::{Lent, PATIENCE, Scene, Setup, Tools, task};

pub(crate) const PLACES: &[Setup] = &[
    ("read_at_all", |tools| {
        reads(tools, [vectored_at, exact_at, vectored_at])
    }),
    ("write_at_all", |tools| {
        writes(tools, [write_vectored_at, write_all_at, all_vectored_at])
    }),
];

pub(crate) const CURSORS: &[Setup] = &[
    ("cursor_read", |tools| {
        cursor_reads(tools, [read, vectored, exact])
    }),
    ("cursor_write", |tools| {
        cursor_writes(tools, [write, write_vectored, write_all])
    }),
    ("read_to_end", to_end),
];

type Shared = Held<Rc<File>>;
/// What an operation needs: the buffers' maker, and where in the file it works.
type AtPlace = fn(&Rc<Tools>, &Shared, &Watch, u8) -> Task;
type ByCursor = fn(&Rc<Tools>, &Shared, u8) -> Task;

fn saw(tools: &Tools, at: u8, result: io::Result<usize>, bytes: &[u8]) {
    match result {
        Ok(8) if *bytes == *(at..at + 8).collect::<Vec<_>>() => {}
        Ok(n) => tools.stage.fault(format!("at {at} came {n}: {bytes:?}")),
        Err(error) => tools.failed("a read", &error),
    }
}

fn both(bufs: &[Tracked]) -> Vec<u8> {
    [bufs[0].bytes(), bufs[1].bytes()].concat()
}

fn vectored_at(tools: &Rc<Tools>, file: &Shared, watch: &Watch, at: u8) -> Task {
    let bufs = vec![watch.buf(3), watch.buf(5)];
    let op = file.with(|file| file.read_vectored_at(bufs, at.into()));
    let tools = Rc::clone(tools);
    task(async move {
        let Some(op) = op else { return };
        let (result, bufs) = op.await;
        saw(&tools, at, result, &both(&bufs));
    })
}

fn exact_at(tools: &Rc<Tools>, file: &Shared, watch: &Watch, at: u8) -> Task {
    let (file, buf) = (file.with(Rc::clone), watch.buf(8));
    let tools = Rc::clone(tools);
    task(async move {
        let Some(file) = file else { return };
        let (result, buf) = file.read_exact_at(buf, at.into()).await;
        saw(&tools, at, result.map(|()| 8), buf.bytes());
    })
}

fn reads(tools: &Rc<Tools>, subjects: [AtPlace; 3]) -> Scene {
    let file = tools.hold(File::from_std(file()), File::close);
    let places = subjects.into_iter().zip([0, 8, 16]);
    let subjects = places.map(|(subject, at)| subject(tools, &file, &tools.watch, at));
    let subjects = subjects.collect();
    let innocent = Rc::clone(tools);
    Scene {
        subjects,
        innocents: vec![Box::new(move || {
            vectored_at(&innocent, &file, &Watch::new(), 32)
        })],
        cause: Box::new(|_| std::thread::yield_now()),
        patience: PATIENCE,
        submits: true,
        ..Scene::default()
    }
}

/// Eight bytes of this value.
fn halves(watch: &Watch, id: u8) -> Vec<Tracked> {
    vec![watch.filled([id; 3]), watch.filled([id; 5])]
}

fn wrote(tools: &Tools, id: u8, result: io::Result<usize>) {
    match result {
        Ok(8) => tools.log.wrote(id, 8),
        Ok(n) => tools.stage.fault(format!("wrote {n}")),
        Err(error) => tools.failed("a write", &error),
    }
}

fn write_vectored_at(tools: &Rc<Tools>, file: &Shared, watch: &Watch, at: u8) -> Task {
    let id = 100 + at;
    let op = file.with(|file| file.write_vectored_at(halves(watch, id), at.into()));
    let tools = Rc::clone(tools);
    task(async move {
        let Some(op) = op else { return };
        let (result, bufs) = op.await;
        wrote(&tools, id, result);
        drop(bufs);
    })
}

fn write_all_at(tools: &Rc<Tools>, file: &Shared, watch: &Watch, at: u8) -> Task {
    let id = 100 + at;
    let (file, buf) = (file.with(Rc::clone), watch.filled([id; 8]));
    let tools = Rc::clone(tools);
    task(async move {
        let Some(file) = file else { return };
        let (result, buf) = file.write_all_at(buf, at.into()).await;
        wrote(&tools, id, result.map(|()| 8));
        drop(buf);
    })
}

fn all_vectored_at(tools: &Rc<Tools>, file: &Shared, watch: &Watch, at: u8) -> Task {
    let id = 100 + at;
    let (file, bufs) = (file.with(Rc::clone), halves(watch, id));
    let tools = Rc::clone(tools);
    task(async move {
        let Some(file) = file else { return };
        let (result, bufs) = file.write_all_vectored_at(bufs, at.into()).await;
        wrote(&tools, id, result.map(|()| 8));
        drop(bufs);
    })
}

/// Each eight bytes are as they were, or as somebody has written them; those whose write has ended are.
fn check_writes(tools: &Tools, file: &std::fs::File) -> Result<(), String> {
    let mut bytes = [0; 64];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let told = tools.log.writes();
    for at in (0..64).step_by(8) {
        let piece = &bytes[usize::from(at)..][..8];
        let as_before = *piece == *(at..at + 8).collect::<Vec<_>>();
        let is_told = told.iter().any(|&(id, _)| id == 100 + at);
        if *piece != [100 + at; 8] && (!as_before || is_told) {
            return Err(format!("told {told:?}, at {at} is {piece:?}"));
        }
    }
    Ok(())
}

fn writes(tools: &Rc<Tools>, subjects: [AtPlace; 3]) -> Scene {
    let target = file();
    let file = File::from_std(target.try_clone().unwrap());
    let file = tools.hold(file, File::close);
    let places = subjects.into_iter().zip([0, 8, 16]);
    let subjects = places.map(|(subject, at)| subject(tools, &file, &tools.watch, at));
    let subjects = subjects.collect();
    let innocent = Rc::clone(tools);
    Scene {
        subjects,
        innocents: vec![Box::new(move || {
            write_vectored_at(&innocent, &file, &Watch::new(), 32)
        })],
        cause: Box::new(|_| std::thread::yield_now()),
        check: Box::new(move |tools| check_writes(tools, &target)),
        patience: PATIENCE,
        submits: true,
        ..Scene::default()
    }
}

/// What a read by cursor has given; says whether there is more.
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

fn read(tools: &Rc<Tools>, file: &Shared, _: u8) -> Task {
    let (tools, file) = (Rc::clone(tools), file.clone());
    task(async move {
        let Some(mut lent) = Lent::take(&tools, &file) else {
            return;
        };
        let (result, buf) = lent.get().read(tools.buf(8)).await;
        came(&tools, result, buf.bytes());
    })
}

fn vectored(tools: &Rc<Tools>, file: &Shared, _: u8) -> Task {
    let (tools, file) = (Rc::clone(tools), file.clone());
    task(async move {
        let Some(mut lent) = Lent::take(&tools, &file) else {
            return;
        };
        let bufs = vec![tools.buf(3), tools.buf(5)];
        let (result, bufs) = lent.get().read_vectored(bufs).await;
        came(&tools, result, &both(&bufs));
    })
}

fn exact(tools: &Rc<Tools>, file: &Shared, _: u8) -> Task {
    let (tools, file) = (Rc::clone(tools), file.clone());
    task(async move {
        let Some(mut lent) = Lent::take(&tools, &file) else {
            return;
        };
        let (result, buf) = lent.get().read_exact(tools.buf(8)).await;
        came(&tools, result.map(|()| 8), buf.bytes());
    })
}

/// Each subject reads some of a file, and an innocent the rest. Who is dropped leaves the cursor where it was.
fn cursor_reads(tools: &Rc<Tools>, subjects: [ByCursor; 3]) -> Scene {
    let (mut futures, mut innocents) = (Vec::new(), Vec::<Box<dyn Fn() -> Task>>::new());
    for (subject, from) in subjects.into_iter().zip([0, 32, 64]) {
        let file = File::from_std(file_of(from..from + 32));
        let file = tools.hold(file, File::close);
        futures.push(subject(tools, &file, 0));
        let tools = Rc::clone(tools);
        innocents.push(Box::new(move || {
            let (tools, file) = (Rc::clone(&tools), file.clone());
            task(async move {
                let Some(mut lent) = Lent::wait(&tools, &file).await else {
                    return;
                };
                loop {
                    let (result, bytes) = lent.get().read(vec![0; 8]).await;
                    if !came(&tools, result, &bytes) {
                        break;
                    }
                }
            })
        }));
    }
    Scene {
        subjects: futures,
        innocents,
        cause: Box::new(|_| std::thread::yield_now()),
        check: Box::new(move |tools| tools.all_came(96)),
        patience: PATIENCE,
        submits: true,
        ..Scene::default()
    }
}

fn write(tools: &Rc<Tools>, file: &Shared, id: u8) -> Task {
    let (tools, file) = (Rc::clone(tools), file.clone());
    task(async move {
        let Some(mut lent) = Lent::take(&tools, &file) else {
            return;
        };
        let (result, buf) = lent.get().write(tools.watch.filled([id; 8])).await;
        wrote(&tools, id, result);
        drop(buf);
    })
}

fn write_vectored(tools: &Rc<Tools>, file: &Shared, id: u8) -> Task {
    let (tools, file) = (Rc::clone(tools), file.clone());
    task(async move {
        let Some(mut lent) = Lent::take(&tools, &file) else {
            return;
        };
        let (result, bufs) = lent.get().write_vectored(halves(&tools.watch, id)).await;
        wrote(&tools, id, result);
        drop(bufs);
    })
}

fn write_all(tools: &Rc<Tools>, file: &Shared, id: u8) -> Task {
    let (tools, file) = (Rc::clone(tools), file.clone());
    task(async move {
        let Some(mut lent) = Lent::take(&tools, &file) else {
            return;
        };
        let (result, buf) = lent.get().write_all(tools.watch.filled([id; 8])).await;
        wrote(&tools, id, result.map(|()| 8));
        drop(buf);
    })
}

/// An innocent writes behind a subject: behind what that has written, if it was in time.
fn cursor_writes(tools: &Rc<Tools>, subjects: [ByCursor; 3]) -> Scene {
    let (mut futures, mut targets) = (Vec::new(), Vec::new());
    let mut innocents = Vec::<Box<dyn Fn() -> Task>>::new();
    let ids = Rc::new(Cell::new(100));
    for (subject, id) in subjects.into_iter().zip(1..) {
        let target = file_of(0..0);
        let file = File::from_std(target.try_clone().unwrap());
        let file = tools.hold(file, File::close);
        targets.push(target);
        futures.push(subject(tools, &file, id));
        let (tools, ids) = (Rc::clone(tools), Rc::clone(&ids));
        innocents.push(Box::new(move || {
            let (tools, file, id) = (Rc::clone(&tools), file.clone(), ids.get());
            ids.set(id + 1);
            task(async move {
                if let Some(mut lent) = Lent::wait(&tools, &file).await {
                    wrote(&tools, id, lent.get().write(vec![id; 8]).await.0);
                }
            })
        }));
    }
    Scene {
        subjects: futures,
        innocents,
        cause: Box::new(|_| std::thread::yield_now()),
        check: Box::new(move |tools| {
            let mut runs = Vec::new();
            for target in &targets {
                let mut bytes = vec![0; 256];
                let len = target.read_at(&mut bytes, 0).unwrap();
                let pieces = bytes[..len].chunk_by(|one, next| one == next);
                runs.extend(pieces.map(|piece| (piece[0], piece.len())));
            }
            match runs.iter().all(|run| run.1 == 8) {
                true => crate::writes::whole(tools, &runs),
                false => Err(format!("there came {runs:?}")),
            }
        }),
        patience: PATIENCE,
        submits: true,
        ..Scene::default()
    }
}

/// Who was dropped has read all or nothing.
fn to_end(tools: &Rc<Tools>) -> Scene {
    let (mut subjects, mut innocents) = (Vec::new(), Vec::<Box<dyn Fn() -> Task>>::new());
    for _ in 0..2 {
        let file = tools.hold(File::from_std(file()), File::close);
        let begun = (Rc::clone(tools), file.clone());
        subjects.push(task(async move {
            let (tools, file) = begun;
            let Some(mut lent) = Lent::take(&tools, &file) else {
                return;
            };
            match lent.get().read_to_end(vec![200]).await {
                (Ok(64), bytes) if bytes[1..] == *(0..64).collect::<Vec<_>>() => {}
                (Ok(n), bytes) => tools.stage.fault(format!("{n} bytes: {bytes:?}")),
                (Err(error), _) => tools.failed("a read", &error),
            }
        }));
        let tools = Rc::clone(tools);
        innocents.push(Box::new(move || {
            let (tools, file) = (Rc::clone(&tools), file.clone());
            task(async move {
                let Some(mut lent) = Lent::wait(&tools, &file).await else {
                    return;
                };
                match lent.get().read_to_end(Vec::new()).await {
                    (Ok(0), _) => {}
                    (Ok(64), bytes) if bytes == (0..64).collect::<Vec<_>>() => {}
                    (Ok(n), bytes) => tools.stage.fault(format!("{n} bytes left: {bytes:?}")),
                    (Err(error), _) => tools.failed("a read", &error),
                }
            })
        }));
    }
    Scene {
        subjects,
        innocents,
        cause: Box::new(|_| std::thread::yield_now()),
        patience: PATIENCE,
        submits: true,
        moves: true,
        ..Scene::default()
    }
}
