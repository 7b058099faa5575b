//! What the log holds: records of what has changed, in batches. A batch has its length and a checksum in front, so that one which
//! was not written to its end is known for it.

use std::io::{self, BufReader, Read};

/// A change of one key, or of all. Each says all that the key is afterwards, so that one may be done twice.
#[derive(Debug, PartialEq)]
pub(crate) enum Record<'a> {
    Set {
        key: &'a [u8],
        value: &'a [u8],
        deadline: u64,
    },
    Remove {
        key: &'a [u8],
    },
    Expire {
        key: &'a [u8],
        deadline: u64,
    },
    Clear,
}

impl<'a> Record<'a> {
    /// Appends it to the records of a batch, and begins that if `batch` is empty.
    pub(crate) fn encode(&self, batch: &mut Vec<u8>) {
        if batch.is_empty() {
            batch.resize(HEAD, 0);
        }
        let size = |batch: &mut Vec<u8>, bytes: &[u8]| {
            batch.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        };
        match self {
            Record::Set {
                key,
                value,
                deadline,
            } => {
                batch.push(b'S');
                batch.extend_from_slice(&deadline.to_le_bytes());
                size(batch, key);
                size(batch, value);
                batch.extend_from_slice(key);
                batch.extend_from_slice(value);
            }
            Record::Remove { key } => {
                batch.push(b'R');
                size(batch, key);
                batch.extend_from_slice(key);
            }
            Record::Expire { key, deadline } => {
                batch.push(b'E');
                batch.extend_from_slice(&deadline.to_le_bytes());
                size(batch, key);
                batch.extend_from_slice(key);
            }
            Record::Clear => batch.push(b'C'),
        }
    }

    /// The first of some records, and the rest.
    pub(crate) fn decode(records: &'a [u8]) -> Option<(Record<'a>, &'a [u8])> {
        let (kind, mut rest) = records.split_first()?;
        let rest = &mut rest;
        let record = match kind {
            b'S' => {
                let deadline = u64::from_le_bytes(fixed(rest)?);
                let (key, value) = (size(rest)?, size(rest)?);
                Record::Set {
                    key: take(rest, key)?,
                    value: take(rest, value)?,
                    deadline,
                }
            }
            b'R' => {
                let key = size(rest)?;
                Record::Remove {
                    key: take(rest, key)?,
                }
            }
            b'E' => {
                let (deadline, key) = (u64::from_le_bytes(fixed(rest)?), size(rest)?);
                Record::Expire {
                    key: take(rest, key)?,
                    deadline,
                }
            }
            b'C' => Record::Clear,
            _ => return None,
        };
        Some((record, rest))
    }
}

fn take<'a>(from: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(taken)
}

fn fixed<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    take(from, N)?.try_into().ok()
}

fn size(from: &mut &[u8]) -> Option<usize> {
    Some(u32::from_le_bytes(fixed(from)?) as usize)
}

pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Length of the records, their checksum, the checksum of these two.
pub(crate) const HEAD: usize = 16;

/// Writes the head of a batch that is complete.
pub(crate) fn seal(batch: &mut [u8]) {
    let (head, records) = batch.split_at_mut(HEAD);
    head[..8].copy_from_slice(&(records.len() as u64).to_le_bytes());
    head[8..12].copy_from_slice(&checksum(records).to_le_bytes());
    let of_head = checksum(&head[..12]);
    head[12..].copy_from_slice(&of_head.to_le_bytes());
}

/// The batches of a file.
pub(crate) struct Batches<R> {
    file: R,
    /// Where the next begins; all before is whole.
    at: u64,
    len: u64,
    records: Vec<u8>,
}

/// What a file goes on with.
#[derive(Debug, PartialEq)]
pub(crate) enum Next<'a> {
    /// The records of a whole batch.
    Records(&'a [u8]),
    End,
    /// A batch that was not written to its end. It is the last, and nobody was told that it was written.
    Torn,
    /// What was written is not there any more.
    Damaged,
}

impl<R: Read> Batches<R> {
    /// Those from `at` on of a file that is `len` long; `file` reads on from there.
    pub(crate) fn new(file: R, at: u64, len: u64) -> Self {
        Batches {
            file,
            at,
            len,
            records: Vec::new(),
        }
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn next(&mut self) -> io::Result<Next<'_>> {
        let left = self.len - self.at;
        if left == 0 {
            return Ok(Next::End);
        }
        let mut head = [0; HEAD];
        if left < HEAD as u64 {
            return Ok(Next::Torn);
        }
        self.file.read_exact(&mut head)?;
        let mut fields = &head[..];
        let (Some(len), Some(sum), Some(of_head)) =
            (fixed(&mut fields), fixed(&mut fields), fixed(&mut fields))
        else {
            return Ok(Next::Torn);
        };
        let left = left - HEAD as u64;
        if checksum(&head[..12]) != u32::from_le_bytes(of_head) {
            // A file may have grown without its bytes.
            let mut rest = BufReader::new(self.file.by_ref().take(left)).bytes();
            let is_empty = rest.all(|byte| matches!(byte, Ok(0)));
            return Ok(if is_empty { Next::Torn } else { Next::Damaged });
        }
        let len = u64::from_le_bytes(len);
        if len > left {
            return Ok(Next::Torn);
        }
        self.records.clear();
        let mut records = self.file.by_ref().take(len);
        records.read_to_end(&mut self.records)?;
        if checksum(&self.records) == u32::from_le_bytes(sum) {
            self.at += HEAD as u64 + len;
            return Ok(Next::Records(&self.records));
        }
        Ok(match len == left {
            true => Next::Torn,
            false => Next::Damaged,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(records: &[Record<'_>]) -> Vec<u8> {
        let mut batch = Vec::new();
        for record in records {
            record.encode(&mut batch);
        }
        seal(&mut batch);
        batch
    }

    fn some() -> [Record<'static>; 4] {
        [
            Record::Set {
                key: b"key",
                value: b"a value",
                deadline: 77,
            },
            Record::Expire {
                key: b"",
                deadline: u64::MAX,
            },
            Record::Remove { key: b"\0\r\n" },
            Record::Clear,
        ]
    }

    fn batches(file: &[u8]) -> Batches<&[u8]> {
        Batches::new(file, 0, file.len() as u64)
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let file = batch(&some());
        let mut batches = batches(&file);
        let Next::Records(mut rest) = batches.next().unwrap() else {
            panic!("no batch");
        };
        for record in some() {
            let (read, after) = Record::decode(rest).unwrap();
            assert_eq!(read, record);
            rest = after;
        }
        assert_eq!(Record::decode(rest), None);
        assert_eq!(batches.next().unwrap(), Next::End);
        assert_eq!(batches.at(), file.len() as u64);
    }

    #[test]
    fn a_tail_is_torn_at_any_byte_of_it() {
        let first = batch(&some());
        let whole = [&first[..], &first].concat();
        for end in first.len() + 1..whole.len() {
            let mut cut = whole[..end].to_vec();
            for grown in [false, true] {
                let mut batches = batches(&cut);
                assert!(matches!(batches.next().unwrap(), Next::Records(_)));
                assert_eq!(batches.next().unwrap(), Next::Torn, "{end}, {grown}");
                assert_eq!(batches.at(), first.len() as u64);
                // The last record says that all goes, by a byte that is not 0.
                cut.resize(whole.len(), 0);
            }
        }
    }

    #[test]
    fn any_byte_that_changes_before_the_end_is_damage() {
        let first = batch(&some());
        let mut file = [&first[..], &first].concat();
        for at in 0..first.len() {
            file[at] ^= 1;
            assert_eq!(batches(&file).next().unwrap(), Next::Damaged, "{at}");
            file[at] ^= 1;
        }
    }
}
