//! A runtime, and what works on it, is not for several threads at once.

use saferring::net::TcpStream;
use saferring::runtime::Runtime;

fn is_sync<T: Sync>() {}

fn main() {
    is_sync::<Runtime>();
    is_sync::<TcpStream>();
}
