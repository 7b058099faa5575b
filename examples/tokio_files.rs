//! Counts the lines of files, in a program that runs on tokio: only its files are saferring's.
//!
//! `cargo run --release --example tokio_files Cargo.toml README.md`
#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;

use saferring::remote::Files;

/// How much is read at once.
const BLOCK: usize = 64 * 1024;

/// Any task of tokio's may await the calls: their futures are `Send`.
async fn count_lines(files: Files, path: String) -> io::Result<usize> {
    let file = files.open(&path).await?;
    let (mut lines, mut at) = (0, 0);
    let mut buf = Vec::with_capacity(BLOCK);
    loop {
        let (read, filled) = file.read_at(buf, at).await;
        match read? {
            0 => return Ok(lines),
            n => at += n as u64,
        }
        lines += filled.iter().filter(|&&byte| byte == b'\n').count();
        buf = filled; // the same memory again
    }
}

async fn count_all(files: Files, paths: Vec<String>) -> ExitCode {
    let mut tasks = Vec::new();
    for path in paths {
        let counted = tokio::spawn(count_lines(files.clone(), path.clone()));
        tasks.push((path, counted));
    }
    let mut code = ExitCode::SUCCESS;
    for (path, counted) in tasks {
        match counted.await.unwrap_or_else(|error| Err(error.into())) {
            Ok(lines) => println!("{lines:>8} {path}"),
            Err(error) => {
                eprintln!("{path}: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn main() -> io::Result<ExitCode> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    if paths.is_empty() {
        eprintln!("usage: tokio_files FILE...");
        return Ok(ExitCode::FAILURE);
    }
    // One thread with a ring, for the whole program. `#[tokio::main]` makes the same runtime as here.
    let files = Files::start()?;
    let tokio = tokio::runtime::Builder::new_multi_thread().build()?;
    Ok(tokio.block_on(count_all(files, paths)))
}
