//! Reads and copies, in registered buffers or in ordinary ones.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;

use futures_util::TryStreamExt;
use saferring::buf::IoBufMut;
use saferring::fs::{File, FixedBuf, OpenOptions, ReadStream};
use saferring::runtime::Runtime;
use saferring_benches::measure::Random;

use crate::contender::{Contender, Control, Done, Work};

pub(super) fn whole() -> Contender {
    Contender {
        name: "saferring (fs::copy)",
        what: "the copy by fs::copy, which lets the kernel copy",
        echo: None,
        udp_echo: None,
        work: copy_whole,
    }
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a block ended short")
}

/// Where the next read goes.
struct Places {
    random: Option<Random>,
    next: u64,
    blocks: u64,
    left: u64,
}

impl Places {
    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        if let Some(random) = &mut self.random {
            return Some(random.below(self.blocks));
        }
        let index = self.next;
        self.next = (index + 1) % self.blocks;
        Some(index)
    }
}

pub(super) async fn read<B: IoBufMut>(
    work: Work,
    mut control: Control,
    buf: impl Fn(usize) -> io::Result<B>,
) -> io::Result<()> {
    let (path, len, block, depth, direct, random): (PathBuf, _, _, _, _, _) = match work {
        Work::RandomRead {
            path,
            len,
            block,
            depth,
            direct,
        } => (path, len, block, depth, direct, Some(Random::new(1))),
        Work::SequentialRead {
            path,
            len,
            block,
            depth,
        } => (path, len, block, depth, false, None),
        _ => return Ok(()),
    };
    let options = OpenOptions::new().read(true).direct(direct).open(path);
    let file = Rc::new(options.await?);
    let places = Rc::new(RefCell::new(Places {
        random,
        next: 0,
        blocks: len / block as u64,
        left: 0,
    }));
    let mut bufs = (0..depth)
        .map(|_| buf(block))
        .collect::<io::Result<Vec<_>>>()?;
    while let Some(ops) = control.next() {
        let meter = control.start();
        places.borrow_mut().left = ops;
        let reader = |buf| saferring::spawn(read_some(Rc::clone(&file), Rc::clone(&places), buf));
        let tasks: Vec<_> = bufs.drain(..).map(reader).collect();
        for task in tasks {
            bufs.push(task.await.map_err(io::Error::other)??);
        }
        control.report(meter, ops, None);
    }
    Ok(())
}

async fn read_some<B: IoBufMut>(
    file: Rc<File>,
    places: Rc<RefCell<Places>>,
    mut buf: B,
) -> io::Result<B> {
    let block = buf.buf_capacity();
    loop {
        let Some(index) = places.borrow_mut().next() else {
            return Ok(buf);
        };
        let (read, filled) = file.read_at(buf, index * block as u64).await;
        buf = filled;
        if read? != block {
            return Err(short());
        }
    }
}

/// Chunks of the runtime's own pool, and what there is beside it.
pub(super) async fn streams(work: Work, mut control: Control) -> io::Result<()> {
    let Work::Streams {
        path,
        len,
        block,
        streams,
        depth,
    } = work
    else {
        return Ok(());
    };
    let file = Rc::new(File::open(path).await?);
    let part = len / streams as u64;
    let left = Rc::new(Cell::new(0));
    let mut readers: Vec<_> = (0..streams as u64)
        .map(|index| Reader {
            file: Rc::clone(&file),
            range: index * part..(index + 1) * part,
            depth,
            block,
            left: Rc::clone(&left),
            stream: None,
        })
        .collect();
    while let Some(ops) = control.next() {
        let meter = control.start();
        left.set(ops);
        let tasks: Vec<_> = readers
            .drain(..)
            .map(|reader| saferring::spawn(reader.read()))
            .collect();
        for task in tasks {
            readers.push(task.await.map_err(io::Error::other)??);
        }
        control.report(meter, ops, None);
    }
    Ok(())
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

struct Copy {
    from: File,
    to: File,
    next: Cell<u64>,
    block: usize,
    len: u64,
}

pub(super) async fn copies<B: IoBufMut>(
    work: Work,
    mut control: Control,
    inline: bool,
    buf: impl Fn(usize) -> io::Result<B>,
) -> io::Result<()> {
    let Work::Copy {
        from,
        to,
        len,
        block,
        depth,
    } = work
    else {
        return Ok(());
    };
    let copy = Rc::new(Copy {
        from: File::open(from).await?,
        to: File::create(to).await?,
        next: Cell::new(0),
        block,
        len,
    });
    copy.to.set_inline_writes(inline);
    let blocks = len / block as u64;
    let mut bufs = (0..depth)
        .map(|_| buf(block))
        .collect::<io::Result<Vec<_>>>()?;
    while let Some(ops) = control.next() {
        let meter = control.start();
        let passes = ops.div_ceil(blocks);
        for _ in 0..passes {
            copy.to.set_len(0).await?;
            copy.next.set(0);
            let copier = |buf| saferring::spawn(copy_blocks(Rc::clone(&copy), buf));
            let tasks: Vec<_> = bufs.drain(..).map(copier).collect();
            for task in tasks {
                bufs.push(task.await.map_err(io::Error::other)??);
            }
        }
        control.report(meter, passes * blocks, None);
    }
    Ok(())
}

async fn copy_blocks<B: IoBufMut>(copy: Rc<Copy>, mut buf: B) -> io::Result<B> {
    loop {
        let offset = copy.next.get();
        if offset >= copy.len {
            return Ok(buf);
        }
        copy.next.set(offset + copy.block as u64);
        let (read, filled) = copy.from.read_at(buf, offset).await;
        if read? != copy.block {
            return Err(short());
        }
        let (written, filled) = copy.to.write_all_at(filled, offset).await;
        written?;
        buf = filled;
    }
}

fn copy_whole(work: Work, mut control: Control) -> io::Result<Done> {
    let Work::Copy {
        from,
        to,
        len,
        block,
        ..
    } = work
    else {
        return Ok(Done::Unsupported);
    };
    let blocks = len / block as u64;
    Runtime::new()?.block_on(async {
        while let Some(ops) = control.next() {
            let meter = control.start();
            let passes = ops.div_ceil(blocks);
            for _ in 0..passes {
                if saferring::fs::copy(&from, &to).await? != len {
                    return Err(short());
                }
            }
            control.report(meter, passes * blocks, None);
        }
        Ok(Done::Ended)
    })
}
