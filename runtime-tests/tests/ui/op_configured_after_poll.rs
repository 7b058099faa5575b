//! An operation that was polled may be in flight: it can no longer be configured or submitted.

use std::future::Future;
use std::pin::pin;
use std::task::Context;
use std::time::Duration;

use saferring::fs::File;

fn through_its_pin(file: &File, cx: &mut Context<'_>) {
    let mut reading = pin!(file.read_at(vec![0; 64], 0));
    drop(reading.as_mut().poll(cx));
    drop(reading.timeout(Duration::ZERO));
}

fn through_a_reference(file: &File) {
    let mut reading = file.read_at(vec![0; 64], 0);
    let borrowed = &mut reading;
    drop(borrowed.timeout(Duration::ZERO));
}

fn by_moving_it_out(file: &File, cx: &mut Context<'_>) {
    let mut reading = Box::pin(file.read_at(vec![0; 64], 0));
    drop(reading.as_mut().poll(cx));
    drop((*reading).submit());
}

fn main() {}
