//! The comparison with every rival: `cargo bench --bench compare -- --help`.
//!
//! All but the rivals is in `saferring-benches`. These have a crate of their own because they are many crates.

mod block;
mod compio;
mod compio_managed;
mod compio_web;
mod glommio;
mod monoio;
mod monoio_web;
mod tokio_uring;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut rivals = Vec::from(monoio::contenders());
    rivals.extend(compio::contenders());
    rivals.push(compio_managed::contender());
    rivals.push(glommio::contender());
    rivals.extend(tokio_uring::contenders());
    saferring_benches::compare(rivals)
}

/// Reads and writes of a block, for runtimes whose operations take a buffer and give it back: as `(result, buffer)`, or
/// that by another name.
macro_rules! blocks {
    ($($given:ident)?) => {
        async fn read_block(file: &File, buf: Block, offset: u64) -> io::Result<Block> {
            let $($given)? (read, buf) = file.read_at(buf, offset).await;
            match read? == buf.len() {
                true => Ok(buf),
                false => Err(short()),
            }
        }

        #[allow(unused_mut, reason = "not all want it")]
        async fn write_block(mut file: &File, buf: Block, offset: u64) -> io::Result<Block> {
            let $($given)? (written, buf) = file.write_all_at(buf, offset).await;
            written?;
            Ok(buf)
        }
    };
}
use blocks;
