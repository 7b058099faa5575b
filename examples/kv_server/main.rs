//! A server of keys and values that speaks the protocol of redis: on several cores, each with a part of the keys, and with a log.
//!
//! ```text
//! cargo run --release --example kv_server -- --addr 127.0.0.1:6379 --cores 2 --dir /tmp/kv --append everysec
//! redis-cli -p 6379 set greeting hello
//! ```
//!
//! A key belongs to one core by its hash. A connection's core carries out what it can, and sends the rest of what came at once to
//! the other cores, one message each. Commands on several keys are split, and are not one step to others. `shard.rs` is a good
//! place to begin.
#![forbid(unsafe_code)]

mod command;
mod connection;
mod folder;
mod glob;
mod keys;
mod log;
mod record;
mod resp;
mod server;
mod session;
mod shard;
mod store;
mod writer;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use saferring::cores::{Balance, Core, Cores, Listener, Placement};
use saferring::spawn;

use connection::Connection;
use folder::Folder;
use log::Log;
use server::{Append, Options, Server};
use shard::{Shard, Shards};
use writer::Writer;

const USAGE: &str = "usage: kv_server [--addr 127.0.0.1:0] [--cores 1] [--dir DIR] [--append no|everysec|always]
                 [--rewrite-from BYTES] [--patience SECONDS]
  --dir DIR          where the log is; without it nothing is kept
  --append WHEN      when the log is brought to the disk: as the kernel thinks fit, every second (the default),
                     or before each answer
  --rewrite-from N   from which length on a log that has doubled is written anew
  --patience N       how long a client may leave its answers unread";

fn main() -> ExitCode {
    let options = match parse_args() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("kv_server: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A connection is a descriptor, and the usual limit of 1,024 is soft. If it cannot be raised, accept will say so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kv_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse_args() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let (mut options, mut append) = (Options::default(), None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("addr") => options.addr = parser.value()?.string()?,
            Long("cores") => options.cores = parser.value()?.parse::<usize>()?.max(1),
            Long("dir") => options.dir = Some(parser.value()?.into()),
            Long("append") => append = Some(parser.value()?.parse_with(when)?),
            Long("rewrite-from") => options.rewrite_from = parser.value()?.parse()?,
            Long("patience") => options.patience = Duration::from_secs(parser.value()?.parse()?),
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    match (append, &options.dir) {
        (Some(_), None) => return Err("--append needs --dir, where the log is to be".into()),
        (Some(append), _) => options.append = append,
        (None, _) => {}
    }
    Ok(Some(options))
}

fn when(name: &str) -> Result<Append, &'static str> {
    let all = [Append::No, Append::EverySecond, Append::Always];
    let found = all.into_iter().find(|append| append.name() == name);
    found.ok_or("it is no, everysec or always")
}

fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let folder = options
        .dir
        .as_ref()
        .map(|dir| Folder::open(dir, options.cores));
    let _folder = folder.transpose()?;
    let cpus = std::thread::available_parallelism()?.get();
    let placement = match options.cores <= cpus {
        true => Placement::Count(options.cores),
        false => Placement::Unpinned(options.cores),
    };
    let mut cores = Cores::builder().cores(placement).build()?;
    let listener = cores
        .bind(&options.addr, Balance::LeastLoaded)
        .map_err(|error| format!("{}: {error}", options.addr))?;
    let server = Arc::new(Server::new(options, listener.local_addr().port()));
    let shards = {
        let server = Arc::clone(&server);
        Shards::with_make(move |core| Shard::load(&server, core))
    };
    cores.run(|core| serve(core, listener.clone(), shards.clone()))?;
    Ok(())
}

/// What each core does.
async fn serve(core: Core, listener: Listener, shards: Shards) -> io::Result<()> {
    let shard = shards.with(|shard| shard.clone());
    let shard = shard.map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    let writer = Writer::open(&shard).await?;
    if core.id() == 0 {
        println!("listening on {}", listener.local_addr());
        io::stdout().flush()?;
    }
    let logged = spawn({
        let shard = Rc::clone(&shard);
        async move {
            if let (Some(writer), Some(log)) = (writer, &shard.log) {
                writer.run(log).await;
            }
        }
    });
    drop(spawn({
        let shard = Rc::clone(&shard);
        async move { shard.look_after().await }
    }));
    let handler = |stream| {
        let connection = Connection::new(stream, &core, &shard, &shards);
        // Who goes without a word, or is cut off, needs no answer.
        connection.serve().map(drop)
    };
    let mut stopping = std::pin::pin!(core.stopping().fuse());
    let mut served = std::pin::pin!(core.serve(&listener, handler).fuse());
    saferring::select_biased! {
        () = stopping => {}
        served = served => served?,
    }
    shard.log.as_ref().map(Log::end);
    logged.await.map_err(io::Error::other)
}
