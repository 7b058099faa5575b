//! gRPC by tonic, both sides of it, and streams both ways.
//!
//! `cargo run --release -p saferring-axum --example grpc` runs a server and a client of it; `-- --serve ADDR` and `-- --connect ADDR` run
//! one of them. Ctrl-C lets calls end, and ends the server.
#![forbid(unsafe_code)]

mod words;

use std::error::Error;
use std::process::ExitCode;

use saferring::net::TcpListener;
use saferring::runtime::Runtime;
use saferring::sync::{CancellationToken, mpsc};
use saferring_axum::{Http, Serving, serve};
use tonic::service::Routes;

use words::{Words, WordsClient, sent};

/// Serves until it is told to stop.
async fn server(
    listener: TcpListener,
    stop: impl Future<Output = ()> + 'static,
) -> std::io::Result<()> {
    println!("listening on {}", listener.local_addr()?);
    let serving = Serving {
        http: Http::new().http2_only(),
        ..Serving::default()
    };
    serve(listener, Routes::new(Words).into_axum_router())
        .with(serving)
        .with_graceful_shutdown(stop)
        .await
}

/// Asks for a length, and says one word after the other: the next when the one before has come back.
async fn client(addr: &str) -> Result<(), Box<dyn Error>> {
    let mut client = WordsClient::new(format!("http://{addr}").parse()?);
    println!(
        "/etc/hostname: {} bytes",
        client.length("/etc/hostname").await?
    );
    if let Err(status) = client.length("/nowhere").await {
        println!("{:?}: {}", status.code(), status.message());
    }
    let (say, said) = mpsc::channel(1);
    let mut answers = client.shout(sent(said)).await?;
    for word in ["one", "two", "three"] {
        say.send(word).await?;
        match answers.message().await? {
            Some(answer) => println!("{word}: {}", answer.text),
            None => return Err("the server has ended the stream".into()),
        }
    }
    drop(say);
    match answers.message().await? {
        None => Ok(()),
        Some(answer) => Err(format!("nobody asked for {}", answer.text).into()),
    }
}

async fn both() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (addr, stop) = (listener.local_addr()?.to_string(), CancellationToken::new());
    let stopped = stop.clone();
    let served = saferring::spawn(server(listener, async move { stopped.cancelled().await }));
    client(&addr).await?;
    stop.cancel();
    Ok(served.await??)
}

async fn run(side: Side) -> Result<(), Box<dyn Error>> {
    match side {
        Side::Both => both().await,
        Side::Client(addr) => client(&addr).await,
        Side::Server(addr) => {
            let stop = async {
                let _ = saferring::signal::shutdown().await;
            };
            Ok(server(TcpListener::bind(addr.as_str())?, stop).await?)
        }
    }
}

enum Side {
    Both,
    Server(String),
    Client(String),
}

fn side() -> Result<Side, Box<dyn Error>> {
    use lexopt::prelude::*;
    let (mut parser, mut side) = (lexopt::Parser::from_env(), Side::Both);
    while let Some(arg) = parser.next()? {
        side = match arg {
            Long("serve") => Side::Server(parser.value()?.string()?),
            Long("connect") => Side::Client(parser.value()?.string()?),
            other => return Err(other.unexpected().into()),
        };
    }
    Ok(side)
}

fn main() -> ExitCode {
    let outcome = side().and_then(|side| Runtime::new()?.block_on(run(side)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("grpc: {error}");
            ExitCode::FAILURE
        }
    }
}
