//! What saferring alone has: streams of a file, and a copy of a whole one.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::rc::Rc;

use ::saferring as rt;
use futures_util::TryStreamExt;
use rt::fs::{File, FixedBuf, ReadStream};
use rt::runtime::{Runtime, metrics};

use super::short;
use crate::contender::{Blocks, Control, Done, Work};

/// Chunks of the runtime's own pool.
pub(super) async fn streams(spec: Blocks, streams: usize, control: Control) -> io::Result<Done> {
    let file = Rc::new(File::open(&spec.path).await?);
    let part = spec.len / streams as u64;
    let left = Rc::new(Cell::new(0));
    let reader = |index| Reader {
        file: Rc::clone(&file),
        range: index * part..(index + 1) * part,
        depth: spec.depth,
        block: spec.block,
        left: Rc::clone(&left),
        stream: None,
    };
    let mut readers: Vec<_> = (0..streams as u64).map(reader).collect();
    let slice = async |ops| {
        left.set(ops);
        let spawn = |reader: Reader| rt::spawn(reader.read());
        let tasks: Vec<_> = readers.drain(..).map(spawn).collect();
        for task in tasks {
            readers.push(task.await.map_err(io::Error::other)??);
        }
        Ok(ops)
    };
    control.each_async(slice).await
}

struct Reader {
    file: Rc<File>,
    range: Range<u64>,
    depth: usize,
    block: usize,
    left: Rc<Cell<u64>>,
    stream: Option<ReadStream>,
}

impl Reader {
    async fn read(mut self) -> io::Result<Self> {
        while let Some(left) = self.left.get().checked_sub(1) {
            self.left.set(left);
            if self.next().await?.len() != self.block {
                return Err(short());
            }
        }
        Ok(self)
    }

    async fn next(&mut self) -> io::Result<FixedBuf> {
        loop {
            let stream = self
                .stream
                .get_or_insert_with(|| self.file.read_stream(self.range.clone(), self.depth));
            match stream.try_next().await? {
                Some(chunk) => return Ok(chunk),
                None => self.stream = None,
            }
        }
    }
}

pub(super) fn copy_whole(work: Work, control: Control) -> io::Result<Done> {
    let Work::Copy(from, to) = work else {
        return Ok(Done::Unsupported);
    };
    let control = control.count(|| metrics().enters);
    Runtime::new()?.block_on(control.each_async(async |ops: u64| {
        for _ in 0..ops.div_ceil(from.count()) {
            if rt::fs::copy(&from.path, &to).await? != from.len {
                return Err(short());
            }
        }
        Ok(ops.next_multiple_of(from.count()))
    }))
}
