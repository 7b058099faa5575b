//! What is documented to panic, and the words in which it says what was wrong.

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;

use futures_util::FutureExt;
use saferring::buf::BufferPool;
use saferring::fs::FixedBufPool;
use saferring::net::UnixStream;
use saferring::op::nop;
use saferring::runtime::{fixed_buffers, in_flight, metrics};
use saferring::{spawn, spawn_blocking, task};
use saferring_tests::{bounded, small_pool};

use super::{panic_text, runtime};

/// Checks that `body` panics, with all of these words.
#[track_caller]
fn panics<R>(body: impl FnOnce() -> R, words: &[&str]) {
    let panic = catch_unwind(AssertUnwindSafe(body)).map(drop).unwrap_err();
    says(panic_text(panic), words);
}

#[track_caller]
fn says(text: String, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

/// [`panics`] of the poll of a future that has given its answer.
async fn panics_again<F: Future + Unpin>(future: &mut F, words: &[&str]) {
    let again = AssertUnwindSafe(poll_fn(|cx| Pin::new(&mut *future).poll(cx)));
    let panic = again.catch_unwind().await.map(drop).unwrap_err();
    says(panic_text(panic), words);
}

#[test]
fn what_needs_a_runtime_says_so() {
    bounded(|| {
        let runtimes = "a saferring runtime";
        panics(|| nop().submit(), &[runtimes, "block_on"]);
        panics(|| spawn(async {}), &[runtimes, "block_on"]);
        panics(|| spawn_blocking(|| {}), &["spawn_blocking", runtimes]);
        panics(metrics, &["metrics", runtimes]);
        panics(in_flight, &["in_flight", runtimes]);
        panics(fixed_buffers, &[runtimes, "block_on"]);
        panics(|| FixedBufPool::new(1, 1), &[runtimes, "block_on"]);
    });
}

#[test]
fn what_has_given_its_answer_is_not_asked_again() {
    bounded(|| {
        runtime().block_on(async {
            let mut op = nop().submit();
            (&mut op).await.unwrap();
            panics_again(&mut op, &["polled after it had completed"]).await;

            let (stream, _peer) = UnixStream::pair().unwrap();
            let mut send = Box::pin(stream.send_zc([1, 2]));
            let (sent, mut buf) = send.as_mut().await;
            assert_eq!(sent.unwrap(), 2);
            panics_again(&mut send, &["a send was polled after it had completed"]).await;
            assert_eq!((&mut buf).await, [1, 2]);
            panics_again(&mut buf, &["after it had been given back"]).await;

            let mut task = spawn(async { 7 });
            assert_eq!((&mut task).await.unwrap(), 7);
            panics_again(&mut task, &["JoinHandle polled after it gave its answer"]).await;
        });
    });
}

#[test]
fn tasks_and_their_errors() {
    bounded(|| {
        runtime().block_on(async {
            panics(task::id, &["task::id called outside a task"]);
            assert!(task::try_id().is_none());
            let task = spawn(pending::<()>());
            task.abort();
            let error = task.await.unwrap_err();
            panics(|| error.into_panic(), &["into_panic", "was cancelled"]);
        });
    });
}

#[test]
fn buffers_have_their_bounds() {
    bounded(|| {
        runtime().block_on(async {
            let pool = small_pool(1, 100);
            let mut fixed = pool.take().await;
            fixed.resize(100, 7);
            assert_eq!(fixed[..], [7; 100]);
            let exceeds = ["length of 101", "capacity of 100"];
            panics(|| fixed.resize(101, 0), &exceeds);
            assert_eq!(fixed.len(), 100);
            let mut pooled = BufferPool::new(100, 1).try_take().unwrap();
            panics(|| pooled.resize(101, 0), &exceeds);
            panics(
                || BufferPool::new(0, 1),
                &["a pool of buffers without room"],
            );
        });
    });
}
