//! What tasks have beside their futures: a budget, a name, a group, values of their own, and handles.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use saferring::runtime::Runtime;
use saferring::task::{
    self, Builder, Group, JoinSet, consume_budget, cooperative, has_budget_remaining,
    unconstrained, yield_now,
};
use saferring::time::sleep;
use saferring_tests::{bounded, until};

saferring_tests::also_on_software!();

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// Says when it was dropped.
struct Gone(Rc<Cell<u32>>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Does `step` for ever, beside a timer and an operation, which must not wait for its end.
fn others_have_their_turn<F: Future<Output = ()> + 'static>(mut step: impl FnMut() -> F + 'static) {
    runtime().block_on(async move {
        let busy = saferring::spawn(async move {
            loop {
                step().await;
            }
        });
        sleep(Duration::from_millis(1)).await;
        saferring::op::nop().await.unwrap();
        busy.abort();
        assert!(busy.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn what_is_always_ready_holds_nobody_up() {
    bounded(|| {
        others_have_their_turn(consume_budget);
        others_have_their_turn(|| cooperative(ready(())));
        // An empty read is answered at once.
        let (stream, _peer) =
            runtime().block_on(async { saferring::net::UnixStream::pair().unwrap() });
        let stream = Rc::new(stream);
        others_have_their_turn(move || {
            let stream = Rc::clone(&stream);
            async move { stream.write(Vec::new()).await.0.map(drop).unwrap() }
        });
        runtime().block_on(async {
            let pool = saferring_tests::small_pool(1, 4096);
            let timer = saferring::spawn(sleep(Duration::from_millis(1)));
            while !timer.is_finished() {
                drop(pool.take().await);
            }
        });
    });
}

#[test]
fn the_future_of_block_on_has_a_budget_too() {
    bounded(|| {
        runtime().block_on(async {
            let timer = saferring::spawn(sleep(Duration::from_millis(1)));
            while !timer.is_finished() {
                consume_budget().await;
            }
        });
    });
}

#[test]
fn a_turn_has_a_budget_of_128_and_each_turn_its_own() {
    bounded(|| {
        runtime().block_on(async {
            for _ in 0..3 {
                yield_now().await;
                let mut taken = 0;
                while has_budget_remaining() {
                    assert!(consume_budget().now_or_never().is_some());
                    taken += 1;
                }
                assert_eq!(taken, 128);
                assert!(consume_budget().now_or_never().is_none());
                // A budget that is used up keeps none of its own from what waits for nothing.
                unconstrained(async {
                    for _ in 0..1000 {
                        assert!(consume_budget().now_or_never().is_some());
                    }
                })
                .await;
                assert!(!has_budget_remaining());
            }
        });
        // Outside a runtime there is none.
        assert!(has_budget_remaining());
        for _ in 0..1000 {
            assert!(consume_budget().now_or_never().is_some());
        }
    });
}

#[test]
fn an_unconstrained_poll_that_panics_leaves_the_budget_as_it_was() {
    bounded(|| {
        runtime().block_on(async {
            yield_now().await;
            while has_budget_remaining() {
                consume_budget().await;
            }
            let mut panics = pin!(unconstrained(poll_fn(|_| -> Poll<()> {
                panic!("told to")
            })));
            let polled = catch_unwind(AssertUnwindSafe(|| {
                panics
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_ready()
            }));
            assert!(polled.is_err());
            assert!(!has_budget_remaining());
        });
    });
}

/// Nothing is lost or out of order when the budget ends in the middle.
#[test]
fn cooperative_gives_everything_in_order() {
    bounded(|| {
        runtime().block_on(async {
            let mut numbers = stream::iter(0..10_000);
            let mut came = Vec::new();
            while let Some(n) = cooperative(numbers.next()).await {
                came.push(n);
            }
            assert!(came.into_iter().eq(0..10_000));
        });
    });
}

/// Who has more shares has more turns, where all turns are as long. (By how much is a test of the library's own: here a turn that
/// the machine interrupts is a long one.)
#[test]
fn more_shares_are_more_turns() {
    bounded(|| {
        let ratio = |batch_shares: u32| {
            runtime().block_on(async {
                let batch = Group::new(batch_shares);
                let turns = Rc::new(RefCell::new([0_u32; 2]));
                let count = |which: usize| {
                    let turns = Rc::clone(&turns);
                    async move {
                        loop {
                            turns.borrow_mut()[which] += 1;
                            yield_now().await;
                        }
                    }
                };
                // Many tasks of a group have no more than one.
                for _ in 0..5 {
                    batch.spawn(count(0));
                }
                saferring::spawn(count(1));
                until("turns", || turns.borrow().iter().sum::<u32>() > 20_000).await;
                let [batch, others] = *turns.borrow();
                f64::from(others) / f64::from(batch)
            })
        };
        // The mean of several: the machine may be busy with something else.
        let mut ratios: Vec<_> = (0..9).map(|_| ratio(10)).collect();
        ratios.sort_by(f64::total_cmp);
        assert!(ratios[4] > 2.0, "{ratios:?}");
        let mut ratios: Vec<_> = (0..9).map(|_| ratio(1000)).collect();
        ratios.sort_by(f64::total_cmp);
        assert!(ratios[4] < 0.5, "{ratios:?}");
    });
}

/// Who waits is next when it is ready, however long the others have been at work.
#[test]
fn a_task_that_waits_is_next_beside_batch_work() {
    bounded(|| {
        runtime().block_on(async {
            let batch = Group::new(10);
            let turns = Rc::new(Cell::new(0_u32));
            for _ in 0..100 {
                let turns = Rc::clone(&turns);
                batch.spawn(async move {
                    loop {
                        turns.set(turns.get() + 1);
                        yield_now().await;
                    }
                });
            }
            until("work", || turns.get() > 1000).await;
            let mut waits = Vec::new();
            for _ in 0..100 {
                let before = turns.get();
                // Woken by the task that this one waits for: two turns, and between them at most one of the batch each.
                saferring::spawn(ready(())).await.unwrap();
                waits.push(turns.get() - before);
            }
            // With one queue for all, each of the two turns would come after a hundred.
            waits.sort_unstable();
            assert!(waits[50] <= 20, "{waits:?}");
        });
    });
}

#[test]
fn a_group_can_be_changed_and_used_in_several_runtimes() {
    bounded(|| {
        let group = Group::new(0);
        assert_eq!(group.shares(), 1);
        let clone = group.clone();
        clone.set_shares(50);
        assert_eq!(group.shares(), 50);
        assert_eq!(format!("{group:?}"), "Group { shares: 50, .. }");
        let (first, second) = (runtime(), runtime());
        for _ in 0..3 {
            for runtime in [&first, &second] {
                let spawned = runtime
                    .block_on(async { (group.spawn(async { task::id() }),) })
                    .0;
                assert_eq!(
                    runtime.block_on(spawned).unwrap(),
                    runtime.block_on(async { group.spawn(ready(())).id() })
                );
            }
        }
        // Those that wait at the end are dropped with their runtime.
        let gone = Rc::new(Cell::new(0));
        for runtime in [&first, &second] {
            let guard = Gone(Rc::clone(&gone));
            runtime.block_on(async {
                group.spawn(async move {
                    let _guard = guard;
                    loop {
                        yield_now().await;
                    }
                });
                yield_now().await;
            });
        }
        drop(first);
        assert_eq!(gone.get(), 1);
        drop(second);
        assert_eq!(gone.get(), 2);
    });
}

/// Groups come and go, with tasks that are aborted, panic, or wake one another as they are dropped.
#[test]
fn groups_come_and_go() {
    struct WakesOnDrop(Rc<RefCell<Option<Waker>>>);
    impl Drop for WakesOnDrop {
        fn drop(&mut self) {
            if let Some(waker) = self.0.borrow_mut().take() {
                waker.wake();
            }
            // A new group may take the place of the one that ends here.
            Group::new(1).spawn(ready(()));
        }
    }
    bounded(|| {
        runtime().block_on(async {
            for round in 0..300_u32 {
                let group = Group::new(round + 1);
                let own = Rc::new(RefCell::new(None));
                let guard = WakesOnDrop(Rc::clone(&own));
                let task = Builder::new()
                    .group(&group)
                    .name("comes and goes")
                    .spawn(async move {
                        let _guard = guard;
                        poll_fn(|cx| {
                            *own.borrow_mut() = Some(cx.waker().clone());
                            Poll::<()>::Pending
                        })
                        .await;
                    });
                yield_now().await;
                if round % 3 == 0 {
                    let panics = group.spawn(async { panic!("told to") });
                    assert!(panics.await.unwrap_err().is_panic());
                }
                task.abort();
                assert!(task.await.unwrap_err().is_cancelled());
            }
        });
    });
}

#[test]
fn names_are_told_and_end_with_their_tasks() {
    bounded(|| {
        runtime().block_on(async {
            assert_eq!(task::name(), None);
            let group = Group::new(1);
            let builder = Builder::new().name("reader").group(&group);
            let (stream, _peer) = saferring::net::UnixStream::pair().unwrap();
            let reader = builder.clone().spawn(async move {
                assert_eq!(task::name().as_deref(), Some("reader"));
                stream.read(vec![0; 8]).await
            });
            let id = reader.id();
            until("a read in flight", || {
                let in_flight = saferring::runtime::in_flight();
                in_flight.iter().any(|op| {
                    op.task_name.as_deref() == Some("reader") && op.to_string().contains("(reader)")
                })
            })
            .await;
            reader.abort();
            assert!(reader.await.unwrap_err().is_cancelled());
            // The number is another's now, which has no name.
            let next = saferring::spawn(async { (task::id(), task::name()) });
            assert_eq!(next.await.unwrap(), (id, None));
            let mut set = JoinSet::new();
            let abort = builder.spawn_on(&mut set, async { task::name() });
            assert!(!abort.is_finished());
            assert_eq!(
                set.join_next().await.unwrap().unwrap().as_deref(),
                Some("reader")
            );
            assert!(abort.is_finished());
        });
    });
}

#[test]
fn abort_handles_abort_and_outlive() {
    bounded(|| {
        let abort = runtime().block_on(async {
            let gone = Rc::new(Cell::new(0));
            let guard = Gone(Rc::clone(&gone));
            let task = saferring::spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            let abort = task.abort_handle();
            let again = abort.clone();
            assert_eq!((abort.id(), abort.is_finished()), (task.id(), false));
            drop(task);
            abort.abort();
            until("its end", || abort.is_finished()).await;
            assert_eq!(gone.get(), 1);
            again.abort();
            assert!(format!("{again:?}").contains("finished: true"));
            let left = saferring::spawn(pending::<()>()).abort_handle();
            assert!(!left.is_finished());
            left
        });
        assert!(abort.is_finished());
        abort.abort();
    });
}

#[test]
fn a_set_is_joined_whole() {
    bounded(|| {
        runtime().block_on(async {
            assert!(JoinSet::<u32>::new().join_all().await.is_empty());
            let mut set: JoinSet<u32> = (0..3).map(|n| async move { n }).collect();
            let slow = async {
                sleep(Duration::from_millis(2)).await;
                7
            };
            set.spawn(slow);
            assert_eq!(set.join_all().await, [0, 1, 2, 7]);

            let gone = Rc::new(Cell::new(0));
            let fails = |end: bool| {
                let guard = Gone(Rc::clone(&gone));
                async move {
                    let mut set = JoinSet::new();
                    set.spawn(async move {
                        let _guard = guard;
                        pending::<()>().await;
                    });
                    let abort = set.spawn(async move {
                        match end {
                            true => panic!("told to"),
                            false => pending().await,
                        }
                    });
                    if !end {
                        abort.abort();
                    }
                    yield_now().await;
                    set.join_all().await;
                }
            };
            let panic = saferring::spawn(fails(true))
                .await
                .unwrap_err()
                .into_panic();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"told to"));
            assert!(saferring::spawn(fails(false)).await.unwrap_err().is_panic());
            until("both to be aborted", || gone.get() == 2).await;
        });
    });
}

saferring::task_local! {
    static NUMBER: u32;
    /// With a `Drop`.
    static GUARD: Gone;
}

#[test]
fn task_locals_belong_to_a_future() {
    bounded(|| {
        assert!(NUMBER.try_with(|_| ()).is_err());
        assert_eq!(NUMBER.sync_scope(1, || NUMBER.get()), 1);
        runtime().block_on(async {
            let gone = Rc::new(Cell::new(0));
            let inner = || async {
                let before = NUMBER.get();
                yield_now().await;
                assert_eq!(NUMBER.get(), before);
                before
            };
            let tasks: Vec<_> = (0..10)
                .map(|n| saferring::spawn(NUMBER.scope(n, inner())))
                .collect();
            for (n, task) in (0..).zip(tasks) {
                assert_eq!(task.await.unwrap(), n);
            }
            // Nested; a task that is spawned within has none.
            NUMBER
                .scope(1, async {
                    assert_eq!(NUMBER.scope(2, inner()).await, 2);
                    assert_eq!(NUMBER.with(|n| *n), 1);
                    let spawned = saferring::spawn(async { NUMBER.try_get().is_err() });
                    assert!(spawned.await.unwrap());
                })
                .await;
            // It is set while the future is dropped, and dropped itself.
            struct Looks(Rc<Cell<u32>>);
            impl Drop for Looks {
                fn drop(&mut self) {
                    self.0.set(NUMBER.get());
                }
            }
            let seen = Rc::new(Cell::new(0));
            let looks = Looks(Rc::clone(&seen));
            let scope = NUMBER.scope(9, async move {
                let _looks = looks;
                pending::<()>().await;
            });
            assert!(
                GUARD
                    .scope(Gone(Rc::clone(&gone)), scope)
                    .now_or_never()
                    .is_none()
            );
            assert_eq!((seen.get(), gone.get()), (9, 1));
            let mut taken = Box::pin(NUMBER.scope(3, async { NUMBER.try_get() }));
            assert_eq!(taken.as_mut().take_value(), Some(3));
            assert!(taken.await.is_err());
        });
    });
}

#[test]
fn task_locals_survive_panics_and_say_what_is_wrong() {
    bounded(|| {
        let panic = catch_unwind(|| NUMBER.sync_scope(5, || panic!("told to")));
        assert!(panic.is_err() && NUMBER.try_get().is_err());
        let message = |f: fn()| {
            let payload = catch_unwind(f).unwrap_err();
            let text = payload.downcast_ref::<String>().cloned();
            text.unwrap_or_else(|| (*payload.downcast_ref::<&str>().unwrap()).to_owned())
        };
        assert!(message(|| NUMBER.with(|_| ())).contains("LocalKey::scope"));
        assert!(
            message(|| NUMBER.sync_scope(1, || NUMBER.with(|_| NUMBER.sync_scope(2, || ()))))
                .contains("within `with`")
        );
        assert!(NUMBER.try_get().is_err());
        assert_eq!(
            NUMBER.try_get().unwrap_err().to_string(),
            "the task local is not set"
        );
        assert_eq!(format!("{NUMBER:?}"), "LocalKey { .. }");
    });
}

#[test]
fn the_macros_are_there() {
    bounded(|| {
        runtime().block_on(async {
            assert_eq!(saferring::join!(ready(1), ready(2)), (1, 2));
            let failed: Result<(u32, u32), &str> =
                saferring::try_join!(ready(Ok(1)), ready(Err("no")));
            assert_eq!(failed, Err("no"));
            let mut slow = pin!(sleep(Duration::from_secs(3600)).fuse());
            let mut fast = pin!(saferring::op::nop().fuse());
            saferring::select! {
                () = slow => panic!("an hour is over"),
                done = fast => done.unwrap(),
            }
            let mut first = pin!(ready(1).fuse());
            let mut second = pin!(ready(2).fuse());
            let n = saferring::select_biased! { n = first => n, n = second => n };
            assert_eq!(n, 1);
        });
    });
}
