//! The faults on the wire, and the requests at which a run is held.

use fastrand::Rng;

/// A fault of one request: before it reaches the server, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    CloseBefore,
    ResetBefore,
    Answer500Before,
    Answer503Before,
    Delay,
    CloseAfter,
    ResetAfter,
    Answer500After,
    Answer503After,
    /// Half of the response is sent.
    CutResponse,
}

impl Fault {
    const ALL: [Fault; 10] = [
        Fault::CloseBefore,
        Fault::ResetBefore,
        Fault::Answer500Before,
        Fault::Answer503Before,
        Fault::Delay,
        Fault::CloseAfter,
        Fault::ResetAfter,
        Fault::Answer500After,
        Fault::Answer503After,
        Fault::CutResponse,
    ];

    /// Returns true if the server never gets the request.
    pub(crate) fn is_before(self) -> bool {
        matches!(
            self,
            Fault::CloseBefore
                | Fault::ResetBefore
                | Fault::Answer500Before
                | Fault::Answer503Before
        )
    }
}

/// Random faults of the requests of one run.
pub(crate) struct FaultPlan {
    random: Rng,
    /// The share of the requests that get a fault, in percent.
    percent: u8,
}

impl FaultPlan {
    pub(crate) fn new(random: Rng, percent: u8) -> Self {
        Self { random, percent }
    }

    /// Returns the fault of the next request, and the milliseconds of a delay.
    pub(crate) fn next(&mut self) -> Option<(Fault, u64)> {
        let fault = self.random.choice(Fault::ALL)?;
        let delay = self.random.u64(1..=400);
        (self.random.u8(..100) < self.percent).then_some((fault, delay))
    }
}

/// A kind of request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Any,
    /// The put of a log entry: the commit.
    Commit,
    /// The completion of an upload.
    Completion,
    /// The put of a manifest.
    Manifest,
}

impl Kind {
    fn is_of(self, request_line: &str) -> bool {
        match self {
            Kind::Any => true,
            Kind::Commit => {
                request_line.starts_with("PUT ") && request_line.contains("/_dayport/log/")
            }
            Kind::Completion => {
                request_line.starts_with("POST ") && request_line.contains("uploadId=")
            }
            Kind::Manifest => {
                request_line.starts_with("PUT ") && request_line.contains("/manifests/")
            }
        }
    }
}

/// The side of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The server has not got it yet.
    Before,
    /// The server has answered, the client does not know.
    After,
}

/// The request at which a run is held until the campaign has killed or stopped it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold {
    pub kind: Kind,
    /// The number of the request among those of its kind, from 1.
    pub nth: u64,
    pub side: Side,
}

impl Hold {
    /// Counts a request. Returns true if it is the one.
    pub(crate) fn counts(&mut self, request_line: &str) -> bool {
        if !self.kind.is_of(request_line) || self.nth == 0 {
            return false;
        }
        self.nth -= 1;
        self.nth == 0
    }
}
