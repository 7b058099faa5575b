//! `Hello, world!` by axum, on one core or several.
//!
//! `cargo run --release -p saferring-axum --example hello -- --addr 127.0.0.1:3000 --cores 2`, then
//! `curl http://127.0.0.1:3000/`. Ctrl-C lets requests end, and ends it.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use saferring::cores::{Balance, Cores, Placement};
use saferring_axum::{OnCore, Serving, local, serve_core};

/// How many requests this core has answered.
type Served = OnCore<Cell<u64>>;

async fn hello(State(served): State<Served>) -> &'static str {
    served.set(served.get() + 1);
    "Hello, world!"
}

async fn served(State(served): State<Served>) -> String {
    // Whatever is awaited in here stays on this core.
    local(async move {
        saferring::task::yield_now().await;
        format!("{}\n", served.get())
    })
    .await
}

fn run(addr: &str, cores: usize) -> Result<(), Box<dyn Error>> {
    let mut cores = Cores::builder().cores(Placement::Count(cores)).build()?;
    let listener = cores.bind(addr, Balance::Hash)?;
    println!("listening on {}", listener.local_addr());
    std::io::stdout().flush()?;
    cores.run(async |core| {
        let router = Router::new()
            .route("/", get(hello))
            .route("/served", get(served))
            .with_state(OnCore::new(Cell::new(0)));
        serve_core(&core, &listener, router, Serving::default()).await
    })?;
    Ok(())
}

fn main() -> ExitCode {
    let outcome = options().and_then(|(addr, cores)| run(&addr, cores));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hello: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<(String, usize), Box<dyn Error>> {
    use lexopt::prelude::*;
    let (mut addr, mut cores) = ("127.0.0.1:0".to_owned(), 1);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("addr") => addr = parser.value()?.string()?,
            Long("cores") => cores = parser.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok((addr, cores))
}
