//! Tasks, sets of them, and their names.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::Poll;

use futures_util::future::poll_immediate;
use saferring::op::nop;
use saferring::task::{JoinSet, id, try_id, yield_now};
use saferring_tests::{bounded, until};

use super::runtime;

#[test]
fn a_set_yields_in_the_order_of_the_ends() {
    bounded(|| {
        runtime().block_on(async {
            let mut set = JoinSet::new();
            assert!(set.is_empty() && set.join_next().await.is_none());
            let ids: Vec<_> = (0..4)
                .map(|n| {
                    set.spawn(async move {
                        for _ in 0..(4 - n) * 4 {
                            yield_now().await;
                        }
                        assert_ne!(n, 2, "two panics");
                        (n, id())
                    })
                })
                .collect();
            assert_eq!(set.len(), 4);
            assert!(set.try_join_next().is_none());
            let mut ended = Vec::new();
            while let Some(answer) = poll_fn(|cx| set.poll_join_next(cx)).await {
                ended.push(answer.map(|(n, id)| {
                    assert_eq!(id, ids[n].id());
                    n
                }));
            }
            assert_eq!(set.len(), 0);
            let panic = ended.remove(1).unwrap_err();
            let ended: Vec<_> = ended.into_iter().map(Result::unwrap).collect();
            assert_eq!(ended, [3, 1, 0]);
            assert!(panic.is_panic() && !panic.is_cancelled());
            let payload = panic.try_into_panic().unwrap();
            let text = payload.downcast_ref::<String>().unwrap();
            assert!(text.contains("two panics"));
        });
    });
}

/// Holds what tells that its task is gone.
struct Gone(Rc<Cell<u32>>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Three tasks that end when they are told to, or never.
fn three(gone: &Rc<Cell<u32>>, go: &Rc<Cell<bool>>) -> JoinSet<()> {
    let mut set = JoinSet::default();
    for _ in 0..3 {
        let (gone, go) = (Gone(Rc::clone(gone)), Rc::clone(go));
        set.spawn(async move {
            while !go.get() {
                yield_now().await;
            }
            drop(gone);
        });
    }
    set
}

#[test]
fn a_set_ends_aborts_or_lets_go_of_its_tasks() {
    bounded(|| {
        runtime().block_on(async {
            let (gone, go) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
            // Aborted: each says so.
            let mut set = three(&gone, &go);
            set.abort_all();
            assert_eq!(set.len(), 3);
            for _ in 0..3 {
                let error = set.join_next().await.unwrap().unwrap_err();
                assert!(error.is_cancelled());
                assert!(error.try_into_panic().unwrap_err().is_cancelled());
            }
            assert_eq!(gone.get(), 3);
            // Shut down: they are gone, and nothing is told.
            let mut set = three(&gone, &go);
            nop().await.unwrap();
            set.shutdown().await;
            assert!(set.is_empty() && set.try_join_next().is_none());
            assert_eq!(gone.get(), 6);
            // Dropped: as in tokio, its tasks end with it.
            drop(three(&gone, &go));
            until("the abort", || gone.get() == 9).await;
            // Let go of: they run on.
            let mut set = three(&gone, &go);
            set.detach_all();
            assert!(set.is_empty());
            drop(set);
            for _ in 0..10 {
                nop().await.unwrap();
            }
            assert_eq!(gone.get(), 9);
            go.set(true);
            until("the ends", || gone.get() == 12).await;
        });
    });
}

#[test]
fn tasks_have_names_of_their_own() {
    bounded(|| {
        assert_eq!(try_id(), None);
        runtime().block_on(async {
            assert_eq!(try_id(), None);
            let handles = [0, 1].map(|_| {
                saferring::spawn(async {
                    yield_now().await;
                    assert_eq!(try_id(), Some(id()));
                    id()
                })
            });
            assert_ne!(handles[0].id(), handles[1].id());
            for handle in handles {
                let name = handle.id();
                assert_eq!(name.as_u64().to_string(), name.to_string());
                assert_eq!(handle.await.unwrap(), name);
            }
            assert_eq!(try_id(), None);
        });
    });
}

#[test]
fn an_aborted_task_is_an_error_of_its_own_kind() {
    bounded(|| {
        runtime().block_on(async {
            let mut handle = saferring::spawn(pending::<()>());
            assert!(poll_immediate(&mut handle).await.is_none());
            assert!(!handle.is_finished());
            handle.abort();
            let error = handle.await.unwrap_err();
            assert_eq!(error.to_string(), "the task was cancelled");
            let error = io::Error::from(error);
            assert!(error.get_ref().unwrap().is::<saferring::task::JoinError>());
            let error = saferring::spawn(async { panic!("on purpose") }).await;
            let error: saferring::task::JoinError = match error {
                Err(error) => error,
                Ok(()) => unreachable!("it has panicked"),
            };
            assert_eq!(error.to_string(), "the task panicked: on purpose");
            let payload = error.into_panic();
            assert_eq!(payload.downcast_ref::<&str>(), Some(&"on purpose"));
        });
    });
}

/// Others run between two polls of who yields.
#[test]
fn who_yields_lets_others_run() {
    bounded(|| {
        runtime().block_on(async {
            let count = Rc::new(Cell::new(0));
            let other = Rc::clone(&count);
            let other = saferring::spawn(async move {
                for n in 1..=10 {
                    other.set(n);
                    yield_now().await;
                }
            });
            let mut seen = 0;
            while count.get() < 10 {
                assert!(count.get() <= seen + 1, "one poll each");
                seen = count.get();
                yield_now().await;
            }
            other.await.unwrap();
            let ready = poll_fn(|_| Poll::Ready(3)).await;
            assert_eq!(ready, 3);
        });
    });
}
