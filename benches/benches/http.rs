//! HTTP and frames over TCP: hyper, axum and `Framed` on saferring beside the same on tokio.
//!
//! `cargo bench --bench http` starts each server as a process of its own on one CPU, loads it from the other (HTTP with `wrk`, which
//! has to be installed; frames by itself), and prints CPU time (user and system) a request: medians over the rounds, in which all
//! take turns, and the median of each round's ratio to the first. `--rounds N` makes so many, `--seconds N` loads each so long,
//! `--only NAME` takes the loads with this in their name. Frames are of 64 bytes, by 50 connections.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use rustix::thread::{CpuSet, sched_setaffinity};
use saferring::runtime::Runtime;
use saferring_compat::Compat;
use tokio::net::TcpListener as TokioListener;
use tokio_util::codec::LengthDelimitedCodec;

/// What a load is served by; the first is what the others are compared with.
const HYPER: &[&str] = &["hyper on tokio", "hyper on saferring"];
const AXUM: &[&str] = &["axum on tokio", "axum on saferring"];
const FRAMED: &[&str] = &[
    "Framed on tokio",
    "Framed on Compat",
    "saferring_compat::Framed",
];

/// Name, connections, bytes a body.
const HTTP: [(usize, usize); 4] = [(64, 64), (64, 16 << 10), (1_000, 64), (1_000, 16 << 10)];

const FRAME_CONNECTIONS: usize = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    if let Some(name) = value("--serve") {
        let body = value("--body").and_then(|body| body.parse().ok());
        return serve(&name, body.unwrap_or(64));
    }
    if arguments.iter().any(|argument| argument == "--test") {
        return; // Run by `cargo test`.
    }
    let number = |name, otherwise| value(name).map_or(otherwise, |n| n.parse().expect("a number"));
    let (rounds, seconds) = (number("--rounds", 7), number("--seconds", 2));
    let only = value("--only").unwrap_or_default();
    pin(1);
    for (connections, body) in HTTP {
        for names in [HYPER, AXUM] {
            let load = format!("{connections} connections, {body} B");
            if format!("{} {load}", names[0]).contains(&only) {
                compare(&load, names, body, rounds, |addr| {
                    wrk(addr, connections, seconds)
                });
            }
        }
    }
    if "frames".contains(&only) {
        let load = format!("{FRAME_CONNECTIONS} connections, frames of 64 B");
        compare(&load, FRAMED, 64, rounds, |addr| frames(addr, seconds));
    }
}

fn pin(cpu: usize) {
    let mut own = CpuSet::new();
    own.set(cpu);
    sched_setaffinity(None, &own).expect("two CPUs");
}

fn compare(
    load: &str,
    names: &[&str],
    body: usize,
    rounds: u64,
    drive: impl Fn(SocketAddr) -> u64,
) {
    let mut all = vec![Vec::new(); names.len()];
    for round in 0..rounds as usize {
        for at in 0..names.len() {
            // In another order each round.
            let at = (at + round) % names.len();
            all[at].push(measure(names[at], body, &drive));
        }
    }
    println!("\n{load}");
    println!("| | CPU a request | requests a second | ratio |\n|---|---|---|---|");
    for (name, results) in names.iter().zip(&all) {
        let cpu = median(results.iter().map(|result| result.0));
        let rate = median(results.iter().map(|result| result.1));
        let ratio = median(
            results
                .iter()
                .zip(&all[0])
                .map(|(one, first)| one.0 / first.0),
        );
        println!("| {name} | {cpu:.2} µs | {rate:.0} | {ratio:.2} |");
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time a request in µs, and requests a second.
fn measure(name: &str, body: usize, drive: &impl Fn(SocketAddr) -> u64) -> (f64, f64) {
    let (mut server, addr) = start(name, body);
    let (before, started) = (cpu(server.id()), Instant::now());
    let requests = drive(addr) as f64;
    let spent = cpu(server.id()) - before;
    let elapsed = started.elapsed();
    let _ = server.kill();
    let _ = server.wait();
    (
        spent.as_secs_f64() * 1e6 / requests,
        requests / elapsed.as_secs_f64(),
    )
}

/// Starts this program as a server.
fn start(name: &str, body: usize) -> (Child, SocketAddr) {
    let program = std::env::current_exe().expect("a program");
    let mut server = Command::new(program)
        .args(["--serve", name, "--body", &body.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let (mut line, mut byte) = (String::new(), [0; 1]);
    let out = server.stdout.as_mut().expect("a pipe");
    while out.read_exact(&mut byte).is_ok() && byte != *b"\n" {
        line.push(byte[0].into());
    }
    (server, line.parse().expect("an address"))
}

/// What a process has used, in ticks of 10 ms.
fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks
        .map(|ticks| ticks.parse::<u64>().expect("a number"))
        .sum();
    Duration::from_millis(10 * ticks)
}

/// How many requests `wrk` has had answered.
fn wrk(addr: SocketAddr, connections: usize, seconds: u64) -> u64 {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s")])
        .arg(format!("http://{addr}/"))
        .output()
        .expect("wrk is to be installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("Non-2xx"), "{text}");
    let requests = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "));
    requests.expect(&text).0.parse().expect(&text)
}

/// Frames sent and come back.
fn frames(addr: SocketAddr, seconds: u64) -> u64 {
    let ends = Instant::now() + Duration::from_secs(seconds);
    Runtime::new().expect("a runtime").block_on(async {
        let clients = (0..FRAME_CONNECTIONS).map(|_| {
            saferring::spawn(async move {
                let stream = saferring::net::TcpStream::connect(addr)
                    .await
                    .expect("a server");
                stream.set_nodelay(true).expect("a socket");
                let (mut count, mut frame) = (0, vec![7; 68]);
                frame[..4].copy_from_slice(&64_u32.to_be_bytes());
                while Instant::now() < ends {
                    frame = stream.write_all(frame).await.1;
                    frame = stream.read_exact(frame).await.1;
                    count += 1;
                }
                count
            })
        });
        let clients: Vec<_> = clients.collect();
        let mut all = 0;
        for client in clients {
            all += client.await.expect("no panic");
        }
        all
    })
}

fn serve(name: &str, body: usize) {
    pin(0);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    io::stdout().flush().expect("a pipe");
    let body = Bytes::from(vec![b'x'; body]);
    if name.ends_with("on tokio") {
        listener.set_nonblocking(true).expect("a socket");
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().expect("a runtime");
        let local = tokio::task::LocalSet::new();
        runtime.block_on(local.run_until(async {
            let listener = TokioListener::from_std(listener).expect("a socket");
            match name.split_once(' ').expect("two words").0 {
                "hyper" => tokio_hyper(listener, body).await,
                "axum" => {
                    let router = router(body);
                    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
                        let _ = stream.set_nodelay(true);
                    });
                    axum::serve(listener, router).await.expect("it serves");
                }
                _ => tokio_framed(listener).await,
            }
        }));
    } else {
        Runtime::new().expect("a runtime").block_on(async {
            let listener = saferring::net::TcpListener::from_std(listener);
            match name {
                "hyper on saferring" => {
                    let make = |_: &saferring::net::TcpStream| service(body.clone());
                    let serving = saferring_hyper::Serving::default();
                    let stop = std::future::pending();
                    let served = saferring_hyper::serve(listener, serving, make, drop, stop);
                    served.await.expect("it serves");
                }
                "axum on saferring" => {
                    let served = saferring_axum::serve(listener, router(body));
                    served.await.expect("it serves");
                }
                name => saferring_framed(listener, name == "Framed on Compat").await,
            }
        });
    }
}

fn router(body: Bytes) -> Router {
    Router::new().route("/", get(move || async move { body }))
}

fn service(
    body: Bytes,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future = std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>,
> {
    service_fn(move |_| std::future::ready(Ok(Response::new(Full::new(body.clone())))))
}

async fn tokio_hyper(listener: TokioListener, body: Bytes) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.set_nodelay(true);
        let service = service(body.clone());
        tokio::task::spawn_local(async move {
            let mut http =
                hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
            http.http1().timer(hyper_util::rt::TokioTimer::new());
            let stream = hyper_util::rt::TokioIo::new(stream);
            let _ = http.http1_only().serve_connection(stream, service).await;
        });
    }
}

async fn tokio_framed(listener: TokioListener) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.set_nodelay(true);
        tokio::task::spawn_local(echo(stream));
    }
}

async fn echo(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut frames = tokio_util::codec::Framed::new(stream, LengthDelimitedCodec::new());
    while let Some(Ok(frame)) = frames.next().await {
        if frames.send(frame.freeze()).await.is_err() {
            break;
        }
    }
}

async fn saferring_framed(listener: saferring::net::TcpListener, compat: bool) {
    let mut incoming = listener.incoming();
    while let Some(Ok(stream)) = incoming.next().await {
        let _ = stream.set_nodelay(true);
        if compat {
            saferring::spawn(echo(Compat::new(stream)));
            continue;
        }
        saferring::spawn(async move {
            let mut frames = saferring_compat::Framed::new(stream, LengthDelimitedCodec::new());
            while let Some(Ok(frame)) = frames.next().await {
                if frames.send(frame.freeze()).await.is_err() {
                    break;
                }
            }
        });
    }
}
