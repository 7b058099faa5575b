//! Handles of tasks, sets of them, and closures on blocking threads.

use std::rc::Rc;

use saferring::net::UnixStream;
use saferring::task::{JoinError, JoinHandle, JoinSet};
use saferring_tests::adversary::{Guard, Planned, Point, Task, at};

use crate::scene::{PATIENCE, Scene, Setup, Tools, task};

pub(crate) const TASKS: &[Setup] = &[("join_handle", handles), ("join_set", sets)];

pub(crate) const BLOCKING: &[Setup] = &[("spawn_blocking", blocking)];

/// What a task of the adversary holds and gives.
async fn work(turns: u32) -> Guard {
    let _held = Guard::new(Point::FutureDrop);
    for _ in 0..turns {
        let _ = saferring::op::nop().await;
    }
    Guard::new(Point::OutputDrop)
}

/// A task of the adversary may have panicked, or have been cancelled; it did so as planned.
fn ended(tools: &Tools, answer: Result<Guard, JoinError>) {
    match answer {
        Ok(output) => drop(output),
        Err(error) if error.is_cancelled() => {}
        Err(error) => {
            if !error.into_panic().is::<Planned>() {
                tools.stage.fault("a task panicked");
            }
        }
    }
}

fn joined(tools: &Rc<Tools>, handle: JoinHandle<Guard>) -> Task {
    let tools = Rc::clone(tools);
    task(async move { ended(&tools, handle.await) })
}

fn handles(tools: &Rc<Tools>) -> Scene {
    let aborted = saferring::spawn(work(50));
    aborted.abort();
    let never = saferring::spawn(async {
        let _held = Guard::new(Point::FutureDrop);
        std::future::pending::<()>().await;
        Guard::new(Point::OutputDrop)
    });
    let abort = Rc::clone(tools);
    Scene {
        subjects: vec![
            joined(tools, saferring::spawn(work(0))),
            joined(tools, saferring::spawn(work(3))),
            joined(tools, aborted),
            task(async move {
                never.abort();
                ended(&abort, never.await);
            }),
        ],
        innocents: vec![Box::new(|| {
            task(async {
                let handle = saferring::spawn(async {
                    let _ = saferring::op::nop().await;
                    7
                });
                assert_eq!(handle.await.unwrap(), 7);
            })
        })],
        ..Scene::default()
    }
}

fn sets(tools: &Rc<Tools>) -> Scene {
    let set = |tools: &Rc<Tools>| {
        let tools = Rc::clone(tools);
        let mut set = JoinSet::new();
        for turns in 0..3 {
            set.spawn(work(turns));
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        let buf = tools.buf(8);
        set.spawn(async move {
            let read = ours.read(buf).submit();
            let (written, _) = theirs.write("x").await;
            let _ = written;
            drop(read.await);
            work(0).await
        });
        task(async move {
            while let Some(answer) = set.join_next().await {
                ended(&tools, answer);
            }
        })
    };
    Scene {
        subjects: vec![set(tools), set(tools)],
        innocents: vec![Box::new(|| {
            task(async {
                let mut set = JoinSet::new();
                for turns in 0..3 {
                    set.spawn(async move {
                        for _ in 0..turns {
                            saferring::task::yield_now().await;
                        }
                    });
                }
                while let Some(answer) = set.join_next().await {
                    answer.unwrap();
                }
            })
        })],
        ..Scene::default()
    }
}

fn blocking(tools: &Rc<Tools>) -> Scene {
    let job = |tools: &Rc<Tools>| {
        let captured = Guard::new(Point::CaptureDrop);
        let handle = saferring::spawn_blocking(move || {
            at(Point::Job);
            drop(captured);
            Guard::new(Point::ResultDrop)
        });
        joined(tools, handle)
    };
    Scene {
        subjects: (0..3).map(|_| job(tools)).collect(),
        innocents: vec![Box::new(|| {
            task(async {
                match saferring::spawn_blocking(|| 7).await {
                    Ok(seven) => assert_eq!(seven, 7),
                    // At the shutdown.
                    Err(error) => assert!(error.is_panic() || error.is_cancelled()),
                }
            })
        })],
        cause: Box::new(|_| std::thread::sleep(std::time::Duration::from_micros(100))),
        patience: PATIENCE,
        ..Scene::default()
    }
}
