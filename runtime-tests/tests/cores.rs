//! A runtime on each of several CPUs, and what goes between them.

use std::io;

use futures_util::future::join_all;
use saferring::cores::{Balance, Builder, Core, Cores, Mesh, PerCore, Placement};
use saferring::net::TcpStream;
use saferring_tests::bounded;

saferring_tests::also_on_software!();

/// So many cores, however many CPUs there are.
fn builder(count: usize) -> Builder {
    Cores::builder()
        .cores(Placement::Unpinned(count))
        .signals(false)
}

#[test]
fn each_core_runs_the_closure_and_gives_its_result() {
    bounded(|| {
        let cores = builder(3).build().unwrap();
        let ids = cores.run(async |core| io::Result::Ok(core.id())).unwrap();
        assert_eq!(ids, [0, 1, 2]);
    });
}

#[test]
fn cores_call_each_other_at_full_load() {
    bounded(|| {
        let cores = builder(2).requests(4).build().unwrap();
        let sums = cores.run(async |core: Core| {
            let other = 1 - core.id();
            let calls = (0..1000_u64).map(|n| {
                let core = core.clone();
                async move {
                    core.call(other, async move |there| {
                        // Back again, while as many as may be wait here.
                        there.call_now(1 - there.id(), move |_| n).await.unwrap()
                    })
                    .await
                    .unwrap()
                }
            });
            let sum: u64 = join_all(calls).await.into_iter().sum();
            core.shutdown_when_all_are_done().await;
            io::Result::Ok(sum)
        });
        assert_eq!(sums.unwrap(), [499_500; 2]);
    });
}

trait AllDone {
    async fn shutdown_when_all_are_done(&self);
}

static DONE: PerCore<usize> = PerCore::new(|_| 0);

impl AllDone for Core {
    async fn shutdown_when_all_are_done(&self) {
        let done = DONE
            .with_on(0, |done| {
                *done += 1;
                *done
            })
            .await;
        if done.unwrap() == self.count() {
            self.shutdown();
        }
        self.stopping().await;
    }
}

#[test]
fn messages_come_in_order_and_a_full_mailbox_is_waited_for() {
    bounded(|| {
        let mesh = Mesh::<u32>::new(3);
        let cores = builder(2).build().unwrap();
        let received = cores.run(async |core: Core| {
            let other = 1 - core.id();
            let sender = {
                let mesh = mesh.clone();
                saferring::spawn(async move {
                    for n in 0..1000 {
                        mesh.send(other, n).await.unwrap();
                    }
                })
            };
            let mut next = 0;
            while next < 1000 {
                let (from, n) = mesh.recv().await.unwrap();
                assert_eq!((from, n), (other, next));
                next += 1;
            }
            sender.await.unwrap();
            io::Result::Ok(next)
        });
        assert_eq!(received.unwrap(), [1000; 2]);
    });
}

#[test]
fn connections_are_served_by_all_cores_until_the_end() {
    for balance in [Balance::Hash, Balance::LeastLoaded] {
        bounded(move || {
            let mut cores = builder(2).build().unwrap();
            let listener = cores.bind("127.0.0.1:0", balance).unwrap();
            let handle = cores.handle();
            cores
                .run(async |core: Core| {
                    if core.id() == 0 {
                        let addr = listener.local_addr();
                        let core = core.clone();
                        saferring::spawn(async move {
                            for _ in 0..100 {
                                let stream = TcpStream::connect(addr).await.unwrap();
                                stream.write_all("hello").await.0.unwrap();
                                let (n, _) = stream.read(Vec::with_capacity(16)).await;
                                assert_eq!(n.unwrap(), 5);
                            }
                            core.shutdown();
                        });
                    }
                    core.serve(&listener, |stream| async move {
                        let (n, buf) = stream.read(Vec::with_capacity(16)).await;
                        n.unwrap();
                        stream.write_all(buf).await.0.unwrap();
                    })
                    .await
                })
                .unwrap();
            let report = handle.report();
            println!("{report}");
            let ended: u64 = report.cores.iter().map(|core| core.ended).sum();
            assert_eq!(ended, 100);
            assert_eq!(handle.connections(), [0, 0]);
        });
    }
}
