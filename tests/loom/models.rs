//! A thread that sends pieces which hold what it waits for, and a decoder that goes at some time.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};
use loom::model::Builder;

use crate::channel::{Receiver, Sender, channel};
use crate::inflate_buffer::{InflateBuffer, Reservation};
use crate::memory_gate::{GateLimits, MemoryGate, MemoryPermit};
use crate::sync::{Timeouts, set_timeouts};

/// The capacity of the channel, in pieces.
const CAPACITY: usize = 1;

/// The number of files that are inflated into the buffer; each becomes two pieces.
const FILES: usize = 2;

/// The number of pieces that need a permit.
const PERMITS: usize = 3;

/// The preemptions of a thread in one order of steps; enough for every fault with two threads.
const PREEMPTIONS: usize = 4;

/// The steps of one order. A thread that takes more of them waits for ever.
const MAX_STEPS: usize = 2_000;

/// The memory that pieces hold.
#[derive(Debug, Clone, Copy)]
enum Held {
    /// The buffer that a file was inflated into.
    Buffer,
    /// A permit of a gate which admits one.
    Permit,
}

/// A model, and what is expected of it.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    held: Held,
    /// The number of pieces that the decoder takes before it goes; `None` for all.
    taken: Option<usize>,
    timeouts: Timeouts,
    /// True if the one who waits looks whether the decoder is gone.
    looks: bool,
    /// True if an order is expected in which a thread waits for ever.
    pub(crate) hangs: bool,
}

impl Model {
    /// A decoder that goes after `taken` pieces.
    const fn early_end(name: &'static str, held: Held, taken: usize) -> Self {
        Self {
            name,
            held,
            taken: Some(taken),
            timeouts: Timeouts::Fire,
            looks: true,
            hangs: false,
        }
    }

    /// A decoder that takes every piece: nobody waits for a timeout.
    const fn whole(name: &'static str, held: Held) -> Self {
        Self {
            taken: None,
            timeouts: Timeouts::Never,
            ..Self::early_end(name, held, 0)
        }
    }

    /// Expects a hang, because nobody looks whether the decoder is gone.
    const fn without_look(self) -> Self {
        Self {
            looks: false,
            hangs: true,
            ..self
        }
    }

    /// Lets no wait end by its timeout: one look is enough.
    const fn without_timeouts(self) -> Self {
        Self {
            timeouts: Timeouts::Never,
            ..self
        }
    }
}

/// The models. Those that hang show that the others would notice.
pub(crate) const MODELS: [Model; 10] = [
    Model::early_end("decoder_goes_before_the_text", Held::Buffer, 0),
    Model::early_end("decoder_goes_amid_the_text", Held::Buffer, 1),
    Model::early_end(
        "decoder_of_the_text_goes_without_a_timeout",
        Held::Buffer,
        1,
    )
    .without_timeouts(),
    Model::whole("decoder_takes_the_whole_text", Held::Buffer),
    Model::early_end("nobody_looks_for_the_decoder_of_the_text", Held::Buffer, 1).without_look(),
    Model::early_end("decoder_goes_before_the_permits", Held::Permit, 0),
    Model::early_end("decoder_goes_amid_the_permits", Held::Permit, 1),
    Model::early_end(
        "decoder_of_the_permits_goes_without_a_timeout",
        Held::Permit,
        1,
    )
    .without_timeouts(),
    Model::whole("decoder_takes_all_permits", Held::Permit),
    Model::early_end(
        "nobody_looks_for_the_decoder_of_the_permits",
        Held::Permit,
        1,
    )
    .without_look(),
];

impl Model {
    /// Runs all orders of steps. Panics if one fails, or does not end.
    pub(crate) fn explore(&'static self) {
        set_timeouts(self.timeouts);
        let mut builder = Builder::new();
        builder.preemption_bound = Some(PREEMPTIONS);
        builder.max_branches = MAX_STEPS;
        builder.check(move || match self.held {
            Held::Buffer => self.run_with_buffer(),
            Held::Permit => self.run_with_gate(),
        });
    }

    fn run_with_buffer(&'static self) {
        let buffer = InflateBuffer::new(8, Box::new(Unlimited));
        let chunker_buffer = buffer.clone();
        self.run(move |pieces| send_text(&chunker_buffer, pieces, self.looks));
        // It has returned: nobody has to be waited for.
        assert!(buffer.take(4, 0, || true).is_some());
    }

    fn run_with_gate(&'static self) {
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let gate = MemoryGate::new(&pool, "model", GateLimits { min: 0, max: 1 });
        let chunker_gate = gate.clone();
        self.run(move |pieces| send_permits(&chunker_gate, pieces, self.looks));
        assert_eq!(pool.reserved(), 0, "all permits are back");
    }

    /// Runs the thread that sends, beside the decoder. Both must end.
    fn run<P: Send + 'static>(&self, send: impl FnOnce(&Sender<P>) -> usize + Send + 'static) {
        let (sender, mut receiver) = channel(CAPACITY);
        let chunker = loom::thread::spawn(move || send(&sender));
        let received = receive(&mut receiver, self.taken);
        drop(receiver);
        let sent = chunker.join().unwrap();
        assert!(received <= sent, "{received} of {sent} pieces");
        if self.taken.is_none() {
            assert_eq!(received, sent);
        }
    }
}

/// Receives up to `count` pieces, or all, and returns their number.
fn receive<P>(pieces: &mut Receiver<P>, count: Option<usize>) -> usize {
    let mut received = 0;
    while count.is_none_or(|count| received < count) {
        let Some(piece) = pieces.recv() else { break };
        received += 1;
        drop(piece);
    }
    received
}

/// Inflates files one by one into the buffer and sends them in two pieces each, as the chunker does.
/// Returns the number of pieces sent.
fn send_text(buffer: &InflateBuffer, pieces: &Sender<Bytes>, looks: bool) -> usize {
    let mut sent = 0;
    for _ in 0..FILES {
        let is_unwanted = || looks && pieces.is_closed();
        let Some(mut text) = buffer.take(4, 0, is_unwanted) else {
            return sent;
        };
        assert!(text.is_empty());
        text.extend_from_slice(b"text");
        let mut rest = buffer.lend(text);
        let first = rest.split_to(2);
        for piece in [first, rest] {
            if !pieces.send(piece) {
                return sent;
            }
            sent += 1;
        }
    }
    sent
}

/// Sends pieces with a permit each. Returns the number of pieces sent.
fn send_permits(gate: &MemoryGate, pieces: &Sender<MemoryPermit>, looks: bool) -> usize {
    for sent in 0..PERMITS {
        let is_unwanted = || looks && pieces.is_closed();
        let Some(permit) = gate.acquire_blocking(1, is_unwanted) else {
            return sent;
        };
        if !pieces.send(permit) {
            return sent;
        }
    }
    PERMITS
}

/// A limit that everything is within.
struct Unlimited;

impl Reservation for Unlimited {
    fn try_reserve_total(&mut self, _: usize) -> bool {
        true
    }
}
