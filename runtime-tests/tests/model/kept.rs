//! Programs that have failed once, made smaller. One line a step: this file is left as it is by rustfmt.

use super::search::run;
use super::step::*;

/// The second of two reads is awaited first.
#[test]
fn kept_second_read_first() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Peer { act: PeerAct::Write, object: 0, size: 9 },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 0, how: How::Submitted, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 0, how: How::Submitted, limit: Limit::None },
        Step::Await { handle: 1, at: 0, in_task: false },
    ]);
}

/// A read that is dropped has got the reset; the next must tell it.
#[test]
fn kept_reset_of_a_dropped_read() {
    run(&[
        Step::Make { kind: Kind::Tcp, at: 0 },
        Step::Peer { act: PeerAct::Reset, object: 0, size: 1 },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Turn { at: 0 },
        Step::Drop { handle: 0, at: 0 },
    ]);
}

/// A shutdown without grace, with a close on its way.
#[test]
fn kept_queued_close() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::DropObject { object: 0, at: 0 },
        Step::Shutdown { at: 0, grace: Grace::Zero, next: 0 },
    ]);
}

/// A close waits for what another runtime has in flight.
#[test]
fn kept_close_across_runtimes() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 1, how: How::Polled, limit: Limit::None },
        Step::Close { object: 0, at: 0 },
    ]);
}

/// A place in the table of one runtime is taken by what another opens.
#[test]
fn kept_registry_of_another_runtime() {
    run(&[
        Step::Make { kind: Kind::Direct, at: 0 },
        Step::Make { kind: Kind::DirectFile, at: 0 },
        Step::Start { object: 1, act: Act::Read, size: 1, at: 1, how: How::Lazy, limit: Limit::None },
        Step::Await { handle: 0, at: 0, in_task: false },
        Step::Peer { object: 0, act: PeerAct::Write, size: 1 },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Await { handle: 0, at: 0, in_task: false },
    ]);
}

/// Direct descriptors of two runtimes are the same number to a close.
#[test]
fn kept_close_of_the_same_number() {
    run(&[
        Step::Make { kind: Kind::Direct, at: 0 },
        Step::Make { kind: Kind::Direct, at: 1 },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 1, act: Act::Read, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Close { object: 0, at: 0 },
    ]);
}

/// A waker that panics keeps the poll that has woken it from its answer.
#[test]
fn kept_panicking_waker() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::WriteAll, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Poll { handle: 1, at: 0, waker: WakerKind::Panicking },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Poll { handle: 2, at: 0, waker: WakerKind::Panicking },
        Step::Turn { at: 0 },
        Step::Await { handle: 0, at: 0, in_task: false },
    ]);
}

/// A waker turns the runtime while a stream gives up its chunks.
#[test]
fn kept_turning_waker() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 1 },
        Step::Make { kind: Kind::Unix, at: 1 },
        Step::Start { object: 0, act: Act::Chunks, size: 1, at: 1, how: How::Polled, limit: Limit::None },
        Step::Start { object: 1, act: Act::Chunks, size: 1, at: 1, how: How::Polled, limit: Limit::None },
        Step::Peer { object: 0, act: PeerAct::Write, size: 64 },
        Step::Turn { at: 1 },
        Step::Peer { object: 1, act: PeerAct::Write, size: 64 },
        Step::Turn { at: 1 },
        Step::Poll { handle: 1, at: 1, waker: WakerKind::Turning },
        Step::Drop { handle: 0, at: OUTSIDE },
    ]);
}

/// A stream that waits for its turn with the pool of one runtime goes on in another.
#[test]
fn kept_pool_of_another_runtime() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Chunks, size: 1, at: 1, how: How::Polled, limit: Limit::None },
        Step::Start { object: 1, act: Act::Chunks, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Drop { handle: 0, at: 0 },
        Step::Turn { at: 0 },
        Step::Await { handle: 0, at: 0, in_task: false },
        Step::Peer { object: 0, act: PeerAct::Write, size: 65 },
        Step::Await { handle: 0, at: 0, in_task: false },
    ]);
}

/// A stream that is polled outside its runtime, when its turn has come, must not keep the turn.
#[test]
fn kept_turn_outside() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Chunks, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Drop { handle: 0, at: 0 },
        Step::Turn { at: 0 },
        Step::Poll { handle: 0, at: OUTSIDE, waker: WakerKind::Own },
        Step::Drop { handle: 0, at: 0 },
        Step::Peer { act: PeerAct::Write, object: 0, size: 1 },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 0, how: How::Polled, limit: Limit::None },
    ]);
}

/// A listener of Unix sockets accepts whoever has no name.
#[test]
fn kept_accept_of_a_nameless_peer() {
    run(&[
        Step::Make { kind: Kind::UnixListener, at: 0 },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Peer { act: PeerAct::Write, object: 0, size: 1 },
    ]);
}

/// What was accepted for a stream of connections that is dropped is for another that waits.
#[test]
fn kept_connection_for_another_stream() {
    run(&[
        Step::Make { kind: Kind::TcpListener, at: 0 },
        Step::Peer { act: PeerAct::Write, object: 0, size: 1 },
        Step::Start { object: 0, act: Act::Chunks, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Chunks, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Drop { handle: 0, at: 0 },
        Step::Await { handle: 0, at: 0, in_task: false },
    ]);
}

/// A timeout goes on when its runtime is gone.
#[test]
fn kept_timeout_of_a_runtime_that_is_gone() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 1, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 1, how: How::Polled, limit: Limit::Short },
        Step::Shutdown { at: 1, grace: Grace::Long, next: 0 },
        Step::Drop { handle: 0, at: 0 },
        Step::Await { handle: 0, at: 1, in_task: false },
    ]);
}

#[test]
fn kept_late_datagram_without_its_sender() {
    run(&[
        Step::Make { kind: Kind::Udp, at: 0 },
        Step::Peer { act: PeerAct::Write, object: 0, size: 1 },
        Step::Start { object: 0, act: Act::Read, size: 1, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::ReadVectored, size: 1, at: 0, how: How::Lazy, limit: Limit::None },
    ]);
}

/// A stream has a chunk that it did not take, and a later read is dropped with what came after: the chunk comes first.
#[test]
fn kept_chunk_before_late_bytes() {
    run(&[
        Step::Shutdown { at: 0, grace: Grace::Long, next: 1 },
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Peer { object: 0, act: PeerAct::Write, size: 64 },
        Step::Start { object: 0, act: Act::Batches, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Turn { at: 0 },
        Step::Peer { object: 0, act: PeerAct::Write, size: 64 },
        Step::Turn { at: 0 },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Turn { at: 0 },
        Step::Drop { handle: 1, at: 0 },
        Step::Await { handle: 0, at: 0, in_task: false },
        Step::DropChunk { chunk: 0, at: 0 },
        Step::Await { handle: 0, at: 0, in_task: false },
    ]);
}

/// A stream of connections that was aborted in one runtime has what another waits for in the second.
#[test]
fn kept_connection_for_another_runtime() {
    run(&[
        Step::Make { kind: Kind::UnixListener, at: 0 },
        Step::Start { object: 0, act: Act::Chunks, size: 64, at: 0, how: How::Task, limit: Limit::None },
        Step::Turn { at: 0 },
        Step::Drop { handle: 0, at: 0 },
        Step::Start { object: 0, act: Act::Chunks, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Await { handle: 0, at: 1, in_task: false },
        Step::Peer { object: 0, act: PeerAct::Write, size: 64 },
        Step::Await { handle: 0, at: 1, in_task: true },
    ]);
}

/// A stream goes on while a read before it was answered and not taken, and gets what that leaves.
#[test]
fn kept_read_dropped_behind_a_stream() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Chunks, size: 64, at: 0, how: How::Submitted, limit: Limit::None },
        Step::Peer { act: PeerAct::Write, object: 0, size: 143 },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Await { handle: 9, at: 0, in_task: false },
    ]);
}

/// A close beside a read that waits for a stream of chunks.
#[test]
fn kept_close_beside_a_waiting_read() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Chunks, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Close { object: 0, at: 0 },
    ]);
}

/// The reset came for a write that was dropped.
#[test]
fn kept_reset_of_a_dropped_write() {
    run(&[
        Step::Make { kind: Kind::Tcp, at: 0 },
        Step::Start { object: 0, act: Act::Write, size: 64, at: 0, how: How::Task, limit: Limit::None },
        Step::Lose { handle: 0, at: 0, panics: false },
        Step::Peer { act: PeerAct::Reset, object: 0, size: 64 },
    ]);
}

/// The runtime ends in the middle of a write of the whole.
#[test]
fn kept_shutdown_in_a_write() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::WriteAll, size: 65535, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Poll { handle: 0, at: 0, waker: WakerKind::Own },
        Step::Shutdown { at: 0, grace: Grace::Long, next: 0 },
        Step::Poll { handle: 0, at: 0, waker: WakerKind::Own },
    ]);
}

/// A reset that a batch has found behind its bytes, and was not asked for.
#[test]
fn kept_reset_behind_a_batch() {
    run(&[
        Step::Make { kind: Kind::Tcp, at: 0 },
        Step::Peer { act: PeerAct::Write, object: 0, size: 64 },
        Step::Peer { act: PeerAct::Reset, object: 0, size: 64 },
        Step::Start { object: 0, act: Act::Batches, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
    ]);
}

/// The reset came for a peek that was dropped.
#[test]
fn kept_reset_of_a_dropped_peek() {
    run(&[
        Step::Make { kind: Kind::Tcp, at: 0 },
        Step::Peer { act: PeerAct::Reset, object: 0, size: 64 },
        Step::Start { object: 0, act: Act::Peek, size: 64, at: 0, how: How::Task, limit: Limit::None },
        Step::Drop { handle: 0, at: 0 },
    ]);
}

/// The deadline of a read is nobody else's error.
#[test]
fn kept_deadline_of_another() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Make { kind: Kind::Direct, at: 1 },
        Step::Start { object: 7, act: Act::Read, size: 64, at: 0, how: How::Submitted, limit: Limit::None },
        Step::Peer { act: PeerAct::Write, object: 1, size: 64 },
        Step::Start { object: 1, act: Act::Read, size: 64, at: 1, how: How::Polled, limit: Limit::None },
        Step::Start { object: 1, act: Act::Read, size: 64, at: 1, how: How::Polled, limit: Limit::Zero },
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Turn { at: 1 },
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Await { handle: 3, at: 0, in_task: false },
        Step::Drop { handle: 2, at: 0 },
        Step::Await { handle: 0, at: 0, in_task: false },
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 11, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Poll { handle: 0, at: 0, waker: WakerKind::Own },
    ]);
}

/// A write by a thread of the kernel, which the close of its descriptor interrupts.
#[test]
fn kept_interrupted_write() {
    run(&[
        Step::Make { kind: Kind::Direct, at: 0 },
        Step::Peer { act: PeerAct::EndWriting, object: 0, size: 64 },
        Step::Start { object: 0, act: Act::Write, size: 65535, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Write, size: 64, at: 0, how: How::Task, limit: Limit::None },
        Step::Turn { at: 0 },
        Step::Close { object: 0, at: 0 },
    ]);
}

/// A cancel of a read that has just been told to begin anew.
#[test]
fn kept_cancel_of_a_new_beginning() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Chunks, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 1, how: How::Task, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Submitted, limit: Limit::None },
        Step::Peer { act: PeerAct::Write, object: 0, size: 64 },
        Step::Lose { handle: 0, at: 0, panics: false },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Submitted, limit: Limit::None },
        Step::Cancel { handle: 1, at: 1 },
        Step::Poll { handle: 0, at: 0, waker: WakerKind::Own },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
    ]);
}

/// A stream without a buffer waits for its socket, while what a dropped read had received is there.
#[test]
fn kept_late_bytes_beside_a_dry_stream() {
    run(&[
        Step::Shutdown { at: 0, grace: Grace::Long, next: 1 },
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Chunks, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Peer { act: PeerAct::Write, object: 0, size: 200 },
        Step::Start { object: 0, act: Act::Read, size: 200, at: 0, how: How::Polled, limit: Limit::None },
        Step::Await { handle: 2, at: 0, in_task: false },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Poll { handle: 3, at: 0, waker: WakerKind::Own },
        Step::Drop { handle: 1, at: 0 },
        Step::Drop { handle: 1, at: 0 },
    ]);
}

/// A stream without a buffer is polled outside of a runtime, which panics, and then inside.
#[test]
fn kept_dry_stream_polled_outside() {
    run(&[
        Step::Shutdown { at: 0, grace: Grace::Long, next: 1 },
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Peer { act: PeerAct::Write, object: 0, size: 200 },
        Step::Start { object: 0, act: Act::Chunks, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Turn { at: 0 },
        Step::Start { object: 0, act: Act::Chunks, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::Short },
        Step::Await { handle: 0, at: 0, in_task: false },
        Step::Poll { handle: 6, at: 3, waker: WakerKind::Own },
        Step::Poll { handle: 2, at: 0, waker: WakerKind::Own },
    ]);
}

/// A read whose time is over, while it waits for its turn, is told to begin anew; another takes what came.
#[test]
fn kept_deadline_of_a_read_that_begins_anew() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::Short },
        Step::Poll { handle: 5, at: 0, waker: WakerKind::Own },
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 2, act: Act::Often, size: 64, at: 0, how: How::Polled, limit: Limit::Zero },
        Step::Start { object: 6, act: Act::Read, size: 64, at: 0, how: How::Task, limit: Limit::None },
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Lose { handle: 0, at: 0, panics: false },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Peer { act: PeerAct::Write, object: 4, size: 64 },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Lose { handle: 6, at: 0, panics: false },
    ]);
}

/// A read is submitted, but something has arrived late, so that it waits for its first poll; its time is over by then, and
/// another has taken what came.
#[test]
fn kept_deadline_of_a_read_that_was_not_submitted() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Peer { act: PeerAct::Write, object: 0, size: 64 },
        Step::Drop { handle: 0, at: 0 },
        Step::Peer { act: PeerAct::Write, object: 0, size: 64 },
        Step::Shutdown { at: 0, grace: Grace::Long, next: 0 },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Submitted, limit: Limit::Zero },
        Step::Start { object: 0, act: Act::Chunks, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Lazy, limit: Limit::None },
        Step::Await { handle: 2, at: 0, in_task: false },
    ]);
}

/// Many wait for their turn at a descriptor that is closed.
#[test]
fn kept_close_with_many_in_the_queue() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 0, act: Act::Chunks, size: 64, at: 0, how: How::Task, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Start { object: 0, act: Act::Read, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Close { object: 0, at: 0 },
    ]);
}

/// A write that is forgotten has got the reset.
#[test]
fn kept_reset_of_a_forgotten_write() {
    run(&[
        Step::Make { kind: Kind::Tcp, at: 0 },
        Step::Start { object: 0, act: Act::Write, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Forget { handle: 0 },
        Step::Peer { act: PeerAct::Reset, object: 0, size: 64 },
    ]);
}

/// A read that is in flight in one runtime is dropped; the next is in another.
#[test]
fn kept_order_across_runtimes() {
    run(&[
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Make { kind: Kind::Unix, at: 0 },
        Step::Start { object: 2, act: Act::Read, size: 64, at: 0, how: How::Polled, limit: Limit::None },
        Step::Poll { handle: 0, at: 1, waker: WakerKind::Own },
        Step::Close { object: 1, at: 0 },
        Step::Drop { handle: 0, at: 0 },
        Step::Peer { act: PeerAct::Write, object: 8, size: 64 },
        Step::Peer { act: PeerAct::Write, object: 8, size: 64 },
        Step::Start { object: 2, act: Act::Read, size: 64, at: 0, how: How::Task, limit: Limit::None },
        Step::Drop { handle: 0, at: 1 },
        Step::Start { object: 2, act: Act::Read, size: 64, at: 1, how: How::Lazy, limit: Limit::None },
        Step::Await { handle: 0, at: 1, in_task: false },
    ]);
}
