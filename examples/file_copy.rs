//! Copies a file: several blocks are read and written at once, and the target appears whole or not at all.
//!
//! ```text
//! cargo run --release --example file_copy -- SRC DST
//! ```
//!
//! The copy goes to a file of another name beside DST, which takes DST's place when it is complete. After an error or
//! Ctrl-C that file is removed, and DST is what it was before.

use std::cell::Cell;
use std::io::{self, ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use saferring::buf::IoBuf;
use saferring::fs::{self, File, Metadata, OpenOptions};
use saferring::runtime::{Builder, fixed_buffers};
use saferring::signal::ctrl_c;

const USAGE: &str = "usage: file_copy SRC DST [options]
  --buffer-size N  bytes read and written at once (default 65536)
  --depth N        blocks on their way at once (default 16)
  --direct         go past the page cache (O_DIRECT); N is then a multiple of 4096
  --sync           wait until the copy is on the disk; without it a power failure may lose it";
/// What --direct wants buffers, lengths and offsets to be multiples of.
const ALIGN: usize = 4096;

#[derive(Default)]
struct Options {
    from: PathBuf,
    to: PathBuf,
    buffer_size: usize,
    depth: u32,
    direct: bool,
    sync: bool,
}

/// An exit code, and what to say.
struct Failure(u8, String);

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Failure(2, format!("{error}\n{USAGE}"))
    }
}

fn main() -> ExitCode {
    let started = Instant::now();
    let copied = parse_options().and_then(|options| {
        // Registered buffers: aligned as --direct wants them, and pinned once.
        let builder = Builder::new().fixed_buffers(options.buffer_size, options.depth);
        let runtime = builder.build();
        let runtime = runtime.map_err(|error| Failure(1, error.to_string()))?;
        runtime.block_on(copy_until_ctrl_c(&options))
    });
    match copied {
        Ok(bytes) => {
            let (seconds, megabytes) = (started.elapsed().as_secs_f64(), bytes as f64 / 1e6);
            println!(
                "{bytes} bytes in {seconds:.3} s, {:.1} MB/s",
                megabytes / seconds
            );
            ExitCode::SUCCESS
        }
        Err(Failure(code, message)) => {
            eprintln!("file_copy: {message}");
            ExitCode::from(code)
        }
    }
}

fn parse_options() -> Result<Options, Failure> {
    use lexopt::prelude::*;
    let mut options = Options::default();
    (options.buffer_size, options.depth) = (64 * 1024, 16);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("buffer-size") => options.buffer_size = parser.value()?.parse()?,
            Long("depth") => options.depth = parser.value()?.parse()?,
            Long("direct") => options.direct = true,
            Long("sync") => options.sync = true,
            Long("help") | Short('h') => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            Value(path) if options.from.as_os_str().is_empty() => options.from = path.into(),
            Value(path) if options.to.as_os_str().is_empty() => options.to = path.into(),
            other => return Err(other.unexpected().into()),
        }
    }
    let wrong = |what: &str| Err(lexopt::Error::from(what).into());
    if options.to.as_os_str().is_empty() {
        return wrong("SRC and DST are wanted");
    }
    if !(1..=1 << 30).contains(&options.buffer_size) || !(1..=4096).contains(&options.depth) {
        return wrong("--buffer-size must be 1 to 1073741824, --depth 1 to 4096");
    }
    if options.buffer_size.next_multiple_of(ALIGN) * options.depth as usize > 1 << 30 {
        return wrong("--buffer-size times --depth must be at most 1073741824");
    }
    if options.direct && options.buffer_size % ALIGN != 0 {
        return wrong("--direct wants a --buffer-size that is a multiple of 4096");
    }
    Ok(options)
}

/// Says what was tried when it failed.
trait Trying<T> {
    fn trying(self, what: &str, path: &Path) -> Result<T, Failure>;
}

impl<T> Trying<T> for io::Result<T> {
    fn trying(self, what: &str, path: &Path) -> Result<T, Failure> {
        self.map_err(|error| Failure(1, format!("cannot {what} {}: {error}", path.display())))
    }
}

async fn copy_until_ctrl_c(options: &Options) -> Result<u64, Failure> {
    let stop = Cell::new(false);
    let copy = pin!(copy(options, &stop));
    match select(copy, pin!(ctrl_c())).await {
        Either::Left((copied, _)) => copied,
        Either::Right((signal, copy)) => {
            // The copy ends its blocks and removes its file, so it is told and not dropped.
            stop.set(signal.is_ok());
            copy.await
        }
    }
}

async fn copy(options: &Options, stop: &Cell<bool>) -> Result<u64, Failure> {
    let from = &options.from;
    let about = fs::metadata(from).await.trying("read", from)?;
    let to = find_target(options, &about).await?;
    let mut reading = OpenOptions::new();
    reading.read(true).direct(options.direct);
    let what = ["open", "open with O_DIRECT"][usize::from(options.direct)];
    let source = reading.open(from).await.trying(what, from)?;
    let (temporary, target) = create_beside(&to, options.direct).await?;
    // There is nothing else that this thread could do meanwhile.
    target.set_inline_writes(!options.direct);

    let job = Job {
        options,
        source,
        target,
        about,
        stop,
        next: Cell::new(0),
        end: Cell::new(u64::MAX),
        shown: Cell::new(Instant::now()),
    };
    let mut copied = job.run().await;
    if copied.is_ok() {
        let renamed = fs::rename(&temporary, &to).await.trying("replace", &to);
        copied = renamed.and(copied);
    }
    if copied.is_err() {
        let _ = fs::remove_file(&temporary).await;
    } else if options.sync {
        // The new name has to be on the disk, too.
        let directory = temporary.with_file_name(".");
        let opened = File::open(&directory).await.trying("sync", &directory)?;
        opened.sync_all().await.trying("sync", &directory)?;
    }
    copied
}

/// What is to be replaced. Refuses what cannot be copied or replaced.
async fn find_target(options: &Options, source: &Metadata) -> Result<PathBuf, Failure> {
    let Options { from, to, .. } = options;
    let refuse = |path: &Path, why| Err(Failure(1, format!("{} {why}", path.display())));
    if source.is_dir() {
        return refuse(from, "is a directory");
    }
    if !source.is_file() {
        return refuse(from, "is not a regular file");
    }
    match fs::metadata(to).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(to.clone()),
        Err(error) => Err(error).trying("write", to),
        Ok(target) if target.is_dir() => refuse(to, "is a directory"),
        Ok(target) if !target.is_file() => refuse(to, "exists and is not a regular file"),
        Ok(target) if (target.dev(), target.ino()) == (source.dev(), source.ino()) => {
            refuse(to, "is the file to be copied")
        }
        // What a symbolic link leads to is replaced, not the link.
        Ok(_) => std::fs::canonicalize(to).trying("find", to),
    }
}

/// Makes a file in the same directory, so that it can take the target's place.
async fn create_beside(to: &Path, direct: bool) -> Result<(PathBuf, File), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.direct(direct);
    let path = to.with_file_name(format!(".file_copy.{}", std::process::id()));
    let opened = options.open(&path).await;
    let what = ["create", "create with O_DIRECT"][usize::from(direct)];
    if matches!(&opened, Err(error) if error.kind() == ErrorKind::InvalidInput) {
        // A file system without O_DIRECT says so when it has made the file.
        let _ = fs::remove_file(&path).await;
    }
    Ok((path.clone(), opened.trying(what, &path)?))
}

/// A copy on its way.
struct Job<'a> {
    options: &'a Options,
    source: File,
    target: File,
    about: Metadata,
    /// Set by Ctrl-C and by the first failure.
    stop: &'a Cell<bool>,
    /// Where the next block starts.
    next: Cell<u64>,
    /// Where the source ends, once a read has come upon it.
    end: Cell<u64>,
    /// When progress was last shown.
    shown: Cell<Instant>,
}

impl Job<'_> {
    /// Copies everything, and returns how many bytes that was. Nothing is in flight any more when it returns.
    async fn run(self) -> Result<u64, Failure> {
        let to = &self.options.to;
        let len = self.about.len();
        match self.target.allocate(0, len.max(1)).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            reserved => reserved.trying("make room for", to)?,
        }
        let blocks = len / self.options.buffer_size as u64 + 1;
        let workers = 0..blocks.min(self.options.depth.into());
        let mut running: FuturesUnordered<_> = workers.map(|_| self.copy_blocks()).collect();
        let mut result = Ok(());
        while let Some(ended) = running.next().await {
            self.stop.set(self.stop.get() || ended.is_err());
            result = result.and(ended);
        }
        drop(running);
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        result?;
        if self.stop.get() {
            return Err(Failure(130, "interrupted".to_owned()));
        }
        // What was reserved or, for --direct, written beyond the end is cut off.
        let end = self.end.get();
        self.target.set_len(end).await.trying("write", to)?;
        let set = self.target.set_permissions(self.about.permissions()).await;
        set.trying("set the permissions of", to)?;
        if self.options.sync {
            self.target.sync_all().await.trying("sync", to)?;
        }
        self.target.close().await.trying("write", to)?;
        Ok(end)
    }

    /// Copies one block after the other until none is left.
    async fn copy_blocks(&self) -> Result<(), Failure> {
        let Options { from, to, .. } = self.options;
        let size = self.options.buffer_size;
        let mut buf = fixed_buffers().trying("make buffers for", to)?.take().await;
        while self.next.get() < self.end.get() && !self.stop.get() {
            let mut at = self.next.get();
            let stop = at + size as u64;
            self.next.set(stop);
            while at < stop {
                buf.clear();
                let room = (stop - at) as usize;
                let (read, filled) = self.source.read_at(buf.slice(..room), at).await;
                buf = filled.into_inner();
                let n = read.trying("read", from)?;
                if self.options.direct {
                    buf.resize(n.next_multiple_of(ALIGN), 0);
                }
                let (written, kept) = self.target.write_all_at(buf, at).await;
                buf = kept;
                written.trying("write", to)?;
                at += n as u64;
                self.show_progress();
                // A direct read that ends within a block has come upon the end, too.
                if n == 0 || (self.options.direct && n % ALIGN != 0) {
                    self.end.set(self.end.get().min(at));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn show_progress(&self) {
        if self.shown.get().elapsed() < Duration::from_millis(100) {
            return;
        }
        self.shown.set(Instant::now());
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K{} of {} bytes", self.next.get(), self.about.len());
        }
    }
}
