//! Servers and connections that are dropped after so many polls: whatever was under way, the other side is told, and nothing is
//! left (every test looks for descriptors and operations at its end).

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::join;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use saferring::fs::File;
use saferring::net::{TcpListener, TcpStream, UnixStream};
use saferring::runtime::Runtime;
use saferring::spawn;
use saferring::sync::CancellationToken;
use saferring_hyper::{Executor, FileBody, Http, IntoIo, Serving, serve};
use saferring_tests::bounded;

saferring_tests::also_on_software!();

/// Polls a future so many times, and drops it; its output, if that came before.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        let polled = future.as_mut().poll(cx);
        if left == 0 && polled.is_pending() {
            return Poll::Ready(None);
        }
        polled.map(Some)
    })
    .await
}

fn post(len: usize) -> Request<Full<Bytes>> {
    let body = Full::new(Bytes::from(vec![7; len]));
    Request::post("http://here/")
        .header("host", "here")
        .body(body)
        .unwrap()
}

/// Reads all that is sent, and answers with a file.
async fn answer(request: Request<Incoming>) -> io::Result<Response<FileBody>> {
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(io::Error::other)?;
    assert!(body.to_bytes().iter().all(|&byte| byte == 7));
    let file = File::open("Cargo.toml").await?;
    Ok(Response::new(FileBody::new(&file).await?))
}

/// One connection by this version, served for so many polls. Whether it came to its end.
async fn connection(times: usize, two: bool) -> bool {
    let (one, other) = UnixStream::pair().unwrap();
    let http = Http::new();
    let serves = polled(
        times,
        http.serve_connection(other, service_fn(answer), pending()),
    );
    let asks = async {
        let io = one.into_io();
        let response = if two {
            let (mut sender, connection) = http2::handshake(Executor, io).await?;
            spawn(async move { drop(connection.await) });
            sender.send_request(post(100_000)).await?
        } else {
            let (mut sender, connection) = http1::handshake(io).await?;
            spawn(async move { drop(connection.await) });
            sender.send_request(post(100_000)).await?
        };
        Ok::<_, hyper::Error>(response.into_body().collect().await?.to_bytes())
    };
    let (served, answer) = join(serves, asks).await;
    match (&served, &answer) {
        // What has come is whole, or it is an error.
        (_, Ok(answer)) => assert!(*answer == std::fs::read("Cargo.toml").unwrap()),
        (served, Err(_)) => assert!(served.is_none(), "{answer:?}"),
    }
    served.is_some_and(|served| served.is_ok())
}

#[test]
fn a_connection_may_be_dropped_after_any_poll() {
    for two in [false, true] {
        bounded(move || {
            Runtime::new().unwrap().block_on(async {
                let mut times = 0;
                while !connection(times, two).await {
                    times += 1;
                }
                assert!(times > 3, "{times}");
            });
        });
    }
}

#[test]
fn a_server_may_be_dropped_after_any_poll() {
    bounded(|| {
        Runtime::new().unwrap().block_on(async {
            for times in 0..40 {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let addr = listener.local_addr().unwrap();
                let stop = CancellationToken::new();
                let served = Rc::new(Cell::new(0));
                let counted = Rc::clone(&served);
                let make = move |_: &TcpStream| {
                    counted.set(counted.get() + 1);
                    service_fn(answer)
                };
                let serves = serve(listener, Serving::default(), make, drop, stop.cancelled());
                let serves = polled(times, serves);
                let asks = async {
                    for _ in 0..3 {
                        let Ok(stream) = TcpStream::connect(addr).await else {
                            continue;
                        };
                        let (mut sender, connection) =
                            http1::handshake(stream.into_io()).await.unwrap();
                        spawn(async move { drop(connection.await) });
                        if let Ok(response) = sender.send_request(post(1_000)).await {
                            drop(response.into_body().collect().await);
                        }
                    }
                    stop.cancel();
                };
                join(serves, asks).await;
            }
        });
    });
}

/// Two runtimes of one thread, by turns: what belongs to one is not the other's.
#[test]
fn servers_of_two_runtimes_share_a_thread() {
    bounded(|| {
        let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
        let listen = |runtime: &Runtime| {
            let listener = runtime.block_on(async { TcpListener::bind("127.0.0.1:0").unwrap() });
            let addr = listener.local_addr().unwrap();
            let make = |_: &TcpStream| service_fn(answer);
            let served = serve(listener, Serving::default(), make, drop, pending());
            (addr, runtime.spawn(served))
        };
        let (to_first, of_first) = listen(&first);
        let (to_second, of_second) = listen(&second);
        let ask = |addr| async move {
            let stream = TcpStream::connect(addr).await.unwrap();
            let (mut sender, connection) = http1::handshake(stream.into_io()).await.unwrap();
            spawn(async move { drop(connection.await) });
            let response = sender.send_request(post(10)).await.unwrap();
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .len()
        };
        for _ in 0..3 {
            let asked = first.spawn(ask(to_second));
            let asks = second.spawn(ask(to_first));
            while !asked.is_finished() || !asks.is_finished() {
                let _ = first.run_once();
                let _ = second.run_once();
            }
            assert_eq!(
                first.block_on(asked).unwrap(),
                second.block_on(asks).unwrap()
            );
        }
        drop(first);
        assert!(of_first.is_finished());
        drop(second);
        drop(of_second);
    });
}
