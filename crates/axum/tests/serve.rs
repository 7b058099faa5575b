//! Routers on one core and on several.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use saferring::cores::{Balance, Cores, Placement};
use saferring::net::{TcpListener, TcpStream};
use saferring::runtime::Runtime;
use saferring::sync::{CancellationToken, local::Notify};
use saferring::{spawn, spawn_blocking};
use saferring_axum::{FileBody, OnCore, Serving, local, serve, serve_core};
use saferring_hyper::{Client, HttpConnector, client, client_builder};
use saferring_tests::{bounded, until};

saferring_tests::also_on_software!();

fn run(test: impl AsyncFnOnce() + Send + 'static) {
    bounded(|| Runtime::new().unwrap().block_on(test()));
}

/// What this core shares.
#[derive(Default)]
struct Shared {
    count: Cell<u64>,
    begun: Notify,
    go_on: Notify,
}

type OfCore = State<OnCore<Shared>>;

fn router(shared: OnCore<Shared>) -> Router {
    Router::new()
        .route("/", get(async || "Hello, world!"))
        .route(
            "/count",
            post(async |State(shared): OfCore| {
                shared.count.set(shared.count.get() + 1);
                shared.count.get().to_string()
            }),
        )
        .route("/body", get(async || local(file_body()).await))
        .route("/file", get(async || local(read_manifest()).await))
        .route(
            "/slow",
            get(async |State(shared): OfCore| {
                local(async move {
                    shared.begun.notify_one();
                    shared.go_on.notified().await;
                    "done"
                })
                .await
            }),
        )
        .route(
            "/sum/{a}",
            post(async |Path(a): Path<u32>, Json(b): Json<u32>| Json(a + b)),
        )
        .route(
            "/panic",
            get(async || -> &'static str { panic!("as it is told to") }),
        )
        .with_state(shared)
}

async fn read_manifest() -> Result<Vec<u8>, StatusCode> {
    // Descriptors of tasks that are not `Send`, and a thread.
    let rc = Rc::new(());
    let read = saferring::fs::read("Cargo.toml").await;
    let length = spawn_blocking(|| std::fs::read("Cargo.toml").map(|bytes| bytes.len())).await;
    drop(rc);
    match (read, length) {
        (Ok(bytes), Ok(Ok(length))) if bytes.len() == length => Ok(bytes),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

async fn file_body() -> Result<Body, StatusCode> {
    let file = saferring::fs::File::open("Cargo.toml").await;
    let body = FileBody::new(&file.map_err(|_| StatusCode::NOT_FOUND)?).await;
    body.map(Body::new).map_err(|_| StatusCode::NOT_FOUND)
}

async fn ask(client: &Client<Full<Bytes>>, request: Request<Full<Bytes>>) -> (StatusCode, String) {
    let response = client.request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn request(
    method: &str,
    addr: impl std::fmt::Display,
    path: &str,
    body: &'static str,
) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("http://{addr}{path}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

#[test]
fn a_router_is_served_until_it_is_to_stop() {
    run(async || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, shared) = (CancellationToken::new(), OnCore::new(Shared::default()));
        let failed = Rc::new(Cell::new(0));
        let (stopped, counted) = (stop.clone(), Rc::clone(&failed));
        let server = serve(listener, router(shared.clone()))
            .with_graceful_shutdown(async move { stopped.cancelled().await })
            .on_error(move |_| counted.set(counted.get() + 1));
        let server = spawn(server.into_future());
        let client = client();
        let get = |path: &str| request("GET", addr, path, "");
        assert_eq!(
            ask(&client, get("/")).await,
            (StatusCode::OK, "Hello, world!".to_owned())
        );
        assert_eq!(ask(&client, get("/none")).await.0, StatusCode::NOT_FOUND);
        assert_eq!(
            ask(&client, request("POST", addr, "/", "")).await.0,
            StatusCode::METHOD_NOT_ALLOWED
        );
        for n in ["1", "2", "3"] {
            assert_eq!(ask(&client, request("POST", addr, "/count", "")).await.1, n);
        }
        assert_eq!(
            ask(&client, request("POST", addr, "/sum/40", "2")).await.1,
            "42"
        );
        assert_eq!(
            ask(&client, request("POST", addr, "/sum/40", "x")).await.0,
            StatusCode::BAD_REQUEST
        );
        for path in ["/file", "/body"] {
            let file = ask(&client, get(path)).await.1;
            assert_eq!(file, std::fs::read_to_string("Cargo.toml").unwrap());
        }
        // A panic is its connection's own.
        assert!(client.request(get("/panic")).await.is_err());
        // One that has begun ends in order.
        let slow = ask(&client, get("/slow"));
        let stops = async {
            shared.begun.notified().await;
            stop.cancel();
            until("the end of accepting", || StdStream::connect(addr).is_err()).await;
            shared.go_on.notify_one();
        };
        let (slow, ()) = futures_util::future::join(slow, stops).await;
        assert_eq!(slow, (StatusCode::OK, "done".to_owned()));
        server.await.unwrap().unwrap();
        assert_eq!(failed.get(), 0);
    });
}

#[test]
fn clients_that_go_leave_nothing() {
    run(async || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, shared) = (CancellationToken::new(), OnCore::new(Shared::default()));
        let stopped = stop.clone();
        let server = serve(listener, router(shared.clone()))
            .with_graceful_shutdown(async move { stopped.cancelled().await });
        let server = spawn(server.into_future());
        for sent in [
            "",
            "GET / HT",
            "POST /sum/1 HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n12",
            "nonsense\r\n\r\n",
        ] {
            let stream = TcpStream::connect(addr).await.unwrap();
            stream.write_all(sent.as_bytes().to_vec()).await.0.unwrap();
        }
        // In the middle of a handler, whose future is dropped on its core.
        let stream = TcpStream::connect(addr).await.unwrap();
        stream
            .write_all("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .0
            .unwrap();
        shared.begun.notified().await;
        drop(stream);
        stop.cancel();
        server.await.unwrap().unwrap();
    });
}

/// The body of an answer, over a connection of its own.
fn ask_std(addr: std::net::SocketAddr, head: &str) -> String {
    let mut stream = StdStream::connect(addr).unwrap();
    write!(
        stream,
        "{head} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    )
    .unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    all.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn each_core_has_a_router_and_state_of_its_own() {
    bounded(|| {
        let cores = Cores::builder()
            .cores(Placement::Unpinned(3))
            .signals(false);
        let mut cores = cores.build().unwrap();
        let listener = cores.bind("127.0.0.1:0", Balance::LeastLoaded).unwrap();
        let (addr, handle) = (listener.local_addr(), cores.handle());
        let clients = thread::spawn(move || {
            let mut counts = Vec::new();
            thread::scope(|scope| {
                let threads = [(); 4].map(|()| {
                    scope.spawn(|| {
                        (0..25)
                            .map(|_| ask_std(addr, "POST /count"))
                            .collect::<Vec<_>>()
                    })
                });
                for thread in threads {
                    counts.extend(thread.join().unwrap());
                }
            });
            handle.shutdown();
            counts
        });
        let served = cores.run(async |core| {
            let shared = OnCore::new(Shared::default());
            let serving = Serving::default();
            serve_core(&core, &listener, router(shared.clone()), serving).await?;
            std::io::Result::Ok(shared.count.get())
        });
        let counts = clients.join().unwrap();
        assert_eq!(served.unwrap().iter().sum::<u64>(), 100);
        assert_eq!(counts.len(), 100);
    });
}

#[test]
fn a_core_serves_so_many_connections_at_a_time() {
    bounded(|| {
        let cores = Cores::builder()
            .cores(Placement::Unpinned(1))
            .signals(false);
        let mut cores = cores.build().unwrap();
        let listener = cores.bind("127.0.0.1:0", Balance::Hash).unwrap();
        let (addr, handle) = (listener.local_addr(), cores.handle());
        let clients = thread::spawn(move || {
            let busy = StdStream::connect(addr).unwrap();
            let mut one = &busy;
            one.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            let mut buf = [0; 500];
            assert!(one.read(&mut buf).unwrap() > 0);
            let waits = thread::spawn(move || ask_std(addr, "GET /"));
            drop(busy);
            assert_eq!(waits.join().unwrap(), "Hello, world!");
            handle.shutdown();
        });
        let served = cores.run(async |core| {
            let serving = Serving {
                connections: 1,
                ..Serving::default()
            };
            serve_core(
                &core,
                &listener,
                router(OnCore::new(Shared::default())),
                serving,
            )
            .await
        });
        served.unwrap();
        clients.join().unwrap();
    });
}

#[test]
fn what_is_local_does_not_leave_its_thread() {
    bounded(|| {
        let shared = OnCore::new(5);
        assert_eq!(
            (*shared, format!("{shared:?}")),
            (5, "OnCore(5)".to_owned())
        );
        let (moved, future) = (shared.clone(), local(async { 1 }));
        assert!(format!("{future:?}").starts_with("Local"));
        let both = thread::spawn(move || {
            let used = catch_unwind(AssertUnwindSafe(|| *moved)).is_err();
            let text = format!("{moved:?}");
            let polled = catch_unwind(AssertUnwindSafe(|| {
                let mut future = Box::pin(future);
                let waker = std::task::Waker::noop();
                let cx = &mut std::task::Context::from_waker(waker);
                let polled = std::pin::Pin::new(&mut future).poll(cx).is_ready();
                std::mem::forget(future);
                polled
            }));
            std::mem::forget(moved);
            (used, text, polled.is_err())
        });
        assert_eq!(
            both.join().unwrap(),
            (true, "OnCore(of another thread)".to_owned(), true)
        );
        drop(shared);
    });
}

#[test]
fn many_at_once_over_http2_and_1() {
    run(async || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, shared) = (CancellationToken::new(), OnCore::new(Shared::default()));
        let stopped = stop.clone();
        let server = serve(listener, router(shared.clone()))
            .with_graceful_shutdown(async move { stopped.cancelled().await })
            .with(Serving::default());
        let server = spawn(server.into_future());
        let one = client();
        let two: Client<Full<Bytes>> = client_builder()
            .http2_only(true)
            .build(HttpConnector::new());
        for _ in 0..5 {
            let ones = (0..20).map(|_| ask(&one, request("GET", addr, "/file", "")));
            let twos = (0..20).map(|_| async {
                let response = two
                    .request(request("GET", addr, "/file", ""))
                    .await
                    .unwrap();
                response
                    .into_body()
                    .collect()
                    .await
                    .unwrap()
                    .to_bytes()
                    .len()
            });
            let (ones, twos) = futures_util::future::join(join_all(ones), join_all(twos)).await;
            let len = std::fs::read("Cargo.toml").unwrap().len();
            assert!(ones.iter().all(|(_, text)| text.len() == len));
            assert!(twos.iter().all(|&read| read == len));
        }
        stop.cancel();
        drop((one, two));
        let ended = saferring::time::timeout(Duration::from_secs(20), server).await;
        ended.unwrap().unwrap().unwrap();
    });
}
