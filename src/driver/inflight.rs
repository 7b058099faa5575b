//! What is in flight, for people: the answer to "what is it waiting for?".

use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

use super::inner::Inner;
use super::slots::{FileRef, OWN, State};
use crate::sys;

/// One operation that the kernel has and has not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InFlightOp {
    /// The operation's number (`IORING_OP_*`).
    pub code: u8,
    /// Its name, as in `read` or `accept`.
    pub name: &'static str,
    /// The descriptor it works on, if it has one.
    pub fd: Option<RawFd>,
    /// How long ago it was submitted, to about 10 ms.
    pub age: Duration,
    /// The task that waits for it, if a task of this runtime does.
    pub task: Option<u64>,
    /// The name of that task, if it has one.
    pub task_name: Option<String>,
    /// Whether its future is gone, so that only its end is waited for.
    pub orphan: bool,
}

impl fmt::Display for InFlightOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(fd) = self.fd {
            write!(f, " fd {fd}")?;
        }
        write!(f, ", {} ms", self.age.as_millis())?;
        if let Some(task) = self.task {
            write!(f, ", task {task}")?;
        }
        if let Some(name) = &self.task_name {
            write!(f, " ({name})")?;
        }
        if self.orphan {
            write!(f, ", orphan")?;
        }
        Ok(())
    }
}

impl<W, F> Inner<W, F> {
    pub(super) fn operations(
        &mut self,
        id: impl Fn(&W) -> Option<(u64, Option<String>)>,
        number: impl Fn(FileRef) -> RawFd,
    ) -> Vec<InFlightOp> {
        let now = sys::coarse_millis();
        let keys = self
            .slots
            .keys(|state| matches!(state, State::InFlight | State::Orphan));
        keys.into_iter()
            .filter_map(|key| {
                let head = self.slots.head(key);
                if head.tag & OWN != 0 {
                    return None;
                }
                let vtable = head.vtable?;
                let fd = match head.file {
                    Some(file) => number(file),
                    None if head.is_multishot() => -1,
                    None => head.b as RawFd,
                };
                let (task, task_name) = match head.waiter.as_ref().and_then(&id) {
                    Some((task, name)) => (Some(task), name),
                    None => (None, None),
                };
                Some(InFlightOp {
                    code: vtable.code,
                    name: vtable.name,
                    fd: (fd >= 0).then_some(fd),
                    age: Duration::from_millis(now.wrapping_sub(head.a).into()),
                    task,
                    task_name,
                    orphan: head.state == State::Orphan,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_tells_what_is_known() {
        let bare = InFlightOp {
            code: 22,
            name: "read",
            fd: None,
            age: Duration::from_millis(20),
            task: None,
            task_name: None,
            orphan: false,
        };
        assert_eq!(bare.to_string(), "read, 20 ms");
        let all = InFlightOp {
            fd: Some(7),
            task: Some(3),
            task_name: Some("reader".to_owned()),
            orphan: true,
            ..bare
        };
        assert_eq!(all.to_string(), "read fd 7, 20 ms, task 3 (reader), orphan");
    }
}
