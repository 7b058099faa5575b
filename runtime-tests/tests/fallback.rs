//! The same program where io_uring is refused: it runs unchanged, on plain system calls, and one warning says why. Who asks for
//! io_uring and nothing else gets an error.
//!
//! Each test is a process of its own, in which the ring is refused as an operator would do it.

use std::fs::File as StdFile;
use std::io::{self, Read, Seek, Write};
use std::net::{Ipv4Addr, TcpStream as StdTcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{join, join_all};
use saferring::fs::{self, File};
use saferring::io::splice;
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use saferring::runtime::{Backend, Builder, Runtime};
use saferring::time::{sleep, timeout};
use saferring_tests::{
    Killed, Refusal, allow_only, container_filter, example, fd_link, first_line, in_child, limit,
    pattern_bytes, refuse, unprivileged,
};

const CONNECTIONS: usize = 50;

/// Runs `body` in a process where the environment says nothing of backends.
fn child(name: &str, body: impl FnOnce() + Send + 'static) {
    in_child(name, || {
        // SAFETY: this process has no other thread that looks at the environment now.
        unsafe { std::env::remove_var("SAFERRING_BACKEND") };
        body();
    });
}

/// What is written to the standard error while `body` runs.
fn said(body: impl FnOnce()) -> String {
    // SAFETY: a name that ends with a zero, and a number.
    let made = unsafe { libc::memfd_create(c"said".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(made >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the call has just made it.
    let mut said = StdFile::from(unsafe { OwnedFd::from_raw_fd(made) });
    // SAFETY: the calls take numbers only.
    let before = unsafe { libc::dup(2) };
    assert!(before >= 0);
    // SAFETY: as above; the descriptor is open.
    assert_eq!(unsafe { libc::dup2(said.as_raw_fd(), 2) }, 2);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    // SAFETY: as above; it was made by this function, and is closed here.
    unsafe {
        libc::dup2(before, 2);
        libc::close(before);
    }
    let mut text = String::new();
    said.rewind().unwrap();
    said.read_to_string(&mut text).unwrap();
    if let Err(panic) = result {
        eprintln!("{text}");
        std::panic::resume_unwind(panic);
    }
    text
}

fn warnings(said: &str) -> Vec<&str> {
    said.lines()
        .filter(|line| line.starts_with("saferring:"))
        .collect()
}

fn backend(runtime: &Runtime) -> Backend {
    runtime.ring_info().unwrap().backend
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("saferring-fallback-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The program.
async fn program(dir: &Path) {
    echo().await;
    datagrams().await;
    files(dir).await;
    times().await;
    wakes().await;
}

async fn echo() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = saferring::spawn(async move {
        let mut incoming = listener.incoming();
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = incoming.next().await.unwrap().unwrap();
            connections.push(saferring::spawn(async move {
                let mut chunks = stream.recv_stream();
                while let Some(chunk) = chunks.next().await {
                    stream.write_all(chunk.unwrap()).await.0.unwrap();
                }
            }));
        }
        for connection in connections {
            connection.await.unwrap();
        }
    });
    let clients = (0..CONNECTIONS).map(|n| async move {
        let stream = TcpStream::connect(address).await.unwrap();
        for round in 0..3 {
            let bytes = pattern_bytes(n as u64, 100 + round * 3000);
            let receive = stream.read_exact(Vec::with_capacity(bytes.len()));
            let (sent, (received, back)) = join(stream.write_all(bytes.clone()), receive).await;
            sent.0.unwrap();
            received.unwrap();
            assert!(back == bytes);
        }
    });
    join_all(clients).await;
    server.await.unwrap();
}

async fn datagrams() {
    let one = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let two = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (from, to) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    for size in [0, 1, 1000] {
        one.send_to(vec![7; size], to).await.0.unwrap();
        let (received, data) = two.recv_from(vec![0; 2000]).await;
        assert_eq!(received.unwrap(), (size, from));
        assert!(data[..size].iter().all(|&byte| byte == 7));
    }
}

async fn files(dir: &Path) {
    let (path, other) = (dir.join("file"), dir.join("other"));
    let data = pattern_bytes(0, 300_000);
    let (written, _) = fs::write(&path, data.clone()).await;
    written.unwrap();
    assert_eq!(fs::metadata(&path).await.unwrap().len(), 300_000);
    fs::rename(&path, &other).await.unwrap();
    assert!(fs::read(&other).await.unwrap() == data);
    let mut options = File::options();
    let file = options.read(true).write(true).open(&other).await.unwrap();
    let (a, b) = UnixStream::pair().unwrap();
    let send = async {
        assert_eq!(splice(file.at(0), &a, u64::MAX).await.unwrap(), 300_000);
        a.close().await.unwrap();
    };
    let receive = async {
        let (received, all) = b.read_exact(Vec::with_capacity(300_000)).await;
        received.unwrap();
        all
    };
    let ((), all) = join(send, receive).await;
    assert!(all == data);
    file.set_len(10).await.unwrap();
    file.sync_all().await.unwrap();
    assert_eq!(file.read_at(vec![0; 20], 5).await.0.unwrap(), 5);
    file.close().await.unwrap();
    fs::remove_file(&other).await.unwrap();
    let error = File::open(&other).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

async fn times() {
    sleep(Duration::from_millis(1)).await;
    let (stream, _peer) = UnixStream::pair().unwrap();
    let short = Duration::from_millis(1);
    let (read, buf) = stream.read(vec![9; 4]).timeout(short).await;
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(buf, [9; 4]);
    let never = std::future::pending::<()>();
    assert!(timeout(short, never).await.is_err());
}

async fn wakes() {
    let (sender, receiver) = mpsc::channel::<std::task::Waker>();
    let thread = std::thread::spawn(move || receiver.into_iter().for_each(|waker| waker.wake()));
    for _ in 0..50 {
        let mut asked = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut asked, true) {
                return std::task::Poll::Ready(());
            }
            sender.send(cx.waker().clone()).unwrap();
            std::task::Poll::Pending
        })
        .await;
    }
    drop(sender);
    thread.join().unwrap();
    assert_eq!(saferring::spawn_blocking(|| 7).await.unwrap(), 7);
}

/// Runs the program where this is refused, in several runtimes; `words` are in the one warning, and in the error of those who
/// want nothing but io_uring.
fn serves_without(name: &str, call: libc::c_long, errno: i32, words: &'static [&'static str]) {
    child(name, move || {
        let scratch = Scratch::new("serves");
        refuse(Refusal { call, errno }).unwrap();
        let said = said(|| {
            let idle: Vec<_> = (0..5).map(|_| Runtime::new().unwrap()).collect();
            // The filter holds for the threads of this one.
            let others: Vec<_> = (0..4)
                .map(|_| std::thread::spawn(|| Runtime::new().unwrap().block_on(echo())))
                .collect();
            let runtime = Runtime::new().unwrap();
            assert_eq!(backend(&runtime), Backend::Software);
            runtime.block_on(program(&scratch.0));
            for other in others {
                other.join().unwrap();
            }
            for runtime in idle {
                assert_eq!(backend(&runtime), Backend::Software);
                runtime.block_on(wakes());
            }
        });
        let warnings = warnings(&said);
        assert_eq!(warnings.len(), 1, "{said}");
        let only = Builder::new().backend(Backend::IoUring).build();
        let error = only.map(drop).unwrap_err().to_string();
        for word in words {
            assert!(warnings[0].contains(word), "{word:?} is not in: {said}");
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
    });
}

macro_rules! refusals {
    ($($(#[$attribute:meta])* $name:ident: $call:ident, $errno:ident, $words:expr;)*) => {$(
        $(#[$attribute])*
        #[test]
        fn $name() {
            serves_without(stringify!($name), libc::$call, libc::$errno, &$words);
        }
    )*};
}

refusals! {
    setup_says_eperm: SYS_io_uring_setup, EPERM, ["seccomp", "io_uring_setup"];
    setup_says_eacces: SYS_io_uring_setup, EACCES, ["seccomp", "io_uring_setup"];
    setup_says_enosys: SYS_io_uring_setup, ENOSYS, ["no io_uring", "5.15"];
    setup_says_enomem: SYS_io_uring_setup, ENOMEM, ["locked memory", "ulimit -l"];
    enter_says_eperm: SYS_io_uring_enter, EPERM, ["io_uring_enter"];
    enter_says_enosys: SYS_io_uring_enter, ENOSYS, ["io_uring_enter"];
}

/// A ring that nothing can be registered with serves: it does not even say what it can do.
#[test]
fn nothing_can_be_registered() {
    for errno in [libc::EPERM, libc::ENOSYS, libc::EACCES] {
        child("nothing_can_be_registered", move || {
            let scratch = Scratch::new("register");
            refuse(Refusal {
                call: libc::SYS_io_uring_register,
                errno,
            })
            .unwrap();
            let said = said(|| {
                for _ in 0..3 {
                    Runtime::new().unwrap().block_on(program(&scratch.0));
                }
            });
            assert!(warnings(&said).len() <= 1, "{said}");
        });
    }
}

/// Rings count as locked memory since 6.14, for all processes of a user together: those that get none are served all the
/// same.
#[test]
fn forty_runtimes_of_one_user_with_little_locked_memory() {
    child(
        "forty_runtimes_of_one_user_with_little_locked_memory",
        || {
            limit(libc::RLIMIT_MEMLOCK, 64 << 10);
            let mut backends = Vec::new();
            let said = said(|| {
                unprivileged(|| {
                    let all = Arc::new(Barrier::new(40));
                    let threads: Vec<_> = (0..40)
                        .map(|_| {
                            let all = Arc::clone(&all);
                            std::thread::spawn(move || {
                                let built = Builder::new().entries(64).build();
                                // Each has its ring before the first is dropped.
                                all.wait();
                                let runtime = built.unwrap();
                                runtime.block_on(async {
                                    let (a, b) = UnixStream::pair().unwrap();
                                    for _ in 0..20 {
                                        a.write_all(*b"ping").await.0.unwrap();
                                        assert_eq!(&b.read_exact([0; 4]).await.1, b"ping");
                                    }
                                    assert_eq!(saferring::spawn_blocking(|| 1).await.unwrap(), 1);
                                });
                                all.wait();
                                backend(&runtime)
                            })
                        })
                        .collect();
                    backends.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
                });
            });
            let without = backends
                .iter()
                .filter(|&&one| one == Backend::Software)
                .count();
            println!("{without} of 40 on plain system calls");
            let warnings = warnings(&said);
            assert_eq!(warnings.len(), usize::from(without > 0), "{said}");
            assert!(
                warnings.iter().all(|one| one.contains("locked memory")),
                "{said}"
            );
        },
    );
}

/// It may do what a container may by default.
fn contained(name: &str) -> Command {
    let mut filter = container_filter();
    let mut command = Command::new(example(name));
    command
        .env_remove("SAFERRING_BACKEND")
        .stderr(Stdio::piped());
    // SAFETY: between fork and exec it makes two system calls with memory that lives in the closure.
    unsafe { command.pre_exec(move || allow_only(&mut filter)) };
    command
}

#[test]
fn the_echo_server_in_a_container() {
    child("the_echo_server_in_a_container", || {
        let mut server = contained("echo_server");
        server
            .args(["--addr", "127.0.0.1:0"])
            .stdout(Stdio::piped());
        let mut server = Killed(server.spawn().unwrap());
        let line = first_line(&mut server.0);
        let address = line.strip_prefix("listening on ").unwrap().to_owned();
        let clients: Vec<_> = (0..20)
            .map(|n| {
                let address = address.clone();
                std::thread::spawn(move || {
                    let mut stream = StdTcpStream::connect(address).unwrap();
                    let data = pattern_bytes(n, 500_000);
                    let (mut writer, sent) = (stream.try_clone().unwrap(), data.clone());
                    let writing = std::thread::spawn(move || writer.write_all(&sent).unwrap());
                    let mut back = vec![0; data.len()];
                    stream.read_exact(&mut back).unwrap();
                    assert!(back == data);
                    writing.join().unwrap();
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        // SAFETY: two numbers; the child was not waited for.
        let asked = unsafe { libc::kill(server.0.id() as libc::pid_t, libc::SIGINT) };
        assert_eq!(asked, 0);
        let mut said = String::new();
        let mut err = server.0.stderr.take().unwrap();
        err.read_to_string(&mut said).unwrap();
        assert!(server.0.wait().unwrap().success(), "{said}");
        let warnings = warnings(&said);
        assert!(
            warnings.len() == 1 && warnings[0].contains("seccomp"),
            "{said}"
        );
    });
}

#[test]
fn file_copy_in_a_container() {
    child("file_copy_in_a_container", || {
        let scratch = Scratch::new("copy");
        let (from, to) = (scratch.0.join("from"), scratch.0.join("to"));
        for len in [0, 1, 5_000_001] {
            let data = pattern_bytes(3, len);
            std::fs::write(&from, &data).unwrap();
            let output = contained("file_copy").args([&from, &to]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
            assert!(std::fs::read(&to).unwrap() == data);
            assert_eq!(warnings(&said).len(), 1, "{said}");
        }
    });
}

/// The list is of this machine's calls, and the ring's are not on it.
#[test]
fn the_container_has_no_ring() {
    child("the_container_has_no_ring", || {
        allow_only(&mut container_filter()).unwrap();
        let runtime = Runtime::new().unwrap();
        assert_eq!(backend(&runtime), Backend::Software);
        runtime.block_on(echo());
        assert_eq!(fd_link(0).as_deref(), Some("/dev/null"));
    });
}
