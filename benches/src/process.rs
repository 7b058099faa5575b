//! Contenders' processes, as seen by their parent.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::child::{Orders, Task};
use crate::control::{Message, Slice, anonymous_memory};
use crate::measure::learn_cores;

/// Lines of a child's standard error that are kept to explain its end.
const LINES: usize = 6;

/// A child. It is killed and reaped when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// `None` if standard input is a socket.
    commands: Option<ChildStdin>,
    messages: Receiver<Message>,
    errors: Arc<Mutex<VecDeque<String>>>,
    clock: libc::clockid_t,
}

impl Process {
    /// Starts a contender on a task. A server gets its socket as standard input.
    pub(crate) fn start(name: &str, task: Task, socket: Option<OwnedFd>) -> io::Result<Self> {
        let orders = Orders {
            contender: name.into(),
            task,
            parent: std::process::id(),
            cores: learn_cores(None).into(),
        };
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--child", &serde_json::to_string(&orders)?])
            .stdin(socket.map_or_else(Stdio::piped, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (said, messages) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    // What is not ours is the contender's own chatter.
                    if let Ok(message) = serde_json::from_str(&line) {
                        let _ = said.send(message);
                    }
                }
            });
        }
        let errors = Arc::default();
        if let Some(stderr) = child.stderr.take() {
            let kept = Arc::clone(&errors);
            thread::spawn(move || keep_last_lines(stderr, &kept));
        }
        let mut clock = 0;
        // SAFETY: the call writes one clock id to `clock`, which lives across it.
        let failed = unsafe { libc::clock_getcpuclockid(child.id() as libc::pid_t, &mut clock) };
        let commands = child.stdin.take();
        let process = Process {
            child,
            commands,
            messages,
            errors,
            clock,
        };
        match failed {
            0 => Ok(process),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// User and system time of all its threads, those that the kernel made for it included.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `now` is a timespec that lives across the call, which only writes to it.
        match unsafe { libc::clock_gettime(self.clock, &mut now) } {
            0 => Ok(Duration::new(now.tv_sec as u64, now.tv_nsec as u32)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// User and system time apart, in the kernel's ticks.
    pub(crate) fn ticks(&self) -> io::Result<(u64, u64)> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // The name, in parentheses, may hold anything; the state behind it is field 3.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let mut next = || fields.next().and_then(|field| field.parse().ok());
        next()
            .zip(next())
            .ok_or_else(|| io::Error::other("/proc/PID/stat has too few fields"))
    }

    pub(crate) fn memory(&self) -> io::Result<u64> {
        anonymous_memory(&self.id().to_string())
    }

    /// Asks for a slice of work.
    pub(crate) fn slice(&mut self, ops: u64, patience: Duration) -> io::Result<Slice> {
        self.order(ops)?;
        match self.hear(patience)? {
            Message::Slice(slice) if slice.ops > 0 => Ok(slice),
            other => Err(io::Error::other(format!(
                "it said {other:?}, not what a slice cost"
            ))),
        }
    }

    pub(crate) fn order(&mut self, ops: u64) -> io::Result<()> {
        match &mut self.commands {
            Some(commands) => writeln!(commands, "{ops}").map_err(|_| self.end()),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The next message; what ended it, or that it kept still for so long, is an error.
    pub(crate) fn hear(&mut self, patience: Duration) -> io::Result<Message> {
        match self.messages.recv_timeout(patience) {
            Ok(Message::Failed(error)) => Err(io::Error::other(error)),
            Ok(message) => Ok(message),
            Err(RecvTimeoutError::Timeout) => Err(io::Error::other(format!(
                "it hangs: nothing heard for {} s",
                patience.as_secs()
            ))),
            Err(RecvTimeoutError::Disconnected) => Err(self.end()),
        }
    }

    /// Why it has ended, if it has; otherwise `error`.
    pub(crate) fn explain(&mut self, error: io::Error) -> io::Error {
        // Its last words may still be on their way.
        match self.messages.recv_timeout(Duration::from_millis(200)) {
            Ok(Message::Failed(said)) => io::Error::other(said),
            Err(RecvTimeoutError::Disconnected) => self.end(),
            _ => error,
        }
    }

    /// Its exit status and the end of what it wrote to standard error.
    fn end(&mut self) -> io::Error {
        // Its pipe is closed, so it has ended or is about to; it may have closed it by itself, too.
        let _ = self.child.kill();
        let status = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let errors: Vec<&str> = errors.iter().map(String::as_str).collect();
        io::Error::other(match errors.is_empty() {
            true => format!("it died ({status})"),
            false => format!("it died ({status}): {}", errors.join(" / ")),
        })
    }
}

fn keep_last_lines(stderr: impl Read, kept: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
