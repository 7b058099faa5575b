//! Clients of several runtimes, and what is moved to another thread.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;

use saferring::net::TcpStream;
use saferring::runtime::Runtime;
use saferring::spawn_blocking;
use saferring_hyper::{Client, HttpConnector, client, connect_fn};
use saferring_tests::{bounded, poll_once};
use tower_service::Service;

use crate::common::{Server, Text, asked, run};

#[test]
fn two_runtimes_of_a_thread_have_a_client_each() {
    bounded(|| {
        let both = [(); 2].map(|()| {
            let runtime = Runtime::new().unwrap();
            let server = runtime.block_on(async { Server::start(None) });
            (runtime, server, client::<Text>())
        });
        for body in ["one", "two", "three"] {
            for (runtime, server, client) in &both {
                runtime.block_on(asked(client, &server.uri("http"), body));
                assert_eq!(server.accepted(), 1);
            }
        }
        for (runtime, server, client) in both {
            drop(client);
            runtime.block_on(server.end());
        }
    });
}

#[test]
fn a_client_outlives_the_runtime_of_its_connections() {
    bounded(|| {
        let client = client::<Text>();
        for _ in 0..2 {
            Runtime::new().unwrap().block_on(async {
                let server = Server::start(None);
                asked(&client, &server.uri("http"), "hello").await;
                server.end().await;
            });
        }
    });
}

#[test]
fn another_thread_sends_over_the_connection_that_is_there() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    #[cfg(feature = "tls")]
    let _ = is_shared::<Client<Text, saferring_hyper::HttpsConnector>>;
    run(async || {
        let server = Server::start(None);
        let (client, uri) = (client::<Text>(), server.uri("http"));
        is_shared(&client);
        asked(&client, &uri, "here").await;
        let other = client.clone();
        let there = spawn_blocking(move || {
            Runtime::new()
                .unwrap()
                .block_on(asked(&other, &uri, "there"));
        });
        there.await.unwrap();
        assert_eq!(server.accepted(), 1);
        drop(client);
        server.end().await;
    });
}

#[test]
fn a_connection_is_made_where_it_has_begun() {
    run(async || {
        let mut connector = connect_fn(async |_| pending::<io::Result<TcpStream>>().await);
        let ready = poll_fn(|cx| connector.poll_ready(cx));
        ready.await.unwrap();
        let mut connecting = connector.call("http://localhost/".parse().unwrap());
        assert!(poll_once(&mut connecting).await.is_none());
        let moved = std::thread::spawn(move || {
            let polled = Pin::new(&mut connecting)
                .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
            let told = matches!(polled, std::task::Poll::Ready(Err(_)));
            let dropped =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(connecting)));
            (told, dropped.is_err())
        });
        assert_eq!(moved.join().unwrap(), (true, true));
        // What has not begun may be moved.
        let connector = HttpConnector::new();
        let client: Client<Text> = saferring_hyper::client_builder().build(connector);
        let request = client.get("http://localhost/".parse().unwrap());
        std::thread::spawn(move || drop((request, client)))
            .join()
            .unwrap();
    });
}
