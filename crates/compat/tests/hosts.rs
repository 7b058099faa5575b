//! Runtimes of saferring's inside of others', and the other way round: under load, cancelled, and shut down in either order.

use std::cell::Cell;
use std::future::{Future, pending};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join;
use saferring::net::{TcpListener, TcpStream, UnixStream};
use saferring::runtime::{Runtime, spawn_blocking};
use saferring::sync::oneshot;
use saferring::time::sleep;
use saferring_compat::{async_io, tokio as in_tokio};
use saferring_tests::{Account, bounded, leaks_on_purpose, pattern_bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::LocalSet;

saferring_tests::also_on_software!();

#[derive(Clone, Copy)]
enum Host {
    Tokio,
    AsyncIo,
}

impl Host {
    const ALL: [Host; 2] = [Host::Tokio, Host::AsyncIo];

    /// Runs a future of the host's beside the runtime.
    fn run_until<T>(self, runtime: &Runtime, future: impl Future<Output = T>) -> T {
        match self {
            Host::Tokio => {
                let (tokio, local) = (tokio(), LocalSet::new());
                local.block_on(&tokio, in_tokio::run_until(runtime, future))
            }
            Host::AsyncIo => {
                leaks_on_purpose(
                    &[Account::Descriptors],
                    "async-io has an epoll descriptor for the life of the process",
                );
                ::async_io::block_on(async_io::run_until(runtime, future))
            }
        }
        .unwrap()
    }

    async fn sleep(self, duration: Duration) {
        match self {
            Host::Tokio => tokio::time::sleep(duration).await,
            Host::AsyncIo => drop(::async_io::Timer::after(duration).await),
        }
    }
}

fn tokio() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// Sends everything back to so many connections, until their ends.
async fn echo(listener: TcpListener, connections: usize) {
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (stream, _) = listener.accept().await.unwrap();
        tasks.push(saferring::spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            // Who is aborted may reset it; what all others get is looked at by them.
            let _ = saferring::io::copy(&mut reader, &mut writer).await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// A thread with so many connections, which has each echo so many messages.
fn clients(to: SocketAddr, connections: usize, messages: usize) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let connect = |_| StdStream::connect(to).unwrap();
        let mut streams: Vec<_> = (0..connections).map(connect).collect();
        for message in 0..messages {
            let sent = pattern_bytes(message as u64, 64 + message * 37 % 4000);
            let mut answer = vec![0; sent.len()];
            for stream in &mut streams {
                stream.write_all(&sent).unwrap();
            }
            for stream in &mut streams {
                stream.read_exact(&mut answer).unwrap();
                assert!(answer == sent);
            }
        }
    })
}

/// An echo of tokio's, to so many connections.
async fn tokio_echo(listener: tokio::net::TcpListener, connections: usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (mut stream, _) = listener.accept().await.unwrap();
        tasks.spawn_local(async move {
            let (mut reader, mut writer) = stream.split();
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

#[test]
fn each_host_runs_it_under_load_beside_its_own() {
    bounded(|| {
        for host in Host::ALL {
            let runtime = Runtime::new().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let clients_of_ours = clients(listener.local_addr().unwrap(), 20, 100);
            host.run_until(&runtime, async {
                let server = runtime.spawn(echo(listener, 20));
                let ticks = Cell::new(0);
                let own = async {
                    if let Host::Tokio = host {
                        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                        let clients = clients(listener.local_addr().unwrap(), 20, 100);
                        tokio_echo(listener, 20).await;
                        clients.join().unwrap();
                    }
                };
                let timers = async {
                    while !server.is_finished() {
                        host.sleep(Duration::from_millis(1)).await;
                        ticks.set(ticks.get() + 1);
                    }
                };
                join(own, timers).await;
                assert!(ticks.get() > 0);
                server.await.unwrap();
            });
            clients_of_ours.join().unwrap();
            // It is a runtime as any other afterwards.
            assert_eq!(runtime.block_on(async { 3 }), 3);
        }
    });
}

#[test]
fn timers_threads_and_blocking_jobs_reach_a_guest_that_sleeps() {
    bounded(|| {
        for host in Host::ALL {
            let runtime = Runtime::new().unwrap();
            host.run_until(&runtime, async {
                let slept = runtime.spawn(sleep(Duration::from_millis(3)));
                let far = runtime.spawn(sleep(Duration::from_secs(100_000)));
                slept.await.unwrap();
                let blocking = runtime.spawn(async { spawn_blocking(|| 9).await.unwrap() });
                assert_eq!(blocking.await.unwrap(), 9);
                let (sender, receiver) = oneshot::channel();
                let waits = runtime.spawn(receiver);
                // The host has had nothing to do for a while.
                host.sleep(Duration::from_millis(2)).await;
                let handle = runtime.handle();
                let thread = std::thread::spawn(move || {
                    sender.send(1).unwrap();
                    handle.run(|| async { 2 }).wait()
                });
                assert_eq!(waits.await.unwrap(), Ok(1));
                while !thread.is_finished() {
                    host.sleep(Duration::from_millis(1)).await;
                }
                assert_eq!(thread.join().unwrap().unwrap(), 2);
                far.abort();
                assert!(far.await.unwrap_err().is_cancelled());
            });
        }
    });
}

/// What is dropped on either side of the border ends on the other, and loses no byte.
#[test]
fn cancels_cross_the_border() {
    bounded(|| {
        for host in Host::ALL {
            let runtime = Runtime::new().unwrap();
            let (one, other) = UnixStream::pair().unwrap();
            let (one, other) = (Rc::new(one), Rc::new(other));
            let reads = Rc::clone(&one);
            let read = runtime.spawn(async move { reads.read(vec![0; 8]).await });
            host.run_until(&runtime, async {
                host.sleep(Duration::from_millis(1)).await;
                read.abort();
                assert!(read.await.unwrap_err().is_cancelled());
                let (one, other) = (Rc::clone(&one), Rc::clone(&other));
                let kept = runtime.spawn(async move {
                    other.write_all("kept").await.0.unwrap();
                    one.read_exact(vec![0; 4]).await.1
                });
                assert_eq!(kept.await.unwrap(), b"kept");
            });
            // A run that ends in the middle leaves what is in flight to the next.
            let (reads, writes) = (Rc::clone(&one), Rc::clone(&other));
            let read = runtime.spawn(async move { reads.read(vec![0; 8]).await.1 });
            host.run_until(&runtime, host.sleep(Duration::from_millis(1)));
            runtime.block_on(async { writes.write_all("later").await.0.unwrap() });
            let read = host.run_until(&runtime, read);
            assert_eq!(read.unwrap(), b"later");
            // The panic of a task is its own.
            let thrown = runtime.spawn(async { panic!("told to") });
            assert!(host.run_until(&runtime, thrown).unwrap_err().is_panic());
        }
    });
}

#[test]
fn either_may_end_first() {
    bounded(|| {
        // The host, while both have something in flight.
        let runtime = Rc::new(Runtime::new().unwrap());
        let (one, other) = UnixStream::pair().unwrap();
        let read = runtime.spawn(async move { one.read(vec![0; 8]).await.1 });
        let (tokio, local, driven) = (tokio(), LocalSet::new(), Rc::clone(&runtime));
        local.spawn_local(async move { in_tokio::run(&driven).await.map(drop) });
        local.spawn_local(pending::<()>());
        local.block_on(&tokio, tokio::task::yield_now());
        drop((local, tokio));
        runtime.block_on(async { other.write_all("after").await.0.unwrap() });
        assert_eq!(runtime.block_on(read).unwrap(), b"after");

        // The guest, while a task of the host's waits for one of it.
        let waits = runtime.spawn(pending::<()>());
        let (tokio, local) = (self::tokio(), LocalSet::new());
        let ended = local.spawn_local(waits);
        let runtime = Rc::into_inner(runtime).unwrap();
        Host::Tokio.run_until(&runtime, Host::Tokio.sleep(Duration::from_millis(1)));
        drop(runtime);
        let ended = local.block_on(&tokio, ended).unwrap();
        assert!(ended.unwrap_err().is_cancelled());
    });
}

/// Each is told of what the other does, though one thread runs both.
#[test]
fn two_guests_of_one_host_serve_each_other() {
    bounded(|| {
        for host in Host::ALL {
            let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
            let (one, other) = UnixStream::pair().unwrap();
            let (sender, mut receiver) = saferring::sync::mpsc::channel(1);
            let asks = first.spawn(async move {
                for number in 0..100_u8 {
                    one.write_all(vec![number; 10]).await.0.unwrap();
                    sender.send(number).await.unwrap();
                    assert_eq!(one.read_exact(vec![0; 1]).await.1, [number]);
                }
            });
            let answers = second.spawn(async move {
                while let Some(number) = receiver.recv().await {
                    assert_eq!(other.read_exact(vec![0; 10]).await.1, [number; 10]);
                    other.write_all(vec![number]).await.0.unwrap();
                }
            });
            let inner = async {
                match host {
                    Host::Tokio => in_tokio::run_until(&second, join(asks, answers)).await,
                    Host::AsyncIo => async_io::run_until(&second, join(asks, answers)).await,
                }
            };
            let (asked, answered) = host.run_until(&first, inner).unwrap();
            asked.unwrap();
            answered.unwrap();
        }
    });
}

#[test]
fn what_is_missing_is_named() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let error = ::async_io::block_on(in_tokio::run(&runtime)).unwrap_err();
        assert!(error.to_string().contains("no runtime of tokio's"));
        let tokio = tokio();
        let nested = Runtime::new().unwrap();
        let thrown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            tokio.block_on(async { nested.block_on(in_tokio::run(&runtime)) })
        }));
        let thrown = thrown.unwrap_err();
        let text = thrown.downcast_ref::<&str>().unwrap();
        assert!(text.contains("running on this thread already"), "{text}");
    });
}

async fn asked_by_tokio(to: SocketAddr, messages: usize) -> io::Result<()> {
    let mut stream = tokio::net::TcpStream::connect(to).await?;
    for message in 0..messages {
        let sent = pattern_bytes(message as u64, 500);
        let mut answer = vec![0; sent.len()];
        stream.write_all(&sent).await?;
        stream.read_exact(&mut answer).await?;
        assert!(answer == sent);
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    // What it spawns is tokio's.
    tokio::spawn(async {}).await.unwrap();
    Ok(())
}

/// The bridge that the documentation names.
#[test]
fn what_needs_tokio_runs_in_ours() {
    bounded(|| {
        leaks_on_purpose(
            &[Account::Descriptors],
            "async-compat has a runtime of tokio's for the life of the process",
        );
        for _ in 0..2 {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let to = listener.local_addr().unwrap();
                let server = saferring::spawn(echo(listener, 21));
                let ask = |_| saferring::spawn(async_compat::Compat::new(asked_by_tokio(to, 100)));
                let asks: Vec<_> = (0..20).map(ask).collect();
                let dropped = ask(0);
                sleep(Duration::from_millis(1)).await;
                dropped.abort();
                drop(dropped.await);
                for ask in asks {
                    ask.await.unwrap().unwrap();
                }
                server.await.unwrap();
            });
            // Something of tokio's is under way when the runtime ends, and tokio goes on.
            let quiet = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let to = quiet.local_addr().unwrap();
            runtime.block_on(async {
                saferring::spawn(async_compat::Compat::new(asked_by_tokio(to, 1)));
                sleep(Duration::from_millis(1)).await;
            });
        }
    });
}

/// tokio's reactor is gone before a task of ours is that waits by it.
#[test]
fn a_reactor_that_ends_first_is_told_of() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let reactor = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let quiet = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = quiet.local_addr().unwrap();
        let connect = async move { tokio::net::TcpStream::connect(to).await.unwrap() };
        let stream = reactor.spawn(connect);
        runtime.block_on(async {
            let mut stream = stream.await.unwrap();
            let read = saferring::spawn(async move { stream.read(&mut [0; 8]).await });
            let asked = reactor.spawn(pending::<()>());
            sleep(Duration::from_millis(1)).await;
            reactor.shutdown_background();
            assert!(asked.await.unwrap_err().is_cancelled());
            assert!(read.await.unwrap().is_err());
        });
    });
}

/// Code that blocks, on any thread, has a runtime of its own for a call.
#[test]
fn blocking_code_asks_and_is_asked() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let answer = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let to = listener.local_addr().unwrap();
            let server = saferring::spawn(echo(listener, 4));
            let asks = (0..4).map(|number| {
                spawn_blocking(move || {
                    let runtime = Runtime::new().unwrap();
                    runtime.block_on(async {
                        let stream = TcpStream::connect(to).await.unwrap();
                        stream.write_all(vec![number; 100]).await.0.unwrap();
                        stream.read_exact(vec![0; 100]).await.1
                    })
                })
            });
            let asks: Vec<_> = asks.collect();
            let mut all = Vec::new();
            for ask in asks {
                all.extend(ask.await.unwrap());
            }
            server.await.unwrap();
            all
        });
        assert_eq!(
            answer,
            [vec![0; 100], vec![1; 100], vec![2; 100], vec![3; 100]].concat()
        );
    });
}
