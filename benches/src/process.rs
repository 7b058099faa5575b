//! Contenders' processes, as seen by their parent.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::child::{Orders, Task};
use crate::control::{Message, Slice, anonymous_memory};
use crate::measure::{clock, learn_cores};

/// Lines of a child's standard error that are kept to explain its end.
const LINES: usize = 6;

/// A child. It is killed and reaped when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// `None` if standard input is a socket.
    commands: Option<ChildStdin>,
    messages: Receiver<Message>,
    errors: File,
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
        let errors = File::from(memfd_create("errors", MemfdFlags::CLOEXEC)?);
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--child", &serde_json::to_string(&orders)?])
            .stdin(socket.map_or_else(Stdio::piped, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(errors.try_clone()?)
            .spawn()?;
        let (said, messages) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    // What is not ours is the contender's own chatter.
                    let _ = serde_json::from_str(&line).map(|message| said.send(message));
                }
            });
        }
        let mut process = Process {
            commands: child.stdin.take(),
            child,
            messages,
            errors,
            clock: 0,
        };
        let id = process.id() as libc::pid_t;
        // SAFETY: the call writes one clock id to `clock`, which lives across it.
        match unsafe { libc::clock_getcpuclockid(id, &mut process.clock) } {
            0 => Ok(process),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// User and system time of all its threads, those that the kernel made for it included.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        clock(self.clock)
    }

    /// User and system time apart, in the kernel's ticks.
    pub(crate) fn ticks(&self) -> io::Result<(i64, i64)> {
        let stat = self.stat()?;
        let mut fields = stat.split_ascii_whitespace().skip(11);
        let mut next = || fields.next().and_then(|field| field.parse().ok());
        let ticks = next().zip(next());
        ticks.ok_or_else(|| io::Error::other("/proc/PID/stat has too few fields"))
    }

    /// Whether its first thread waits for something else than a core.
    pub(crate) fn is_asleep(&self) -> io::Result<bool> {
        Ok(self.stat()?.trim_start().starts_with('S'))
    }

    /// What the kernel says of it, from its state on.
    fn stat(&self) -> io::Result<String> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // The name, in parentheses, may hold anything; the state behind it is field 3.
        Ok(stat.rsplit(')').next().unwrap_or_default().into())
    }

    pub(crate) fn memory(&self) -> io::Result<u64> {
        anonymous_memory(&self.id().to_string())
    }

    /// Asks for a slice of work.
    pub(crate) fn slice(&mut self, ops: u64, patience: Duration) -> io::Result<Slice> {
        let Some(commands) = &mut self.commands else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        writeln!(commands, "{ops}").map_err(|_| self.end())?;
        match self.hear(patience)? {
            Message::Slice(slice) if slice.ops > 0 => Ok(slice),
            other => Err(io::Error::other(format!(
                "it said {other:?}, not what a slice cost"
            ))),
        }
    }

    /// The next message; what ended it, or that it kept still for so long, is an error.
    pub(crate) fn hear(&mut self, patience: Duration) -> io::Result<Message> {
        match self.messages.recv_timeout(patience) {
            Ok(Message::Failed(error)) => Err(io::Error::other(error)),
            Ok(message) => Ok(message),
            Err(RecvTimeoutError::Timeout) => {
                let seconds = patience.as_secs();
                Err(io::Error::other(format!(
                    "it hangs: nothing heard for {seconds} s"
                )))
            }
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
        let status = self.child.wait();
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let mut errors = Vec::new();
        // Without its words, its status must do.
        let _ = self.errors.rewind();
        let _ = self.errors.read_to_end(&mut errors);
        let errors = String::from_utf8_lossy(&errors);
        let lines: Vec<&str> = errors.lines().collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join(" / ");
        let colon = if last.is_empty() { "" } else { ": " };
        io::Error::other(format!("it died ({status}){colon}{last}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
