//! `PerCore`: a value of each core's own.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;

use saferring::cores::{Core, PerCore};
use saferring::runtime::CallError;
use saferring_tests::{bounded, poll_once};

use super::{Drops, all_done, builder, panic_text};

static COUNTS: PerCore<Rc<Cell<usize>>> = PerCore::new(|core| Rc::new(Cell::new(core.id())));

#[test]
fn each_core_has_its_own_and_reaches_the_others() {
    bounded(|| {
        let sums = builder(3).build().unwrap().run(async |core: Core| {
            let own = COUNTS.with(|count| Rc::clone(count));
            own.set(own.get() + 10);
            assert_eq!(COUNTS.with(|count| count.get()), core.id() + 10);
            all_here(&core).await;
            for other in 0..3 {
                let count = COUNTS.with_on(other, |count| count.get()).await;
                assert_eq!(count.unwrap(), other + 10);
            }
            let all = COUNTS.map_all(|count| count.get()).await.unwrap();
            assert_eq!(all, [10, 11, 12]);
            let sum = COUNTS.map_reduce(|count| count.get(), 100, |a, b| a + b);
            let sum = sum.await.unwrap();
            let error = COUNTS.with_on(3, |_| ()).await.unwrap_err();
            assert!(matches!(
                &error,
                CallError::NoSuchCore {
                    core: 3,
                    cores: 3,
                    ..
                }
            ));
            println!("{error}");
            all_done(&core).await;
            io::Result::Ok(sum)
        });
        assert_eq!(sums.unwrap(), [133; 3]);
    });
}

/// Waits until all cores are here.
async fn all_here(core: &Core) {
    static HERE: PerCore<usize> = PerCore::new(|_| 0);
    HERE.with_on(0, |here| *here += 1).await.unwrap();
    while HERE.with_on(0, |here| *here).await.unwrap() < core.count() {
        saferring::task::yield_now().await;
    }
}

#[test]
fn all_see_broadcasts_in_the_same_order() {
    bounded(|| {
        let log: PerCore<Vec<(usize, usize)>> = PerCore::new(|_| Vec::new());
        // With less room for calls than there are.
        let logs = builder(3)
            .requests(2)
            .build()
            .unwrap()
            .run(async |core: Core| {
                let me = core.id();
                let broadcasts = (0..100).map(|n| log.broadcast(move |log| log.push((me, n))));
                for done in futures_util::future::join_all(broadcasts).await {
                    done.unwrap();
                }
                assert_eq!(
                    log.with(|log| log.iter().filter(|(from, _)| *from == me).count()),
                    100
                );
                all_here(&core).await;
                let log = log.with(|log| log.clone());
                all_done(&core).await;
                io::Result::Ok(log)
            });
        let logs = logs.unwrap();
        assert_eq!(logs[0].len(), 300);
        assert!(logs.iter().all(|log| *log == logs[0]));
        for from in 0..3 {
            let own = logs[0].iter().filter(|(core, _)| *core == from);
            assert!(own.map(|(_, n)| *n).eq(0..100));
        }
    });
}

#[test]
fn a_broadcast_that_is_dropped_changes_all_or_none() {
    bounded(|| {
        let log: PerCore<Vec<usize>> = PerCore::new(|_| Vec::new());
        let logs = builder(3).build().unwrap().run(async |core: Core| {
            if core.id() == 2 {
                for n in 0..50 {
                    let mut broadcast = Box::pin(log.broadcast(move |log| log.push(n)));
                    for _ in 0..n % 10 {
                        if poll_once(&mut broadcast).await.is_some() {
                            break;
                        }
                        let _ = saferring::op::nop().await;
                    }
                }
                // Behind all of them.
                log.broadcast(|log| log.push(1000)).await.unwrap();
            }
            all_done(&core).await;
            io::Result::Ok(log.with(|log| log.clone()))
        });
        let logs = logs.unwrap();
        println!("{} of 50", logs[0].len() - 1);
        assert!(logs.iter().all(|log| *log == logs[0]), "{logs:?}");
    });
}

#[test]
fn within_itself_it_panics_and_is_whole_afterwards() {
    bounded(|| {
        let value: PerCore<u32> = PerCore::new(|_| 1);
        let done = builder(1).build().unwrap().run(async |_| {
            let twice = || value.with(|_| value.with(|_| ()));
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(twice));
            let text = panic_text(panic.unwrap_err());
            assert!(
                text.starts_with("PerCore::with was called within itself"),
                "{text}"
            );
            assert_eq!(value.with(|value| *value), 1);
        });
        done.unwrap();
    });
}

static OF_ITSELF: PerCore<u32> = PerCore::new(|_| OF_ITSELF.with(|value| *value));

#[test]
fn what_asks_for_the_value_that_it_makes_panics() {
    bounded(|| {
        let done = builder(1).build().unwrap().run(async |_| {
            for _ in 0..2 {
                let panic = std::panic::catch_unwind(|| OF_ITSELF.with(|_| ()));
                let text = panic_text(panic.unwrap_err());
                assert!(text.contains("asks for that value"), "{text}");
            }
        });
        done.unwrap();
    });
}

#[test]
fn values_are_dropped_on_their_core_at_its_end() {
    bounded(|| {
        let drops = Drops::default();
        let of_values = drops.clone();
        let value = PerCore::with_make(move |_| of_values.thing());
        let threads = builder(3).build().unwrap().run(async |_| {
            value.with(|_| ());
            assert!(saferring::spawn(async {}).await.is_ok());
            io::Result::Ok(thread::current().id())
        });
        let mut threads = threads.unwrap();
        let mut dropped = drops.threads();
        threads.sort_by_key(|id| format!("{id:?}"));
        dropped.sort_by_key(|id| format!("{id:?}"));
        assert_eq!(threads, dropped);
    });
}

/// Makes another one when it is dropped.
struct Hydra(Arc<Mutex<usize>>, PerCore<Option<Hydra>>);

impl Drop for Hydra {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += 1;
        if Core::try_current().is_none() {
            return;
        }
        let new = Hydra(Arc::clone(&self.0), self.1.clone());
        self.1.with(|head| *head = Some(new));
    }
}

#[test]
fn a_value_that_makes_another_when_it_is_dropped_does_not_hold_up_the_end() {
    bounded(|| {
        let heads = Arc::new(Mutex::new(0));
        let hydra: PerCore<Option<Hydra>> = PerCore::new(|_| None);
        let done = builder(1).build().unwrap().run(async |_| {
            let first = Hydra(Arc::clone(&heads), hydra.clone());
            hydra.with(|head| *head = Some(first));
        });
        done.unwrap();
        let heads = *heads.lock().unwrap();
        assert!((2..20).contains(&heads), "{heads}");
    });
}

#[test]
fn without_core_0_a_broadcast_changes_none() {
    bounded(|| {
        let value: PerCore<u32> = PerCore::new(|_| 1);
        let done = builder(2).build().unwrap().run(async |core: Core| {
            if core.id() == 0 {
                return;
            }
            // Until it has ended.
            while core.call_now(0, |_| ()).await.is_ok() {}
            let error = value.broadcast(|value| *value += 1).await.unwrap_err();
            assert!(matches!(error, CallError::Closed));
            assert_eq!(value.with(|value| *value), 1);
            assert!(value.map_all(|_| ()).await.is_err());
        });
        done.unwrap();
        println!("{value:?}");
    });
}
