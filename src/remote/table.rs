//! The files that are open on a ring's thread, by number.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use slab::Slab;

use crate::fs::File;

thread_local! {
    /// Those of the services that the thread's runtimes carry: one, as a rule.
    static TABLES: RefCell<Vec<(u64, Rc<Table>)>> = const { RefCell::new(Vec::new()) };
}

/// Files by their place; one that was closed leaves its place taken until nobody can name it any more.
type Table = RefCell<Slab<Option<File>>>;

/// Where a file is: its table, and the place there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) table: u64,
    key: usize,
}

/// A number that no other table ever has.
pub(super) fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Makes the table with this number, on the calling thread.
pub(super) fn add(number: u64) {
    TABLES.with_borrow_mut(|tables| tables.push((number, Rc::default())));
}

/// Drops a table of the calling thread, with its files, if it is there. A runtime that ends with its thread, kept in a thread
/// local, may come here when the tables are gone.
pub(super) fn remove(number: u64) {
    let table = TABLES.try_with(|tables| {
        let mut tables = tables.borrow_mut();
        let at = tables.iter().position(|(other, _)| *other == number)?;
        Some(tables.swap_remove(at))
    });
    drop(table); // Without the borrow: files may close.
}

fn find(number: u64) -> Option<Rc<Table>> {
    let found = TABLES.try_with(|tables| {
        let tables = tables.borrow();
        let (_, table) = tables.iter().find(|(other, _)| *other == number)?;
        Some(Rc::clone(table))
    });
    found.ok().flatten()
}

/// Puts a file in. `None`: the table is gone.
pub(super) fn insert(table: u64, file: File) -> Option<Place> {
    let key = find(table)?.borrow_mut().insert(Some(file));
    Some(Place { table, key })
}

impl Place {
    /// The file, to be used for one call.
    ///
    /// # Errors
    ///
    /// `EBADF` if it was closed.
    pub(super) fn file(self) -> io::Result<File> {
        let table = find(self.table).ok_or_else(super::errors::ended)?;
        let files = table.borrow();
        let file = files.get(self.key).and_then(Option::as_ref);
        file.map(File::share).ok_or_else(closed)
    }

    /// Takes the file out, to close it. The place stays taken.
    ///
    /// # Errors
    ///
    /// `EBADF` if it was closed.
    pub(super) fn take(self) -> io::Result<File> {
        let table = find(self.table).ok_or_else(super::errors::ended)?;
        let mut files = table.borrow_mut();
        let file = files.get_mut(self.key).and_then(Option::take);
        file.ok_or_else(closed)
    }

    /// Frees the place: nobody names it any more.
    pub(super) fn free(self) {
        let file = find(self.table).and_then(|table| table.borrow_mut().try_remove(self.key));
        drop(file);
    }
}

fn closed() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}
