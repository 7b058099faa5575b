//! gRPC by tonic, both sides of it, and streams both ways.
//!
//! `cargo run --release -p saferring-axum --example grpc` runs a server and a client of it; `-- --serve ADDR` and `-- --connect ADDR` run
//! one of them. Ctrl-C lets calls end, and ends the server.
#![forbid(unsafe_code)]

mod words;

use std::error::Error;
use std::process::ExitCode;

use saferring::net::TcpListener;
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
    let program = client.length("/proc/self/exe").await?;
    println!("the server is a program of {program} bytes");
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

async fn run(args: &[&str]) -> Result<(), Box<dyn Error>> {
    match args {
        [] => both().await,
        ["--connect", addr] => client(addr).await,
        ["--serve", addr] => {
            let stop = async {
                let _ = saferring::signal::shutdown().await;
            };
            Ok(server(TcpListener::bind(*addr)?, stop).await?)
        }
        _ => Err("expected nothing, --serve ADDR or --connect ADDR".into()),
    }
}

#[saferring::main]
async fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("grpc: {error}");
            ExitCode::FAILURE
        }
    }
}
