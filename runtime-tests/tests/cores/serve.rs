//! `Cores::bind`, `Core::serve` and the listeners that each core binds.

use std::future::pending;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use saferring::cores::{Balance, Core, Cores, Handle, Listener, OnPanic, Report, RunError};
use saferring::net::{TcpListener, TcpStream};
use saferring_tests::{bounded, in_child, limit, spin_until};
use socket2::{Domain, Socket, Type};

use super::{Bomb, Gate, all_done, builder};

const ALL: [Balance; 3] = [Balance::Hash, Balance::ByCpu, Balance::LeastLoaded];

/// Gives back what comes, once.
async fn echo(stream: TcpStream) {
    echo_at(&stream).await;
}

async fn echo_at(stream: &TcpStream) {
    let (n, buf) = stream.read(Vec::with_capacity(16)).await;
    if n.is_ok_and(|n| n > 0) {
        let _ = stream.write_all(buf).await;
    }
}

/// Connects, and hears a byte back.
fn ask(addr: SocketAddr) -> io::Result<()> {
    answered(StdStream::connect(addr)?)
}

/// Hears a byte back.
fn answered(mut stream: StdStream) -> io::Result<()> {
    stream.write_all(b"x")?;
    let mut answer = [0];
    stream.read_exact(&mut answer)
}

/// What is counted fits together; so many have come.
#[track_caller]
fn adds_up(report: &Report, connections: u64) -> [u64; 3] {
    let mut sums = [0; 3];
    for core in &report.cores {
        assert_eq!(
            core.connections,
            core.ended + core.cut + core.panicked,
            "{report}"
        );
        assert_eq!(core.leaked, 0, "{report}");
        for (sum, count) in sums.iter_mut().zip([core.ended, core.cut, core.panicked]) {
            *sum += count;
        }
    }
    assert_eq!(sums.iter().sum::<u64>(), connections, "{report}");
    sums
}

/// Runs `clients` on a thread beside cores that serve, and then tells those to stop.
fn serving<R: Send>(
    cores: Cores,
    listener: &Listener,
    handler: impl AsyncFn(TcpStream) + Clone + Sync + 'static,
    clients: impl FnOnce(&Handle) -> R + Send,
) -> (R, Result<Vec<()>, RunError<io::Error>>) {
    let handle = cores.handle();
    thread::scope(|scope| {
        let clients = scope.spawn(move || {
            let stop = Stop(&handle);
            clients(stop.0)
        });
        let done = cores.run(async |core: Core| {
            let handler = handler.clone();
            core.serve(listener, move |stream| {
                let handler = handler.clone();
                async move { handler(stream).await }
            })
            .await
        });
        (clients.join().unwrap(), done)
    })
}

/// Opens the gate when it is dropped, by a panic as well.
struct OpensGate(Gate);

impl Drop for OpensGate {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// Tells the cores to stop when it is dropped, by a panic as well.
struct Stop<'a>(&'a Handle);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

#[test]
fn connections_are_served_by_all_cores_until_the_end() {
    for balance in ALL {
        bounded(move || {
            let mut cores = builder(2).build().unwrap();
            let listener = cores.bind("127.0.0.1:0", balance).unwrap();
            assert_eq!(listener.balance(), balance);
            println!("{listener:?}");
            let handle = cores.handle();
            let addr = listener.local_addr();
            let ((), done) = serving(cores, &listener, echo, |_| {
                for _ in 0..100 {
                    ask(addr).unwrap();
                }
            });
            done.unwrap();
            let report = handle.report();
            println!("{balance:?}\n{report}");
            assert_eq!(adds_up(&report, 100), [100, 0, 0]);
            assert_eq!(handle.connections(), [0, 0]);
            if balance == Balance::Hash {
                assert!(report.cores.iter().all(|core| core.connections > 10));
            }
            // Also with the listener still there.
            assert!(StdStream::connect(addr).is_err());
        });
    }
}

#[test]
fn what_waits_when_all_are_told_to_stop_is_served() {
    for balance in ALL {
        bounded(move || {
            let mut cores = builder(3).build().unwrap();
            let listener = cores.bind("127.0.0.1:0", balance).unwrap();
            let handle = cores.handle();
            let addr = listener.local_addr();
            let streams: Vec<_> = (0..300)
                .map(|_| StdStream::connect(addr).unwrap())
                .collect();
            handle.shutdown();
            let (answers, done) = serving(cores, &listener, echo, |_| {
                let answers = streams.into_iter().map(answered);
                answers.filter(|answer| answer.is_ok()).count()
            });
            done.unwrap();
            let report = handle.report();
            println!("{balance:?}\n{report}");
            assert_eq!(answers, 300);
            assert_eq!(adds_up(&report, 300), [300, 0, 0]);
        });
    }
}

#[test]
fn idle_connections_are_cut_off_after_the_grace_period() {
    for balance in ALL {
        bounded(move || {
            let cores = builder(2).grace(Duration::from_millis(5));
            let mut cores = cores.build().unwrap();
            let listener = cores.bind("127.0.0.1:0", balance).unwrap();
            let handle = cores.handle();
            let addr = listener.local_addr();
            let handler = async |stream: TcpStream| {
                echo_at(&stream).await;
                pending::<()>().await;
            };
            let (streams, done) = serving(cores, &listener, handler, |handle| {
                let connect = |_| {
                    let stream = StdStream::connect(addr).unwrap();
                    answered(stream.try_clone().unwrap()).unwrap();
                    stream
                };
                let streams: Vec<_> = (0..20).map(connect).collect();
                assert_eq!(handle.connections().iter().sum::<usize>(), 20);
                streams
            });
            assert!(matches!(done, Err(RunError::CutOff { .. })), "{done:?}");
            for mut stream in streams {
                assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
            }
            assert_eq!(adds_up(&handle.report(), 20), [0, 20, 0]);
            assert_eq!(handle.connections(), [0, 0]);
        });
    }
}

#[test]
fn handlers_that_wait_for_the_end_end_in_order() {
    for balance in ALL {
        bounded(move || {
            let mut cores = builder(2).grace(Duration::MAX).build().unwrap();
            let listener = cores.bind("127.0.0.1:0", balance).unwrap();
            let handle = cores.handle();
            let addr = listener.local_addr();
            let handler = async |stream: TcpStream| {
                Core::current().stopping().await;
                let _ = stream.write_all("bye").await;
            };
            let (streams, done) = serving(cores, &listener, handler, |handle| {
                let streams: Vec<_> = (0..20).map(|_| StdStream::connect(addr).unwrap()).collect();
                spin_until("all connections", || {
                    handle.connections().iter().sum::<usize>() == 20
                });
                streams
            });
            done.unwrap();
            for mut stream in streams {
                let mut bye = String::new();
                stream.read_to_string(&mut bye).unwrap();
                assert_eq!(bye, "bye");
            }
            assert_eq!(adds_up(&handle.report(), 20), [20, 0, 0]);
        });
    }
}

#[test]
fn a_handler_that_panics_ends_its_own_connection() {
    for balance in ALL {
        bounded(move || {
            let mut cores = builder(2).build().unwrap();
            let listener = cores.bind("127.0.0.1:0", balance).unwrap();
            let handle = cores.handle();
            let addr = listener.local_addr();
            thread::scope(|scope| {
                let clients = scope.spawn(|| {
                    let _stop = Stop(&handle);
                    (0..30).filter(|_| ask(addr).is_ok()).count()
                });
                let count = AtomicUsize::new(0);
                let done = cores.run(async |core: Core| {
                    core.serve(&listener, |stream| {
                        let n = count.fetch_add(1, Ordering::Relaxed);
                        assert_ne!(n % 3, 0, "the bomb");
                        async move {
                            let _bomb = (n % 3 == 1).then(|| Bomb);
                            echo(stream).await;
                        }
                    })
                    .await
                });
                done.unwrap();
                assert_eq!(clients.join().unwrap(), 20);
            });
            let report = handle.report();
            println!("{report}");
            assert_eq!(adds_up(&report, 30), [10, 0, 20]);
            assert_eq!(handle.connections(), [0, 0]);
        });
    }
}

#[test]
fn a_port_in_use_is_an_error_and_none_serves() {
    bounded(|| {
        for balance in ALL {
            let plain = StdListener::bind("127.0.0.1:0").unwrap();
            let shared = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            shared.set_reuse_address(true).unwrap();
            shared.set_reuse_port(true).unwrap();
            shared
                .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
                .unwrap();
            shared.listen(128).unwrap();
            let shared = StdListener::from(shared);
            for other in [plain, shared] {
                let mut cores = builder(2).build().unwrap();
                let addr = other.local_addr().unwrap();
                let error = cores.bind(addr, balance).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AddrInUse, "{balance:?}");
                // It has them all.
                other.set_nonblocking(true).unwrap();
                let streams: Vec<_> = (0..20).map(|_| StdStream::connect(addr)).collect();
                let mut accepted = 0;
                spin_until("all", || {
                    accepted += usize::from(other.accept().is_ok());
                    accepted == 20
                });
                drop(streams);
                drop(other);
                // And when it is gone, the port is free.
                drop(cores.bind(addr, balance).unwrap());
            }
        }
        let mut cores = builder(1).build().unwrap();
        let first = cores.bind("127.0.0.1:0", Balance::Hash).unwrap();
        let error = cores.bind(first.local_addr(), Balance::Hash).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn a_listener_is_served_once_a_core_and_by_its_own_cores() {
    bounded(|| {
        let mut others = builder(1).build().unwrap();
        let foreign = others.bind("127.0.0.1:0", Balance::Hash).unwrap();
        let mut cores = builder(1).build().unwrap();
        let listener = cores.bind("127.0.0.1:0", Balance::Hash).unwrap();
        let done = cores.run(async |core: Core| {
            let error = core.serve(&foreign, echo).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let mut first = Box::pin(core.serve(&listener, echo));
            assert!(saferring_tests::poll_once(&mut first).await.is_none());
            let error = core.serve(&listener, echo).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        });
        done.unwrap();
    });
}

#[test]
fn a_core_may_stop_serving_and_begin_again() {
    for (balance, on_panic) in ALL
        .into_iter()
        .flat_map(|balance| [OnPanic::Stop, OnPanic::Restart].map(|on_panic| (balance, on_panic)))
    {
        bounded(move || {
            let mut cores = builder(1).on_panic(on_panic).build().unwrap();
            let listener = cores.bind("127.0.0.1:0", balance).unwrap();
            let addr = listener.local_addr();
            let handle = cores.handle();
            let done = cores.run(async |core: Core| {
                for _ in 0..3 {
                    let mut served = Box::pin(core.serve(&listener, echo));
                    assert!(saferring_tests::poll_once(&mut served).await.is_none());
                    let mut asked = Box::pin(saferring::spawn_blocking(move || ask(addr)));
                    std::future::poll_fn(|cx| {
                        assert!(served.as_mut().poll(cx).is_pending());
                        asked.as_mut().poll(cx)
                    })
                    .await
                    .unwrap()
                    .unwrap();
                }
            });
            done.unwrap();
            adds_up(&handle.report(), 3);
        });
    }
}

#[test]
fn long_connections_stay_even_with_least_loaded() {
    for count in [2, 3, 4] {
        bounded(move || {
            let mut cores = builder(count).build().unwrap();
            let listener = cores.bind("127.0.0.1:0", Balance::LeastLoaded).unwrap();
            let addr = listener.local_addr();
            let handler = async |stream: TcpStream| {
                // Its core, and then as long as the client wants.
                let id = [Core::current().id() as u8];
                let _ = stream.write_all(id).await;
                let _ = stream.read(Vec::with_capacity(1)).await;
            };
            let ((), done) = serving(cores, &listener, handler, |handle| {
                let mut open: Vec<(u8, StdStream)> = Vec::new();
                let connect = |open: &mut Vec<(u8, StdStream)>| {
                    let mut stream = StdStream::connect(addr).unwrap();
                    let mut core = [0];
                    stream.read_exact(&mut core).unwrap();
                    open.push((core[0], stream));
                };
                let even = |when: &str| {
                    let counts = handle.connections();
                    println!("{count} cores, {when}: {counts:?}");
                    let (most, sum) = (*counts.iter().max().unwrap(), counts.iter().sum::<usize>());
                    assert!(most * count * 10 <= sum * 11, "{when}: {counts:?}");
                };
                (0..200).for_each(|_| connect(&mut open));
                even("200 open");
                let mut kept = false;
                open.retain(|(core, _)| {
                    kept ^= *core == 0;
                    *core != 0 || kept
                });
                let left = open.len();
                assert!(left < 200 - 200 / count / 3);
                spin_until("their ends", || {
                    handle.connections().iter().sum::<usize>() == left
                });
                println!("half of core 0's closed: {:?}", handle.connections());
                (0..200).for_each(|_| connect(&mut open));
                even("200 more");
                drop(open);
            });
            done.unwrap();
        });
    }
}

#[test]
fn a_blocked_core_holds_up_no_connection_of_others() {
    bounded(|| {
        let mut cores = builder(3).build().unwrap();
        let listener = cores.bind("127.0.0.1:0", Balance::LeastLoaded).unwrap();
        let addr = listener.local_addr();
        let handle = cores.handle();
        let gate = Gate::default();
        let serving = Arc::new(AtomicUsize::new(0));
        thread::scope(|scope| {
            let clients = scope.spawn(|| {
                let _stop = Stop(&handle);
                let opens = OpensGate(gate.clone());
                gate.wait_for_blocked();
                spin_until("all cores", || serving.load(Ordering::Relaxed) == 3);
                let blocked = handle.connections()[0];
                let open: Vec<_> = (0..30).map(|_| StdStream::connect(addr).unwrap()).collect();
                spin_until("all", || handle.connections().iter().sum::<usize>() == 30);
                println!("with core 0 blocked: {:?}", handle.connections());
                assert_eq!(handle.connections(), [10; 3]);
                assert_eq!(blocked, 0);
                // Those of the others are served while it is blocked, and its own afterwards.
                let mut served = 0;
                for mut stream in open.iter().take(30) {
                    stream.set_nonblocking(true).unwrap();
                    stream.write_all(b"x").unwrap();
                }
                spin_until("20 answers", || {
                    let answers = open.iter().filter(|stream| {
                        let mut stream: &StdStream = stream;
                        stream.read(&mut [0]).is_ok_and(|n| n == 1)
                    });
                    served += answers.count();
                    served >= 20
                });
                assert_eq!(served, 20);
                drop(opens);
                spin_until("the others", || {
                    let answers = open.iter().filter(|stream| {
                        let mut stream: &StdStream = stream;
                        stream.read(&mut [0]).is_ok_and(|n| n == 1)
                    });
                    served += answers.count();
                    served == 30
                });
            });
            let done = cores.run(async |core: Core| {
                let gate = (core.id() == 0).then(|| gate.clone());
                let serving = Arc::clone(&serving);
                // When it serves.
                saferring::spawn(async move {
                    serving.fetch_add(1, Ordering::Relaxed);
                    if let Some(gate) = gate {
                        gate.block();
                    }
                });
                core.serve(&listener, echo).await
            });
            done.unwrap();
            clients.join().unwrap();
        });
    });
}

#[test]
fn what_waits_at_a_core_that_ends_goes_to_others() {
    for (balance, on_panic) in [Balance::Hash, Balance::LeastLoaded]
        .into_iter()
        .flat_map(|balance| [OnPanic::Stop, OnPanic::Restart].map(|on_panic| (balance, on_panic)))
    {
        bounded(move || {
            let mut cores = builder(3).on_panic(on_panic).build().unwrap();
            let listener = cores.bind("127.0.0.1:0", balance).unwrap();
            let addr = listener.local_addr();
            let handle = cores.handle();
            let gate = Gate::default();
            thread::scope(|scope| {
                let clients = scope.spawn(|| {
                    let _stop = Stop(&handle);
                    gate.wait_for_blocked();
                    let waiting: Vec<_> =
                        (0..60).map(|_| StdStream::connect(addr).unwrap()).collect();
                    gate.open();
                    for stream in waiting {
                        answered(stream).unwrap();
                    }
                    // Core 0 has ended, and nothing comes to it.
                    let closed = handle.core(0).unwrap();
                    spin_until("its end", || {
                        closed.run(async || pending::<()>().await).wait().is_err()
                    });
                    for _ in 0..60 {
                        ask(addr).unwrap();
                    }
                });
                let done = cores.run(async |core: Core| {
                    if core.id() == 0 {
                        // It never serves.
                        gate.block();
                        return Ok(());
                    }
                    core.serve(&listener, echo).await
                });
                done.unwrap();
                clients.join().unwrap();
            });
            let report = handle.report();
            println!("{balance:?} {on_panic:?}\n{report}");
            assert_eq!(report.cores[0].connections, 0);
            adds_up(&report, 120);
        });
    }
}

#[test]
fn a_listener_works_again_after_a_restart() {
    for balance in ALL {
        bounded(move || {
            let cores = builder(2).on_panic(OnPanic::Restart);
            let mut cores = cores.grace(Duration::from_millis(100)).build().unwrap();
            let listener = cores.bind("127.0.0.1:0", balance).unwrap();
            let addr = listener.local_addr();
            let handle = cores.handle();
            let lives = AtomicUsize::new(0);
            thread::scope(|scope| {
                let clients = scope.spawn(|| {
                    let _stop = Stop(&handle);
                    let mut lost = 0;
                    // Also without any that serves: they wait.
                    while handle.report().cores.iter().any(|core| core.restarts < 2) {
                        lost += usize::from(ask(addr).is_err());
                    }
                    for n in 0.. {
                        // What comes before a core has begun its last life may still be lost.
                        match ask(addr) {
                            Ok(()) if n >= 50 => break,
                            Ok(()) => {}
                            Err(_) => lost += 1,
                        }
                    }
                    println!("{balance:?}: {lost} lost");
                });
                let done = cores.run(async |core: Core| {
                    if lives.fetch_add(1, Ordering::Relaxed) >= 4 {
                        return core.serve(&listener, echo).await;
                    }
                    let mut served = Box::pin(core.serve(&listener, echo));
                    assert!(saferring_tests::poll_once(&mut served).await.is_none());
                    panic!("the bomb");
                });
                clients.join().unwrap();
                println!("{done:?}");
            });
        });
    }
}

#[test]
fn without_descriptors_nothing_burns_and_all_are_served_afterwards() {
    const NAME: &str = "serve::without_descriptors_nothing_burns_and_all_are_served_afterwards";
    in_child(NAME, || {
        limit(libc::RLIMIT_NOFILE, 300);
        for balance in [Balance::Hash, Balance::LeastLoaded] {
            let mut cores = builder(2).build().unwrap();
            let listener = cores.bind("127.0.0.1:0", balance).unwrap();
            let addr = listener.local_addr();
            let handle = cores.handle();
            let ((), done) = serving(cores, &listener, echo, |handle| {
                // Both serve when they do what is given to them.
                for core in [0, 1] {
                    handle.core(core).unwrap().run(async || ()).wait().unwrap();
                }
                ask(addr).unwrap();
                let clients: Vec<_> = (0..20).map(|_| StdStream::connect(addr).unwrap()).collect();
                // All that are left: those of the first ones are open, too.
                let mut taken = Vec::new();
                while let Ok(file) = std::fs::File::open("/dev/null") {
                    taken.push(file);
                }
                taken.truncate(taken.len() - 2);
                let more: Vec<_> = (0..2)
                    .map_while(|_| StdStream::connect(addr).ok())
                    .collect();
                let cpu = cpu_time();
                thread::sleep(Duration::from_millis(200));
                let burnt = cpu_time() - cpu;
                println!("{balance:?}: {burnt:?} of CPU in 200 ms");
                drop(taken);
                for (n, stream) in clients.into_iter().chain(more).enumerate() {
                    if let Err(error) = answered(stream) {
                        panic!("{balance:?}, {n}: {error}\n{:?}", handle.report());
                    }
                }
            });
            done.unwrap();
            println!("{}", handle.report());
        }
    });
}

/// What the process has had of the CPUs.
fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes the time, which lives across the call.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn each_core_binds_the_same_port() {
    bounded(|| {
        // A port that is free.
        let fixed = StdListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        for asked in [fixed, "127.0.0.1:0".parse().unwrap()] {
            let addrs = Mutex::new(Vec::new());
            let done = builder(3).build().unwrap().run(async |core: Core| {
                // Two each; of a fixed port one after the other.
                let mut first = TcpListener::bind(asked)?;
                let one = first.local_addr()?;
                if asked.port() != 0 {
                    drop(first);
                    first = TcpListener::bind(asked)?;
                    assert_eq!(first.local_addr()?, asked);
                }
                let second = TcpListener::bind("127.0.0.1:0")?;
                addrs.lock().unwrap().push((one, second.local_addr()?));
                all_done(&core).await;
                io::Result::Ok(())
            });
            done.unwrap();
            let addrs = addrs.into_inner().unwrap();
            assert!(addrs.iter().all(|both| *both == addrs[0]), "{addrs:?}");
            assert_ne!(addrs[0].0, addrs[0].1);
        }
    });
}

#[test]
fn a_port_of_another_is_in_use_for_a_core_as_well() {
    bounded(|| {
        let other = StdListener::bind("127.0.0.1:0").unwrap();
        let addr = other.local_addr().unwrap();
        let kinds = builder(2)
            .build()
            .unwrap()
            .run(async |_| io::Result::Ok(TcpListener::bind(addr).unwrap_err().kind()));
        assert_eq!(kinds.unwrap(), [ErrorKind::AddrInUse; 2]);
    });
}
