//! Files by their names: what is opened is closed, whoever has asked for it.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use saferring::fs::{self, File};
use saferring_tests::adversary::{Held, Task};

use crate::files::{Fifo, file, path};
use crate::scene::{PATIENCE, Scene, Setup, Tools, task};

pub(crate) const PATHS: &[Setup] = &[
    ("open", |tools| steps(tools, open)),
    ("whole", |tools| steps(tools, whole)),
    ("tree", |tools| steps(tools, tree)),
    ("fifo", fifos),
    ("sync", syncs),
];

/// A directory, removed with all that is in it.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = path(&format!("-dir-{count}"));
        std::fs::create_dir(&dir).unwrap();
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is done in a directory of its own, with this contents of a file.
type Steps<B> = fn(Rc<Tools>, PathBuf, B) -> Task;

/// The same for the subjects and an innocent.
fn steps(tools: &Rc<Tools>, steps: Steps<bytes::Bytes>) -> Scene {
    let dir = Rc::new(Dir::new());
    let subject = |number: u8| {
        let name = dir.0.join(number.to_string());
        steps(Rc::clone(tools), name, tools.bytes(number, 32))
    };
    let subjects = (1..4).map(subject).collect();
    let (innocent, shared) = (Rc::clone(tools), Rc::clone(&dir));
    let count = AtomicUsize::new(4);
    Scene {
        subjects,
        innocents: vec![Box::new(move || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let name = shared.0.join(number.to_string());
            steps(Rc::clone(&innocent), name, vec![number as u8; 32].into())
        })],
        cause: Box::new(|_| std::thread::yield_now()),
        check: Box::new(move |_| {
            drop(dir);
            Ok(())
        }),
        patience: PATIENCE,
        submits: true,
        moves: true,
        ..Scene::default()
    }
}

/// Notes how it has ended.
async fn ended(tools: &Tools, what: &str, work: impl Future<Output = io::Result<bool>>) {
    match work.await {
        Ok(true) => {}
        Ok(false) => tools.stage.fault(format!("{what}: not as it should be")),
        Err(error) => tools.failed(what, &error),
    }
}

fn open(tools: Rc<Tools>, name: PathBuf, contents: bytes::Bytes) -> Task {
    task(async move {
        let work = async {
            let created = File::create_new(&name).await?;
            created.write_all_at(contents, 0).await.0?;
            let opened = File::open(&name).await?;
            let again = File::options().append(true).open(&name).await?;
            let lens = [
                created.metadata().await?.len(),
                opened.metadata().await?.len(),
            ];
            again.close().await?;
            Ok(lens == [32, 32])
        };
        ended(&tools, "an open", work).await;
    })
}

fn whole(tools: Rc<Tools>, name: PathBuf, contents: bytes::Bytes) -> Task {
    task(async move {
        let expected = contents.to_vec();
        let work = async {
            fs::write(&name, contents).await.0?;
            let copy = name.with_extension("copy");
            fs::copy(&name, &copy).await?;
            Ok(fs::read(&copy).await? == expected)
        };
        ended(&tools, "a whole file", work).await;
    })
}

fn tree(tools: Rc<Tools>, name: PathBuf, contents: bytes::Bytes) -> Task {
    task(async move {
        let work = async {
            let (deep, other) = (name.join("a/b"), name.join("other"));
            fs::create_dir_all(&deep).await?;
            let (before, after) = (deep.join("before"), deep.join("after"));
            fs::write(&before, contents).await.0?;
            fs::rename(&before, &after).await?;
            let found = fs::metadata(&after).await?.len() == 32 && !fs::try_exists(&before).await?;
            fs::create_dir(&other).await?;
            fs::remove_dir(&other).await?;
            fs::remove_file(&after).await?;
            match fs::symlink_metadata(&after).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(found),
                other => other.map(|_| false),
            }
        };
        ended(&tools, "a tree", work).await;
    })
}

/// Opens an end of a FIFO, which waits for the other end.
async fn open_end(fifo: &Path, writes: bool) -> io::Result<bool> {
    let mut options = File::options();
    let mut end = options.read(!writes).write(writes).open(fifo).await?;
    if writes {
        // The reader may be gone by now.
        let written = end.write_all(b"x".to_vec()).await.0;
        return match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
            written => written.map(|()| true),
        };
    }
    let (read, bytes) = end.read(vec![0; 8]).await;
    let read = read?;
    Ok(read > 0 && bytes[..read].iter().all(|&byte| byte == b'x'))
}

/// Nobody opens the other ends before the third round.
fn fifos(tools: &Rc<Tools>) -> Scene {
    let fifos: Rc<Vec<Fifo>> = Rc::new((0..3).map(|_| Fifo::new()).collect());
    let subject = |number: usize| {
        let (tools, fifos) = (Rc::clone(tools), Rc::clone(&fifos));
        task(async move {
            let end = open_end(&fifos[number].0, number == 1);
            ended(&tools, "a FIFO", end).await;
        })
    };
    let subjects = (0..3).map(subject).collect();
    let causing = Rc::clone(&fifos);
    let others = std::cell::RefCell::new(Vec::new());
    let innocent = Rc::clone(tools);
    Scene {
        subjects,
        innocents: vec![Box::new(move || {
            let (tools, fifo) = (Rc::clone(&innocent), Rc::new(Fifo::new()));
            task(async move {
                let other = Rc::clone(&fifo);
                let writer = saferring::spawn(async move { open_end(&other.0, true).await });
                ended(&tools, "a FIFO", open_end(&fifo.0, false)).await;
                drop(writer.await);
            })
        })],
        cause: Box::new(move |round| {
            std::thread::yield_now();
            if round < 3 {
                return;
            }
            for (number, fifo) in causing.iter().enumerate() {
                if number == 1 {
                    let options = &mut std::fs::File::options();
                    others.borrow_mut().push(open_now(options.read(true), fifo));
                } else if let Ok(mut end) = fifo.write() {
                    // Whoever opens it after this one waits for the next round.
                    let _ = io::Write::write(&mut end, b"x");
                }
            }
        }),
        patience: PATIENCE,
        submits: true,
        moves: true,
        ..Scene::default()
    }
}

fn open_now(options: &mut std::fs::OpenOptions, fifo: &Fifo) -> std::fs::File {
    use std::os::unix::fs::OpenOptionsExt;
    options
        .custom_flags(libc::O_NONBLOCK)
        .open(&fifo.0)
        .unwrap()
}

/// What is done to a file as a whole.
fn syncs(tools: &Rc<Tools>) -> Scene {
    let file = tools.hold(File::from_std(file()), File::close);
    let sync = |tools: &Rc<Tools>, file: &Held<Rc<File>>| {
        let (tools, file) = (Rc::clone(tools), file.with(Rc::clone));
        task(async move {
            let Some(file) = file else { return };
            let work = async {
                file.set_len(100).await?;
                file.allocate(0, 100).await?;
                file.sync_all().await?;
                file.set_permissions(Permissions::from_mode(0o600)).await?;
                file.sync_data().await?;
                Ok(file.metadata().await?.len() == 100)
            };
            ended(&tools, "a sync", work).await;
        })
    };
    let subjects = (0..2).map(|_| sync(tools, &file)).collect();
    let innocent = Rc::clone(tools);
    Scene {
        subjects,
        innocents: vec![Box::new(move || sync(&innocent, &file))],
        cause: Box::new(|_| std::thread::yield_now()),
        patience: PATIENCE,
        submits: true,
        moves: true,
        ..Scene::default()
    }
}
