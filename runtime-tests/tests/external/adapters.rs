//! Runtimes as guests of tokio and of async-io: two small adapters, and what they carry.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{TcpListener as StdListener, TcpStream as StdStream};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use async_io::{Async, Timer};
use futures_util::future::{Either, join, select};
use saferring::net::TcpListener;
use saferring::runtime::{Runtime, spawn_blocking};
use saferring::sync::oneshot;
use saferring::time::sleep;
use saferring_tests::bounded;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::LocalSet;

use crate::support::{clients, echo_to, runtime};

/// Runs `runtime` for as long as it is polled, in a runtime of tokio's with IO and time, on one thread with it.
async fn beside_tokio(runtime: &Runtime) -> io::Result<Infallible> {
    let fd = runtime.try_as_fd()?;
    // SAFETY: a borrowed descriptor is open for as long as it lives, and always the same.
    let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
    loop {
        if runtime.run_once() {
            tokio::task::yield_now().await;
            continue;
        }
        let readable = match runtime.next_deadline() {
            None => Ok(fd.readable().await),
            Some(at) => tokio::time::timeout_at(at.into(), fd.readable()).await,
        };
        if let Ok(guard) = readable {
            // Before the turn: what comes during it is told again.
            guard?.clear_ready();
        }
    }
}

/// The same on any executor, by async-io's thread.
async fn beside_async_io(runtime: &Runtime) -> io::Result<Infallible> {
    let fd = Async::new_nonblocking(runtime.try_as_fd()?)?;
    loop {
        if runtime.run_once() {
            yield_once().await;
            continue;
        }
        let readable = pin!(fd.readable());
        match runtime.next_deadline() {
            None => readable.await?,
            Some(at) => match select(readable, Timer::at(at)).await {
                Either::Left((readable, _)) => readable?,
                Either::Right(_) => {}
            },
        }
    }
}

/// Lets the executor run others.
async fn yield_once() {
    let mut is_first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut is_first) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// The future's output; the runtime is run meanwhile.
async fn with<T>(
    runs: impl Future<Output = io::Result<Infallible>>,
    future: impl Future<Output = T>,
) -> T {
    match select(pin!(future), pin!(runs)).await {
        Either::Left((output, _)) => output,
        Either::Right((Err(error), _)) => panic!("the runtime cannot be run: {error}"),
        Either::Right((Ok(never), _)) => match never {},
    }
}

/// What is asked of a runtime by tasks of another, which await its handles.
async fn work(runtime: &Runtime) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let clients = clients(listener.local_addr().unwrap(), 10, 20);
    let server = runtime.spawn(echo_to(listener, 10));
    let slept = runtime.spawn(sleep(Duration::from_millis(3)));
    let blocking = runtime.spawn(async { spawn_blocking(|| 9).await.unwrap() });
    assert_eq!(blocking.await.unwrap(), 9);
    slept.await.unwrap();
    server.await.unwrap();
    clients.join().unwrap();
    // While everything sleeps.
    let (sender, receiver) = oneshot::channel();
    let waits = runtime.spawn(receiver);
    let thread = std::thread::spawn(move || sender.send(1).unwrap());
    assert_eq!(waits.await.unwrap(), Ok(1));
    thread.join().unwrap();
    let aborted = runtime.spawn(std::future::pending::<()>());
    assert_eq!(runtime.spawn(async { 2 }).await.unwrap(), 2);
    aborted.abort();
    assert!(aborted.await.unwrap_err().is_cancelled());
}

#[test]
fn tokio_drives_it_beside_tasks_of_its_own() {
    bounded(|| {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let runtime = Rc::new(runtime());
        let local = LocalSet::new();
        local.block_on(&tokio, async {
            let runtime = Rc::clone(&runtime);
            let own = tokio::task::spawn_local(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let connect = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
                let (accepted, connected) = join(listener.accept(), connect).await;
                drop((accepted.unwrap(), connected.unwrap()));
                tokio::time::sleep(Duration::from_millis(2)).await;
            });
            with(beside_tokio(&runtime), join(work(&runtime), own))
                .await
                .1
                .unwrap();
        });
        drop(local);
        // It is a runtime as any other afterwards.
        assert_eq!(runtime.block_on(async { 3 }), 3);
    });
}

#[test]
fn async_io_drives_it_beside_sources_of_its_own() {
    bounded(|| {
        // Its thread has descriptors that stay for the process.
        saferring_tests::leaks_on_purpose(
            &[saferring_tests::Account::Descriptors],
            "async-io has an epoll descriptor for the life of the process",
        );
        let runtime = runtime();
        let own = async {
            let listener = StdListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let listener = Async::new(listener).unwrap();
            let connect = Async::<StdStream>::connect(address);
            let (accepted, connected) = join(listener.accept(), connect).await;
            drop((accepted.unwrap(), connected.unwrap()));
            Timer::after(Duration::from_millis(2)).await;
        };
        async_io::block_on(with(beside_async_io(&runtime), join(work(&runtime), own)));
        assert_eq!(runtime.block_on(async { 3 }), 3);
    });
}
