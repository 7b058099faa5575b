//! An echo server inside a loop of one's own: poll(2) waits for standard input and for the runtime, on one thread.
//!
//! ```text
//! cargo run --example custom_loop
//! ```
//!
//! It prints where it listens; each line that is typed is counted, and the end of the input ends it.

use std::io::BufRead;
use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use saferring::net::{TcpListener, TcpStream};
use saferring::runtime::Runtime;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new()?;
    let fd = runtime.try_as_fd()?;
    let listener = runtime.block_on(async { TcpListener::bind("127.0.0.1:0") })?;
    println!("listening on {}", listener.local_addr()?);
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            saferring::spawn(echo(stream));
        }
    });
    let (mut stdin, mut lines) = (std::io::stdin().lock(), 0);
    loop {
        // Everything that is ready has its turn, then the loop waits for whatever comes first.
        let more = runtime.run_once();
        let wait = match runtime.next_deadline() {
            _ if more => Some(Timespec::default()),
            Some(at) => Some(at.saturating_duration_since(Instant::now()).try_into()?),
            None => None,
        };
        let mut sources = [
            PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(fd, PollFlags::IN),
        ];
        match poll(&mut sources, wait.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled?,
        };
        let [has_input, _] = sources.map(|source| !source.revents().is_empty());
        if has_input {
            let input = stdin.fill_buf()?;
            if input.is_empty() {
                return Ok(());
            }
            lines += input.iter().filter(|&&byte| byte == b'\n').count();
            let len = input.len();
            stdin.consume(len);
            println!("{lines} lines, {} connections", runtime.metrics().tasks - 1);
        }
    }
}

async fn echo(stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        buffer.clear();
        let (read, data) = stream.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let (sent, data) = stream.write_all(data).await;
        sent?;
        buffer = data;
    }
}
