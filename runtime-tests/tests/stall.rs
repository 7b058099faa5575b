//! The stall detector: a task that holds its core up is told, and nobody else. What stalls here waits, on its core's thread, until
//! the report of it has come.

use std::future::pending;
use std::panic::Location;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use saferring::op::nop;
use saferring::runtime::{Builder, Runtime, metrics, stall_looks};
use saferring::sync::local;
use saferring::sync::oneshot;
use saferring::task::{self, Group, Id, JoinSet};
use saferring_tests::{bounded, in_child, rounds, spin_until, until};

saferring_tests::also_on_software!();

/// So short that tests end soon, and so long that what does not stall does not look as if it did.
const BOUND: Duration = Duration::from_millis(100);
/// For tests that assert that something is no stall.
const LONG: Duration = Duration::from_millis(400);
/// More looks than there are within a bound, each of which counts as a quarter of it or more.
const LOOKS: u64 = 8;

const STALLS: &str = " has not turned its loop for ";
const ENDS: &str = " turns its loop again, after about ";

fn runtime(bound: Duration) -> Runtime {
    Builder::new().stall_detector(bound).build().unwrap()
}

/// What is said in this process, by its subscriber.
#[derive(Clone, Default)]
struct Told(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Told {
    /// For the whole process, which is a test's own.
    fn install() -> Self {
        let told = Told::default();
        tracing::subscriber::set_global_default(told.clone()).unwrap();
        told
    }

    fn lines(&self) -> Vec<String> {
        self.0.0.lock().unwrap().clone()
    }

    /// Blocks until so many lines have all these words.
    fn block_until(&self, count: usize, words: &[&str]) {
        let (lines, changed) = &*self.0;
        let has = |line: &&String| words.iter().all(|word| line.contains(word));
        let lines = lines.lock().unwrap();
        let came = changed.wait_while(lines, |lines| lines.iter().filter(has).count() < count);
        drop(came.unwrap());
    }

    /// A task that stalls until that was told; its number, then.
    async fn stalls(self) -> Id {
        let id = task::id();
        self.block_until(1, &[STALLS, &format!(": task {id}")]);
        id
    }
}

impl tracing::Subscriber for Told {
    fn enabled(&self, _metadata: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _attributes: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _span: &tracing::span::Id, _values: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(
                &mut self,
                _field: &tracing::field::Field,
                value: &dyn std::fmt::Debug,
            ) {
                self.0.push_str(&format!("{value:?}"));
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        assert_eq!(event.metadata().target(), "saferring");
        self.0.0.lock().unwrap().push(text.0);
        self.0.1.notify_all();
    }

    fn enter(&self, _span: &tracing::span::Id) {}

    fn exit(&self, _span: &tracing::span::Id) {}
}

/// Blocks the thread until the watchdog has looked so often.
fn block_for_looks(looks: u64) {
    let end = stall_looks() + looks;
    spin_until("looks of the watchdog", || stall_looks() >= end);
}

/// How the line begins of what the calling thread's core does.
fn core(does: &str) -> String {
    format!("core {:?}{does}", std::thread::current().name().unwrap())
}

/// The place of a call, and the number of the task that it spawned.
type Spawned = (&'static Location<'static>, Id);

/// The calling line, for the place of a call in it.
#[track_caller]
fn here() -> &'static Location<'static> {
    Location::caller()
}

/// Runs `spawns`, in which a task stalls until it was told, and compares what was told of it.
fn is_told(test: &str, name: &'static str, spawns: fn(&Runtime, Told) -> Spawned) {
    in_child(test, move || {
        let told = Told::install();
        let runtime = runtime(BOUND);
        let (place, id) = spawns(&runtime, told.clone());
        assert!(runtime.metrics().stalls > 0);
        let lines = told.lines();
        let file = format!("spawned at {}:{}:", place.file(), place.line());
        let who = format!(" ms: task {id}{name}, {file}");
        let line = lines.iter().find(|line| line.contains(STALLS));
        let line = line.unwrap_or_else(|| panic!("{lines:?}"));
        let (begins, rest) = line.split_once(&who).unwrap_or_else(|| panic!("{line}"));
        let millis = begins.strip_prefix(&core(STALLS));
        let millis: u128 = millis.unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        assert!(millis >= BOUND.as_millis(), "{line}");
        let column = rest.strip_suffix(", holds it");
        column
            .unwrap_or_else(|| panic!("{line}"))
            .parse::<u32>()
            .unwrap();
    });
}

/// A test for each way to spawn a task: `$place` is the place of the call, which stands in one line with it.
macro_rules! ways {
    ($($test:ident $name:literal: $spawns:expr;)*) => {
        $(#[test]
        fn $test() {
            is_told(stringify!($test), $name, $spawns);
        })*
    };
}

#[rustfmt::skip] // The calls stand in one line with `here`.
mod ways {
    use super::*;

    pub(super) fn spawn(runtime: &Runtime, told: Told) -> Spawned {
        runtime.block_on(async {
            let (place, task) = (here(), saferring::spawn(told.stalls()));
            (place, task.await.unwrap())
        })
    }

    pub(super) fn builder(runtime: &Runtime, told: Told) -> Spawned {
        runtime.block_on(async {
            let builder = task::Builder::new().name("compact");
            let (place, task) = (here(), builder.spawn(told.stalls()));
            (place, task.await.unwrap())
        })
    }

    pub(super) fn builder_of_group(runtime: &Runtime, told: Told) -> Spawned {
        runtime.block_on(async {
            let group = Group::new(10);
            let builder = task::Builder::new().name("batch").group(&group);
            let (place, task) = (here(), builder.spawn(told.stalls()));
            (place, task.await.unwrap())
        })
    }

    pub(super) fn group(runtime: &Runtime, told: Told) -> Spawned {
        runtime.block_on(async {
            let group = Group::new(10);
            let (place, task) = (here(), group.spawn(told.stalls()));
            (place, task.await.unwrap())
        })
    }

    pub(super) fn join_set(runtime: &Runtime, told: Told) -> Spawned {
        runtime.block_on(async {
            let mut set = JoinSet::new();
            let (place, _) = (here(), set.spawn(told.stalls()));
            (place, set.join_next().await.unwrap().unwrap())
        })
    }

    pub(super) fn builder_on_join_set(runtime: &Runtime, told: Told) -> Spawned {
        runtime.block_on(async {
            let (mut set, builder) = (JoinSet::new(), task::Builder::new().name("one of a set"));
            let (place, _) = (here(), builder.spawn_on(&mut set, told.stalls()));
            (place, set.join_next().await.unwrap().unwrap())
        })
    }

    pub(super) fn join_set_of_iterator(runtime: &Runtime, told: Told) -> Spawned {
        runtime.block_on(async {
            let (place, mut set) = (here(), JoinSet::from_iter([told.stalls()]));
            (place, set.join_next().await.unwrap().unwrap())
        })
    }

    pub(super) fn runtime_spawn(runtime: &Runtime, told: Told) -> Spawned {
        let (place, task) = (here(), runtime.spawn(told.stalls()));
        (place, runtime.block_on(task).unwrap())
    }
}

ways! {
    a_task_is_told "": ways::spawn;
    a_task_with_a_name_is_told " \"compact\"": ways::builder;
    a_task_with_a_name_and_a_group_is_told " \"batch\"": ways::builder_of_group;
    a_task_of_a_group_is_told "": ways::group;
    a_task_of_a_set_is_told "": ways::join_set;
    a_task_with_a_name_of_a_set_is_told " \"one of a set\"": ways::builder_on_join_set;
    a_task_of_a_set_from_an_iterator_is_told "": ways::join_set_of_iterator;
    a_task_that_was_spawned_from_outside_is_told "": ways::runtime_spawn;
}

#[test]
fn the_future_of_block_on_is_told_by_its_place() {
    in_child("the_future_of_block_on_is_told_by_its_place", || {
        let told = Told::install();
        let runtime = runtime(BOUND);
        let seen = told.clone();
        let stalls = async { seen.block_until(1, &[STALLS]) };
        #[rustfmt::skip]
        let (place, ()) = (here(), runtime.block_on(stalls));
        let line = told.lines().swap_remove(0);
        let expected = format!(
            " ms: the future of block_on, called at {}:{}:",
            place.file(),
            place.line()
        );
        assert!(line.starts_with(&core(STALLS)), "{line}");
        assert!(line.contains(&expected), "{line}");
        assert!(line.ends_with(", holds it"), "{line}");
    });
}

#[test]
fn a_stall_that_goes_on_is_told_again_and_counts_once() {
    in_child("a_stall_that_goes_on_is_told_again_and_counts_once", || {
        let told = Told::install();
        runtime(BOUND).block_on(async {
            let seen = told.clone();
            let long = task::Builder::new().name("long").spawn(async move {
                let before = metrics().stalls;
                seen.block_until(3, &[STALLS, "\"long\""]);
                assert_eq!(metrics().stalls, before + 1);
            });
            long.await.unwrap();
            until("the end of the stall", || {
                told.lines().iter().any(|line| line.contains(ENDS))
            })
            .await;
        });
        let lines = told.lines();
        let of = |does: &str| {
            let (core, lines) = (core(does), lines.iter());
            let told = lines.filter_map(|line| line.strip_prefix(&core)?.split_once(" ms: task "));
            let told = told.filter(|(_, who)| who.contains("\"long\""));
            told.map(|(millis, _)| millis.parse().unwrap())
                .collect::<Vec<u64>>()
        };
        let millis = of(STALLS);
        assert!(millis.len() >= 3, "{lines:?}");
        // Each bound is twice the one before, or a higher power of two.
        for (times, millis) in millis.iter().enumerate() {
            assert!(*millis >= 100 << times, "{lines:?}");
        }
        assert!(of(ENDS)[0] >= *millis.last().unwrap(), "{lines:?}");
        let end = lines.iter().find(|line| line.contains(ENDS)).unwrap();
        assert!(end.ends_with(", held it"), "{end}");
    });
}

#[test]
fn a_thread_without_a_name_is_told_by_its_number() {
    in_child("a_thread_without_a_name_is_told_by_its_number", || {
        let told = Told::install();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                runtime(BOUND).block_on(async { told.block_until(1, &[STALLS]) });
                // SAFETY: asks for a number.
                let thread = unsafe { libc::gettid() };
                let line = told.lines().swap_remove(0);
                let begins = format!("core of thread {thread}{STALLS}");
                assert!(line.starts_with(&begins), "{line}");
            });
        });
    });
}

#[test]
fn tasks_that_share_a_stall_are_told_as_several() {
    in_child("tasks_that_share_a_stall_are_told_as_several", || {
        let told = Told::install();
        runtime(BOUND).block_on(async {
            // All within one turn of the loop, and none for longer than between two looks.
            let tasks = (0..LOOKS * 2).map(|_| async { block_for_looks(1) });
            tasks.collect::<JoinSet<_>>().join_all().await;
        });
        told.block_until(1, &[STALLS, "several tasks, one after the other, and now "]);
    });
}

#[test]
fn a_foreign_waker_that_blocks_is_told_as_no_task() {
    struct Blocks(Told);
    impl Wake for Blocks {
        fn wake(self: Arc<Self>) {
            let who = "no task holds it, but the kernel or a foreign waker";
            self.0.block_until(1, &[STALLS, who]);
        }
    }
    in_child("a_foreign_waker_that_blocks_is_told_as_no_task", || {
        let told = Told::install();
        runtime(BOUND).block_on(async {
            let (sender, receiver) = local::oneshot::channel();
            let mut receiver = pin!(receiver);
            let waker = Waker::from(Arc::new(Blocks(told.clone())));
            let polled = receiver.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            sender.send(()).unwrap();
            nop().await.unwrap();
            receiver.await.unwrap();
        });
        assert!(!told.lines().is_empty());
    });
}

#[test]
fn who_waits_in_the_kernel_or_runs_nothing_does_not_stall() {
    in_child(
        "who_waits_in_the_kernel_or_runs_nothing_does_not_stall",
        || {
            let told = Told::install();
            let runtime = runtime(LONG);
            for _ in 0..2 {
                let (sender, receiver) = oneshot::channel();
                let waits = std::thread::spawn(|| {
                    block_for_looks(LOOKS);
                    sender.send(()).unwrap();
                });
                runtime.block_on(receiver).unwrap();
                waits.join().unwrap();
                // Between two calls.
                block_for_looks(LOOKS);
            }
            assert_eq!(runtime.metrics().stalls, 0);
            assert_eq!(told.lines(), [""; 0]);
        },
    );
}

#[test]
fn who_spins_does_not_stall() {
    in_child("who_spins_does_not_stall", || {
        let told = Told::install();
        let builder = Builder::new().stall_detector(LONG);
        let runtime = builder.spin(Duration::from_secs(3600)).build().unwrap();
        runtime.block_on(async {
            // After these it spins instead of sleeping.
            for _ in 0..8 {
                saferring::time::sleep(Duration::from_millis(1)).await;
            }
            let (sender, receiver) = oneshot::channel();
            let waits = std::thread::spawn(|| {
                block_for_looks(LOOKS);
                sender.send(()).unwrap();
            });
            receiver.await.unwrap();
            waits.join().unwrap();
        });
        assert_eq!(told.lines(), [""; 0]);
    });
}

#[test]
fn of_two_cores_the_one_is_told_that_stalls() {
    in_child("of_two_cores_the_one_is_told_that_stalls", || {
        let told = Told::install();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let seen = told.clone();
        let stalls = thread("stalls").spawn(move || {
            let runtime = runtime(LONG);
            let task = runtime.spawn(seen.stalls());
            runtime.block_on(task).unwrap();
            runtime.metrics().stalls
        });
        let seen = told.clone();
        let turns = thread("turns").spawn(move || {
            let runtime = runtime(LONG);
            runtime.block_on(until("the report", || !seen.lines().is_empty()));
            runtime.metrics().stalls
        });
        assert!(stalls.unwrap().join().unwrap() > 0);
        assert_eq!(turns.unwrap().join().unwrap(), 0);
        let lines = told.lines();
        let of_it = |line: &String| line.starts_with("core \"stalls\"");
        assert!(lines.iter().all(of_it), "{lines:?}");
    });
}

#[test]
fn the_drop_of_a_task_at_shutdown_is_told() {
    struct Blocks(Told);
    impl Drop for Blocks {
        fn drop(&mut self) {
            self.0
                .block_until(1, &[STALLS, "\"slow to end\", spawned at "]);
        }
    }
    in_child("the_drop_of_a_task_at_shutdown_is_told", || {
        let told = Told::install();
        let runtime = runtime(BOUND);
        let blocks = Blocks(told.clone());
        runtime.block_on(async {
            let builder = task::Builder::new().name("slow to end");
            drop(builder.spawn(async {
                let _blocks = blocks;
                pending::<()>().await;
            }));
            nop().await.unwrap();
        });
        // It ends as soon as that was told.
        drop(runtime);
        assert!(!told.lines().is_empty());
        spin_until("the end of the thread", || watchdogs() == 0);
    });
}

#[test]
fn ten_lines_a_minute_are_told() {
    in_child("ten_lines_a_minute_are_told", || {
        let told = Told::install();
        let runtime = runtime(Duration::from_millis(1));
        while runtime.metrics().stalls < 20 {
            runtime.block_on(async { block_for_looks(LOOKS) });
        }
        block_for_looks(1);
        // No minute has passed: `spin_until` would have failed.
        assert_eq!(told.lines().len(), 10, "{:?}", told.lines());
    });
}

/// How many threads of this process are watchdogs.
fn watchdogs() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| {
        // It may have ended meanwhile.
        std::fs::read_to_string(task.unwrap().path().join("comm")).ok()
    });
    names.filter(|name| name == "saferring-stall\n").count()
}

#[test]
fn there_is_one_thread_as_long_as_a_runtime_wants_it() {
    in_child("there_is_one_thread_as_long_as_a_runtime_wants_it", || {
        let without = Runtime::new().unwrap();
        without.block_on(nop()).unwrap();
        assert_eq!(watchdogs(), 0);
        for _ in 0..2 {
            let first = runtime(BOUND);
            let other = std::thread::spawn(|| {
                let second = runtime(BOUND * 2);
                block_for_looks(2);
                assert_eq!(watchdogs(), 1);
                drop(second);
            });
            other.join().unwrap();
            block_for_looks(2);
            assert_eq!(watchdogs(), 1);
            drop(first);
            spin_until("the end of the thread", || watchdogs() == 0);
        }
    });
}

#[test]
fn a_child_of_fork_may_have_a_watchdog_of_its_own() {
    in_child("a_child_of_fork_may_have_a_watchdog_of_its_own", || {
        // It looks all the time, so that it is in the middle of a look at some fork.
        let parent = runtime(Duration::from_millis(1));
        for _ in 0..rounds(50) {
            let child = parent.block_on(async {
                // SAFETY: the child uses what belongs to its thread, and ends by `_exit`.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    // The lost runtime's tasks are noted still.
                    drop(saferring::spawn(async {}));
                }
                child
            });
            assert!(child >= 0);
            if child == 0 {
                assert_eq!(watchdogs(), 0);
                let own = std::thread::spawn(|| {
                    let own = runtime(Duration::from_millis(1));
                    own.block_on(async { block_for_looks(LOOKS) });
                    own.metrics().stalls > 0 && watchdogs() == 1
                });
                let well = own.join().unwrap_or(false);
                // SAFETY: ends the process.
                unsafe { libc::_exit(if well { 0 } else { 1 }) }
            }
            let mut status = 0;
            // SAFETY: the status lives across the call.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert!(libc::WIFEXITED(status), "{status}");
            assert_eq!(libc::WEXITSTATUS(status), 0);
        }
    });
}

#[test]
fn without_a_subscriber_a_report_is_a_line_on_stderr() {
    const ROLE: &str = "SAFERRING_TEST_STALLS";
    const NAME: &str = "without_a_subscriber_a_report_is_a_line_on_stderr";
    bounded(|| {
        if std::env::var_os(ROLE).is_some() {
            let runtime = runtime(BOUND);
            let task = runtime.spawn(async { block_for_looks(LOOKS) });
            runtime.block_on(task).unwrap();
            return;
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args([NAME, "--exact", "--nocapture"]).env(ROLE, "1");
        let output = child.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        let line = text.lines().find(|line| line.contains(STALLS));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        assert!(line.starts_with("saferring: core \""), "{text}");
        assert!(line.ends_with(", holds it"), "{text}");
    });
}
