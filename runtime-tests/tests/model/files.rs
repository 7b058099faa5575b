//! What files have answered, against what the model knows.

use std::io;
use std::rc::Rc;

use saferring::op::RegisteredFd;

use super::handle::Does;
use super::object::{self, FILE_BASE, FILE_PLACE, Ours};
use super::settle::Ended;
use super::world::World;

impl World {
    pub(crate) fn took_file(
        &mut self,
        ended: Ended,
        n: usize,
        bytes: &[u8],
        at: usize,
        capacity: usize,
    ) {
        assert_eq!(
            n,
            bytes.len(),
            "handle {}: how much is in its buffer",
            ended.id
        );
        let object = &self.objects[ended.object];
        if let Some(contents) = &object.contents {
            let right = contents[at..].starts_with(bytes) && n == capacity.min(contents.len() - at);
            assert!(
                right,
                "handle {} has read something else than the file",
                ended.id
            );
            return;
        }
        let len = capacity.min(object::FILE_LEN - at);
        assert_eq!(n, len, "handle {} has read too little", ended.id);
        let first = object::file_contents();
        for (offset, &byte) in (at..).zip(bytes) {
            if offset < FILE_BASE {
                assert_eq!(
                    byte, first[offset],
                    "handle {}: byte {offset} of the file",
                    ended.id
                );
                continue;
            }
            let number = (offset - FILE_BASE) / FILE_PLACE;
            let written = object::place_bytes(number)[(offset - FILE_BASE) % FILE_PLACE];
            let place = object.places[number];
            let sure = place.sure.is_some_and(|step| step < ended.began);
            let right = place.begun && byte == written || !sure && byte == 0;
            assert!(
                right,
                "handle {}: byte {offset} of the file is {byte}",
                ended.id
            );
        }
    }

    pub(crate) fn wrote_file(&mut self, ended: Ended, result: io::Result<usize>) {
        let Does::FileWrite { place } = ended.does else {
            unreachable!("it writes a file");
        };
        match result {
            Ok(n) => {
                assert_eq!(n, FILE_PLACE, "handle {} has written too little", ended.id);
                let now = self.number;
                let sure = &mut self.objects[ended.object].places[place].sure;
                sure.get_or_insert(now);
            }
            Err(error) => self.check_error(ended, &error),
        }
    }

    pub(crate) fn opened(&mut self, ended: Ended, result: io::Result<RegisteredFd>) {
        match result {
            Ok(file) => {
                let object = &mut self.objects[ended.object];
                if matches!(object.ours, Ours::Opening) {
                    object.ours = Ours::DirectFile(Rc::new(file));
                }
            }
            // A registry of another runtime may be refused.
            Err(_) if ended.crossed || self.objects[ended.object].homes.len() > 1 => {}
            Err(error) => self.check_error(ended, &error),
        }
    }
}
