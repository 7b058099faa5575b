//! `Hello, world!` by HTTP/1 and HTTP/2, on one core or several.
//!
//! `cargo run --release -p saferring-hyper --example hello -- --addr 127.0.0.1:3000 --cores 2`, then
//! `curl http://127.0.0.1:3000/`. Ctrl-C lets requests end, and ends it.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use saferring::cores::{Balance, Cores, Placement};
use saferring_hyper::Http;

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, world!")));
    if request.uri().path() != "/" {
        *response.status_mut() = StatusCode::NOT_FOUND;
        *response.body_mut() = Full::default();
    }
    Ok(response)
}

fn run(addr: &str, cores: usize) -> Result<(), Box<dyn Error>> {
    let mut cores = Cores::builder().cores(Placement::Count(cores)).build()?;
    let listener = cores.bind(addr, Balance::Hash)?;
    println!("listening on {}", listener.local_addr());
    std::io::stdout().flush()?;
    cores.run(async |core| {
        let (http, this) = (Rc::new(Http::new()), core.clone());
        core.serve(&listener, move |stream| {
            let (http, core) = (Rc::clone(&http), this.clone());
            async move {
                let _ = stream.set_nodelay(true);
                let served = http.serve_connection(stream, service_fn(hello), core.stopping());
                if let Err(error) = served.await {
                    eprintln!("hello: {error}");
                }
            }
        })
        .await
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
