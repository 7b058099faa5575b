//! Who says where a buffer lies vouches for it.

use saferring::buf::IoBuf;

struct Liar;

impl IoBuf for Liar {
    fn buf_ptr(&self) -> *const u8 {
        std::ptr::dangling()
    }

    fn buf_len(&self) -> usize {
        64
    }
}

fn main() {}
