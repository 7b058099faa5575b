//! Latency options change how a runtime waits, and no result.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use saferring::net::{TcpListener, TcpStream};
use saferring::runtime::{Builder, Runtime};
use saferring::task::yield_now;
use saferring::time::sleep;
use saferring_tests::{bounded, is_software};

saferring_tests::also_on_software!();

/// Operations alone and many at once, sockets, timers, and wakes from another thread.
async fn work() {
    for _ in 0..100 {
        saferring::op::nop().await.unwrap();
    }
    let nops: Vec<_> = (0..1000).map(|_| saferring::op::nop().submit()).collect();
    for nop in nops {
        nop.await.unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = saferring::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut buf = Vec::with_capacity(64);
        loop {
            let (read, data) = stream.read(buf).await;
            if read.unwrap() == 0 {
                return;
            }
            let (written, data) = stream.write_all(data).await;
            written.unwrap();
            buf = data;
        }
    });
    let client = TcpStream::connect(address).await.unwrap();
    for round in 0..200u8 {
        client.write_all([round; 64]).await.0.unwrap();
        let (read, back) = client.read_exact([0; 64]).await;
        read.unwrap();
        assert_eq!(back, [round; 64]);
    }
    drop(client);
    server.await.unwrap();
    for _ in 0..5 {
        sleep(Duration::from_millis(1)).await;
    }
    let (there, mut back) = futures_util::future::join(
        saferring::spawn_blocking(|| 1),
        saferring::spawn_blocking(|| vec![2]),
    )
    .await;
    back.as_mut().unwrap().push(there.unwrap());
    assert_eq!(back.unwrap(), [2, 1]);
}

fn works_with(builder: Builder) -> Runtime {
    let runtime = builder.build().unwrap();
    for _ in 0..3 {
        runtime.block_on(work());
    }
    assert_eq!(runtime.metrics().stale, 0);
    runtime
}

#[test]
fn an_event_interval_of_any_length() {
    bounded(|| {
        // Zero is one: with no polls at all between two looks at the kernel nothing would ever run.
        for polls in [0, 1, 2, u32::MAX] {
            works_with(Builder::new().event_interval(polls));
        }
    });
}

#[test]
fn a_task_that_yields_for_ever_keeps_nobody_out() {
    bounded(|| {
        for polls in [0, 1, 2] {
            let runtime = Builder::new().event_interval(polls).build().unwrap();
            let yields = Rc::new(Cell::new(0u64));
            let counter = Rc::clone(&yields);
            runtime.spawn(async move {
                loop {
                    counter.set(counter.get() + 1);
                    yield_now().await;
                }
            });
            runtime.block_on(work());
            assert!(yields.get() > 100);
        }
    });
}

#[test]
fn an_adaptive_spin() {
    bounded(|| {
        works_with(Builder::new().spin(Duration::from_micros(50)));
        // As long as it takes: a spin must see what comes, be it a completion, a timer or another thread's wake.
        works_with(Builder::new().spin(Duration::from_secs(3600)));
    });
}

#[test]
fn a_minimal_wait() {
    bounded(|| {
        works_with(Builder::new().min_wait(Duration::from_micros(50), 8));
        works_with(Builder::new().min_wait(Duration::from_micros(1), u32::MAX));
        works_with(Builder::new().min_wait(Duration::ZERO, 0));
        works_with(Builder::new().min_wait(Duration::ZERO, 8));
    });
}

#[test]
fn a_polled_network_card() {
    bounded(|| {
        works_with(Builder::new().napi(Duration::from_micros(50), true));
    });
}

#[test]
fn a_thread_of_the_kernel_submits() {
    bounded(|| {
        const SQPOLL: u32 = 1 << 1;
        let runtime = works_with(Builder::new().sqpoll(Duration::from_millis(1)));
        let asked = runtime.ring_info().unwrap().setup_flags & SQPOLL != 0;
        assert_eq!(asked, !is_software());
        // It works in a queue too small for what is submitted, too.
        works_with(
            Builder::new()
                .sqpoll(Duration::from_millis(100))
                .entries(8)
                .completion_entries(16),
        );
    });
}

#[test]
fn all_at_once() {
    bounded(|| {
        works_with(
            Builder::new()
                .event_interval(1)
                .spin(Duration::from_micros(20))
                .min_wait(Duration::from_micros(10), 2)
                .napi(Duration::from_micros(10), false)
                .sqpoll(Duration::from_millis(1)),
        );
    });
}
