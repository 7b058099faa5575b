//! Waits for descriptors of somebody else's files, which are foreign code: they are asked for their descriptors, and dropped.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use saferring::op::{Op, PollAdd, Readiness};
use saferring_tests::adversary::{Guard, Point, Task, at};
use saferring_tests::poll_once;

use crate::scene::{Scene, Setup, Tools, task};

pub(crate) const POLLS: &[Setup] = &[
    ("poll_add", |tools| polls(tools, [wait, wait, wait])),
    ("poll_add_ends", |tools| {
        polls(tools, [timed, wait, cancelled])
    }),
];

type Wait = fn(&Rc<Tools>, Ear) -> Task;

/// A pipe of which each use is a point.
#[derive(Debug)]
struct Ear {
    pipe: PipeReader,
    _guard: Guard,
}

impl Ear {
    fn pair() -> (Self, PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        let ear = Ear {
            pipe: reader,
            _guard: Guard::new(Point::FileDrop),
        };
        (ear, writer)
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        at(Point::AsFd);
        self.pipe.as_fd()
    }
}

/// It is ready, and has what was written.
fn heard(tools: &Tools, answer: (io::Result<Readiness>, Ear)) {
    let (ready, mut ear) = answer;
    match ready {
        Ok(ready) if ready.contains(Readiness::READABLE) && !ready.is_error() => {
            let mut byte = [0];
            match ear.pipe.read(&mut byte) {
                Ok(1) if byte == [7] => {}
                read => tools.stage.fault(format!("read: {read:?}, {byte:?}")),
            }
        }
        Ok(ready) => tools.stage.fault(format!("ready for {ready:?}")),
        Err(error) => tools.failed("a wait", &error),
    }
}

fn op(ear: Ear) -> Op<PollAdd<Ear>> {
    PollAdd::new(ear, Readiness::READABLE.or(Readiness::PRIORITY))
}

fn wait(tools: &Rc<Tools>, ear: Ear) -> Task {
    let tools = Rc::clone(tools);
    task(async move { heard(&tools, op(ear).await) })
}

fn timed(tools: &Rc<Tools>, ear: Ear) -> Task {
    let tools = Rc::clone(tools);
    task(async move {
        let answer = op(ear).timeout(Duration::from_millis(1)).await;
        let is_over = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
        if !answer.0.as_ref().is_err_and(is_over) {
            heard(&tools, answer);
        }
    })
}

fn cancelled(tools: &Rc<Tools>, ear: Ear) -> Task {
    let tools = Rc::clone(tools);
    task(async move {
        let mut wait = op(ear).submit();
        if let Some(answer) = poll_once(&mut wait).await {
            return heard(&tools, answer);
        }
        let answer = wait.cancel().await;
        let is_cancelled = |error: &io::Error| error.raw_os_error() == Some(libc::ECANCELED);
        if !answer.0.as_ref().is_err_and(is_cancelled) {
            heard(&tools, answer);
        }
    })
}

/// Nobody writes before the third round, so that some are dropped in flight.
fn polls(tools: &Rc<Tools>, subjects: [Wait; 3]) -> Scene {
    let (ears, writers): (Vec<_>, Vec<_>) = subjects.iter().map(|_| Ear::pair()).unzip();
    let subjects = subjects.into_iter().zip(ears);
    let subjects = subjects.map(|(subject, ear)| subject(tools, ear));
    let subjects = subjects.collect();
    let listening = Rc::clone(tools);
    Scene {
        subjects,
        innocents: vec![Box::new(move || {
            let tools = Rc::clone(&listening);
            task(async move {
                let (reader, mut writer) = io::pipe().unwrap();
                let wait = PollAdd::new(reader, Readiness::READABLE).submit();
                saferring::task::yield_now().await;
                writer.write_all(&[7]).unwrap();
                match wait.await.0 {
                    Ok(ready) if ready.contains(Readiness::READABLE) => {}
                    Ok(ready) => tools.stage.fault(format!("ready for {ready:?}")),
                    Err(error) => tools.failed("a wait", &error),
                }
            })
        })],
        cause: Box::new(move |round| {
            if round == 0 || round == 3 {
                // Half of them now, so that they are ready when they are dropped.
                for mut writer in writers.iter().skip(usize::from(round == 0)) {
                    // Nobody may listen any more.
                    let _ = writer.write(&[7]);
                }
            }
            if round == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }),
        submits: true,
        ..Scene::default()
    }
}
