//! Files, and the buffers of pools.

use std::ffi::CString;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use saferring::buf::BufferPool;
use saferring::fs::{Advice, File, FixedBufPool};
use saferring_tests::Watch;
use saferring_tests::adversary::Task;

use crate::scene::{PATIENCE, Scene, Setup, Tools, task};

pub(crate) const FILES: &[Setup] = &[
    ("read_at", read_at),
    ("write_at", write_at),
    ("fixed_pool", fixed_pool),
    ("buffer_pool", buffer_pool),
    ("advise", advise),
];

/// A path of this process, in memory if it can be: what is there is made thousands of times.
pub(crate) fn path(name: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let dir = match memory.is_dir() {
        true => memory.to_owned(),
        false => std::env::temp_dir(),
    };
    dir.join(format!("saferring-adversary-{}{name}", std::process::id()))
}

/// An unnamed file of 64 bytes, each of its own value.
pub(crate) fn file() -> std::fs::File {
    file_of(0..64)
}

/// An unnamed file of these bytes.
pub(crate) fn file_of(bytes: Range<u8>) -> std::fs::File {
    let path = path("");
    let options = &mut std::fs::File::options();
    let file = options.read(true).write(true).create(true).truncate(true);
    let file = file.open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all_at(&bytes.collect::<Vec<u8>>(), 0).unwrap();
    file
}

/// A FIFO, removed when it is dropped.
pub(crate) struct Fifo(pub(crate) PathBuf);

impl Fifo {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = path(&format!("-fifo-{count}"));
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: a string with its end.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        Fifo(path)
    }

    /// Whether it is open for reading.
    pub(crate) fn is_read(&self) -> bool {
        self.write().is_ok()
    }

    /// Opens it for writing.
    pub(crate) fn write(&self) -> std::io::Result<std::fs::File> {
        let options = &mut std::fs::File::options();
        options.write(true).custom_flags(libc::O_NONBLOCK);
        options.open(&self.0)
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn read_at(tools: &Rc<Tools>) -> Scene {
    let file = tools.hold(File::from_std(file()), File::close);
    let read = move |tools: &Rc<Tools>, watch: &Watch, at: u8| {
        let op = file.with(|file| file.read_at(watch.buf(8), at.into()));
        let tools = Rc::clone(tools);
        task(async move {
            let Some(op) = op else { return };
            let (result, buf) = op.await;
            match result {
                Ok(n) if n == 8 && buf.bytes()[0] == at => {}
                Ok(n) => tools.stage.fault(format!("read {:?}", &buf.bytes()[..n])),
                Err(error) => tools.failed("a read", &error),
            }
        })
    };
    let innocent = Rc::clone(tools);
    Scene {
        subjects: (0..3).map(|at| read(tools, &tools.watch, at * 8)).collect(),
        innocents: vec![Box::new(move || read(&innocent, &Watch::new(), 32))],
        cause: Box::new(|_| std::thread::yield_now()),
        patience: PATIENCE,
        ..Scene::default()
    }
}

fn write_at(tools: &Rc<Tools>) -> Scene {
    let file = tools.hold(File::from_std(file()), File::close);
    let write = move |tools: &Rc<Tools>, watch: &Watch, at: u8| {
        let op = file.with(|file| file.write_at(watch.filled([at; 8]), at.into()));
        let tools = Rc::clone(tools);
        task(async move {
            let Some(op) = op else { return };
            match op.await.0 {
                Ok(8) => {}
                Ok(n) => tools.stage.fault(format!("wrote {n}")),
                Err(error) => tools.failed("a write", &error),
            }
        })
    };
    let innocent = Rc::clone(tools);
    Scene {
        subjects: (0..3)
            .map(|at| write(tools, &tools.watch, at * 8))
            .collect(),
        innocents: vec![Box::new(move || write(&innocent, &Watch::new(), 32))],
        cause: Box::new(|_| std::thread::yield_now()),
        patience: PATIENCE,
        ..Scene::default()
    }
}

fn advise(tools: &Rc<Tools>) -> Scene {
    let file = tools.hold(File::from_std(file()), File::close);
    let advise = move |tools: &Rc<Tools>, advice: Advice| {
        let op = file.with(|file| file.advise(.., advice));
        let tools = Rc::clone(tools);
        task(async move {
            let Some(op) = op else { return };
            if let Err(error) = op.await {
                tools.failed("an advice", &error);
            }
        })
    };
    let innocent = Rc::clone(tools);
    Scene {
        subjects: [Advice::Random, Advice::WillNeed, Advice::DontNeed]
            .map(|advice| advise(tools, advice))
            .into(),
        innocents: vec![Box::new(move || advise(&innocent, Advice::DontNeed))],
        cause: Box::new(|_| std::thread::yield_now()),
        patience: PATIENCE,
        ..Scene::default()
    }
}

/// Takes a buffer, holds it while others wait for it, and gives it back.
macro_rules! taker {
    ($pool:expr) => {{
        let pool = $pool.clone();
        task(async move {
            let held = pool.take().await;
            saferring::task::yield_now().await;
            saferring::task::yield_now().await;
            drop(held);
        })
    }};
}

/// One buffer for all, which an innocent takes first and last.
macro_rules! pool_scene {
    ($pool:expr) => {{
        let pool = $pool;
        let subjects: Vec<Task> = (0..3).map(|_| taker!(pool)).collect();
        let (first, last) = (pool.clone(), pool.clone());
        Scene {
            subjects,
            innocents: vec![
                Box::new(move || taker!(first)),
                Box::new(move || taker!(last)),
            ],
            check: Box::new(move |_| match pool.available() {
                1 => Ok(()),
                available => Err(format!("{available} buffers are free, of one")),
            }),
            ..Scene::default()
        }
    }};
}

fn fixed_pool(_: &Rc<Tools>) -> Scene {
    pool_scene!(FixedBufPool::new(1, 64).unwrap())
}

fn buffer_pool(_: &Rc<Tools>) -> Scene {
    pool_scene!(BufferPool::new(64, 1))
}
